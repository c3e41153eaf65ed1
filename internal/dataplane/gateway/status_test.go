package gateway

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// moody gives one answer after the other, then the last one for ever.
type moody struct {
	fakePlatform
	began   time.Time
	answers []error
	at      []time.Duration
}

func (m *moody) Check(context.Context) error {
	m.at = append(m.at, time.Since(m.began))
	err := m.answers[0]
	if len(m.answers) > 1 {
		m.answers = m.answers[1:]
	}
	return err
}

func TestStatus(t *testing.T) {
	away := &wechat.Error{Call: "token", Class: wechat.Retry, Reason: wechat.ReasonConnect}
	wrong := &wechat.Error{Call: "token", Class: wechat.Human, Code: 40125}
	for name, c := range map[string]struct {
		answers []error
		until   time.Duration
		at      []time.Duration
		want    string
	}{
		"well, looked at every five minutes": {[]error{nil}, 11 * time.Minute, []time.Duration{0, 5 * time.Minute, 10 * time.Minute}, `{"platformCode":0,"class":"ok"}`},
		"away, looked at again soon":         {[]error{away, away, nil}, time.Minute, []time.Duration{0, time.Second, 3 * time.Second}, `{"platformCode":0,"class":"ok"}`},
		"away for long":                      {[]error{away}, 4 * time.Second, []time.Duration{0, time.Second, 3 * time.Second}, `{"platformCode":0,"class":"retry"}`},
		"a wrong secret is not tried often":  {[]error{wrong}, time.Minute, []time.Duration{0}, `{"platformCode":40125,"class":"human"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &moody{answers: c.answers, began: time.Now()}
				checks := newChecker(m, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithTimeout(t.Context(), c.until)
				defer cancel()
				checks.run(ctx)
				if diff := cmp.Diff(c.at, m.at); diff != "" {
					t.Error(diff)
				}
				w := httptest.NewRecorder()
				checks.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/status", nil))
				if got := strings.TrimSpace(w.Body.String()); got != c.want {
					t.Errorf("status %s, want %s", got, c.want)
				}
			})
		})
	}
}

const good = `
account: brand
appID: wx0123456789abcdef
hosts: [sh.api.weixin.qq.com]
store: {address: "https://s.ns.svc:8443", namespace: ns, name: s}
tls: {certFile: c, keyFile: k, caFile: a}
credentialsDir: /etc/maodian/credentials
withdrawKeywords: [退订]
templates: [T1]
`

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		ok     bool
	}{
		"as it should be":  {func(s string) string { return s }, true},
		"no account":       {func(s string) string { return strings.Replace(s, "account: brand\n", "", 1) }, false},
		"no host":          {func(s string) string { return strings.Replace(s, "[sh.api.weixin.qq.com]", "[]", 1) }, false},
		"no store":         {func(s string) string { return strings.Replace(s, "name: s}", "name: ''}", 1) }, false},
		"a blank keyword":  {func(s string) string { return strings.Replace(s, "[退订]", "['　']", 1) }, false},
		"a key misspelt":   {func(s string) string { return s + "withdrawKeyword: [x]\n" }, false},
		"no keyword is ok": {func(s string) string { return strings.Replace(s, "[退订]", "[]", 1) }, true},
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(c.change(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		var got Config
		if err := config.Load(file, &got); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (got.Listen != ":8080" || got.HealthListen != ":8081") {
			t.Errorf("%s: listens at %q and %q", name, got.Listen, got.HealthListen)
		}
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	write := func(name, value string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("appSecret", "s")
	write("token", "t")
	if _, err := loadCredentials(dir); err == nil {
		t.Error("a key that is missing passes")
	}
	write("encodingAESKey", strings.Repeat("A", 43))
	c, err := loadCredentials(dir)
	if err != nil || !c.PreviousEncodingAESKey.IsZero() {
		t.Errorf("without a previous key: %v", err)
	}
	write("previousEncodingAESKey", "short")
	if c, err = loadCredentials(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := c.keys("wx"); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a malformed key: %v", err)
	}
}
