package transfer

import (
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/destination"
)

// OpenBucket opens the destination of a configuration for a Job that sends no records. The
// caller calls done when nothing more is written.
func OpenBucket(cfg Config) (b Bucket, done func(), err error) {
	d, err := destination.Open(cfg.Destination, destination.Options{
		CredentialsDir: cfg.CredentialsDir, ExtraCAFile: cfg.ExtraCAFile, Attempts: attempts, Clock: time.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

// EncodingOf renders rows for a Job that sends no records: as the configuration says, and
// encrypted where it says so.
func EncodingOf(cfg Config) (Encoding, error) {
	return encodingOf(cfg.Format, cfg.Fields, cfg.EncryptFor)
}
