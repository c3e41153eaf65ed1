//go:build cluster

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"k8s.io/apimachinery/pkg/util/wait"
)

// TestS3 starts the S3 server that the transfer tests use, and stores, reads and lists an object over TLS.
func TestS3(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	assets, err := exec.Command("go", "run", "..", "assets").Output()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(assets)), "versitygw"),
		"--port", addr, "--cert", filepath.Join(dir, "tls.crt"), "--key", filepath.Join(dir, "tls.key"),
		"--region", "eu-central-1", "--health", "/health", "--quiet", "posix", data)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=root", "ROOT_SECRET_KEY=not-a-secret")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	client := http.Client{Transport: transport, Timeout: time.Second}
	healthy := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		res, err := client.Get("https://" + addr + "/health")
		return err == nil && res.StatusCode == http.StatusOK && res.Body.Close() == nil, nil
	})
	if healthy != nil {
		t.Fatalf("not healthy: %s", out.String())
	}
	roundTrip(t, addr, transport)
}

func roundTrip(t *testing.T, addr string, transport http.RoundTripper) {
	t.Helper()
	ctx := context.Background()
	c, err := minio.New(addr, &minio.Options{
		Creds: credentials.NewStaticV4("root", "not-a-secret", ""), Secure: true, Transport: transport, Region: "eu-central-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(ctx, "leads", minio.MakeBucketOptions{Region: "eu-central-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(ctx, "leads", "q4/part-0.csv", strings.NewReader("a,b\n"), 4, minio.PutObjectOptions{ContentType: "text/csv"}); err != nil {
		t.Fatal(err)
	}
	o, err := c.GetObject(ctx, "leads", "q4/part-0.csv", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(o); err != nil || string(b) != "a,b\n" {
		t.Errorf("object = %q, %v", b, err)
	}
	var keys []string
	for o := range c.ListObjects(ctx, "leads", minio.ListObjectsOptions{Recursive: true}) {
		keys = append(keys, o.Key)
	}
	if len(keys) != 1 || keys[0] != "q4/part-0.csv" {
		t.Errorf("keys = %v", keys)
	}
	wrong, err := minio.New(addr, &minio.Options{
		Creds: credentials.NewStaticV4("root", "wrong", ""), Secure: true, Transport: transport, Region: "eu-central-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.StatObject(ctx, "leads", "q4/part-0.csv", minio.StatObjectOptions{}); err == nil {
		t.Error("a wrong secret reads the object")
	}
}

// certificate writes a self-signed one and returns a pool that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
