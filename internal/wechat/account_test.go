package wechat_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
	"github.com/maodian-dev/maodian/internal/wechat/twin/twintest"
)

const (
	sh      = "sh.api.weixin.qq.com"
	sz      = "sz.api.weixin.qq.com"
	bizsend = "/cgi-bin/message/subscribe/bizsend"
	mass    = "/cgi-bin/message/mass/send"
	stable  = "/cgi-bin/stable_token"
)

var start = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// world is a twin with an account at it.
type world struct {
	*twintest.Server
	account *wechat.Account
	clock   *twin.VirtualClock
	mu      sync.Mutex
	seen    []wechat.Observation
}

func newWorld(t testing.TB, change ...func(*wechat.Config)) *world {
	t.Helper()
	w := &world{clock: twin.NewVirtualClock(start)}
	w.Server = twintest.Start(t, twin.Settings{Clock: w.clock, Seed: 7, OpenPlatform: "acme"})
	cfg := wechat.Config{
		Name: "brand", AppID: twintest.AppID, AppSecret: subject.NewSecret(twintest.AppSecret), Hosts: []string{sh, sz},
		RootCAs: w.RootCAs, DialContext: w.DialContext, Clock: w.clock.Now,
		Observe: func(o wechat.Observation) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, o)
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	a, err := wechat.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	w.account = a
	return w
}

func (w *world) openID(t testing.TB, index int) subject.OpenID {
	t.Helper()
	o, err := w.OpenID(index)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// grant lets the person follow and allow n messages.
func (w *world) grant(index, n int) {
	ctx := context.Background()
	w.Follow(ctx, index)
	for range n {
		w.Answer(ctx, index, twin.DefaultTemplate, true)
	}
}

func (w *world) message(t testing.TB, index int) wechat.SubscriptionMessage {
	return wechat.SubscriptionMessage{To: w.openID(t, index), TemplateID: twin.DefaultTemplate, Data: map[string]string{"thing1": "春茶上市"}}
}

func (w *world) massTo(t testing.TB, n int, key string) wechat.MassMessage {
	m := wechat.MassMessage{Text: "春茶上市", ClientMsgID: key}
	for i := range n {
		m.To = append(m.To, w.openID(t, i))
	}
	return m
}

func (w *world) faults(t testing.TB, rules ...twin.Rule) {
	t.Helper()
	if err := w.SetFaults(rules); err != nil {
		t.Fatal(err)
	}
}

func TestSendSubscription(t *testing.T) {
	w := newWorld(t)
	w.grant(0, 1)
	receipt, err := w.account.SendSubscription(t.Context(), w.message(t, 0))
	if err != nil || receipt.MsgID == 0 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	_, err = w.account.SendSubscription(t.Context(), w.message(t, 0))
	var refused *wechat.Error
	if !errors.As(err, &refused) || refused.Code != 43101 || refused.Class != wechat.User || refused.RID == "" {
		t.Errorf("a second message for one answer: %v", err)
	}
	if n := w.Summary().Received; n != 1 {
		t.Errorf("received %d", n)
	}
}

func TestClasses(t *testing.T) {
	code := func(n int64) twin.Rule { return twin.Rule{Path: bizsend, Action: "code", Code: n} }
	action := func(s string) twin.Rule { return twin.Rule{Path: bizsend, Action: s} }
	status := func(n int64) twin.Rule { return twin.Rule{Path: bizsend, Action: "status", Code: n} }
	for name, c := range map[string]struct {
		rule   twin.Rule
		want   wechat.Class
		reason string
	}{
		"system busy is retried":                       {code(-1), wechat.Retry, ""},
		"the minute limit is retried":                  {code(45011), wechat.Retry, ""},
		"a daily quota pauses":                         {code(45009), wechat.Quota, ""},
		"a wrong openid is the recipient's":            {code(40003), wechat.User, ""},
		"a refusing person is the recipient's":         {code(43101), wechat.User, ""},
		"bad data stops the campaign":                  {code(47003), wechat.Program, ""},
		"an unlisted address needs a human":            {code(40164), wechat.Human, ""},
		"a code of tomorrow stops the campaign":        {code(99999), wechat.Program, ""},
		"a dead token after a refresh is a token's":    {code(42001), wechat.Token, wechat.ReasonStuck},
		"a lost answer is unknown":                     {action("lost"), wechat.Unknown, wechat.ReasonBroken},
		"a connection that closes is unknown":          {action("drop"), wechat.Unknown, wechat.ReasonBroken},
		"a page of HTML is unknown":                    {action("html"), wechat.Unknown, wechat.ReasonBody},
		"an empty answer is unknown":                   {action("empty"), wechat.Unknown, wechat.ReasonBody},
		"half an answer is unknown":                    {action("half"), wechat.Unknown, wechat.ReasonBody},
		"a giant answer is unknown":                    {action("giant"), wechat.Unknown, wechat.ReasonSize},
		"a redirect is not followed, and unknown":      {action("redirect"), wechat.Unknown, wechat.ReasonRedirect},
		"a gateway's 502 may have been passed on":      {status(502), wechat.Unknown, wechat.ReasonStatus},
		"a gateway's 504 may have been passed on":      {status(504), wechat.Unknown, wechat.ReasonStatus},
		"a 503 was refused at the door":                {status(503), wechat.Retry, wechat.ReasonStatus},
		"a 429 was refused at the door":                {status(429), wechat.Retry, wechat.ReasonStatus},
		"an errcode written as a string is understood": {action("string-code"), wechat.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.grant(0, 1)
			w.faults(t, c.rule)
			_, err := w.account.SendSubscription(t.Context(), w.message(t, 0))
			if got := wechat.ClassOf(err); got != c.want {
				t.Fatalf("class %s, want %s: %v", got, c.want, err)
			}
			var e *wechat.Error
			if errors.As(err, &e) && e.Reason != c.reason {
				t.Errorf("reason %q, want %q", e.Reason, c.reason)
			}
			// Whatever may have arrived must not have been sent a second time.
			calls := 0
			for _, o := range w.seen {
				if o.Path == bizsend {
					calls++
				}
			}
			if c.want == wechat.Unknown && calls != 1 {
				t.Errorf("%d calls", calls)
			}
			assertQuiet(t, w, err)
		})
	}
}

// assertQuiet looks for canaries in everything an error can be turned into.
func assertQuiet(t *testing.T, w *world, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, w.seen)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += e.Error()
	}
	if b, jsonErr := json.Marshal(err); jsonErr == nil {
		text += string(b)
	}
	for _, canary := range []string{twintest.AppSecret, w.openID(t, 0).Reveal(), "st_", "acct.", "access_token=", "https://", "invalid"} {
		if strings.Contains(text, canary) {
			t.Errorf("%q is in %s", canary, text)
		}
	}
}

func TestStall_IsUnknownAfterTheTimeout(t *testing.T) {
	w := newWorld(t, func(c *wechat.Config) { c.Timeout = 50 * time.Millisecond })
	w.grant(0, 1)
	if err := w.account.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.faults(t, twin.Rule{Path: bizsend, Action: "stall"})
	_, err := w.account.SendSubscription(t.Context(), w.message(t, 0))
	if wechat.ClassOf(err) != wechat.Unknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if n := w.Summary().Received; n != 1 {
		t.Errorf("the twin counts %d", n)
	}
	assertQuiet(t, w, err)
}

func TestCanceled_BeforeTheBodyLeft(t *testing.T) {
	w := newWorld(t)
	if err := w.account.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.account.SendSubscription(ctx, w.message(t, 0))
	if wechat.ClassOf(err) == wechat.OK || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTokenDeath_OneRefreshForAllWorkers(t *testing.T) {
	const workers, each = 32, 8
	w := newWorld(t)
	for i := range workers * each {
		w.grant(i, 1)
	}
	if err := w.account.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.Summary().TokenCalls
	w.faults(t, twin.Rule{Path: bizsend, From: workers * each / 2, Times: 1, Action: "revoke"})
	var group sync.WaitGroup
	var failed atomic.Int64
	for n := range workers {
		group.Go(func() {
			for i := range each {
				if _, err := w.account.SendSubscription(t.Context(), w.message(t, n*each+i)); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	group.Wait()
	s := w.Summary()
	if failed.Load() != 0 || s.Received != workers*each || s.TokenCalls != before+1 {
		t.Errorf("failed %d, received %d, token calls %d", failed.Load(), s.Received, s.TokenCalls-before)
	}
	err := w.Audit(false, func(r twin.Received) error {
		if r.Received != 1 {
			return errors.New("somebody received two")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestToken_StuckPlatformIsNotHammered(t *testing.T) {
	w := newWorld(t)
	w.grant(0, 2)
	if err := w.account.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.RevokeTokens(time.Minute)
	for range 20 {
		_, err := w.account.SendSubscription(t.Context(), w.message(t, 0))
		var e *wechat.Error
		if !errors.As(err, &e) || e.Class != wechat.Token || e.Reason != wechat.ReasonStuck {
			t.Fatalf("%v", err)
		}
	}
	if n := w.Summary().TokenCalls; n != 2 {
		t.Errorf("%d token calls", n)
	}
	w.clock.Advance(2 * time.Minute)
	if _, err := w.account.SendSubscription(t.Context(), w.message(t, 0)); err != nil {
		t.Errorf("after the platform came to its senses: %v", err)
	}
}

func TestToken_IsRenewedBeforeItEnds(t *testing.T) {
	w := newWorld(t)
	w.grant(0, 100)
	for range 24 * 12 { // a day in steps of five minutes
		if err := w.account.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(5 * time.Minute)
	}
	if _, err := w.account.SendSubscription(t.Context(), w.message(t, 0)); err != nil {
		t.Error(err)
	}
	s := w.Summary()
	if s.Codes["40001"]+s.Codes["42001"] != 0 {
		t.Errorf("a dead token was used: %v", s.Codes)
	}
	if s.TokenCalls > 60 {
		t.Errorf("%d token calls a day", s.TokenCalls)
	}
}

func TestToken_StormIsStopped(t *testing.T) {
	w := newWorld(t)
	w.faults(t, twin.Rule{Path: stable, Action: "code", Code: -1})
	var last *wechat.Error
	for range 100 {
		if err := w.account.Check(t.Context()); !errors.As(err, &last) {
			t.Fatalf("%v", err)
		}
	}
	if last.Reason != wechat.ReasonStorm {
		t.Errorf("%v", last)
	}
	if n := w.Summary().Hosts[sh]; n != 60 {
		t.Errorf("%d calls", n)
	}
}

func TestCheck_WrongSecretNeedsAHuman(t *testing.T) {
	const wrong = "ffffffffffffffffffffffffffffffff"
	w := newWorld(t, func(c *wechat.Config) { c.AppSecret = subject.NewSecret(wrong) })
	err := w.account.Check(t.Context())
	var e *wechat.Error
	if !errors.As(err, &e) || e.Class != wechat.Human || e.Code != 40125 || e.Call != "stable_token" {
		t.Fatalf("%v", err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), wrong) {
		t.Error("the secret is in the error")
	}
}

func TestHosts(t *testing.T) {
	send := func(w *world) error {
		_, err := w.account.SendSubscription(t.Context(), w.message(t, 0))
		return err
	}
	t.Run("the first host takes everything while it is up", func(t *testing.T) {
		w := newWorld(t)
		w.grant(0, 1)
		if err := send(w); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{sh + ":443": 1}, w.Dials()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the second host takes over, and the first rests", func(t *testing.T) {
		w := newWorld(t)
		w.grant(0, 3)
		w.SetDown(sh, true)
		for range 2 {
			if err := send(w); err != nil {
				t.Fatal(err)
			}
		}
		if n := w.Dials()[sh+":443"]; n != 1 {
			t.Errorf("the host that is down was dialled %d times", n)
		}
		w.SetDown(sh, false)
		w.clock.Advance(time.Minute)
		if err := send(w); err != nil {
			t.Fatal(err)
		}
		if w.Summary().Hosts[sh] != 1 {
			t.Error("the first host is not used again")
		}
	})
	t.Run("with both down nothing is called and the send may be retried", func(t *testing.T) {
		w := newWorld(t)
		w.SetDown(sh, true)
		w.SetDown(sz, true)
		err := send(w)
		if wechat.ClassOf(err) != wechat.Retry {
			t.Errorf("%v", err)
		}
		for host := range w.Dials() {
			if host != sh+":443" && host != sz+":443" {
				t.Errorf("%s was dialled", host)
			}
		}
	})
	t.Run("a 502 moves a harmless call on, not an errcode", func(t *testing.T) {
		w := newWorld(t)
		w.faults(t, twin.Rule{Path: stable, Host: sh, Action: "status"})
		if err := w.account.Check(t.Context()); err != nil {
			t.Error(err)
		}
		w.faults(t, twin.Rule{Path: bizsend, Action: "code", Code: -1})
		calls := w.Summary().Hosts
		_ = send(w)
		if after := w.Summary().Hosts; after[sh]+after[sz] != calls[sh]+calls[sz]+1 {
			t.Errorf("before %v, after %v", calls, after)
		}
	})
	t.Run("an unknown authority is refused before anything is sent", func(t *testing.T) {
		other := twintest.Start(t, twin.Settings{})
		w := newWorld(t, func(c *wechat.Config) { c.RootCAs = other.RootCAs })
		err := w.account.Check(t.Context())
		var e *wechat.Error
		if !errors.As(err, &e) || e.Class != wechat.Retry || e.Reason != wechat.ReasonConnect {
			t.Errorf("%v", err)
		}
		if len(w.Summary().Hosts) != 0 {
			t.Error("a call got through")
		}
	})
}

func TestNew_RefusesBadConfiguration(t *testing.T) {
	good := wechat.Config{AppID: "wx", AppSecret: subject.NewSecret("s"), Hosts: []string{sh}}
	for name, change := range map[string]func(*wechat.Config){
		"no app id":           func(c *wechat.Config) { c.AppID = "" },
		"no secret":           func(c *wechat.Config) { c.AppSecret = subject.Secret{} },
		"no hosts":            func(c *wechat.Config) { c.Hosts = nil },
		"a host with a port":  func(c *wechat.Config) { c.Hosts = []string{sh + ":8443"} },
		"a host with a user":  func(c *wechat.Config) { c.Hosts = []string{"evil@" + sh} },
		"a URL":               func(c *wechat.Config) { c.Hosts = []string{"https://" + sh} },
		"an upper-case host":  func(c *wechat.Config) { c.Hosts = []string{"SH.api.weixin.qq.com"} },
		"a host twice":        func(c *wechat.Config) { c.Hosts = []string{sh, sh} },
		"a negative deadline": func(c *wechat.Config) { c.Timeout = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := wechat.New(cfg); !errors.Is(err, wechat.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSendMass(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.grant(i, 0)
	}
	first, err := w.account.SendMass(t.Context(), w.massTo(t, 5, "run-1-chunk-0"))
	if err != nil || first.Duplicate || first.MsgID == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = w.account.SendMass(t.Context(), w.massTo(t, 5, "run-1-chunk-0"))
	if wechat.ClassOf(err) != wechat.Retry {
		t.Errorf("the same key within a minute: %v", err)
	}
	w.clock.Advance(2 * time.Minute)
	again, err := w.account.SendMass(t.Context(), w.massTo(t, 5, "run-1-chunk-0"))
	if err != nil || !again.Duplicate || again.MsgID != first.MsgID {
		t.Errorf("the same key later: %+v, %v", again, err)
	}
	if n := w.Summary().Received; n != 5 {
		t.Errorf("received %d", n)
	}
	w.faults(t, twin.Rule{Path: mass, Action: "lost"})
	if _, err = w.account.SendMass(t.Context(), w.massTo(t, 5, "run-1-chunk-1")); wechat.ClassOf(err) != wechat.Unknown {
		t.Errorf("a lost answer: %v", err)
	}
}

func TestSendMass_RefusesHereWhatThePlatformWould(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*wechat.MassMessage){
		"one recipient":   func(m *wechat.MassMessage) { m.To = m.To[:1] },
		"too many":        func(m *wechat.MassMessage) { m.To = make([]subject.OpenID, 10_001) },
		"nobody in place": func(m *wechat.MassMessage) { m.To[1] = subject.OpenID{} },
		"no content":      func(m *wechat.MassMessage) { m.Text = "" },
		"two contents":    func(m *wechat.MassMessage) { m.MediaID = "x" },
		"no key":          func(m *wechat.MassMessage) { m.ClientMsgID = "" },
		"a long key":      func(m *wechat.MassMessage) { m.ClientMsgID = strings.Repeat("k", 65) },
	} {
		m := w.massTo(t, 3, "k")
		change(&m)
		if _, err := w.account.SendMass(t.Context(), m); wechat.ClassOf(err) != wechat.Program {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.seen) != 0 {
		t.Error("the platform was called")
	}
}

func TestFollowers(t *testing.T) {
	w := newWorld(t)
	want := map[subject.OpenID]bool{}
	for i := range 10_005 {
		w.Follow(t.Context(), i)
		want[w.openID(t, i)] = true
	}
	pages := 0
	for next := (subject.OpenID{}); ; pages++ {
		page, err := w.account.Followers(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		if page.Total != 10_005 {
			t.Fatalf("total %d", page.Total)
		}
		for _, o := range page.OpenIDs {
			delete(want, o)
		}
		if next = page.Next; next.IsZero() {
			break
		}
	}
	if len(want) != 0 || pages != 2 {
		t.Errorf("%d missing after %d pages", len(want), pages)
	}
}

func TestExchangeCode(t *testing.T) {
	w := newWorld(t)
	code := func(snapshot bool) string {
		t.Helper()
		page := parseURL(t, wechat.AuthorizeURL(twintest.AppID, "https://brand.example/back?x=1", "s1"))
		back, err := w.Authorize(3, page, snapshot)
		if err != nil || back.Query().Get("state") != "s1" || back.Query().Get("x") != "1" {
			t.Fatalf("%v, %v", back, err)
		}
		return back.Query().Get("code")
	}
	first := code(false)
	who, err := w.account.ExchangeCode(t.Context(), first)
	if err != nil || who.OpenID != w.openID(t, 3) || who.Snapshot || who.UnionID.IsZero() || who.UnionID.Reveal() == who.OpenID.Reveal() {
		t.Fatalf("%+v, %v", who, err)
	}
	_, err = w.account.ExchangeCode(t.Context(), first)
	var e *wechat.Error
	if !errors.As(err, &e) || e.Code != 40163 || e.Class != wechat.User {
		t.Errorf("a used code: %v", err)
	}
	who, err = w.account.ExchangeCode(t.Context(), code(true))
	if err != nil || !who.Snapshot || who.OpenID == w.openID(t, 3) || !who.UnionID.IsZero() {
		t.Errorf("a snapshot: %+v, %v", who, err)
	}
	late := code(false)
	w.clock.Advance(6 * time.Minute)
	if _, err = w.account.ExchangeCode(t.Context(), late); !errors.As(err, &e) || e.Code != 40029 {
		t.Errorf("a late code: %v", err)
	}
	w.faults(t, twin.Rule{Path: "/sns/oauth2/access_token", Action: "html"})
	_, err = w.account.ExchangeCode(t.Context(), "canary-code")
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	assertQuiet(t, w, err)
}

func TestClosedAccount_CallsNobody(t *testing.T) {
	w := newWorld(t)
	w.account.Close()
	_, err := w.account.SendSubscription(t.Context(), w.message(t, 0))
	var e *wechat.Error
	if !errors.As(err, &e) || e.Reason != wechat.ReasonHost || len(w.seen) != 0 {
		t.Errorf("%v", err)
	}
}

func TestTwoAccounts_KeepTheirTokensApart(t *testing.T) {
	one, two := newWorld(t), newWorld(t)
	one.grant(0, 1)
	two.grant(1, 1)
	for _, c := range []struct {
		w     *world
		index int
	}{{one, 0}, {two, 1}} {
		if _, err := c.w.account.SendSubscription(t.Context(), c.w.message(t, c.index)); err != nil {
			t.Error(err)
		}
	}
	if one.Summary().Received != 1 || two.Summary().Received != 1 {
		t.Error("a message went to the other platform")
	}
}

// TestImports holds the SDK behind this package. The root package of the SDK
// reconfigures a global logger when it is only imported.
func TestImports(t *testing.T) {
	const sdk, module = "github.com/silenceper/wechat/v2", "github.com/maodian-dev/maodian/"
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "-deps", ".")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if words[0] == sdk {
			t.Error("the SDK's root package is linked in")
		}
	}
	cmd = exec.Command("go", "list", "-e", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{range .TestImports}} {{.}}{{end}}`, "github.com/maodian-dev/maodian/...")
	out, err = cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, imported := range words[1:] {
			if !strings.HasPrefix(imported, sdk) {
				continue
			}
			found = true
			if words[0] != module+"internal/wechat" {
				t.Errorf("%s imports %s", words[0], imported)
			}
			if imported == sdk || imported == sdk+"/cache" {
				t.Errorf("%s imports %s, which is forbidden", words[0], imported)
			}
		}
	}
	if !found {
		t.Error("the check found no import at all")
	}
}

// BenchmarkSend compares the adapter with a bare HTTP client at the same server.
func BenchmarkSend(b *testing.B) {
	w := newWorld(b)
	for i := range 256 {
		w.grant(i, 1000)
	}
	run := func(b *testing.B, send func(index int) error) {
		b.SetParallelism(16)
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := send(int(n.Add(1) % 256)); err != nil && wechat.ClassOf(err) != wechat.User {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
	}
	b.Run("bare", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{
			DialContext: w.DialContext, TLSClientConfig: &tls.Config{RootCAs: w.RootCAs, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 128,
		}}
		run(b, func(index int) error {
			who, err := w.OpenID(index)
			if err != nil {
				return err
			}
			body := `{"touser":"` + who.Reveal() + `","template_id":"` + twin.DefaultTemplate + `","data":{"thing1":{"value":"tea"}}}`
			res, err := client.Post("https://"+sh+bizsend+"?access_token=x", "application/json", strings.NewReader(body))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			_, err = io.Copy(io.Discard, res.Body)
			return err
		})
	})
	b.Run("adapter", func(b *testing.B) {
		run(b, func(index int) error {
			_, err := w.account.SendSubscription(context.Background(), w.message(b, index))
			return err
		})
	})
}

func parseURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
