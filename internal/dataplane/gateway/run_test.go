package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
)

func TestRun_BadMountsAreErrorsAtStart(t *testing.T) {
	dir := t.TempDir()
	for name, value := range map[string]string{"appSecret": "s", "token": "t", "encodingAESKey": strings.Repeat("A", 43), "junk": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no credentials":    {func(c *Config) { c.CredentialsDir = t.TempDir() }, config.ErrConfig},
		"no authority":      {func(c *Config) { c.ExtraCAFile = filepath.Join(dir, "junk") }, config.ErrConfig},
		"a host that isn't": {func(c *Config) { c.Hosts = []string{"https://x"} }, wechat.ErrConfig},
		"no certificate":    {func(*Config) {}, os.ErrNotExist},
	} {
		none := filepath.Join(dir, "none")
		cfg := Config{
			Account: "brand", AppID: "wx", Hosts: []string{"sh.api.weixin.qq.com"}, Listen: "127.0.0.1:0", HealthListen: "127.0.0.1:0",
			Store: storeclient.Config{Address: "https://127.0.0.1:1", Namespace: "ns", Name: "s"},
			TLS:   identity.Files{CertFile: none, KeyFile: none, CAFile: none}, CredentialsDir: dir,
		}
		c.change(&cfg)
		if err := Run(t.Context(), cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
