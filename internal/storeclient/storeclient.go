// Package storeclient connects a part to its store over mTLS. Whether a call is allowed is
// the store's decision, from the certificate; this package adds bounds and nothing else.
package storeclient

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// Config names a store, as the configuration files of the data plane do.
type Config struct {
	Address   string `json:"address"` // https://<name>.<namespace>.svc:8443
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Role returns the identity that the server must show.
func (c Config) Role() identity.Role {
	return identity.Role{Kind: identity.Store, Namespace: c.Namespace, Store: c.Name}
}

// Bounds of every call.
const (
	MaxMessage      = 8 << 20
	compressAtLeast = 4 << 10
)

// Client holds the seven services of a store; a certificate opens those of its role.
type Client struct {
	Control   storev1connect.ControlServiceClient
	Intake    storev1connect.IntakeServiceClient
	Dispatch  storev1connect.DispatchServiceClient
	Transfer  storev1connect.TransferServiceClient
	Aggregate storev1connect.AggregateServiceClient
	Officer   storev1connect.OfficerServiceClient
	Peer      storev1connect.PeerServiceClient

	transport *http.Transport
}

// New returns a client; it connects at the first call.
func New(src identity.Source, cfg Config) *Client {
	t := &http.Transport{
		TLSClientConfig:     identity.Client(src, cfg.Role()),
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	c := &http.Client{Transport: t} // per-call deadlines come from the context
	opts := connect.WithClientOptions(connect.WithReadMaxBytes(MaxMessage), connect.WithSendMaxBytes(MaxMessage))
	url := strings.TrimSuffix(cfg.Address, "/")
	return &Client{
		Control:   storev1connect.NewControlServiceClient(c, url, opts),
		Intake:    storev1connect.NewIntakeServiceClient(c, url, opts),
		Dispatch:  storev1connect.NewDispatchServiceClient(c, url, opts),
		Transfer:  storev1connect.NewTransferServiceClient(c, url, opts),
		Aggregate: storev1connect.NewAggregateServiceClient(c, url, opts),
		Officer:   storev1connect.NewOfficerServiceClient(c, url, opts),
		Peer:      storev1connect.NewPeerServiceClient(c, url, opts),
		transport: t,
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// HandlerOptions are the server's side of the bounds: small answers are not compressed.
func HandlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithReadMaxBytes(MaxMessage), connect.WithSendMaxBytes(MaxMessage), connect.WithCompressMinBytes(compressAtLeast),
	}
}

// Word returns the stable word that a store puts at the start of an error ("PolicyStale"),
// or the empty string.
func Word(err error) string {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return ""
	}
	word, _, ok := strings.Cut(ce.Message(), ":")
	if !ok || strings.ContainsAny(word, " \t") {
		return ""
	}
	return word
}
