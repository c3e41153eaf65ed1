package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Files are the three files of a mounted certificate Secret.
type Files struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	CAFile   string `json:"caFile"`
}

// Source yields the newest certificate and the authorities to trust.
type Source interface {
	Certificate() (*tls.Certificate, error)
	Authorities() (*x509.CertPool, error)
}

// Server returns a TLS configuration for the store: TLS 1.3, client certificates required
// and verified against the present authorities. Who may call what is decided per call.
func Server(src Source) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequireAnyClientCert, // verified below, against authorities that may have rotated
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return src.Certificate()
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := verify(src, s.PeerCertificates, x509.ExtKeyUsageClientAuth)
			return err
		},
	}
}

// Client returns a TLS configuration that speaks only to the store of this role's store.
func Client(src Source, store Role) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // the name to check is the URI, not the DNS name: VerifyConnection does it
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return src.Certificate()
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			r, err := verify(src, s.PeerCertificates, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if r.Kind != Store || r.Namespace != store.Namespace || r.Store != store.Store {
				return fmt.Errorf("%w: the server is not the expected store", ErrIdentity)
			}
			return nil
		},
	}
}

func verify(src Source, chain []*x509.Certificate, usage x509.ExtKeyUsage) (Role, error) {
	if len(chain) == 0 {
		return Role{}, fmt.Errorf("%w: no certificate", ErrIdentity)
	}
	roots, err := src.Authorities()
	if err != nil {
		return Role{}, err
	}
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return Role{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return Of(chain[0])
}

// FileSource reads Files again whenever one of them has changed.
type FileSource struct {
	files Files
	mu    sync.Mutex
	stamp [3]time.Time
	cert  *tls.Certificate
	roots *x509.CertPool
}

// NewFileSource reads the files once, so that a bad mount is an error at start.
func NewFileSource(f Files) (*FileSource, error) {
	s := &FileSource{files: f}
	_, err := s.Certificate()
	return s, err
}

// Certificate returns the newest pair that could be read. While the files are being
// replaced and do not fit together, the one before stays.
func (s *FileSource) Certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil && s.cert == nil {
		return nil, err
	}
	return s.cert, nil
}

// Authorities returns the newest authorities that could be read.
func (s *FileSource) Authorities() (*x509.CertPool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil && s.roots == nil {
		return nil, err
	}
	return s.roots, nil
}

func (s *FileSource) refresh() error {
	var stamp [3]time.Time
	for i, name := range []string{s.files.CertFile, s.files.KeyFile, s.files.CAFile} {
		st, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("read certificate files: %w", err)
		}
		stamp[i] = st.ModTime()
	}
	if stamp == s.stamp {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(s.files.CertFile, s.files.KeyFile)
	if err != nil {
		return fmt.Errorf("read certificate files: %w", err)
	}
	pem, err := os.ReadFile(s.files.CAFile)
	if err != nil {
		return fmt.Errorf("read authority file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("read authority file: no certificate in it")
	}
	s.cert, s.roots, s.stamp = &cert, roots, stamp
	return nil
}

// Static is a Source that never changes: the manager's, made from Secrets it has read.
type Static struct {
	Pair  tls.Certificate
	Roots *x509.CertPool
}

// Certificate returns the pair.
func (s *Static) Certificate() (*tls.Certificate, error) { return &s.Pair, nil }

// Authorities returns the roots.
func (s *Static) Authorities() (*x509.CertPool, error) { return s.Roots, nil }
