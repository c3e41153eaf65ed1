package transfer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/dataplane/destination"
)

// Credentials of the server under test. They are canaries, too: no log may hold them.
const (
	accessKey = "AKCANARYaccess"
	secretKey = "canary-secret-key"
	region    = "eu-central-1"
)

// startupTimeout is how long the server may take until it answers.
const startupTimeout = 30 * time.Second

// server is a running S3 server, shared by the tests of this package.
type server struct {
	addr, caFile string
	err          error
}

var s3 server

func TestMain(m *testing.M) {
	var stop func()
	s3, stop = startServer()
	code := m.Run()
	stop()
	os.Exit(code)
}

// startServer runs versitygw on a loopback port with a certificate of its own.
func startServer() (server, func()) {
	binary := os.Getenv("MAODIAN_S3_SERVER")
	if binary == "" {
		return server{err: fmt.Errorf("MAODIAN_S3_SERVER must name the versitygw program: `make test` sets it, `go run ./hack/cluster assets` prints its folder")}, func() {}
	}
	dir, err := os.MkdirTemp("", "maodian-s3-")
	if err != nil {
		return server{err: err}, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var cmd *exec.Cmd
	stop := func() {
		cancel()
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Wait()
		}
		_ = os.RemoveAll(dir)
	}
	s, data := server{caFile: filepath.Join(dir, "tls.crt")}, filepath.Join(dir, "data")
	if s.err = writeCertificate(s.caFile, filepath.Join(dir, "tls.key")); s.err != nil {
		return s, stop
	}
	if s.err = os.Mkdir(data, 0o700); s.err != nil {
		return s, stop
	}
	if s.addr, s.err = freeAddress(); s.err != nil {
		return s, stop
	}
	cmd = exec.CommandContext(ctx, binary, "--port", s.addr, "--cert", s.caFile, "--key", filepath.Join(dir, "tls.key"),
		"--region", region, "--quiet", "posix", data)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if s.err = cmd.Start(); s.err != nil {
		return s, stop
	}
	s.err = listening(s.addr)
	return s, stop
}

func listening(addr string) error {
	end := time.After(startupTimeout)
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-end:
			return fmt.Errorf("the S3 server does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600)
}

var buckets atomic.Int64

// configured makes an empty bucket and a configuration that leads there.
func configured(tb testing.TB) Config {
	tb.Helper()
	if s3.err != nil {
		tb.Fatal(s3.err)
	}
	cfg := Config{
		TransferID: transferID, Name: "leads-q4", Recipient: "zurich-sales", Format: JSONLines, Fields: []string{"leadID", "interests", "note"},
		CredentialsDir: credentialFiles(tb, accessKey, secretKey), ExtraCAFile: s3.caFile,
		Destination: destination.Config{Type: destination.TypeS3, S3: destination.S3{
			Endpoint: "https://" + s3.addr, Region: region, Bucket: fmt.Sprintf("leads-%d", buckets.Add(1)), Prefix: "cn/2026/",
		}},
	}
	cfg.Store.Address = "https://127.0.0.1:1"
	if err := cfg.Validate(); err != nil {
		tb.Fatal(err)
	}
	if err := owner(tb).MakeBucket(tb.Context(), cfg.Destination.S3.Bucket, minio.MakeBucketOptions{Region: region}); err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// owner is a client of the bucket's owner.
func owner(tb testing.TB) *minio.Client {
	tb.Helper()
	roots, err := config.Roots(s3.caFile)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := minio.New(s3.addr, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Secure: true, Region: region, BucketLookup: minio.BucketLookupPath,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func credentialFiles(tb testing.TB, access, secret string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, value := range map[string]string{"accessKeyID": access, "secretAccessKey": secret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// open connects with one attempt per request, so that a failure is known at once.
func open(tb testing.TB, cfg Config) destination.Destination {
	tb.Helper()
	d, err := destination.Open(cfg.Destination, destination.Options{CredentialsDir: cfg.CredentialsDir, ExtraCAFile: cfg.ExtraCAFile, Attempts: 1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	return d
}

// objects reads the whole bucket.
func objects(tb testing.TB, cfg Config) map[string]string {
	tb.Helper()
	c, bucket, out := owner(tb), cfg.Destination.S3.Bucket, map[string]string{}
	for o := range c.ListObjects(tb.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			tb.Fatal(o.Err)
		}
		r, err := c.GetObject(tb.Context(), bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		out[o.Key] = string(body)
	}
	return out
}
