package transfer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Formats and destinations that are built.
const (
	JSONLines = "JSONLines"
	CSV       = "CSV"
	TypeS3    = "S3"
)

// defaultRegion is what S3 signs for where nobody names a region.
const defaultRegion = "us-east-1"

// Config is the transfer's configuration file.
type Config struct {
	TransferID     string             `json:"transferID"`
	Name           string             `json:"name"`
	Recipient      string             `json:"recipient"` // named in the manifest; the store decides by its own copy
	Format         string             `json:"format"`
	Fields         []string           `json:"fields"`
	Store          storeclient.Config `json:"store"`
	TLS            identity.Files     `json:"tls"`
	CredentialsDir string             `json:"credentialsDir"`
	ExtraCAFile    string             `json:"extraCAFile"`
	Destination    Destination        `json:"destination"`
}

// Destination is where the records go.
type Destination struct {
	Type string `json:"type"`
	S3   S3     `json:"s3"`
}

// S3 is a bucket.
type S3 struct {
	Endpoint string `json:"endpoint"` // https://host[:port]
	Region   string `json:"region"`
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix"` // empty, or ends in a slash
}

// Validate checks the file and sets what it leaves out.
func (c *Config) Validate() error {
	if c.Destination.Type != TypeS3 {
		return fmt.Errorf("DestinationUnsupported: destination %s is not built yet; use S3", c.Destination.Type)
	}
	if c.Format != JSONLines && c.Format != CSV {
		return fmt.Errorf("FormatUnsupported: format %s is not built yet; use JSONLines or CSV", c.Format)
	}
	if err := config.Require("transferID", c.TransferID, "name", c.Name, "store.address", c.Store.Address,
		"credentialsDir", c.CredentialsDir, "destination.s3.bucket", c.Destination.S3.Bucket); err != nil {
		return err
	}
	if len(c.Fields) == 0 || slices.Contains(c.Fields, "") {
		return fmt.Errorf("%w: `fields` must be set", config.ErrConfig)
	}
	if strings.Contains(c.Name, "/") {
		return fmt.Errorf("%w: `name` must not contain a slash", config.ErrConfig)
	}
	return c.Destination.S3.validate()
}

func (s *S3) validate() error {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || *u != (url.URL{Scheme: "https", Host: u.Host}) {
		return fmt.Errorf("%w: `destination.s3.endpoint` must be https://host[:port]", config.ErrConfig)
	}
	if parts := strings.Split(s.Prefix, "/"); s.Prefix != "" {
		last := len(parts) - 1
		bad := func(p string) bool { return p == "" || p == "." || p == ".." }
		if parts[last] != "" || slices.ContainsFunc(parts[:last], bad) {
			return fmt.Errorf("%w: `destination.s3.prefix` must be names that each end in a slash", config.ErrConfig)
		}
	}
	if s.Region == "" {
		s.Region = defaultRegion
	}
	return nil
}
