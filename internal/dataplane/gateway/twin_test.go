package gateway

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
	"github.com/maodian-dev/maodian/internal/wechat/twin/twintest"
)

// TestWithTheTwin lets a small population live through the gateway: real encryption, real
// authorisation, a real browser's requests.
func TestWithTheTwin(t *testing.T) {
	const followers = 20
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer web.Close()
	clock := twin.NewVirtualClock(start)
	platform := twintest.Start(t, twin.Settings{CallbackURL: web.URL + "/wechat/callback", Clock: clock, Seed: 7, OpenPlatform: "acme"})
	account, err := wechat.New(wechat.Config{
		Name: "brand", AppID: twintest.AppID, AppSecret: subject.NewSecret(twintest.AppSecret), Hosts: []string{"sh.api.weixin.qq.com"},
		RootCAs: platform.RootCAs, DialContext: platform.DialContext, Clock: clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer account.Close()
	intake := newFakeIntake()
	var log bytes.Buffer
	handler, err = NewHandler(Options{
		Account: "brand", AppID: twintest.AppID, Credentials: credentials(), WithdrawKeywords: []string{"退订"},
		Intake: intake, Platform: account, Log: slog.New(slog.NewJSONHandler(&log, nil)), Clock: clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	scenario := twin.DefaultScenario(7, twintest.AppID, followers)
	if err := platform.Play(t.Context(), scenario, web.URL+"/consent"); err != nil {
		t.Fatalf("%v; log %s", err, &log)
	}
	people, err := scenario.People()
	if err != nil {
		t.Fatal(err)
	}
	byPerson, withdrawn := recordedByPerson(t, intake)
	for _, p := range people {
		got := byPerson[p.OpenID]
		granted := 0
		for _, c := range got.GetChoices() {
			if c.GetGranted() {
				granted++
			}
		}
		if (got != nil) != (p.Role != twin.RoleSilent) || granted != len(p.Grants) || (got != nil && len(got.GetChoices()) != 3) {
			t.Errorf("a %s person: %d choices, %d granted, want %d", p.Role, len(got.GetChoices()), granted, len(p.Grants))
		}
		if want := map[bool]string{true: "14to17", false: "Adult"}[p.Role == twin.RoleMinor]; got != nil && got.GetAgeBand() != want {
			t.Errorf("a %s person: age %q", p.Role, got.GetAgeBand())
		}
		if got != nil && (len(got.GetUnionId()) != 28 || got.GetUnionId() == got.GetOpenId()) {
			t.Errorf("a %s person: unionid of %d characters", p.Role, len(got.GetUnionId()))
		}
		if withdrawn[p.OpenID] != (p.Role == twin.RoleWithdraw) {
			t.Errorf("a %s person: withdrawn %v", p.Role, withdrawn[p.OpenID])
		}
	}
	if strings.Contains(log.String(), "openid") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("log %s", &log)
	}
}

func recordedByPerson(t *testing.T, f *fakeIntake) (map[subject.OpenID]*storev1.RecordChoicesRequest, map[subject.OpenID]bool) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	who := func(raw string) subject.OpenID {
		o, err := subject.NewOpenID(raw)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	chosen, withdrawn := map[subject.OpenID]*storev1.RecordChoicesRequest{}, map[subject.OpenID]bool{}
	for raw, c := range f.choices {
		chosen[who(raw)] = c
	}
	for _, e := range f.events {
		if e.GetWithdraw() {
			withdrawn[who(e.GetOpenId())] = true
		}
	}
	return chosen, withdrawn
}
