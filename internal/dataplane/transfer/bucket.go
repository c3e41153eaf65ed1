package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// partSize bounds the memory of an upload of unknown length; 10,000 parts are the most.
const partSize = 8 << 20

// Errors of the destination. Their text holds no credential and no answer of the server.
var (
	ErrDenied      = errors.New("DestinationDenied")
	ErrUnreachable = errors.New("DestinationUnreachable")
	ErrFailed      = errors.New("DestinationFailed")
)

type s3Bucket struct {
	client *minio.Client
	bucket string
}

// openBucket connects to the one host of the configuration: no proxy, no redirect, no
// look-up of a region elsewhere.
func openBucket(cfg Config) (Bucket, error) {
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
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(access.Reveal(), secret.Reveal(), ""), //nolint:forbidigo // credentials, not a person
		Secure: true, Region: cfg.Destination.S3.Region, BucketLookup: minio.BucketLookupPath,
		Transport: &pinned{host: u.Host, next: &http.Transport{
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			MaxIdleConnsPerHost:   2,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: `destination.s3`", config.ErrConfig)
	}
	return &s3Bucket{client: client, bucket: cfg.Destination.S3.Bucket}, nil
}

// pinned refuses every host but one.
type pinned struct {
	host string
	next http.RoundTripper
}

// RoundTrip sends the request if it goes to the pinned host.
func (p *pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != p.host || r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: the destination leads to another host", ErrDenied)
	}
	return p.next.RoundTrip(r)
}

// Put uploads in parts, so that the length need not be known. What an earlier, killed
// upload left is removed first.
func (b *s3Bucket) Put(ctx context.Context, name, contentType string, body io.Reader) error {
	if err := b.client.RemoveIncompleteUpload(ctx, b.bucket, name); err != nil {
		return publish(err)
	}
	_, err := b.client.PutObject(ctx, b.bucket, name, body, -1, minio.PutObjectOptions{ContentType: contentType, PartSize: partSize, NumThreads: 1})
	if err != nil {
		return publish(err)
	}
	return nil
}

// publish keeps the kind of an error and drops its text.
func publish(err error) error {
	res := minio.ToErrorResponse(err)
	switch {
	case errors.Is(err, ErrDenied) || res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s", ErrDenied, res.Code)
	case res.StatusCode != 0:
		return fmt.Errorf("%w: status %d, %s", ErrFailed, res.StatusCode, res.Code)
	}
	return ErrUnreachable
}
