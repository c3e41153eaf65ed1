package twin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// Config is the configuration file of `maodian twin`.
type Config struct {
	// Listen serves the platform's API over TLS; ControlListen the control API over
	// plain HTTP.
	Listen        string `json:"listen"`
	ControlListen string `json:"controlListen"`
	// TLSCertFile and TLSKeyFile are for all of the platform's names.
	TLSCertFile string `json:"tlsCertFile"`
	TLSKeyFile  string `json:"tlsKeyFile"`
	// CAFile has authorities to trust beside the system's, for the addresses below.
	CAFile string `json:"caFile,omitempty"`
	// Account is the account that the twin plays.
	Account AccountConfig `json:"account"`
	// OpenPlatform names what the account is bound to; empty: it gives no unionid.
	OpenPlatform string `json:"openPlatform,omitempty"`
	// CallbackURL and ConsentURL are the gateway's.
	CallbackURL string `json:"callbackURL"`
	ConsentURL  string `json:"consentURL"`
	// Seed decides openids, tokens, faults and the population.
	Seed uint64 `json:"seed"`
	// LogEverySeconds is the pause between summaries in the log; 0 means 30.
	LogEverySeconds int `json:"logEverySeconds,omitempty"`
	// MaxPeople bounds the population; 0 means a million.
	MaxPeople int `json:"maxPeople,omitempty"`
	// Templates exist at the account; empty means DefaultTemplate.
	Templates []string `json:"templates,omitempty"`
	// Limits replaces the limits of single API paths.
	Limits map[string]Limit `json:"limits,omitempty"`
	// Delivery spoils callbacks.
	Delivery Delivery `json:"delivery,omitzero"`
	// Log takes the summaries; nil means JSON lines on standard error.
	Log *slog.Logger `json:"-"`
}

// AccountConfig names the account and the files with its secrets.
type AccountConfig struct {
	AppID              string `json:"appID"`
	OriginalID         string `json:"originalID,omitempty"`
	AppSecretFile      string `json:"appSecretFile"`
	TokenFile          string `json:"tokenFile"`
	EncodingAESKeyFile string `json:"encodingAESKeyFile"`
}

// LoadConfig reads a YAML file. Unknown and doubled keys are errors.
func LoadConfig(file string) (Config, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read twin configuration: %w", err)
	}
	var c Config
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		return Config{}, fmt.Errorf("parse twin configuration: %w", err)
	}
	return c, c.validate()
}

func (c Config) validate() error {
	required := []struct{ name, value string }{
		{"listen", c.Listen}, {"controlListen", c.ControlListen}, {"tlsCertFile", c.TLSCertFile}, {"tlsKeyFile", c.TLSKeyFile},
		{"account.appID", c.Account.AppID}, {"account.appSecretFile", c.Account.AppSecretFile},
		{"account.tokenFile", c.Account.TokenFile}, {"account.encodingAESKeyFile", c.Account.EncodingAESKeyFile},
		{"callbackURL", c.CallbackURL}, {"consentURL", c.ConsentURL},
	}
	for _, r := range required {
		if r.value == "" {
			return fmt.Errorf("%w: %s must be set", ErrSettings, r.name)
		}
	}
	if c.LogEverySeconds < 0 || c.MaxPeople < 0 {
		return fmt.Errorf("%w: logEverySeconds and maxPeople must not be negative", ErrSettings)
	}
	return nil
}

// settings reads the secrets and the authorities.
func (c Config) settings() (Settings, error) {
	var files [3]string
	for i, name := range []string{c.Account.AppSecretFile, c.Account.TokenFile, c.Account.EncodingAESKeyFile} {
		raw, err := os.ReadFile(name)
		if err != nil {
			return Settings{}, fmt.Errorf("read account secret: %w", err)
		}
		files[i] = strings.TrimSpace(string(raw))
	}
	key, err := callback.ParseAESKey(files[2])
	if err != nil {
		return Settings{}, fmt.Errorf("account.encodingAESKeyFile: %w", err)
	}
	client, err := c.client()
	if err != nil {
		return Settings{}, err
	}
	return Settings{
		AppID: c.Account.AppID, OriginalID: c.Account.OriginalID, Secret: subject.NewSecret(files[0]),
		Keys:        callback.Keys{Token: subject.NewSecret(files[1]), Current: key},
		CallbackURL: c.CallbackURL, Client: client, Seed: c.Seed, OpenPlatform: c.OpenPlatform, MaxPeople: c.MaxPeople,
		Templates: c.Templates, Limits: c.Limits, Delivery: c.Delivery,
	}, nil
}

// client is for the gateway's addresses: no proxy, enough idle connections.
func (c Config) client() (*http.Transport, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // an image FROM scratch has none
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: caFile holds no certificate", ErrSettings)
		}
	}
	return &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: driverWorkers + outboxWorkers,
		TLSHandshakeTimeout: answerDeadline, ResponseHeaderTimeout: 2 * answerDeadline,
	}, nil
}
