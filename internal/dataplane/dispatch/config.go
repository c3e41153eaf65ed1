// Package dispatch is the `maodian dispatch` subcommand: one worker process of one run. It
// takes permits from the store, sends, and reports; it decides nothing about people. A
// permit that it cannot account for is left to the store, which names it unknown.
package dispatch

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Config is the dispatcher's configuration file.
type Config struct {
	Account        string             `json:"account"`
	AppID          string             `json:"appID"`
	Hosts          []string           `json:"hosts"`
	RunID          string             `json:"runID"`
	Campaign       string             `json:"campaign"`
	Store          storeclient.Config `json:"store"`
	TLS            identity.Files     `json:"tls"`
	CredentialsDir string             `json:"credentialsDir"`
	ExtraCAFile    string             `json:"extraCAFile"`
	Channel        string             `json:"channel"`
	Subscription   Subscription       `json:"subscription"`
	Mass           map[string]string  `json:"mass"` // not sent yet: a clear error instead of an unknown key
	// Workers is how many requests are in flight: so many outcomes at most are lost with a
	// process that dies.
	Workers int `json:"workers"`
}

// Subscription is the content of a subscription notification.
type Subscription struct {
	TemplateID string            `json:"templateID"`
	Page       string            `json:"page"`
	Data       map[string]string `json:"data"`
}

// Validate checks the file and sets what it leaves out.
func (c *Config) Validate() error {
	if err := config.Require("account", c.Account, "appID", c.AppID, "runID", c.RunID, "store.address", c.Store.Address,
		"credentialsDir", c.CredentialsDir, "channel", c.Channel); err != nil {
		return err
	}
	if c.Channel != "Subscription" {
		return fmt.Errorf("ChannelUnsupported: channel %s is not built yet; use Subscription", c.Channel)
	}
	if err := config.Require("subscription.templateID", c.Subscription.TemplateID); err != nil {
		return err
	}
	if len(c.Hosts) == 0 {
		return fmt.Errorf("%w: `hosts` must be set", config.ErrConfig)
	}
	if c.Workers <= 0 {
		c.Workers = 8
	}
	return nil
}

// shanghai is the zone in which dates of messages are written.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// limits of keyword values in characters, by the keyword's kind (WeChat's category
// templates, wechat.md 7.2). Values that are too long are refused, never cut.
var limits = map[string]int{
	"thing": 20, "character_string": 32, "number": 32, "letter": 32, "symbol": 5, "phrase": 5, "name": 20, "const": 20,
	"car_number": 8, "phone_number": 17,
}

// render fills the values in once for the run: `.Now`, and the function date.
func render(data map[string]string, now time.Time) (map[string]string, error) {
	out := make(map[string]string, len(data))
	for key, text := range data {
		t, err := template.New(key).Option("missingkey=error").Funcs(template.FuncMap{
			"date": func(layout string, t time.Time) string { return t.In(shanghai).Format(layout) },
		}).Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%w: data.%s: %w", config.ErrConfig, key, err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, struct{ Now time.Time }{now.In(shanghai)}); err != nil {
			return nil, fmt.Errorf("%w: data.%s: %w", config.ErrConfig, key, err)
		}
		out[key] = b.String()
		kind := strings.TrimRight(key, "0123456789")
		if n := utf8.RuneCountInString(out[key]); n == 0 || limits[kind] > 0 && n > limits[kind] {
			return nil, fmt.Errorf("%w: data.%s has %d characters, WeChat allows 1 to %d", config.ErrConfig, key, n, limits[kind])
		}
	}
	return out, nil
}

// shard is this pod's part of the run; the Job controller numbers its pods.
func shard() (int32, error) {
	v := os.Getenv("JOB_COMPLETION_INDEX")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: JOB_COMPLETION_INDEX is not a number", config.ErrConfig)
	}
	return int32(n), nil
}
