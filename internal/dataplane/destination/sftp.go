package destination

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// SFTP is a directory of an SSH server.
type SFTP struct {
	Address   string   `json:"address"` // host:port
	User      string   `json:"user"`
	Directory string   `json:"directory,omitempty"` // of the user, or from the root; ends in a slash
	HostKeys  []string `json:"hostKeys"`            // as in authorized_keys; one of them must be the server's
}

func (s *SFTP) validate() error {
	if err := config.Require("destination.sftp.address", s.Address, "destination.sftp.user", s.User); err != nil {
		return err
	}
	if host, port, err := net.SplitHostPort(s.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("%w: `destination.sftp.address` must be host:port", config.ErrConfig)
	}
	if !folder(strings.TrimPrefix(s.Directory, "/")) {
		return fmt.Errorf("%w: `destination.sftp.directory` must be names that each end in a slash", config.ErrConfig)
	}
	_, err := s.keys()
	return err
}

// keys reads the pinned keys of the server. There is no first use that is trusted.
func (s *SFTP) keys() ([]ssh.PublicKey, error) {
	var out []ssh.PublicKey
	for _, line := range s.HostKeys {
		key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(rest) > 0 {
			return nil, fmt.Errorf("%w: `destination.sftp.hostKeys` must hold lines as `ssh-ed25519 AAAA...`", config.ErrConfig)
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: `destination.sftp.hostKeys` must be set", config.ErrConfig)
	}
	return out, nil
}

type sftpServer struct {
	address, directory string
	attempts           int
	dial               dial
	login              ssh.ClientConfig
	keys               []ssh.PublicKey
	session            *session // of the last write; nil after a failure
}

// session is one connection.
type session struct {
	conn   net.Conn
	client *sftp.Client
}

func openSFTP(s SFTP, o Options) (*sftpServer, error) {
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	auth, err := credential(o.CredentialsDir)
	if err != nil {
		return nil, err
	}
	var algorithms []string
	for _, k := range keys {
		algorithms = append(algorithms, algorithmsOf(k)...)
	}
	return &sftpServer{
		address: s.Address, directory: s.Directory, attempts: o.Attempts, dial: o.Dial, keys: keys,
		login: ssh.ClientConfig{User: s.User, Auth: []ssh.AuthMethod{auth}, HostKeyAlgorithms: algorithms},
	}, nil
}

// algorithmsOf asks a server for the very key that is pinned, where it has several.
func algorithmsOf(k ssh.PublicKey) []string {
	if k.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{k.Type()}
}

// credential is a private key, or else a password.
func credential(dir string) (ssh.AuthMethod, error) {
	if text, err := config.Secret(dir, "privateKey"); err == nil {
		signer, err := ssh.ParsePrivateKey([]byte(text.Reveal() + "\n")) //nolint:forbidigo // a key, not a person
		if err != nil {
			return nil, fmt.Errorf("%w: credential privateKey must be an SSH key without passphrase", config.ErrConfig)
		}
		return ssh.PublicKeys(signer), nil
	}
	password, err := config.Secret(dir, "password")
	if err != nil {
		return nil, fmt.Errorf("%w: credential privateKey or password must be set", config.ErrConfig)
	}
	return ssh.Password(password.Reveal()), nil //nolint:forbidigo // a password, not a person
}

// Close ends the session.
func (s *sftpServer) Close() {
	if s.session != nil {
		s.session.close()
		s.session = nil
	}
}

func (s *session) close() {
	_ = s.client.Close()
	_ = s.conn.Close()
}

// Put writes beside the name and renames, so that nobody sees a part of an object.
func (s *sftpServer) Put(ctx context.Context, name, _ string, body []byte) error {
	return attempt(ctx, s.attempts, func(ctx context.Context) error {
		if err := s.connect(ctx); err != nil {
			return err
		}
		conn := s.session.conn
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err := s.session.put(s.directory+name, body)
		if !stop() || err != nil {
			s.Close()
		}
		if err == nil {
			return nil
		}
		return sftpKind(ctx, err)
	})
}

// connect opens a session where there is none. What fails after the server has shown its
// key is a refusal of ours.
func (s *sftpServer) connect(ctx context.Context) error {
	if s.session != nil {
		return nil
	}
	conn, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return wire(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var known, asked atomic.Bool
	login := s.login
	login.HostKeyCallback = func(_ string, _ net.Addr, shown ssh.PublicKey) error {
		asked.Store(true)
		for _, k := range s.keys {
			if string(k.Marshal()) == string(shown.Marshal()) {
				known.Store(true)
				return nil
			}
		}
		return ErrUntrusted
	}
	c, channels, requests, err := ssh.NewClientConn(conn, s.address, &login)
	if err != nil {
		_ = conn.Close()
		return handshakeKind(ctx, err, asked.Load(), known.Load())
	}
	client, err := sftp.NewClient(ssh.NewClient(c, channels, requests), sftp.UseConcurrentWrites(true))
	if err != nil {
		_ = conn.Close()
		return sftpKind(ctx, err)
	}
	s.session = &session{conn, client}
	return nil
}

// noKey is what ssh says of a server that has none of the keys that we would know.
var noKey = regexp.MustCompile(`no common algorithm for host key`)

func handshakeKind(ctx context.Context, err error, asked, known bool) error {
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return wire(ctx, err)
	case asked && !known, noKey.MatchString(err.Error()):
		return fmt.Errorf("%w: its host key is none of `destination.sftp.hostKeys`", ErrUntrusted)
	case known && !errors.As(err, &network) && !errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the server does not take the credentials", ErrDenied)
	}
	return ErrUnreachable
}

// put writes an object whole.
func (s *session) put(name string, body []byte) error {
	if err := s.client.MkdirAll(path.Dir(name)); err != nil {
		return err
	}
	partial := name + ".partial"
	f, err := s.client.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		_ = f.Close()
		return err
	}
	if _, can := s.client.HasExtension("fsync@openssh.com"); can {
		if err := f.Sync(); err != nil {
			_ = f.Close()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return s.replace(partial, name)
}

// replace renames over what is there. The protocol's own rename refuses that, so where the
// server has no better one the old object goes first.
func (s *session) replace(partial, name string) error {
	if _, can := s.client.HasExtension("posix-rename@openssh.com"); can {
		return s.client.PosixRename(partial, name)
	}
	if err := s.client.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return s.client.Rename(partial, name)
}

// sftpKind keeps the kind of an error and drops its text.
func sftpKind(ctx context.Context, err error) error {
	var status *sftp.StatusError
	var place *os.PathError // a folder that is a file
	switch {
	case ctx.Err() != nil:
		return wire(ctx, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: the server does not let us write there", ErrDenied)
	case errors.As(err, &status), errors.As(err, &place), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: the server cannot write", ErrFailed)
	}
	return ErrUnreachable
}
