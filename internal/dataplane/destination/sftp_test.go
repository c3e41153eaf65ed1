package destination

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sftpProgram is OpenSSH's own server of the protocol. The line to it is Go's, so that no
// daemon needs to be installed and no account to be made.
const sftpProgram = "/usr/lib/openssh/sftp-server"

// host is an SSH server on a loopback port that runs sftpProgram in a folder.
type host struct {
	address, folder, key string
	readOnly             bool
	cut                  atomic.Int64 // breaks the line after so many bytes; negative: never
	logins               atomic.Int64
}

// pair makes an SSH key.
func pair(tb testing.TB) (ssh.Signer, string) {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		tb.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func newHost(t *testing.T, known ssh.PublicKey) *host {
	t.Helper()
	if _, err := os.Stat(sftpProgram); err != nil {
		t.Fatalf("%v: `make test` installs it (Debian's openssh-sftp-server)", err)
	}
	own, _ := pair(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{address: l.Addr().String(), folder: t.TempDir(), key: string(ssh.MarshalAuthorizedKey(own.PublicKey()))}
	h.cut.Store(-1)
	cfg := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if string(k.Marshal()) != string(known.Marshal()) {
				return nil, errors.New("unknown")
			}
			return nil, nil
		},
		PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) != "canary-word" {
				return nil, errors.New("wrong")
			}
			return nil, nil
		},
	}
	cfg.AddHostKey(own)
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { _ = l.Close() })
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { h.serve(t.Context(), c, cfg) })
		}
	})
	return h
}

func (h *host) serve(ctx context.Context, c net.Conn, cfg *ssh.ServerConfig) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(&brittle{c, &h.cut}, cfg)
	if err != nil {
		return
	}
	h.logins.Add(1)
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, requests, err := n.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "subsystem", nil)
			if r.Type == "subsystem" {
				go h.sftp(ctx, ch)
			}
		}
	}
}

func (h *host) sftp(ctx context.Context, ch ssh.Channel) {
	defer ch.Close()
	cmd := exec.CommandContext(ctx, sftpProgram, "-d", h.folder)
	if h.readOnly {
		cmd.Args = append(cmd.Args, "-R")
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	cmd.Stdout = ch
	if cmd.Start() != nil {
		return
	}
	_, _ = io.Copy(in, ch)
	_ = in.Close()
	_ = cmd.Wait()
}

// brittle is a line that breaks.
type brittle struct {
	net.Conn
	left *atomic.Int64
}

func (b *brittle) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if left := b.left.Load(); left >= 0 && b.left.Add(-int64(n)) < 0 {
		_ = b.Close()
		b.left.Store(-1)
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (h *host) open(t *testing.T, attempts int, credentials map[string]string, change func(*Config)) Destination {
	t.Helper()
	cfg := Config{Type: TypeSFTP, SFTP: SFTP{Address: h.address, User: "maodian", Directory: "in/", HostKeys: []string{hostKey, h.key}}}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(cfg, Options{CredentialsDir: files(t, credentials), Attempts: attempts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// stored reads the whole folder.
func (h *host) stored(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(h.folder, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := os.ReadFile(p)
		out[strings.TrimPrefix(p, h.folder+"/")] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSFTP_PutReplaces(t *testing.T) {
	signer, private := pair(t)
	for name, credentials := range map[string]map[string]string{
		"with a key":      {"privateKey": private},
		"with a password": {"password": "canary-word"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, signer.PublicKey())
			d := h.open(t, 1, credentials, nil)
			large := strings.Repeat("0123456789", 100_000)
			for _, body := range []string{"a first and longer one", "", large, "second"} {
				if err := d.Put(t.Context(), "leads-q4/part-00000.csv", "text/csv", []byte(body)); err != nil {
					t.Fatal(err)
				}
				if got := h.stored(t); len(got) != 1 || got["in/leads-q4/part-00000.csv"] != body {
					t.Fatalf("%d objects, %d bytes of %d", len(got), len(got["in/leads-q4/part-00000.csv"]), len(body))
				}
			}
			if n := h.logins.Load(); n != 1 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

// TestSFTP_BrokenLineLeavesTheOldObject: whatever the byte at which the line breaks, a reader
// sees the object as it was or as it will be.
func TestSFTP_BrokenLineLeavesTheOldObject(t *testing.T) {
	signer, private := pair(t)
	h := newHost(t, signer.PublicKey())
	was, next := strings.Repeat("a", 30_000), strings.Repeat("b", 40_000)
	broken := 0
	for cut := int64(500); cut < 60_000; cut += 3_700 {
		d := h.open(t, 1, map[string]string{"privateKey": private}, nil)
		if err := d.Put(t.Context(), "x", "", []byte(was)); err != nil {
			t.Fatal(err)
		}
		d.Close()
		h.cut.Store(cut)
		err := d.Put(t.Context(), "x", "", []byte(next))
		h.cut.Store(-1)
		if err != nil {
			broken++
		}
		switch got := h.stored(t)["in/x"]; {
		case got != was && got != next:
			t.Fatalf("cut at %d: %d bytes of neither", cut, len(got))
		case err == nil && got != next:
			t.Fatalf("cut at %d: not there, and nobody says so", cut)
		case err != nil && !errors.Is(err, ErrUnreachable):
			t.Errorf("cut at %d: %v", cut, err)
		}
		if err := d.Put(t.Context(), "x", "", []byte(next)); err != nil || h.stored(t)["in/x"] != next {
			t.Fatalf("cut at %d: the next write: %v", cut, err)
		}
	}
	if broken < 5 {
		t.Errorf("the line broke %d times only", broken)
	}
}

func TestSFTP_TriesAgain(t *testing.T) {
	signer, private := pair(t)
	h := newHost(t, signer.PublicKey())
	d := h.open(t, 3, map[string]string{"privateKey": private}, nil)
	h.cut.Store(20_000)
	if err := d.Put(t.Context(), "x", "", []byte(strings.Repeat("b", 40_000))); err != nil {
		t.Fatal(err)
	}
	if n := h.logins.Load(); n != 2 {
		t.Errorf("%d logins", n)
	}
}

func TestSFTP_Errors(t *testing.T) {
	signer, private := pair(t)
	_, stranger := pair(t)
	key := map[string]string{"privateKey": private}
	for name, c := range map[string]struct {
		credentials map[string]string
		change      func(*host, *Config)
		want        error
	}{
		"another key of ours":     {map[string]string{"privateKey": stranger}, nil, ErrDenied},
		"another password":        {map[string]string{"password": "canary-other"}, nil, ErrDenied},
		"another key of theirs":   {key, func(_ *host, c *Config) { c.SFTP.HostKeys = []string{hostKey} }, ErrUntrusted},
		"a key of another kind":   {key, func(_ *host, c *Config) { c.SFTP.HostKeys = []string{ecdsaHost} }, ErrUntrusted},
		"we may not write":        {key, func(h *host, _ *Config) { h.readOnly = true }, ErrDenied},
		"the folder is a file":    {key, func(h *host, c *Config) { c.SFTP.Directory = "file/"; h.file(t) }, ErrFailed},
		"nobody listens there":    {key, func(_ *host, c *Config) { c.SFTP.Address = "127.0.0.1:1" }, ErrUnreachable},
		"whoever listens says no": {key, func(h *host, _ *Config) { h.cut.Store(0) }, ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, signer.PublicKey())
			d := h.open(t, 1, c.credentials, func(cfg *Config) {
				if c.change != nil {
					c.change(h, cfg)
				}
			})
			err := d.Put(t.Context(), "x/y", "", []byte("canary of a person"))
			if !errors.Is(err, c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v, want %v", err, c.want)
			}
			if n := h.logins.Load(); errors.Is(c.want, ErrUntrusted) && n != 0 {
				t.Errorf("%d logins at a server that we do not know", n)
			}
		})
	}
}

const ecdsaHost = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNtFzi57660Cp3ZcfwgPkUrm5Tso6v0aI+z3IeZTnBfdamECUCaxo2B4oS2zzc0cHgHalLpQZ19zmx8OLikl28g="

func (h *host) file(t *testing.T) {
	if err := os.WriteFile(filepath.Join(h.folder, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSFTP_EndsWithTheLease(t *testing.T) {
	signer, private := pair(t)
	h := newHost(t, signer.PublicKey())
	d := h.open(t, 1, map[string]string{"privateKey": private}, nil)
	cause := errors.New("the lease is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := d.Put(ctx, "x", "", []byte("y")); !errors.Is(err, cause) {
		t.Errorf("%v, want the end of the lease", err)
	}
	if got := h.stored(t); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if err := d.Put(t.Context(), "x", "", []byte("y")); err != nil {
		t.Error(err)
	}
}
