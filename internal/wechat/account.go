// Package wechat speaks to the WeChat platform for one official account (公众号) at
// a time. It is the only package that imports github.com/silenceper/wechat/v2.
//
// It promises that calls reach only the configured hosts, that a send whose fate
// is not known is called unknown and never repeated here, that many workers share
// one token and one refresh, and that no error, log or metric made here holds a
// token, a secret, a URL or a person. It knows nothing of consent: whoever calls it
// has decided that the message may go.
package wechat

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Limits of one exchange with the platform.
const (
	defaultTimeout = 10 * time.Second
	connectTimeout = 3 * time.Second
	hostRest       = 30 * time.Second
	maxAnswer      = 4 << 20 // a full page of followers has about 310 kB
	maxIdle        = 128     // per host; above the number of workers, or each send dials
)

// ErrConfig says that an account cannot be set up as asked.
var ErrConfig = errors.New("account configuration")

// Config describes one account seen from the data plane.
type Config struct {
	// Name labels the account in observations, for instance its object's name.
	Name string
	// AppID and AppSecret are the account's credentials.
	AppID     string
	AppSecret subject.Secret
	// Hosts are the API hosts in order of preference, for instance
	// sh.api.weixin.qq.com. No other host is ever called.
	Hosts []string
	// RootCAs are the trusted authorities; nil means the system's.
	RootCAs *x509.CertPool
	// Timeout bounds one call with all its exchanges; 0 means 10 s.
	Timeout time.Duration
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
	// DialContext replaces the dialler; nil means a plain TCP dial, no proxy.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Observe is told about each HTTP exchange; nil means nobody is. It must not block.
	Observe func(Observation)
}

// Observation is one HTTP exchange in numbers and words of closed sets, for metrics.
type Observation struct {
	// Account is Config.Name, Host one of Config.Hosts, Path the API path.
	Account, Host, Path string
	// Status is the HTTP status, 0 if there was no answer; Code the errcode.
	Status int
	Code   int64
	Class  Class
	Took   time.Duration
}

// Account is one official account. Its methods are safe for concurrent use.
type Account struct {
	name        string
	appID       string
	secret      subject.Secret
	hosts       []*host
	timeout     time.Duration
	clock       func() time.Time
	observe     func(Observation)
	client      *http.Transport
	tokens      *tokens
	placeholder string
}

// host is an API host and until when it rests after it could not be reached.
type host struct {
	name  string
	rests atomic.Int64
}

// New sets an account up. It calls nobody; Check does.
func New(cfg Config) (*Account, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a := &Account{
		name: cfg.Name, appID: cfg.AppID, secret: cfg.AppSecret,
		timeout: cfg.Timeout, clock: cfg.Clock, observe: cfg.Observe,
	}
	if a.timeout == 0 {
		a.timeout = defaultTimeout
	}
	if a.clock == nil {
		a.clock = time.Now
	}
	if a.observe == nil {
		a.observe = func(Observation) {}
	}
	for _, h := range cfg.Hosts {
		a.hosts = append(a.hosts, &host{name: h})
	}
	a.client = newTransport(cfg)
	var seed [32]byte
	_, _ = cryptorand.Read(seed[:])                                         // never fails
	a.tokens = &tokens{account: a, random: rand.New(rand.NewChaCha8(seed))} //nolint:gosec // jitter, no secret
	a.placeholder = sdk().add(a)
	return a, nil
}

func (c Config) validate() error {
	switch {
	case c.AppID == "":
		return fmt.Errorf("%w: app id must be set", ErrConfig)
	case c.AppSecret.IsZero():
		return fmt.Errorf("%w: app secret must be set", ErrConfig)
	case len(c.Hosts) == 0:
		return fmt.Errorf("%w: hosts must be set", ErrConfig)
	case c.Timeout < 0:
		return fmt.Errorf("%w: timeout must not be negative", ErrConfig)
	}
	for i, h := range c.Hosts {
		if h == "" || h != strings.ToLower(h) || strings.ContainsAny(h, "/:@?# ") {
			return fmt.Errorf("%w: hosts[%d] must be a bare lower-case host name", ErrConfig, i)
		}
		if slices.Contains(c.Hosts[:i], h) {
			return fmt.Errorf("%w: hosts[%d] is given twice", ErrConfig, i)
		}
	}
	return nil
}

// newTransport never uses a proxy of the environment: that would be a way out of
// the region. HTTP/1.1 only, so that one broken connection is one unknown send.
func newTransport(cfg Config) *http.Transport {
	dial := cfg.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		MaxIdleConns:           2 * maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // a bomb has nothing to unpack
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}

// Close forgets the account. Calls after it fail.
func (a *Account) Close() {
	sdk().remove(a)
	a.client.CloseIdleConnections()
}

// hostOrder puts hosts that were out of reach lately behind the others. None is
// left out: if all rest, they are tried in the configured order.
func (a *Account) hostOrder() []*host {
	now := a.clock().UnixNano()
	resting := func(h *host) int {
		if h.rests.Load() > now {
			return 1
		}
		return 0
	}
	order := slices.Clone(a.hosts)
	slices.SortStableFunc(order, func(x, y *host) int { return resting(x) - resting(y) })
	return order
}
