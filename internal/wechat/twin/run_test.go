package twin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/wechat/twin"
)

// write puts a file into the test's folder and returns its name.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freeAddress is a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func testConfig(t *testing.T) (twin.Config, *x509.CertPool) {
	t.Helper()
	// The certificate of a test server serves us as well.
	borrowed := httptest.NewTLSServer(http.NotFoundHandler())
	defer borrowed.Close()
	pair := borrowed.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	roots := x509.NewCertPool()
	roots.AddCert(borrowed.Certificate())
	return twin.Config{
		Listen: freeAddress(t), ControlListen: freeAddress(t),
		TLSCertFile: write(t, "tls.crt", cert), TLSKeyFile: write(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
		CAFile: write(t, "ca.crt", cert),
		Account: twin.AccountConfig{
			AppID: "wx0123456789abcdef", AppSecretFile: write(t, "secret", "0123456789abcdef0123456789abcdef\n"),
			TokenFile: write(t, "token", "callbacktoken\n"), EncodingAESKeyFile: write(t, "aes", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n"),
		},
		CallbackURL: "https://gateway.test/callback", ConsentURL: "https://gateway.test/consent", Seed: 1,
	}, roots
}

func TestRun(t *testing.T) {
	cfg, roots := testConfig(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- twin.Run(ctx, cfg) }()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, address := range []string{"http://" + cfg.ControlListen + "/healthz", "https://" + cfg.Listen + "/cgi-bin/user/get"} {
		for {
			res, err := client.Get(address)
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("%s: %d", address, res.StatusCode)
				}
				break
			}
			select {
			case err := <-ended:
				t.Fatalf("ended early: %v", err)
			default: // not listening yet
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after a clean end: %v", err)
	}
}

func TestRun_RefusesBadFiles(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *twin.Config){
		"no certificate":    func(_ *testing.T, c *twin.Config) { c.TLSCertFile = "/no/such" },
		"no secret":         func(_ *testing.T, c *twin.Config) { c.Account.AppSecretFile = "/no/such" },
		"an empty secret":   func(t *testing.T, c *twin.Config) { c.Account.AppSecretFile = write(t, "s", "") },
		"a short AES key":   func(t *testing.T, c *twin.Config) { c.Account.EncodingAESKeyFile = write(t, "k", "short") },
		"a CA of nothing":   func(t *testing.T, c *twin.Config) { c.CAFile = write(t, "ca", "hello") },
		"a missing address": func(_ *testing.T, c *twin.Config) { c.Listen = "" },
		"a bad address":     func(_ *testing.T, c *twin.Config) { c.ControlListen = "nowhere" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := testConfig(t)
			change(t, &cfg)
			if err := twin.Run(t.Context(), cfg); err == nil {
				t.Error("it ran")
			}
		})
	}
}

func TestLoadConfig(t *testing.T) {
	const good = `listen: :443
controlListen: 127.0.0.1:8081
tlsCertFile: /tls/tls.crt
tlsKeyFile: /tls/tls.key
account: {appID: wx0123456789abcdef, appSecretFile: /s/appSecret, tokenFile: /s/token, encodingAESKeyFile: /s/encodingAESKey}
callbackURL: https://gateway/callback
consentURL: https://gateway/consent
seed: 20261123
`
	c, err := twin.LoadConfig(write(t, "twin.yaml", good))
	if err != nil || c.Seed != 20261123 || c.Account.AppID != "wx0123456789abcdef" {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, bad := range map[string]string{
		"an unknown key":  good + "sed: 1\n",
		"a doubled key":   good + "seed: 2\n",
		"a missing value": strings.Replace(good, "consentURL: https://gateway/consent\n", "", 1),
		"no YAML":         "\t",
		"a negative time": good + "logEverySeconds: -1\n",
	} {
		if _, err := twin.LoadConfig(write(t, "twin.yaml", bad)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := twin.LoadConfig("/no/such"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
