// Package destination writes objects to the one place that a transfer goes to: an
// S3-compatible bucket, an HTTPS endpoint, or an SFTP server. Each appears whole or not at
// all, and one of the same name is replaced, so that a write may be made again.
package destination

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// Types of destinations.
const (
	TypeS3    = "S3"
	TypeHTTPS = "HTTPS"
	TypeSFTP  = "SFTP"
)

// Times of the network.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = time.Minute
	firstPause    = 200 * time.Millisecond // between attempts; it doubles
)

// Errors of a destination. Their text holds no credential and nothing of the server's own
// words.
var (
	ErrDenied      = errors.New("DestinationDenied")
	ErrRedirected  = errors.New("DestinationRedirected")
	ErrUntrusted   = errors.New("DestinationUntrusted")
	ErrUnreachable = errors.New("DestinationUnreachable")
	ErrFailed      = errors.New("DestinationFailed")
)

// Destination takes objects. Put returns when the object is there, whole.
type Destination interface {
	Put(ctx context.Context, name, contentType string, body []byte) error
	Close()
}

// Config says where objects go.
type Config struct {
	Type  string `json:"type"`
	S3    S3     `json:"s3,omitzero"`
	HTTPS HTTPS  `json:"https,omitzero"`
	SFTP  SFTP   `json:"sftp,omitzero"`
	// Addresses are the only ones to connect to, whatever the name says by now: those that the
	// pod's network policy opens. None means those of the name.
	Addresses []string `json:"addresses,omitempty"`
}

// Options are what belongs to the machine rather than to the destination.
type Options struct {
	CredentialsDir string
	ExtraCAFile    string
	Attempts       int // of one write, with growing pauses
	Dial           dial
	Clock          func() time.Time
}

// Validate checks the configuration, and sets what it leaves out.
func (c *Config) Validate() error {
	for _, a := range c.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("%w: `destination.addresses` must hold IP addresses", config.ErrConfig)
		}
	}
	switch c.Type {
	case TypeS3:
		return c.S3.validate()
	case TypeHTTPS:
		return c.HTTPS.validate()
	case TypeSFTP:
		return c.SFTP.validate()
	}
	return fmt.Errorf("DestinationUnsupported: there is no destination %s; use S3, HTTPS or SFTP", c.Type)
}

// Prefix begins the name of every object. Where a destination has a place of its own for
// them, names are relative to it, and the prefix is empty.
func (c *Config) Prefix() string {
	if c.Type == TypeS3 {
		return c.S3.Prefix
	}
	return ""
}

// Open makes a client of the destination. It connects at the first write.
func Open(c Config, o Options) (Destination, error) {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if len(c.Addresses) > 0 {
		o.Dial = only(c.Addresses, o.Dial)
	}
	switch c.Type {
	case TypeHTTPS:
		return openHTTPS(c.HTTPS, o)
	case TypeSFTP:
		return openSFTP(c.SFTP, o)
	}
	return openS3(c.S3, o)
}

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// only dials the port of an address at one of the addresses, the first that answers.
func only(addresses []string, next dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			var c net.Conn
			if c, err = next(ctx, network, net.JoinHostPort(a, port)); err == nil {
				return c, nil
			}
		}
		return nil, err
	}
}

// transport reaches the one host: no proxy, since the environment has no say, and no redirect.
func transport(host string, o Options) (rt http.RoundTripper, closeIdle func(), err error) {
	roots, err := config.Roots(o.ExtraCAFile)
	if err != nil {
		return nil, nil, err
	}
	t := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:           o.Dial,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   2,
	}
	return &pinned{host: host, next: t}, t.CloseIdleConnections, nil
}

// pinned refuses every host but one.
type pinned struct {
	host string
	next http.RoundTripper
}

// RoundTrip sends the request if it goes to the pinned host.
func (p *pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != p.host || r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: a request left for another host", ErrRedirected)
	}
	return p.next.RoundTrip(r)
}

// attempt calls until it works, or fails in a way that the next attempt would, too.
func attempt(ctx context.Context, attempts int, call func(context.Context) error) error {
	pauses := retry.WithMaxRetries(uint64(max(0, attempts-1)), retry.NewExponential(firstPause))
	err := retry.Do(ctx, pauses, func(ctx context.Context) error {
		err := call(ctx)
		if errors.Is(err, ErrUnreachable) || errors.Is(err, errBusy) {
			return retry.RetryableError(err)
		}
		return err
	})
	if err != nil && ctx.Err() != nil {
		return wire(ctx, err)
	}
	return err
}

// errBusy is a failure that passes.
var errBusy = fmt.Errorf("%w: the server is busy", ErrFailed)

// wire is what an error of the network means to the one who transfers.
func wire(ctx context.Context, err error) error {
	var tlsErr *tls.CertificateVerificationError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("upload: %w", context.Cause(ctx))
	case errors.Is(err, ErrRedirected):
		return ErrRedirected
	case errors.As(err, &tlsErr):
		return fmt.Errorf("%w: its certificate cannot be verified", ErrUntrusted)
	}
	return ErrUnreachable
}

// kindOf is what an answer means that is no success.
func kindOf(status int) error {
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return ErrDenied
	case status >= 300 && status < 400:
		return ErrRedirected
	case status == http.StatusTooManyRequests || status >= 500:
		return errBusy
	}
	return ErrFailed
}

// httpsAddress reads an address with the path that is allowed: none, or names that each end
// in a slash.
func httpsAddress(field, text string, path bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && u.Scheme == "https" && u.Hostname() != "" && *u == (url.URL{Scheme: "https", Host: u.Host, Path: u.Path}) {
		if (path && strings.HasPrefix(u.Path, "/") && folder(u.Path[1:])) || (!path && u.Path == "") {
			return u, nil
		}
	}
	form := "https://host[:port]"
	if path {
		form += "/ or https://host[:port]/path/"
	}
	return nil, fmt.Errorf("%w: `%s` must be %s", config.ErrConfig, field, form)
}

// folder tells whether a text is empty, or names that each end in a slash and do not climb.
func folder(text string) bool {
	if text == "" {
		return true
	}
	parts := strings.Split(text, "/")
	last := len(parts) - 1
	for _, p := range parts[:last] {
		if p == "" || p == "." || p == ".." {
			return false
		}
	}
	return parts[last] == ""
}
