package twin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// inProcess carries requests to a handler without a network.
type inProcess struct{ http.Handler }

func (i inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	return w.Result(), nil
}

// stubGateway takes callbacks and has a consent page, as the real one has.
type stubGateway struct {
	platform *Platform
	keys     callback.Keys

	mu      sync.Mutex
	events  map[subject.OpenID][]callback.Event
	choices map[subject.OpenID]url.Values
	dedupe  map[callback.DedupeKey]int
	tries   map[callback.DedupeKey]int
	broken  func(attempt int) bool // refuse this attempt at a callback
	count   int
}

func (g *stubGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/callback":
		g.callback(w, r)
	case r.URL.Path == "/consent" && r.Method == http.MethodGet:
		http.SetCookie(w, &http.Cookie{Name: "__Host-s", Value: "session1", Secure: true, HttpOnly: true})
		http.Redirect(w, r, "https://open.weixin.qq.com/connect/oauth2/authorize?appid="+testAppID+
			"&redirect_uri="+url.QueryEscape("https://public.example/consent/back?lang=zh")+"&response_type=code&scope=snsapi_base&state=s1#wechat_redirect", http.StatusFound)
	case r.URL.Path == "/consent/back":
		g.page(w, r)
	case r.URL.Path == "/consent" && r.Method == http.MethodPost:
		g.post(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (g *stubGateway) callback(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	// The virtual clock leaps with everybody's pauses, so freshness means nothing here.
	stamp, _ := strconv.ParseInt(r.URL.Query().Get("timestamp"), 10, 64)
	plain, _, err := g.keys.Open(r.URL.Query(), body, time.Unix(stamp, 0))
	if err != nil {
		http.Error(w, "refused", http.StatusForbidden)
		return
	}
	e, err := callback.Parse(plain)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
	g.tries[e.DedupeKey()]++
	if err != nil || (g.broken != nil && g.broken(g.tries[e.DedupeKey()])) {
		http.Error(w, "broken", http.StatusInternalServerError)
		return
	}
	if g.dedupe[e.DedupeKey()]++; g.dedupe[e.DedupeKey()] == 1 {
		g.events[e.OpenID] = append(g.events[e.OpenID], e)
	}
	_, _ = io.WriteString(w, "success")
}

func (g *stubGateway) page(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie("__Host-s")
	if err != nil || cookie.Value != "session1" || r.URL.Query().Get("state") != "s1" {
		http.Error(w, "no session", http.StatusForbidden)
		return
	}
	g.platform.mu.Lock()
	c := g.platform.codes[r.URL.Query().Get("code")]
	g.platform.mu.Unlock()
	_, _ = fmt.Fprintf(w, `<!doctype html><body><form method="post" action="/consent"><input type="hidden" name="csrf" value="c%d">
<select name="age"><option value="adult"><option value="14to17"></select>
<input type=checkbox name=grant value=PersonalizedMarketing><input type=checkbox name=grant value=DirectMarketing>
<label><input type=checkbox name=grant value="GroupReporting@acme-group-crm"></label><button>OK</button></form>`, c.index)
}

func (g *stubGateway) post(w http.ResponseWriter, r *http.Request) {
	var index int
	if _, err := fmt.Sscanf(r.PostFormValue("csrf"), "c%d", &index); err != nil {
		http.Error(w, "csrf", http.StatusForbidden)
		return
	}
	who, _ := g.platform.OpenID(index)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.choices[who] = r.PostForm
	w.WriteHeader(http.StatusSeeOther)
}

func testSettings(t testing.TB) Settings {
	t.Helper()
	key, err := callback.ParseAESKey("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
	if err != nil {
		t.Fatal(err)
	}
	return Settings{
		AppID: testAppID, OriginalID: "gh_0123456789ab", Secret: subject.NewSecret("0123456789abcdef0123456789abcdef"), Seed: 1,
		Keys:  callback.Keys{Token: subject.NewSecret("callbacktoken"), Current: key, AppID: testAppID},
		Clock: NewVirtualClock(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)),
	}
}

// newStory makes a twin with a stub gateway at its callback address.
func newStory(t testing.TB, change ...func(*Settings)) (*Platform, *stubGateway) {
	t.Helper()
	s := testSettings(t)
	g := &stubGateway{
		keys: s.Keys, events: map[subject.OpenID][]callback.Event{},
		choices: map[subject.OpenID]url.Values{}, dedupe: map[callback.DedupeKey]int{}, tries: map[callback.DedupeKey]int{},
	}
	s.CallbackURL, s.Client = "https://gateway.test/callback", inProcess{g}
	for _, f := range change {
		f(&s)
	}
	p, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	g.platform = p
	return p, g
}

const consentURL = "https://gateway.test/consent"

func TestPlay_DoesPersonByPersonWhatTheScenarioSays(t *testing.T) {
	p, g := newStory(t)
	s := DefaultScenario(1, testAppID, 2000)
	if err := p.Play(t.Context(), s, consentURL); err != nil {
		t.Fatal(err)
	}
	people, err := s.People()
	if err != nil {
		t.Fatal(err)
	}
	followers := 0
	for i, who := range people {
		if got := deeds(g.events[who.OpenID]); got != wantDeeds(who) {
			t.Fatalf("person %d (%s): %s, want %s", i, who.Role, got, wantDeeds(who))
		}
		form, visited := g.choices[who.OpenID]
		if visited != (who.Role != RoleSilent) {
			t.Fatalf("person %d (%s): page opened: %v", i, who.Role, visited)
		}
		if visited && (!slices.Equal(form["grant"], who.Grants) || form.Get("age") != who.Age) {
			t.Fatalf("person %d (%s): posted %v", i, who.Role, form)
		}
		if who.Role != RoleLeave {
			followers++
		}
	}
	sum := p.Summary()
	if sum.Followers != followers || sum.Scenario.State != StateDone || sum.Scenario.Done != 2000 || sum.Callbacks.Failed != 0 {
		t.Errorf("%+v", sum)
	}
}

// deeds lists a person's events; wantDeeds what they should be.
func deeds(events []callback.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s %s%s%s", e.Kind, e.EventKey, e.Scene, e.Content.Reveal())
		for _, s := range e.Subscriptions {
			fmt.Fprintf(&b, "%s %v", s.TemplateID, s.Accepted)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func wantDeeds(p Person) string {
	var b strings.Builder
	for _, d := range []struct {
		done bool
		text string
	}{
		{true, "subscribe "},
		{p.Scan, "SCAN booth-2026"},
		{p.Tea, "CLICK tag:tea"},
		{p.Pricing, "CLICK pricing"},
		{p.Message, "text " + smallTalk},
		{p.Popup, "subscribe_msg_popup_event TEMPLATE_SPRING_TEA true"},
		{p.Role == RoleWithdraw, "text 退订"},
		{p.Role == RoleLeave, "unsubscribe "},
	} {
		if d.done {
			b.WriteString(d.text + "\n")
		}
	}
	return b.String()
}

func TestPlay_SurvivesAFlakyGateway(t *testing.T) {
	p, g := newStory(t, func(s *Settings) { s.Delivery.DuplicateShare = 0.2 })
	g.broken = func(n int) bool { return n < attempts }
	if err := p.Play(t.Context(), DefaultScenario(1, testAppID, 100), consentURL); err != nil {
		t.Fatal(err)
	}
	if c := p.Summary().Callbacks; c.Failed != 0 || c.Sent != c.Acknowledged || g.count < attempts*int(c.Sent) {
		t.Errorf("%+v after %d attempts", c, g.count)
	}
}

func TestPlay_TellsWhatWentWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stubGateway, *Settings)
		want   string
	}{
		"a gateway that takes no callback": {func(g *stubGateway, _ *Settings) { g.broken = func(int) bool { return true } }, "callback"},
		"a gateway without a consent page": {func(_ *stubGateway, s *Settings) {
			next := s.Client
			s.Client = roundTripper(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(r.URL.Path, "/consent") {
					return nil, errors.New("down")
				}
				return next.RoundTrip(r)
			})
		}, "consent-page"},
	} {
		t.Run(name, func(t *testing.T) {
			var stub *stubGateway
			p, g := newStory(t, func(s *Settings) {
				stub = s.Client.(inProcess).Handler.(*stubGateway)
				c.change(stub, s)
			})
			_ = g
			err := p.Play(t.Context(), DefaultScenario(1, testAppID, 40), consentURL)
			progress := p.Summary().Scenario
			if err == nil || progress.State != StateFailed || progress.Problems[c.want] == 0 {
				t.Errorf("%v, %+v", err, progress)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPlay_OneAtATime(t *testing.T) {
	p, _ := newStory(t)
	s := DefaultScenario(1, testAppID, 10)
	run, err := p.begin(s, consentURL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.begin(s, consentURL); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := p.begin(s, "not a url"); !errors.Is(err, ErrSettings) {
		t.Errorf("%v", err)
	}
}

func TestFillForm_Refuses(t *testing.T) {
	const hidden = `<input type=hidden name=csrf value=x>`
	for name, page := range map[string]string{
		"no form":                   `<p>hello`,
		"a form that is not posted": `<form>` + hidden + `<input type=radio name=age value=adult></form>`,
		"no csrf":                   `<form method=post><input type=radio name=age value=adult></form>`,
		"no age":                    `<form method=post>` + hidden + `</form>`,
		"a missing purpose":         `<form method=post>` + hidden + `<input type=radio name=age value=adult></form>`,
		"a box ticked in advance":   `<form method=post>` + hidden + `<input type=radio name=age value=adult><input type=checkbox name=grant value=A checked></form>`,
	} {
		if _, _, err := fillForm([]byte(page), "adult", []string{"A"}); !errors.Is(err, errForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeliver_ThreeAttempts(t *testing.T) {
	p, g := newStory(t)
	g.broken = func(int) bool { return true }
	before := p.clock.Now()
	if p.Follow(t.Context(), 0) {
		t.Error("taken")
	}
	if g.count != 3 || p.clock.Now().Sub(before) != 10*time.Second {
		t.Errorf("%d attempts in %s", g.count, p.clock.Now().Sub(before))
	}
	if c := p.Summary().Callbacks; c.Failed != 1 || c.Sent != 1 {
		t.Errorf("%+v", c)
	}
}
