package transfer

import (
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

func TestConfig_Validate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		word   string // of the error; empty: none
	}{
		"as the operator writes it":   {func(*Config) {}, ""},
		"no prefix":                   {func(c *Config) { c.Destination.S3.Prefix = "" }, ""},
		"CSV":                         {func(c *Config) { c.Format = CSV }, ""},
		"Parquet":                     {func(c *Config) { c.Format = Parquet }, ""},
		"another format":              {func(c *Config) { c.Format = "XML" }, "FormatUnsupported"},
		"encrypted":                   {func(c *Config) { c.EncryptFor = []string{recipientKey} }, ""},
		"encrypted for nobody known":  {func(c *Config) { c.EncryptFor = []string{"age1x"} }, "ConfigInvalid"},
		"a comment for a key":         {func(c *Config) { c.EncryptFor = []string{recipientKey, "#"} }, "ConfigInvalid"},
		"a few people an object":      {func(c *Config) { c.Limits.People = 5 }, ""},
		"too many people an object":   {func(c *Config) { c.Limits.People = 2001 }, "ConfigInvalid"},
		"a limit below nothing":       {func(c *Config) { c.Limits.Bytes = -1 }, "ConfigInvalid"},
		"another destination":         {func(c *Config) { c.Destination.Type = "FTP" }, "DestinationUnsupported"},
		"no transfer":                 {func(c *Config) { c.TransferID = "" }, "ConfigInvalid"},
		"no fields":                   {func(c *Config) { c.Fields = nil }, "ConfigInvalid"},
		"an empty field":              {func(c *Config) { c.Fields = []string{"leadID", ""} }, "ConfigInvalid"},
		"a name that is a path":       {func(c *Config) { c.Name = "../x" }, "ConfigInvalid"},
		"a destination that is wrong": {func(c *Config) { c.Destination.S3.Endpoint = "http://s3.example" }, "ConfigInvalid"},
	} {
		cfg := Config{
			TransferID: transferID, Name: "leads", Format: JSONLines, Fields: []string{"leadID"}, CredentialsDir: "/etc/x",
			Store:       storeclient.Config{Address: "https://s.ns.svc:8443"},
			Destination: destination.Config{Type: destination.TypeS3, S3: destination.S3{Endpoint: "https://s3.example:9000", Bucket: "leads", Prefix: "cn/2026/"}},
		}
		c.change(&cfg)
		err := cfg.Validate()
		switch {
		case c.word == "" && (err != nil || cfg.Destination.S3.Region != "us-east-1"):
			t.Errorf("%s: %v, region %q", name, err, cfg.Destination.S3.Region)
		case c.word != "" && (err == nil || !strings.HasPrefix(err.Error(), c.word+":")):
			t.Errorf("%s: %v, want %s", name, err, c.word)
		}
	}
}
