package destination

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKXfkjGRhgcMCJgKlsSXLMf/4fiObOKlA0uI1MjPRyNl"

func TestConfig_Validate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		word   string // of the error; empty: none
	}{
		"a bucket":                      {func(*Config) {}, ""},
		"no prefix":                     {func(c *Config) { c.S3.Prefix = "" }, ""},
		"no bucket":                     {func(c *Config) { c.S3.Bucket = "" }, "ConfigInvalid"},
		"no TLS":                        {func(c *Config) { c.S3.Endpoint = "http://s3.example" }, "ConfigInvalid"},
		"no host":                       {func(c *Config) { c.S3.Endpoint = "https://:443" }, "ConfigInvalid"},
		"an endpoint with a path":       {func(c *Config) { c.S3.Endpoint = "https://s3.example/x" }, "ConfigInvalid"},
		"an endpoint with a query":      {func(c *Config) { c.S3.Endpoint = "https://s3.example?x" }, "ConfigInvalid"},
		"an endpoint with credentials":  {func(c *Config) { c.S3.Endpoint = "https://a:b@s3.example" }, "ConfigInvalid"},
		"a prefix without a last slash": {func(c *Config) { c.S3.Prefix = "cn" }, "ConfigInvalid"},
		"a prefix that climbs":          {func(c *Config) { c.S3.Prefix = "cn/../" }, "ConfigInvalid"},
		"a prefix from the root":        {func(c *Config) { c.S3.Prefix = "/cn/" }, "ConfigInvalid"},
		"a pinned address":              {func(c *Config) { c.Addresses = []string{"203.0.113.7", "2001:db8::7"} }, ""},
		"a name for an address":         {func(c *Config) { c.Addresses = []string{"s3.example"} }, "ConfigInvalid"},
		"another type":                  {func(c *Config) { c.Type = "FTP" }, "DestinationUnsupported"},

		"an endpoint":                {func(c *Config) { c.Type = TypeHTTPS }, ""},
		"an endpoint at the root":    {func(c *Config) { c.Type, c.HTTPS.URL = TypeHTTPS, "https://crm.example/" }, ""},
		"an endpoint without slash":  {func(c *Config) { c.Type, c.HTTPS.URL = TypeHTTPS, "https://crm.example/in" }, "ConfigInvalid"},
		"an endpoint with no path":   {func(c *Config) { c.Type, c.HTTPS.URL = TypeHTTPS, "https://crm.example" }, "ConfigInvalid"},
		"an endpoint that climbs":    {func(c *Config) { c.Type, c.HTTPS.URL = TypeHTTPS, "https://crm.example/a/../" }, "ConfigInvalid"},
		"an endpoint without TLS":    {func(c *Config) { c.Type, c.HTTPS.URL = TypeHTTPS, "http://crm.example/" }, "ConfigInvalid"},
		"a query behind an endpoint": {func(c *Config) { c.Type, c.HTTPS.URL = TypeHTTPS, "https://crm.example/?x" }, "ConfigInvalid"},
		"no name of the key":         {func(c *Config) { c.Type, c.HTTPS.KeyID = TypeHTTPS, "" }, "ConfigInvalid"},

		"a server":                 {func(c *Config) { c.Type = TypeSFTP }, ""},
		"a folder from the root":   {func(c *Config) { c.Type, c.SFTP.Directory = TypeSFTP, "/in/" }, ""},
		"no folder":                {func(c *Config) { c.Type, c.SFTP.Directory = TypeSFTP, "" }, ""},
		"a folder that climbs":     {func(c *Config) { c.Type, c.SFTP.Directory = TypeSFTP, "../" }, "ConfigInvalid"},
		"a server without port":    {func(c *Config) { c.Type, c.SFTP.Address = TypeSFTP, "sftp.example" }, "ConfigInvalid"},
		"no user":                  {func(c *Config) { c.Type, c.SFTP.User = TypeSFTP, "" }, "ConfigInvalid"},
		"no key of the server":     {func(c *Config) { c.Type, c.SFTP.HostKeys = TypeSFTP, nil }, "ConfigInvalid"},
		"a key that is none":       {func(c *Config) { c.Type, c.SFTP.HostKeys = TypeSFTP, []string{"ssh-ed25519 AAAA"} }, "ConfigInvalid"},
		"a key with options":       {func(c *Config) { c.Type, c.SFTP.HostKeys = TypeSFTP, []string{"no-pty " + hostKey} }, "ConfigInvalid"},
		"two keys in one line":     {func(c *Config) { c.Type, c.SFTP.HostKeys = TypeSFTP, []string{hostKey + "\n" + hostKey} }, "ConfigInvalid"},
		"a key with its host name": {func(c *Config) { c.Type, c.SFTP.HostKeys = TypeSFTP, []string{"sftp.example " + hostKey} }, "ConfigInvalid"},
	} {
		cfg := Config{
			Type:  TypeS3,
			S3:    S3{Endpoint: "https://s3.example:9000", Bucket: "leads", Prefix: "cn/2026/"},
			HTTPS: HTTPS{URL: "https://crm.example/in/", KeyID: "maodian-2026"},
			SFTP:  SFTP{Address: "sftp.example:22", User: "maodian", Directory: "in/", HostKeys: []string{hostKey}},
		}
		c.change(&cfg)
		err := cfg.Validate()
		switch {
		case c.word == "" && (err != nil || (cfg.Type == TypeS3 && cfg.S3.Region != "us-east-1")):
			t.Errorf("%s: %v, region %q", name, err, cfg.S3.Region)
		case c.word != "" && (err == nil || !strings.HasPrefix(err.Error(), c.word+":")):
			t.Errorf("%s: %v, want %s", name, err, c.word)
		}
	}
}

func TestPinned_RefusesOtherHosts(t *testing.T) {
	p := &pinned{host: "s3.example:443", next: http.DefaultTransport}
	for name, url := range map[string]string{"another host": "https://127.0.0.1/", "no TLS": "http://s3.example:443/", "another port": "https://s3.example:9/"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if res, err := p.RoundTrip(r); err == nil || !strings.HasPrefix(err.Error(), "DestinationRedirected") {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
}

func TestOpen_BadCredentialsAreErrorsAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		files map[string]string
	}{
		"no key to sign with":    {Config{Type: TypeHTTPS, HTTPS: HTTPS{URL: "https://crm.example/", KeyID: "k"}}, nil},
		"a key that is no key":   {Config{Type: TypeHTTPS, HTTPS: HTTPS{URL: "https://crm.example/", KeyID: "k"}}, map[string]string{"privateKey": "canary"}},
		"a key of another kind":  {Config{Type: TypeHTTPS, HTTPS: HTTPS{URL: "https://crm.example/", KeyID: "k"}}, map[string]string{"privateKey": otherKey(t)}},
		"neither key nor word":   {Config{Type: TypeSFTP, SFTP: SFTP{Address: "a:22", User: "u", HostKeys: []string{hostKey}}}, nil},
		"an SSH key that is not": {Config{Type: TypeSFTP, SFTP: SFTP{Address: "a:22", User: "u", HostKeys: []string{hostKey}}}, map[string]string{"privateKey": "canary"}},
	} {
		_, err := Open(c.cfg, Options{CredentialsDir: files(t, c.files)})
		if !errors.Is(err, config.ErrConfig) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
