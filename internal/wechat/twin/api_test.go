package twin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// api calls the twin as the platform, without a network.
type api struct {
	testing.TB
	p *Platform
	h http.Handler
}

func newAPI(t testing.TB, change ...func(*Settings)) *api {
	s := testSettings(t)
	for _, f := range change {
		f(&s)
	}
	p, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &api{t, p, p.API()}
}

func (a *api) do(method, target, body string) map[string]any {
	a.Helper()
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, httptest.NewRequest(method, "https://sh.api.weixin.qq.com"+target, strings.NewReader(body)))
	out := map[string]any{}
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		a.Fatalf("%s %s: %v", method, target, err)
	}
	return out
}

func (a *api) code(method, target, body string) string {
	a.Helper()
	if c, ok := a.do(method, target, body)["errcode"]; ok {
		return fmt.Sprint(c)
	}
	return "0"
}

const stableBody = `{"grant_type":"client_credential","appid":"wx0123456789abcdef","secret":"0123456789abcdef0123456789abcdef"}`

func (a *api) token() string {
	a.Helper()
	return fmt.Sprint(a.do(http.MethodPost, "/cgi-bin/stable_token", stableBody)["access_token"])
}

func (a *api) clock() *VirtualClock { return a.p.clock.(*VirtualClock) }

func (a *api) biz(index int) string {
	return fmt.Sprintf(`{"touser":%q,"template_id":%q,"data":{"thing1":{"value":"tea"}}}`, a.p.ids.encode(index), DefaultTemplate)
}

func TestTokens(t *testing.T) {
	a := newAPI(t)
	use := func(token string) string { return a.code("GET", "/cgi-bin/user/get?access_token="+token, "") }
	first := a.token()
	if a.token() != first {
		t.Error("a stable token changes while it is good")
	}
	a.clock().Advance(2*time.Hour - 4*time.Minute)
	second := a.token()
	if second == first || use(first) != "0" || use(second) != "0" {
		t.Error("old and new do not overlap")
	}
	a.clock().Advance(6 * time.Minute)
	if got := use(first); got != "40001" {
		t.Errorf("a retired token gives %s", got)
	}
	a.clock().Advance(3 * time.Hour)
	if got := use(second); got != "42001" {
		t.Errorf("an expired token gives %s", got)
	}
	third := a.token()
	a.p.RevokeTokens(0)
	for token, want := range map[string]string{"": "41001", "garbage": "40014", third: "40001"} {
		if got := use(token); got != want {
			t.Errorf("token %.4q gives %s, want %s", token, got, want)
		}
	}
	plain := fmt.Sprint(a.do("GET", "/cgi-bin/token?grant_type=client_credential&appid="+testAppID+"&secret=0123456789abcdef0123456789abcdef", "")["access_token"])
	if use(plain) != "0" || use(a.token()) != "0" {
		t.Error("the two kinds retire each other")
	}
}

func TestTokenRequests_AreChecked(t *testing.T) {
	a := newAPI(t)
	for body, want := range map[string]string{
		"":  "44002",
		"{": "47001",
		strings.Replace(stableBody, "client_credential", "x", 1):                                "40002",
		strings.Replace(stableBody, testAppID, "wx1", 1):                                        "40013",
		strings.Replace(stableBody, `"0123456789abcdef0123456789abcdef"`, `""`, 1):              "41004",
		strings.Replace(stableBody, `"0123456789abcdef0123456789abcdef"`, `"f"`, 1):             "40125",
		strings.Replace(stableBody, `}`, `,"force_refresh":true}`, 1):                           "0",
		strings.Replace(stableBody, `}`, `,"force_refresh":true,"comment":"again at once"}`, 1): "45011",
	} {
		if body != "" && strings.Contains(body, "again") {
			continue // map order; below
		}
		if got := a.code("POST", "/cgi-bin/stable_token", body); got != want {
			t.Errorf("%s gives %s, want %s", body, got, want)
		}
	}
	if got := a.code("POST", "/cgi-bin/stable_token", strings.Replace(stableBody, `}`, `,"force_refresh":true}`, 1)); got != "45011" {
		t.Errorf("a second forced refresh gives %s", got)
	}
	if got := a.code("GET", "/cgi-bin/stable_token", ""); got != "43002" {
		t.Errorf("GET gives %s", got)
	}
}

func TestBizSend(t *testing.T) {
	a := newAPI(t)
	at := "/cgi-bin/message/subscribe/bizsend?access_token=" + a.token()
	a.p.Follow(t.Context(), 0)
	a.p.Answer(t.Context(), 0, DefaultTemplate, true)
	for _, c := range []struct{ name, body, want string }{
		{"no body", "", "44002"},
		{"no JSON", "{", "47001"},
		{"a foreign openid", strings.Replace(a.biz(0), a.p.ids.encode(0), "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1), "40003"},
		{"an unknown template", strings.Replace(a.biz(0), DefaultTemplate, "T", 1), "40037"},
		{"nobody asked", a.biz(1), "43101"},
		{"an empty keyword", strings.Replace(a.biz(0), `"tea"`, `""`, 1), "47003"},
		{"an answer", a.biz(0), "0"},
		{"the answer is used up", a.biz(0), "43101"},
	} {
		if got := a.code("POST", at, c.body); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	a.p.Answer(t.Context(), 0, DefaultTemplate, true)
	a.p.Reject(t.Context(), 0, DefaultTemplate)
	if got := a.code("POST", at, a.biz(0)); got != "43101" {
		t.Errorf("after a rejection: %s", got)
	}
	a.p.Answer(t.Context(), 0, DefaultTemplate, true)
	a.p.Block(0)
	if got := a.code("POST", at, a.biz(0)); got != "0" {
		t.Errorf("to a person who blocks: %s", got)
	}
	if s := a.p.Summary(); s.Received != 1 || s.Accepted != 2 || s.Hosts["sh.api.weixin.qq.com"] == 0 {
		t.Errorf("%+v", s)
	}
}

func TestSentEvent_ReachesTheReceiver(t *testing.T) {
	taken := make(chan callback.Event, 1)
	s := testSettings(t)
	s.CallbackURL = "https://gateway.test/callback"
	keys, clock := s.Keys, s.Clock
	receiver := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		plain, _, err := keys.Open(r.URL.Query(), body, clock.Now())
		e, parseErr := callback.Parse(plain)
		if err == nil && parseErr == nil && e.Kind == callback.KindSent {
			taken <- e
		}
	})
	a := newAPI(t, func(set *Settings) { *set = s; set.Client = inProcess{receiver} })
	a.p.Answer(t.Context(), 0, DefaultTemplate, true)
	if got := a.code("POST", "/cgi-bin/message/subscribe/bizsend?access_token="+a.token(), a.biz(0)); got != "0" {
		t.Fatal(got)
	}
	e := <-taken
	if len(e.Subscriptions) != 1 || !e.Subscriptions[0].Accepted || e.Subscriptions[0].MsgID == 0 {
		t.Errorf("%+v", e.Subscriptions)
	}
}

func TestQuota_EndsAtMidnightInShanghai(t *testing.T) {
	a := newAPI(t, func(s *Settings) {
		s.Limits = map[string]Limit{"/cgi-bin/user/get": {PerMinute: 2, PerDay: 3}}
	})
	get := func() string { return a.code("GET", "/cgi-bin/user/get?access_token="+a.token(), "") }
	for i, want := range []string{"0", "0", "45011"} {
		if got := get(); got != want {
			t.Errorf("call %d: %s", i, got)
		}
	}
	a.clock().Advance(time.Minute)
	if first, second := get(), get(); first != "0" || second != "45009" {
		t.Errorf("%s, %s", first, second)
	}
	a.clock().Advance(14 * time.Hour) // 10:01 in Shanghai becomes 00:01
	if got := get(); got != "0" {
		t.Errorf("the next day: %s", got)
	}
}

func (a *api) mass(n int, key string) string {
	to := make([]string, n)
	for i := range n {
		to[i] = a.p.ids.encode(i)
	}
	b, err := json.Marshal(map[string]any{"touser": to, "msgtype": "text", "text": map[string]string{"content": "春茶"}, "clientmsgid": key})
	if err != nil {
		a.Fatal(err)
	}
	return string(b)
}

func TestMass(t *testing.T) {
	a := newAPI(t)
	for i := range 3 {
		a.p.Follow(t.Context(), i)
	}
	send := func(body string) map[string]any {
		return a.do("POST", "/cgi-bin/message/mass/send?access_token="+a.token(), body)
	}
	if got := fmt.Sprint(send(a.mass(1, "k"))["errcode"]); got != "40130" {
		t.Errorf("one recipient: %s", got)
	}
	if got := fmt.Sprint(send(a.mass(3, strings.Repeat("k", 65)))["errcode"]); got != "45067" {
		t.Errorf("a long key: %s", got)
	}
	first := send(a.mass(4, "k0")) // the fourth does not follow
	id := fmt.Sprint(first["msg_id"])
	status := func() string {
		return fmt.Sprint(a.do("POST", "/cgi-bin/message/mass/get?access_token="+a.token(), `{"msg_id":"`+id+`"}`)["msg_status"])
	}
	if s := status(); s != "SENDING" {
		t.Errorf("at once: %s", s)
	}
	a.clock().Advance(2 * time.Minute)
	if s := status(); s != "SEND_SUCCESS" {
		t.Errorf("later: %s", s)
	}
	again := send(a.mass(4, "k0"))
	if fmt.Sprint(again["errcode"]) != "45065" || fmt.Sprint(again["msg_id"]) != id {
		t.Errorf("the same key: %v", again)
	}
	for i := range 6 {
		send(a.mass(3, fmt.Sprint("month", i)))
	}
	if n := a.p.Summary().Received; n != 3*massPerMonth {
		t.Errorf("received %d, a month allows %d each", n, massPerMonth)
	}
	a.clock().Advance(31 * 24 * time.Hour)
	send(a.mass(3, "next month"))
	if n := a.p.Summary().Received; n != 3*massPerMonth+3 {
		t.Errorf("the next month: %d", n)
	}
}

func TestMassSendAll_OnceADayFourTimesAMonth(t *testing.T) {
	a := newAPI(t)
	a.p.Follow(t.Context(), 0)
	accepted := 0
	for day := range 6 {
		for n := range 2 {
			body := fmt.Sprintf(`{"filter":{"is_to_all":true},"msgtype":"text","text":{"content":"tea"},"clientmsgid":"d%d-%d"}`, day, n)
			switch got := a.code("POST", "/cgi-bin/message/mass/sendall?access_token="+a.token(), body); got {
			case "0":
				accepted++
			case "45028":
			default:
				t.Errorf("day %d: %s", day, got)
			}
		}
		a.clock().Advance(24 * time.Hour)
	}
	if accepted != 4 {
		t.Errorf("%d accepted", accepted)
	}
}

func TestUnknownPath(t *testing.T) {
	a := newAPI(t)
	if got := a.code("GET", "/cgi-bin/no/such", ""); got != "40066" {
		t.Error(got)
	}
}

func TestFaults(t *testing.T) {
	a := newAPI(t)
	a.p.Answer(t.Context(), 0, DefaultTemplate, true)
	if err := a.p.SetFaults([]Rule{{Path: "/cgi-bin/message/*/bizsend", From: 2, Times: 1, Action: "code", Code: 45009}}); err != nil {
		t.Fatal(err)
	}
	at := "/cgi-bin/message/subscribe/bizsend?access_token=" + a.token()
	for i, want := range []string{"0", "45009", "43101"} {
		if got := a.code("POST", at, a.biz(0)); got != want {
			t.Errorf("call %d: %s, want %s", i+1, got, want)
		}
	}
	for name, rule := range map[string]Rule{"an unknown action": {Action: "explode"}, "a bad pattern": {Path: "[", Action: "lost"}} {
		if err := a.p.SetFaults([]Rule{rule}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestControl(t *testing.T) {
	p, _ := newStory(t)
	h := p.Control(t.Context(), consentURL)
	call := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	if w := call("POST", "/twin/followers", `{"followers":`); w.Code != http.StatusBadRequest {
		t.Errorf("half a scenario: %d", w.Code)
	}
	if w := call("POST", "/twin/followers", `{"folowers":5}`); w.Code != http.StatusBadRequest {
		t.Errorf("a misspelt key: %d", w.Code)
	}
	if w := call("POST", "/twin/faults", `[{"action":"lost","probability":0.5}]`); w.Code != http.StatusNoContent {
		t.Errorf("faults: %d %s", w.Code, w.Body)
	}
	if w := call("DELETE", "/twin/faults", ""); w.Code != http.StatusNoContent {
		t.Errorf("no faults: %d", w.Code)
	}
	if w := call("POST", "/twin/tokens/revoke", ""); w.Code != http.StatusNoContent {
		t.Errorf("revoke: %d", w.Code)
	}
	var e Expectation
	if err := json.Unmarshal(call("POST", "/twin/expected", "").Body.Bytes(), &e); err != nil || e.Followers != 2000 {
		t.Errorf("%+v, %v", e, err)
	}
	p.update(func(time.Time) { p.people.receive(1, DefaultTemplate, "c1") })
	body := call("GET", "/twin/audit", "").Body
	var line Received
	if err := json.NewDecoder(bytes.NewReader(body.Bytes())).Decode(&line); err != nil || line.OpenID != p.ids.encode(1) ||
		line.Received != 1 || line.ByTemplate[DefaultTemplate] != 1 || line.ByContent["c1"] != 1 || strings.Count(body.String(), "\n") != 1 {
		t.Errorf("%v, %v", line, err)
	}
	if n := strings.Count(call("GET", "/twin/audit?all=1", "").Body.String(), "\n"); n != 2 {
		t.Errorf("%d lines for everybody", n)
	}
	var s Summary
	if err := json.Unmarshal(call("GET", "/twin/summary", "").Body.Bytes(), &s); err != nil || s.Received != 1 || s.Scenario.State != StateIdle {
		t.Errorf("%+v, %v", s, err)
	}
}

func BenchmarkBizSend(b *testing.B) {
	a := newAPI(b)
	at := "https://sh.api.weixin.qq.com/cgi-bin/message/subscribe/bizsend?access_token=" + a.token()
	const crowd = 100_000
	bodies := make([]string, 1000)
	for i := range crowd {
		a.p.update(func(now time.Time) {
			a.p.people.follow(i, now)
			a.p.people.addGrant(i, DefaultTemplate, 60_000)
		})
	}
	for i := range bodies {
		bodies[i] = a.biz(i * (crowd / len(bodies)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w := httptest.NewRecorder()
		a.h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, at, strings.NewReader(bodies[i%len(bodies)])))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
}
