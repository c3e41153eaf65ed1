package destination

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)

// files writes the credentials of a Secret.
func files(tb testing.TB, contents map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func pkcs8(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func otherKey(tb testing.TB) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return pkcs8(tb, key)
}

// TestSignature_RFC9421 is the example of RFC 9421, B.2.6.
func TestSignature_RFC9421(t *testing.T) {
	const text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----"
	key, err := signingKey(files(t, map[string]string{"privateKey": text}))
	if err != nil {
		t.Fatal(err)
	}
	input, got := signer{key: key}.signature([]component{
		{"date", "Tue, 20 Apr 2021 02:07:55 GMT"}, {"@method", "POST"}, {"@path", "/foo"}, {"@authority", "example.com"},
		{"content-type", "application/json"}, {"content-length", "18"},
	}, `;created=1618884473;keyid="test-key-ed25519"`)
	const want = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
	if got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if want := `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`; input != want {
		t.Errorf("input %s", input)
	}
}

// recipient is an endpoint that checks signatures as docs/destinations.md tells it to.
type recipient struct {
	public  ed25519.PublicKey
	objects map[string]string
	answers []int // instead of checking, first in first out
	seen    int
	refused error
}

var input = regexp.MustCompile(`^maodian=(\("@method" "@target-uri" "content-digest" "content-type" "content-length"\);created=(\d+);expires=(\d+);keyid="maodian-2026";alg="ed25519";tag="maodian-transfer")$`)

func (e *recipient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.seen++
	if len(e.answers) > 0 {
		status := e.answers[0]
		e.answers = e.answers[1:]
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "canary of the server")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = e.check(r, body)
	}
	if err != nil {
		e.refused = err
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	e.objects[r.URL.Path] = string(body)
	w.WriteHeader(http.StatusCreated)
}

func (e *recipient) check(r *http.Request, body []byte) error {
	m := input.FindStringSubmatch(r.Header.Get("Signature-Input"))
	if m == nil {
		return fmt.Errorf("input %s", r.Header.Get("Signature-Input"))
	}
	if m[2] != fmt.Sprint(now.Unix()) || m[3] != fmt.Sprint(now.Unix()+60) {
		return fmt.Errorf("times %s, %s", m[2], m[3])
	}
	sum := sha256.Sum256(body)
	if want := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"; r.Header.Get("Content-Digest") != want {
		return errors.New("digest")
	}
	base := fmt.Sprintf("\"@method\": %s\n\"@target-uri\": https://%s%s\n\"content-digest\": %s\n\"content-type\": %s\n\"content-length\": %d\n\"@signature-params\": %s",
		r.Method, r.Host, r.URL.Path, r.Header.Get("Content-Digest"), r.Header.Get("Content-Type"), len(body), m[1])
	text := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Signature"), "maodian=:"), ":")
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !ed25519.Verify(e.public, []byte(base), signature) {
		return errors.New("signature")
	}
	return nil
}

func reach(t *testing.T, e *recipient, attempts int) (Destination, *httptest.Server) {
	t.Helper()
	return reachAt(t, e, attempts, func(*Config) {})
}

func reachAt(t *testing.T, e *recipient, attempts int, change func(*Config)) (Destination, *httptest.Server) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e.public, e.objects = public, map[string]string{}
	srv := httptest.NewTLSServer(e)
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Type: TypeHTTPS, HTTPS: HTTPS{URL: srv.URL + "/in/", KeyID: "maodian-2026"}}
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(cfg, Options{
		CredentialsDir: files(t, map[string]string{"privateKey": pkcs8(t, private)}), ExtraCAFile: ca, Attempts: attempts,
		Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, srv
}

func TestHTTPS_PutIsSigned(t *testing.T) {
	e := &recipient{}
	d, _ := reach(t, e, 1)
	for _, body := range []string{"first", "", "second"} {
		if err := d.Put(t.Context(), "leads-q4/part-00000.jsonl", "application/x-ndjson", []byte(body)); err != nil {
			t.Fatal(err, e.refused)
		}
	}
	if got := e.objects["/in/leads-q4/part-00000.jsonl"]; got != "second" || len(e.objects) != 1 {
		t.Errorf("%q", e.objects)
	}
}

func TestHTTPS_Answers(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int
		want    error
		seen    int
	}{
		"it is there already":            {[]int{200}, nil, 1},
		"it is there, without a word":    {[]int{204}, nil, 1},
		"it will be there, perhaps":      {[]int{202}, ErrFailed, 1},
		"the signature is not taken":     {[]int{401}, ErrDenied, 1},
		"we may not write":               {[]int{403}, ErrDenied, 1},
		"it is elsewhere":                {[]int{307}, ErrRedirected, 1},
		"it was elsewhere":               {[]int{301}, ErrRedirected, 1},
		"there is no such path":          {[]int{404}, ErrFailed, 1},
		"busy, and then not":             {[]int{503, 429}, nil, 3},
		"busy for longer than we try":    {[]int{503, 503, 503}, ErrFailed, 3},
		"broken, and then not our place": {[]int{500, 403}, ErrDenied, 2},
	} {
		t.Run(name, func(t *testing.T) {
			e := &recipient{answers: c.answers}
			d, _ := reach(t, e, 3)
			err := d.Put(t.Context(), "a", "text/plain", []byte("canary of a person"))
			if !errors.Is(err, c.want) || (c.want == nil && err != nil) || e.seen != c.seen {
				t.Errorf("%v after %d requests; want %v after %d", err, e.seen, c.want, c.seen)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Error(err)
			}
		})
	}
}

func TestHTTPS_NobodyThere(t *testing.T) {
	d, srv := reach(t, &recipient{}, 1)
	srv.Close()
	if err := d.Put(t.Context(), "a", "text/plain", nil); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	cause := errors.New("the lease is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := d.Put(ctx, "a", "text/plain", nil); !errors.Is(err, cause) {
		t.Errorf("%v, want the end of the lease", err)
	}
}

// TestOnlyThePinnedAddressesAreReached: whatever the name says, and whether or not it has an answer.
func TestOnlyThePinnedAddressesAreReached(t *testing.T) {
	e := &recipient{}
	elsewhere, _ := reachAt(t, e, 1, func(c *Config) { c.Addresses = []string{"127.0.0.2"} })
	if err := elsewhere.Put(t.Context(), "a", "text/plain", nil); !errors.Is(err, ErrUnreachable) || e.seen != 0 {
		t.Errorf("%v, %d requests at an address that is not pinned", err, e.seen)
	}
	named, _ := reachAt(t, e, 1, func(c *Config) { // the certificate of the server is of this name, too
		c.HTTPS.URL = strings.Replace(c.HTTPS.URL, "127.0.0.1", "example.com", 1)
		c.Addresses = []string{"127.0.0.2", "127.0.0.1"}
	})
	if err := named.Put(t.Context(), "a", "text/plain", nil); err != nil || e.seen != 1 {
		t.Errorf("%v, %d requests at the second address", err, e.seen)
	}
}
