package transfer

// OpenBucket opens the destination of a configuration for a Job that sends no records. The
// caller calls done when nothing more is written.
func OpenBucket(cfg Config) (b Bucket, done func(), err error) {
	s3, err := openBucket(cfg, attempts)
	if err != nil {
		return nil, nil, err
	}
	return s3, s3.close, nil
}

// Text is a format of lines, JSONLines or CSV, for a Job that sends no records.
func Text(format string) Encoding { return text(format) }
