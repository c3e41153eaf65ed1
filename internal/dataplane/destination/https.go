package destination

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// HTTPS is an endpoint that takes objects by PUT.
type HTTPS struct {
	URL   string `json:"url"`   // https://host[:port]/path/; names are added to it
	KeyID string `json:"keyID"` // under which the recipient knows the key that signs
}

const (
	// signatureLife is how long a signature is good for. A recipient that refuses older ones
	// cannot be sent an earlier version of an object by somebody who listened.
	signatureLife = 60 * time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be used again.
	maxAnswer = 4 << 10
)

func (h *HTTPS) validate() error {
	if err := config.Require("destination.https.keyID", h.KeyID); err != nil {
		return err
	}
	_, err := httpsAddress("destination.https.url", h.URL, true)
	return err
}

type endpoint struct {
	base     *url.URL
	client   *http.Client
	signer   signer
	attempts int
	close    func()
}

func openHTTPS(h HTTPS, o Options) (*endpoint, error) {
	key, err := signingKey(o.CredentialsDir)
	if err != nil {
		return nil, err
	}
	base, err := httpsAddress("destination.https.url", h.URL, true)
	if err != nil {
		return nil, err
	}
	rt, closeIdle, err := transport(base.Host, o)
	if err != nil {
		return nil, err
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &endpoint{
		base: base, client: &http.Client{Transport: rt, CheckRedirect: stay}, attempts: o.Attempts, close: closeIdle,
		signer: signer{keyID: h.KeyID, key: key, life: signatureLife, clock: o.Clock},
	}, nil
}

// signingKey reads a PKCS #8 key in PEM, as `openssl genpkey -algorithm ed25519` writes it.
func signingKey(dir string) (ed25519.PrivateKey, error) {
	text, err := config.Secret(dir, "privateKey")
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("%w: credential privateKey must be an Ed25519 key in PKCS #8 PEM", config.ErrConfig)
	block, _ := pem.Decode([]byte(text.Reveal())) //nolint:forbidigo // a key, not a person
	if block == nil {
		return nil, bad
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, bad
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, bad
	}
	return key, nil
}

// Close lets go of idle connections.
func (e *endpoint) Close() { e.close() }

// Put sends the object with one signed request. An endpoint that answers 200, 201 or 204
// has it; 202 would only promise to.
func (e *endpoint) Put(ctx context.Context, name, contentType string, body []byte) error {
	return attempt(ctx, e.attempts, func(ctx context.Context) error {
		r, err := e.request(ctx, name, contentType, body)
		if err != nil {
			return err
		}
		res, err := e.client.Do(r)
		if err != nil {
			return wire(ctx, err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
		switch res.StatusCode {
		case http.StatusOK, http.StatusCreated, http.StatusNoContent:
			return nil
		}
		return fmt.Errorf("%w: status %d", kindOf(res.StatusCode), res.StatusCode)
	})
}

func (e *endpoint) request(ctx context.Context, name, contentType string, body []byte) (*http.Request, error) {
	at := e.base.JoinPath(strings.Split(name, "/")...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: `destination.https.url`", config.ErrConfig)
	}
	sum := sha256.Sum256(body)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	e.signer.sign(r)
	return r, nil
}
