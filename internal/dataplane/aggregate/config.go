package aggregate

import (
	"fmt"
	"slices"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Config is the configuration file.
type Config struct {
	TransferID     string             `json:"transferID"`
	Name           string             `json:"name"`
	Recipient      string             `json:"recipient"` // named in the manifest; the store decides by its own copy
	Format         string             `json:"format"`
	Aggregates     []string           `json:"aggregates"`
	EncryptFor     []string           `json:"encryptFor,omitempty"` // age recipients; empty: not encrypted
	Store          storeclient.Config `json:"store"`
	TLS            identity.Files     `json:"tls"`
	CredentialsDir string             `json:"credentialsDir"`
	ExtraCAFile    string             `json:"extraCAFile"`
	Destination    destination.Config `json:"destination"`
}

// Validate checks the file and sets what it leaves out.
func (c *Config) Validate() error {
	if len(c.Aggregates) == 0 || slices.Contains(c.Aggregates, "") {
		return fmt.Errorf("%w: `aggregates` must be set", config.ErrConfig)
	}
	if c.Format != transfer.JSONLines && c.Format != transfer.CSV { // whatever records may be written in
		return fmt.Errorf("FormatUnsupported: counts are not written as %s; use JSONLines or CSV", c.Format)
	}
	out := c.outlet()
	if err := out.Validate(); err != nil {
		return err
	}
	c.Destination = out.Destination
	return nil
}

// outlet is the same as a transfer of records has it: where to, and in what form.
func (c *Config) outlet() transfer.Config {
	return transfer.Config{
		TransferID: c.TransferID, Name: c.Name, Recipient: c.Recipient, Format: c.Format, Fields: []string{people}, EncryptFor: c.EncryptFor,
		Store: c.Store, TLS: c.TLS, CredentialsDir: c.CredentialsDir, ExtraCAFile: c.ExtraCAFile, Destination: c.Destination,
	}
}
