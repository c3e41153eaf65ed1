package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// defaultRegion is what S3 signs for where nobody names a region.
const defaultRegion = "us-east-1"

// S3 is a bucket.
type S3 struct {
	Endpoint string `json:"endpoint"` // https://host[:port]
	Region   string `json:"region,omitempty"`
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix,omitempty"` // empty, or ends in a slash
}

func (s *S3) validate() error {
	if err := config.Require("destination.s3.bucket", s.Bucket); err != nil {
		return err
	}
	if _, err := httpsAddress("destination.s3.endpoint", s.Endpoint, false); err != nil {
		return err
	}
	if !folder(s.Prefix) {
		return fmt.Errorf("%w: `destination.s3.prefix` must be names that each end in a slash", config.ErrConfig)
	}
	if s.Region == "" {
		s.Region = defaultRegion
	}
	return nil
}

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

// openS3 makes a client that looks up no region elsewhere.
func openS3(s S3, o Options) (*s3Bucket, error) {
	access, err := config.Secret(o.CredentialsDir, "accessKeyID")
	if err != nil {
		return nil, err
	}
	secret, err := config.Secret(o.CredentialsDir, "secretAccessKey")
	if err != nil {
		return nil, err
	}
	u, err := httpsAddress("destination.s3.endpoint", s.Endpoint, false)
	if err != nil {
		return nil, err
	}
	rt, closeIdle, err := transport(u.Host, o)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(access.Reveal(), secret.Reveal(), ""), //nolint:forbidigo // credentials, not a person
		Secure: true, Region: s.Region, BucketLookup: minio.BucketLookupPath,
		Transport: rt, MaxRetries: o.Attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: `destination.s3`", config.ErrConfig)
	}
	return &s3Bucket{client: client, bucket: s.Bucket, close: closeIdle}, nil
}

// Close lets go of idle connections.
func (b *s3Bucket) Close() { b.close() }

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
	if !errors.As(err, &res) {
		return wire(ctx, err)
	}
	code := res.Code
	kind, known := answers[code]
	if !known {
		kind, code = ErrFailed, "code not known"
	}
	if k := kindOf(res.StatusCode); errors.Is(k, ErrDenied) || errors.Is(k, ErrRedirected) {
		kind = k
	}
	return fmt.Errorf("%w: status %d, %s", kind, res.StatusCode, code)
}
