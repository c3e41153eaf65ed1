package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/pki"
)

var (
	store   = identity.Role{Kind: identity.Store, Namespace: "ns", Store: "s"}
	gateway = identity.Role{Kind: identity.Gateway, Namespace: "ns", Store: "s", Name: "brand"}
)

func issue(t *testing.T, ca pki.Pair, r identity.Role, at time.Time) pki.Pair {
	t.Helper()
	p, err := pki.Issue(ca, r, at)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func authority(t *testing.T) pki.Pair {
	t.Helper()
	ca, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func source(t *testing.T, leaf, ca pki.Pair) *identity.Static {
	t.Helper()
	pair, err := tls.X509KeyPair(leaf.Cert, leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Cert)
	return &identity.Static{Pair: pair, Roots: roots}
}

func handshake(server, client *tls.Config) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		_ = a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	err := c.Handshake()
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	_ = b.Close()
	if serverErr := <-done; err == nil {
		err = serverErr
	}
	return err
}

func TestHandshake(t *testing.T) {
	now, ca, other := time.Now(), authority(t), authority(t)
	expired := now.Add(-pki.LeafLife - time.Hour)
	for name, c := range map[string]struct {
		server, client *identity.Static
		expect         identity.Role
		ok             bool
	}{
		"gateway to its store":           {source(t, issue(t, ca, store, now), ca), source(t, issue(t, ca, gateway, now), ca), store, true},
		"a client of another authority":  {source(t, issue(t, ca, store, now), ca), source(t, issue(t, other, gateway, now), ca), store, false},
		"a server of another authority":  {source(t, issue(t, other, store, now), ca), source(t, issue(t, ca, gateway, now), ca), store, false},
		"a gateway posing as the store":  {source(t, issue(t, ca, gateway, now), ca), source(t, issue(t, ca, gateway, now), ca), store, false},
		"the store of another namespace": {source(t, issue(t, ca, store, now), ca), source(t, issue(t, ca, gateway, now), ca), identity.Role{Kind: identity.Store, Namespace: "x", Store: "s"}, false},
		"an expired client":              {source(t, issue(t, ca, store, now), ca), source(t, issue(t, ca, gateway, expired), ca), store, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := handshake(identity.Server(c.server), identity.Client(c.client, c.expect))
			if (err == nil) != c.ok {
				t.Errorf("handshake: %v", err)
			}
		})
	}
}

func TestCurrent(t *testing.T) {
	now, ca := time.Now(), authority(t)
	leaf := issue(t, ca, gateway, now)
	if !pki.Current(leaf, ca, gateway, now) {
		t.Error("a fresh leaf is not current")
	}
	if pki.Current(leaf, ca, store, now) || pki.Current(leaf, authority(t), gateway, now) || pki.Current(leaf, ca, gateway, now.Add(pki.LeafLife*3/4)) || pki.Current(pki.Pair{}, ca, gateway, now) {
		t.Error("a leaf of another role, of another authority, near its end, or empty is current")
	}
}

func TestFileSource_TakesUpRotation(t *testing.T) {
	dir, now, ca := t.TempDir(), time.Now(), authority(t)
	f := identity.Files{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), CAFile: filepath.Join(dir, "ca.crt")}
	write := func(p pki.Pair, at time.Time) {
		for name, b := range map[string][]byte{f.CertFile: p.Cert, f.KeyFile: p.Key, f.CAFile: ca.Cert} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(issue(t, ca, gateway, now), now)
	s, err := identity.NewFileSource(f)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := s.Certificate()
	write(issue(t, ca, gateway, now), now.Add(time.Minute))
	after, _ := s.Certificate()
	if before == after {
		t.Error("the new certificate was not taken up")
	}
	write(pki.Pair{Cert: []byte("half written"), Key: []byte("")}, now.Add(2*time.Minute))
	if kept, err := s.Certificate(); err != nil || kept != after {
		t.Errorf("half-written files replaced a good certificate: %v", err)
	}
	if _, err := identity.NewFileSource(identity.Files{}); err == nil {
		t.Error("missing files were accepted")
	}
}
