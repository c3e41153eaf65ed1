// Package gateway is the `maodian gateway` subcommand: the only part that the internet can
// reach. It takes WeChat's callbacks and shows the consent page inside WeChat.
//
// It keeps nothing: an event is answered for when the store has it on disk, and who looks
// at the page is known only to a sealed cookie of 15 minutes, so that any replica can serve
// any request. What people write is compared with the keywords of withdrawal and dropped.
package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Config is the gateway's configuration file.
type Config struct {
	Account        string             `json:"account"`
	AppID          string             `json:"appID"`
	Hosts          []string           `json:"hosts"`
	Listen         string             `json:"listen"`
	HealthListen   string             `json:"healthListen"`
	Store          storeclient.Config `json:"store"`
	TLS            identity.Files     `json:"tls"`
	CredentialsDir string             `json:"credentialsDir"`
	ExtraCAFile    string             `json:"extraCAFile"`
	// WithdrawKeywords withdraw every consent when a person writes one of them, or presses
	// a menu button that has it as its key.
	WithdrawKeywords []string `json:"withdrawKeywords"`
	// Templates are those that the account uses. A permission for another one is not kept;
	// a refusal always is. Empty: all are kept.
	Templates []string `json:"templates"`
	// PublicHost is where people reach the consent page. A new follower is sent its address
	// once; empty: nobody is.
	PublicHost string `json:"publicHost"`
}

// Validate checks what cannot be left to defaults, and sets these.
func (c *Config) Validate() error {
	err := config.Require("account", c.Account, "appID", c.AppID, "credentialsDir", c.CredentialsDir,
		"store.address", c.Store.Address, "store.namespace", c.Store.Namespace, "store.name", c.Store.Name,
		"tls.certFile", c.TLS.CertFile, "tls.keyFile", c.TLS.KeyFile, "tls.caFile", c.TLS.CAFile)
	if err != nil {
		return err
	}
	if len(c.Hosts) == 0 {
		return fmt.Errorf("%w: `hosts` must be set", config.ErrConfig)
	}
	for i, k := range c.WithdrawKeywords {
		if fold(k) == "" {
			return fmt.Errorf("%w: `withdrawKeywords[%d]` must not be blank", config.ErrConfig, i)
		}
	}
	if strings.ContainsAny(c.PublicHost, "/ %@") {
		return fmt.Errorf("%w: `publicHost` must be a host name, without scheme and path", config.ErrConfig)
	}
	if c.Listen == "" {
		c.Listen = ":8080"
	}
	if c.HealthListen == "" {
		c.HealthListen = ":8081"
	}
	return nil
}

// Credentials are what the account shares with the platform.
type Credentials struct {
	AppSecret, Token, EncodingAESKey subject.Secret
	// PreviousEncodingAESKey is set for a while after a change of the key.
	PreviousEncodingAESKey subject.Secret
}

// loadCredentials reads the mounted Secret.
func loadCredentials(dir string) (c Credentials, err error) {
	const previous = "previousEncodingAESKey"
	files := []struct {
		name string
		to   *subject.Secret
	}{{"appSecret", &c.AppSecret}, {"token", &c.Token}, {"encodingAESKey", &c.EncodingAESKey}, {previous, &c.PreviousEncodingAESKey}}
	for _, f := range files {
		if _, missing := os.Stat(filepath.Join(dir, f.name)); missing != nil && f.name == previous {
			continue
		}
		if *f.to, err = config.Secret(dir, f.name); err != nil {
			return Credentials{}, err
		}
	}
	return c, nil
}
