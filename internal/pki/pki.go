// Package pki issues the certificates of one store's parts from an authority of that
// store's own. It is used by the manager alone; keys are ECDSA P-256 and leaves are short.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/maodian-dev/maodian/internal/identity"
)

// Lifetimes. A leaf is renewed when a third of its life is left.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	LeafLife      = 90 * 24 * time.Hour
	backdate      = 5 * time.Minute // clocks differ
)

// ErrPair says that stored PEM is not a certificate and its key.
var ErrPair = errors.New("certificate or key not usable")

// Pair is a certificate and its key as PEM, as a Secret of type kubernetes.io/tls holds them.
type Pair struct{ Cert, Key []byte }

// NewAuthority makes an authority that signs leaves only.
func NewAuthority(name string, now time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(AuthorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
}

// Issue makes a leaf for role. A store's is a server and a client (its own command line
// asks it), all others are clients.
func Issue(authority Pair, role identity.Role, now time.Time) (Pair, error) {
	cert, key, err := parse(authority)
	if err != nil {
		return Pair{}, err
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if role.Kind == identity.Store {
		usage = append(usage, x509.ExtKeyUsageServerAuth)
	}
	return sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "maodian " + string(role.Kind)}, URIs: []*url.URL{role.URI()},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(LeafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usage, BasicConstraintsValid: true,
	}, cert, key)
}

// Current tells whether leaf was issued by authority to role and has more than a third of
// its life left; if not, it is to be issued anew.
func Current(leaf, authority Pair, role identity.Role, now time.Time) bool {
	cert, key, err := parse(leaf)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return false
	}
	root, _, err := parse(authority)
	if err != nil || cert.CheckSignatureFrom(root) != nil {
		return false
	}
	got, err := identity.Of(cert)
	return err == nil && got == role && now.Before(cert.NotAfter.Add(-LeafLife/3)) && now.After(cert.NotBefore)
}

func sign(t, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generate key: %w", err)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, fmt.Errorf("draw serial number: %w", err)
	}
	if parent == nil {
		parent, parentKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return Pair{}, fmt.Errorf("sign certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode key: %w", err)
	}
	return Pair{Cert: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", keyDER)}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func parse(p Pair) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	c, _ := pem.Decode(p.Cert)
	k, _ := pem.Decode(bytes.TrimSpace(p.Key))
	if c == nil || k == nil {
		return nil, nil, ErrPair
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, ErrPair
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, nil, ErrPair
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, ErrPair
	}
	return cert, ec, nil
}
