package gateway

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

const guardianCanary = "oCANARYguardianCANARY0000002"

// fakeLinks is the part of fakeIntake about guardians: one minor, any number of links.
type fakeLinks struct {
	minor    string
	secret   string
	answered []*storev1.AnswerGuardianRequest
}

func (f *fakeIntake) AskGuardian(_ context.Context, r *storev1.AskGuardianRequest) (*storev1.AskGuardianResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.choices[r.GetOpenId()].GetAgeBand() == "Adult" {
		return nil, connect.NewError(connect.CodeFailedPrecondition, store.ErrGuardianNeedless)
	}
	f.links.minor, f.links.secret = r.GetOpenId(), string(r.GetSecret())
	return &storev1.AskGuardianResponse{}, nil
}

func (f *fakeLinks) open(secret []byte, who string) error {
	switch {
	case string(secret) != f.secret:
		return connect.NewError(connect.CodeNotFound, store.ErrGuardianLink)
	case who == f.minor:
		return connect.NewError(connect.CodeFailedPrecondition, store.ErrGuardianSelf)
	}
	return nil
}

func (f *fakeIntake) GetGuardianCase(_ context.Context, r *storev1.GetGuardianCaseRequest) (*storev1.GetGuardianCaseResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.links.open(r.GetSecret(), r.GetOpenId()); err != nil {
		return nil, err
	}
	c := f.choices[f.links.minor]
	out := &storev1.GetGuardianCaseResponse{Notice: f.notice, AgeBand: c.GetAgeBand(), Choices: c.GetChoices(), GuardianState: "Pending"}
	if n := len(f.links.answered); n > 0 {
		out.GuardianState = f.links.answered[n-1].GetState()
	}
	return out, nil
}

func (f *fakeIntake) AnswerGuardian(_ context.Context, r *storev1.AnswerGuardianRequest) (*storev1.AnswerGuardianResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.links.open(r.GetSecret(), r.GetOpenId()); err != nil {
		return nil, err
	}
	f.links.answered = append(f.links.answered, r)
	return &storev1.AnswerGuardianResponse{Acknowledged: !f.unquiet}, nil
}

var linkHref = regexp.MustCompile(`href="(https?://[^"]+/consent/guardian/[^"]+)"`)

// asked is a rig in which a minor agreed to marketing and made a link; it returns the link's
// path. The next browser is nobody's yet.
func asked(t *testing.T) (*rig, string) {
	t.Helper()
	r := newRig(t)
	r.login()
	form := r.form("DirectMarketing")
	form.Set("age", "8to13")
	done := r.do("/consent", form)
	wantStatus(t, done, http.StatusSeeOther)
	page := r.do(done.Header().Get("Location"), nil).Body.String()
	if !strings.Contains(page, "还差一步") {
		t.Fatalf("the minor is not told that a guardian is needed: %s", page)
	}
	w := r.do("/consent/guardian", url.Values{"csrf": {csrfField.FindStringSubmatch(page)[1]}})
	wantStatus(t, w, http.StatusOK)
	m := linkHref.FindStringSubmatch(w.Body.String())
	if m == nil || !strings.Contains(w.Body.String(), "<svg") {
		t.Fatalf("no link: %s", w.Body)
	}
	link, err := url.Parse(m[1])
	if err != nil || link.Host != host {
		t.Fatal(m[1], err)
	}
	return r, link.Path
}

// opens lets somebody else open a link in their own WeChat, and returns the page.
func (r *rig) opens(who, path string) string {
	r.t.Helper()
	id, err := subject.NewOpenID(who)
	if err != nil {
		r.t.Fatal(err)
	}
	r.platform.who, r.cookies = id, map[string]string{}
	w := r.do(r.back(r.do(path, nil)).RequestURI(), nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != path {
		r.t.Fatalf("does not come back to the link: %d %s", w.Code, w.Header().Get("Location"))
	}
	return r.do(path, nil).Body.String()
}

// says posts an answer.
func (r *rig) says(path, page string, fields url.Values) string {
	r.t.Helper()
	fields.Set("csrf", csrfField.FindStringSubmatch(page)[1])
	fields.Set("revision", "3")
	w := r.do(path, fields)
	if w.Code != http.StatusSeeOther {
		return w.Body.String()
	}
	return r.do(w.Header().Get("Location"), nil).Body.String()
}

func TestGuardian_ConfirmsAndTakesBack(t *testing.T) {
	r, path := asked(t)
	page := r.opens(guardianCanary, path)
	for _, part := range []string{"8 至 13 周岁", "营销推送", "父母", "name=\"confirm\"", "name=\"refuse\""} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(page, "个性化推荐") {
		t.Error("the page shows what the minor did not agree to")
	}
	if done := r.says(path, page, url.Values{"confirm": {"1"}, "relation": {"Parent"}, "adult": {"1"}}); !strings.Contains(done, "您的同意已经记录") {
		t.Errorf("not confirmed: %s", done)
	}
	page = r.do(path, nil).Body.String()
	if !strings.Contains(page, "name=\"withdraw\"") || strings.Contains(page, "name=\"confirm\"") {
		t.Errorf("no way back: %s", page)
	}
	if done := r.says(path, page, url.Values{"withdraw": {"1"}}); !strings.Contains(done, "不会再依据这些同意") {
		t.Errorf("not taken back: %s", done)
	}
	var states []string
	for _, a := range r.intake.links.answered {
		states = append(states, a.GetState()+" "+a.GetRelation())
	}
	if got := strings.Join(states, ", "); got != "Verified Parent, Withdrawn " {
		t.Errorf("answers: %s", got)
	}
	for _, secret := range []string{guardianCanary, canary, strings.TrimPrefix(path, guardianPath)} {
		if strings.Contains(r.log.String(), secret) {
			t.Error("the log holds an identifier or the link")
		}
	}
}

func TestGuardian_WhatIsNoClearYesIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		fields url.Values
		state  string // empty: nothing is recorded
	}{
		"without a relation":         {url.Values{"confirm": {"1"}, "adult": {"1"}}, ""},
		"with a relation of its own": {url.Values{"confirm": {"1"}, "adult": {"1"}, "relation": {"Boss"}}, ""},
		"without being an adult":     {url.Values{"confirm": {"1"}, "relation": {"Parent"}}, ""},
		"both buttons":               {url.Values{"confirm": {"1"}, "refuse": {"1"}, "relation": {"Parent"}, "adult": {"1"}}, "Refused"},
		"no button":                  {url.Values{"relation": {"Parent"}, "adult": {"1"}}, "Refused"},
		"refusing needs no more":     {url.Values{"refuse": {"1"}}, "Refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r, path := asked(t)
			r.says(path, r.opens(guardianCanary, path), c.fields)
			got := ""
			for _, a := range r.intake.links.answered {
				got = a.GetState()
			}
			if got != c.state {
				t.Errorf("recorded %q, want %q", got, c.state)
			}
		})
	}
}

func TestGuardian_WhoMayNotSpeak(t *testing.T) {
	r, path := asked(t)
	if page := r.opens(canary, path); !strings.Contains(page, "请由监护人打开") {
		t.Errorf("the minor's own account: %s", page)
	}
	if page := r.opens(guardianCanary, path[:len(path)-4]+"AAAA"); !strings.Contains(page, "链接无效") {
		t.Errorf("another link: %s", page)
	}
	wantStatus(t, r.do("/consent/guardian/short", nil), http.StatusNotFound)
	page := r.opens(guardianCanary, path)
	forged := url.Values{"csrf": {"x"}, "confirm": {"1"}, "relation": {"Parent"}, "adult": {"1"}, "revision": {"3"}}
	wantStatus(t, r.do(path, forged), http.StatusForbidden)
	r.cookies = map[string]string{}
	forged.Set("csrf", csrfField.FindStringSubmatch(page)[1])
	wantStatus(t, r.do(path, forged), http.StatusForbidden)
	if n := len(r.intake.links.answered); n > 0 {
		t.Errorf("%d answers recorded", n)
	}
}

// FuzzGuardianLink opens made-up links and posts made-up answers to them and to a real one:
// nothing is recorded by another link, nor as a yes that is not a clear one.
func FuzzGuardianLink(f *testing.F) {
	f.Add("", "confirm=1&relation=Parent&adult=1&csrf=x&revision=3", "en")
	f.Add("", "confirm=1&withdraw=&relation=Parent&adult=1&csrf=x&lang=tlh", "zh-CN")
	f.Add("", "refuse=1&csrf=x&revision=-1", "")
	f.Add("short", "withdraw=1&csrf=x", "%")
	f.Add(strings.Repeat("A", 43), "confirm=1&relation=Parent&adult=1&csrf=x", "en")
	f.Add("../../consent\n", "csrf=x", "en&lang=zh-CN")
	f.Add("/../../..", "csrf=x", "") // the router cleans it
	f.Add("\n", "confirm=1&relation=Parent&adult=1&csrf=x&revision=3", "")
	f.Fuzz(func(t *testing.T, tail, body, lang string) {
		r, path := asked(t)
		page := r.opens(guardianCanary, path)
		target := (&url.URL{Path: path + tail, RawQuery: url.Values{"lang": {lang}}.Encode()}).RequestURI() // no tail: the real link
		if strings.HasPrefix(tail, "A") || strings.Contains(tail, "/") {
			target = (&url.URL{Path: guardianPath + tail}).RequestURI()
		}
		real := target == path || strings.HasPrefix(target, path+"?")
		if w := r.do(target, nil); (w.Code == http.StatusOK) != real && w.Code < 300 {
			t.Fatalf("%s shows a case: %d", target, w.Code)
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if form.Get("csrf") == "x" { // let some of them past the token
			form.Set("csrf", csrfField.FindStringSubmatch(page)[1])
		}
		w := r.do(target, form)
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("status %d", w.Code)
		}
		if to := w.Header().Get("Location"); to != "" && (to[0] != '/' || strings.HasPrefix(to, "//")) { // to another host
			t.Fatalf("leads to %q", to)
		}
		for _, a := range r.intake.links.answered {
			clear := form.Has("confirm") && !form.Has("refuse") && !form.Has("withdraw") && form.Get("adult") == "1" && a.GetRelation() != ""
			switch {
			case !real || string(a.GetSecret()) != r.intake.links.secret || a.GetOpenId() != guardianCanary:
				t.Fatalf("%s: recorded by another link, or of another person", target)
			case a.GetState() == "Verified" && !clear:
				t.Fatalf("%q is no yes", body)
			case a.GetLanguage() != langZh && a.GetLanguage() != langEn:
				t.Fatalf("language %q", a.GetLanguage())
			}
		}
		for _, secret := range []string{"CANARY", strings.TrimPrefix(path, guardianPath)} {
			if strings.Contains(r.log.String(), secret) {
				t.Fatal("the log holds an identifier or the link")
			}
		}
	})
}
