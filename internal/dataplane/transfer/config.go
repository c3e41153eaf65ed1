package transfer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Formats of objects.
const (
	JSONLines = "JSONLines"
	CSV       = "CSV"
	Parquet   = "Parquet"
)

// Config is the transfer's configuration file.
type Config struct {
	TransferID     string             `json:"transferID"`
	Name           string             `json:"name"`
	Recipient      string             `json:"recipient"` // named in the manifest; the store decides by its own copy
	Format         string             `json:"format"`
	Fields         []string           `json:"fields"`
	EncryptFor     []string           `json:"encryptFor,omitempty"` // age recipients; empty: not encrypted
	Limits         Limits             `json:"limits,omitzero"`
	Store          storeclient.Config `json:"store"`
	TLS            identity.Files     `json:"tls"`
	CredentialsDir string             `json:"credentialsDir"`
	ExtraCAFile    string             `json:"extraCAFile"`
	Destination    destination.Config `json:"destination"`
}

// Limits bound what a transfer writes. Zero sets no bound.
type Limits struct {
	Bytes          int64 `json:"bytes,omitempty"`          // of all parts together
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"` // on average
	People         int   `json:"people,omitempty"`         // in one object; zero means partRows
}

// Validate checks the file and sets what it leaves out.
func (c *Config) Validate() error {
	if _, err := encodingOf(c.Format, c.Fields, c.EncryptFor); err != nil {
		return err
	}
	if err := config.Require("transferID", c.TransferID, "name", c.Name, "store.address", c.Store.Address, "credentialsDir", c.CredentialsDir); err != nil {
		return err
	}
	if len(c.Fields) == 0 || slices.Contains(c.Fields, "") {
		return fmt.Errorf("%w: `fields` must be set", config.ErrConfig)
	}
	if strings.Contains(c.Name, "/") {
		return fmt.Errorf("%w: `name` must not contain a slash", config.ErrConfig)
	}
	if c.Limits.Bytes < 0 || c.Limits.BytesPerSecond < 0 || c.Limits.People < 0 || c.Limits.People > partRows {
		return fmt.Errorf("%w: `limits` must not be negative, nor `limits.people` above %d", config.ErrConfig, partRows)
	}
	if c.Limits.People == 0 {
		c.Limits.People = partRows
	}
	return c.Destination.Validate()
}
