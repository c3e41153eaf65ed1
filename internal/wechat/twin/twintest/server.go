// Package twintest serves a platform twin inside a test, under the platform's own
// host names and with a certificate for them.
package twintest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
)

// The account that the twin plays. None of it exists anywhere else.
const (
	AppID          = "wx0123456789abcdef"
	AppSecret      = "0123456789abcdef0123456789abcdef"
	CallbackToken  = "callbacktoken"
	EncodingAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// hosts are the names in the certificate: the two of the mainland, and those that
// nobody may call, so that a test sees it if somebody does.
var hosts = []string{"sh.api.weixin.qq.com", "sz.api.weixin.qq.com", "hk.api.weixin.qq.com", "api.weixin.qq.com", "open.weixin.qq.com"}

// ErrDown is what dialling a host that is down yields.
var ErrDown = errors.New("host is down")

// Server is a twin that answers at the platform's names.
type Server struct {
	*twin.Platform
	// RootCAs trusts the twin's certificate.
	RootCAs *x509.CertPool

	address string
	mu      sync.Mutex
	down    map[string]bool
	dials   map[string]int
}

// Keys are the account's callback keys.
func Keys(t testing.TB) callback.Keys {
	t.Helper()
	key, err := callback.ParseAESKey(EncodingAESKey)
	if err != nil {
		t.Fatal(err)
	}
	return callback.Keys{Token: subject.NewSecret(CallbackToken), Current: key, AppID: AppID}
}

// Start serves a twin until the test ends. What the settings leave out is that of
// the account above.
func Start(t testing.TB, s twin.Settings) *Server {
	t.Helper()
	if s.AppID == "" {
		s.AppID, s.Secret, s.Keys = AppID, subject.NewSecret(AppSecret), Keys(t)
	}
	p, err := twin.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	cert, roots := certificate(t)
	web := httptest.NewUnstartedServer(p.API())
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	return &Server{
		Platform: p, RootCAs: roots, address: web.Listener.Addr().String(),
		down: map[string]bool{}, dials: map[string]int{},
	}
}

// DialContext connects to the twin, whichever name is meant.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.dials[addr]++
	down := s.down[host]
	s.mu.Unlock()
	if down {
		return nil, ErrDown
	}
	return (&net.Dialer{}).DialContext(ctx, network, s.address)
}

// Addr is where the twin listens, for clients that choose names by themselves.
func (s *Server) Addr() string { return s.address }

// SetDown makes a host unreachable for new connections, or reachable again.
func (s *Server) SetDown(host string, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[host] = down
}

// Dials counts the connections asked for, by host and port.
func (s *Server) Dials() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for k, v := range s.dials {
		out[k] = v
	}
	return out
}

func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}
