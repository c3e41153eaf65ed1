package transfer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// attempts of one request, with growing pauses, about ten seconds together.
const attempts = 10

// Errors of the destination. Their text holds no credential and nothing of the server's
// own words.
var (
	ErrDenied      = errors.New("DestinationDenied")
	ErrRedirected  = errors.New("DestinationRedirected")
	ErrUntrusted   = errors.New("DestinationUntrusted")
	ErrUnreachable = errors.New("DestinationUnreachable")
	ErrFailed      = errors.New("DestinationFailed")
)

// answers are the codes of S3 that an error repeats, and what they mean. Any other word is
// the server's own, and might be anything.
var answers = map[string]error{
	"AccessDenied":                 ErrDenied,
	"AuthorizationHeaderMalformed": ErrDenied,
	"InvalidAccessKeyId":           ErrDenied,
	"RequestTimeTooSkewed":         ErrDenied,
	"SignatureDoesNotMatch":        ErrDenied,
	"XAdminUserNotFound":           ErrDenied, // versitygw's InvalidAccessKeyId, with status 404
	"EntityTooLarge":               ErrFailed,
	"InternalError":                ErrFailed,
	"InvalidBucketName":            ErrFailed,
	"NoSuchBucket":                 ErrFailed,
	"NotImplemented":               ErrFailed,
	"QuotaExceeded":                ErrFailed,
	"ServiceUnavailable":           ErrFailed,
	"SlowDown":                     ErrFailed,
}

type s3Bucket struct {
	client *minio.Client
	bucket string
	close  func()
}

// openBucket makes a client of the one host of the configuration: no proxy, no redirect,
// no look-up of a region elsewhere. It connects at the first request.
func openBucket(cfg Config, retries int) (*s3Bucket, error) {
	access, err := config.Secret(cfg.CredentialsDir, "accessKeyID")
	if err != nil {
		return nil, err
	}
	secret, err := config.Secret(cfg.CredentialsDir, "secretAccessKey")
	if err != nil {
		return nil, err
	}
	roots, err := config.Roots(cfg.ExtraCAFile)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.Destination.S3.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: `destination.s3.endpoint`", config.ErrConfig)
	}
	transport := &http.Transport{ // without Proxy: the environment has no say
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   2,
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(access.Reveal(), secret.Reveal(), ""), //nolint:forbidigo // credentials, not a person
		Secure: true, Region: cfg.Destination.S3.Region, BucketLookup: minio.BucketLookupPath,
		Transport: &pinned{host: u.Host, next: transport}, MaxRetries: retries,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: `destination.s3`", config.ErrConfig)
	}
	return &s3Bucket{client: client, bucket: cfg.Destination.S3.Bucket, close: transport.CloseIdleConnections}, nil
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

// Put uploads a body with one request: the object appears whole or not at all.
func (b *s3Bucket) Put(ctx context.Context, name, contentType string, body []byte) error {
	opts := minio.PutObjectOptions{ContentType: contentType, DisableMultipart: true}
	_, err := b.client.PutObject(ctx, b.bucket, name, bytes.NewReader(body), int64(len(body)), opts)
	if err = publish(ctx, err); errors.Is(err, ErrUnreachable) {
		return b.why(ctx, name, err)
	}
	return err
}

// why asks a server that broke off, since one that refuses a body may hang up before its
// answer is read. Credentials that may only write are not told why.
func (b *s3Bucket) why(ctx context.Context, name string, err error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := <-b.client.ListObjects(ctx, b.bucket, minio.ListObjectsOptions{Prefix: name, MaxKeys: 1})
	if o.Err == nil || minio.ToErrorResponse(o.Err).Code == "AccessDenied" {
		return err
	}
	return publish(ctx, o.Err)
}

// publish keeps the kind of an error and drops its text.
func publish(ctx context.Context, err error) error {
	var res minio.ErrorResponse
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
	case !errors.As(err, &res):
		return ErrUnreachable
	}
	code := res.Code
	kind, known := answers[code]
	if !known {
		kind, code = ErrFailed, "code not known"
	}
	switch {
	case res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized:
		kind = ErrDenied
	case res.StatusCode >= 300 && res.StatusCode < 400:
		kind = ErrRedirected
	}
	return fmt.Errorf("%w: status %d, %s", kind, res.StatusCode, code)
}
