package gateway

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat"
)

func choices(direct, personal, group bool) []*storev1.Choice {
	return []*storev1.Choice{
		{Purpose: "DirectMarketing", Granted: direct},
		{Purpose: "PersonalizedMarketing", Granted: personal},
		{Purpose: "GroupReporting", Recipient: "acme-group-crm", Granted: group},
	}
}

func TestConsent_EveryShownItemIsAChoice(t *testing.T) {
	for name, c := range map[string]struct {
		change func(url.Values)
		want   *storev1.RecordChoicesRequest
	}{
		"all boxes": {
			func(f url.Values) {
				f["grant"] = []string{"DirectMarketing", "PersonalizedMarketing", "GroupReporting@acme-group-crm"}
			},
			&storev1.RecordChoicesRequest{AgeBand: "Adult", Language: "zh-CN", Choices: choices(true, true, true)},
		},
		"one box, in English": {
			func(f url.Values) { f["grant"] = []string{"DirectMarketing"}; f.Set("lang", "en") },
			&storev1.RecordChoicesRequest{AgeBand: "Adult", Language: "en", Choices: choices(true, false, false)},
		},
		"no box": {
			func(url.Values) {},
			&storev1.RecordChoicesRequest{AgeBand: "Adult", Language: "zh-CN", Choices: choices(false, false, false)},
		},
		"a box that was not shown": {
			func(f url.Values) { f["grant"] = []string{"GroupReporting", "DirectMarketing@acme-group-crm"} },
			&storev1.RecordChoicesRequest{AgeBand: "Adult", Language: "zh-CN", Choices: choices(false, false, false)},
		},
		"a minor": {
			func(f url.Values) { f.Set("age", "14to17") },
			&storev1.RecordChoicesRequest{AgeBand: "14to17", Language: "zh-CN", Choices: choices(false, false, false)},
		},
		"a child": {
			func(f url.Values) { f.Set("age", "under8") },
			&storev1.RecordChoicesRequest{AgeBand: "Under8", Language: "zh-CN", Choices: choices(false, false, false)},
		},
		"no age told": {
			func(f url.Values) { f.Set("age", "unknown") },
			&storev1.RecordChoicesRequest{AgeBand: "", Language: "zh-CN", Choices: choices(false, false, false)},
		},
		"the refuse button, whatever is ticked": {
			func(f url.Values) {
				f.Set("refuse", "1")
				f["grant"] = []string{"DirectMarketing"}
				f.Del("age")
				f.Del("agree")
			},
			&storev1.RecordChoicesRequest{AgeBand: "", Language: "zh-CN", Choices: choices(false, false, false)},
		},
		"a language that there is not": {
			func(f url.Values) { f.Set("lang", "tlh") },
			&storev1.RecordChoicesRequest{AgeBand: "Adult", Language: "zh-CN", Choices: choices(false, false, false)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.login()
			form := r.form()
			c.change(form)
			w := r.do("/consent", form)
			wantStatus(t, w, http.StatusSeeOther)
			if to := w.Header().Get("Location"); !strings.HasPrefix(to, "/consent/done") {
				t.Errorf("leads to %s", to)
			}
			wantStatus(t, r.do(w.Header().Get("Location"), nil), http.StatusOK)
			c.want.Account, c.want.OpenId, c.want.NoticeRevision = "brand", canary, 3
			if diff := cmp.Diff([]*storev1.RecordChoicesRequest{c.want}, r.intake.recorded, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestConsent_TellsTheStoreTheUnionID: it travels in the sealed session, and is not in the page.
func TestConsent_TellsTheStoreTheUnionID(t *testing.T) {
	const union = "oCANARYunionCANARYunion00001"
	r := newRig(t)
	var err error
	if r.platform.union, err = subject.NewUnionID(union); err != nil {
		t.Fatal(err)
	}
	r.login()
	form := r.form("DirectMarketing")
	if page := r.do("/consent", nil).Body.String(); strings.Contains(page, union) {
		t.Error("the page holds it")
	}
	wantStatus(t, r.do("/consent", form), http.StatusSeeOther)
	wantStatus(t, r.do("/consent", form), http.StatusSeeOther) // the session is written anew after the first answer
	for i, c := range r.intake.recorded {
		if c.GetUnionId() != union || c.GetOpenId() != canary {
			t.Errorf("answer %d names %d characters", i, len(c.GetUnionId()))
		}
	}
	if strings.Contains(r.log.String(), union) {
		t.Error("the log holds it")
	}
}

func TestConsent_NothingIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(r *rig, form url.Values)
		want    int
		says    string
	}{
		"without a token":          {func(_ *rig, f url.Values) { f.Del("csrf") }, 403, "表单无效"},
		"with another session's":   {func(r *rig, _ url.Values) { delete(r.cookies, sessionCookie); r.login() }, 403, "表单无效"},
		"from another site":        {func(r *rig, _ url.Values) { r.header.Set("Sec-Fetch-Site", "cross-site") }, 403, "表单无效"},
		"without a session":        {func(r *rig, _ url.Values) { delete(r.cookies, sessionCookie) }, 403, "过期"},
		"with a session made up":   {func(r *rig, _ url.Values) { r.cookies[sessionCookie] = "AAAA" + r.cookies[sessionCookie] }, 403, "过期"},
		"with the other cookie":    {func(r *rig, _ url.Values) { r.do("/consent", nil); r.cookies[sessionCookie] = "x" }, 403, "过期"},
		"after the session's end":  {func(r *rig, _ url.Values) { r.now = r.now.Add(sessionLife) }, 403, "过期"},
		"as another kind of body":  {func(r *rig, _ url.Values) { r.header.Set("Content-Type", "text/plain") }, 403, "表单无效"},
		"as too large a body":      {func(_ *rig, f url.Values) { f.Set("x", strings.Repeat("x", maxForm)) }, 400, "表单无效"},
		"without an age":           {func(_ *rig, f url.Values) { f.Del("age") }, 400, "年龄段"},
		"with an age that is none": {func(_ *rig, f url.Values) { f.Set("age", "99") }, 400, "年龄段"},
		"for another revision":     {func(r *rig, _ url.Values) { r.intake.notice.Revision = 4 }, 409, `name="revision" value="4"`},
		"without a revision":       {func(_ *rig, f url.Values) { f.Del("revision") }, 409, "重新选择"},
		"when the store is away":   {func(r *rig, _ url.Values) { r.intake.err = errStore }, 503, "没有记录"},
		"when there is no policy":  {func(r *rig, _ url.Values) { r.intake.err = word("PolicyMissing: none") }, 503, "尚未发布"},
		"when there is no notice":  {func(r *rig, _ url.Values) { r.intake.notice = nil }, 503, "尚未发布"},
		"when the notice asks for nothing": {func(r *rig, _ url.Values) {
			r.intake.notice.Purposes, r.intake.notice.Recipients = nil, nil
		}, 503, "尚未发布"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.login()
			form := r.form("DirectMarketing")
			c.prepare(r, form)
			w := r.do("/consent", form)
			wantStatus(t, w, c.want)
			if !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("the page does not say %q: %s", c.says, w.Body)
			}
			if len(r.intake.recorded) != 0 {
				t.Error("answers were recorded")
			}
		})
	}
}

func word(s string) error { return connect.NewError(connect.CodeFailedPrecondition, errors.New(s)) }

func TestConsent_EarlierAnswers(t *testing.T) {
	r := newRig(t)
	r.login()
	if page := r.do("/consent", nil).Body.String(); strings.Contains(page, " checked") {
		t.Fatal("something is ticked in advance")
	}
	r.do("/consent", r.form("DirectMarketing", "GroupReporting@acme-group-crm"))
	page := r.do("/consent", nil).Body.String()
	for box, ticked := range map[string]bool{
		`value="DirectMarketing"`: true, `value="PersonalizedMarketing"`: false, `value="GroupReporting@acme-group-crm"`: true, `value="adult" required`: true, `value="unknown" required`: false,
	} {
		if !strings.Contains(page, box) || strings.Contains(page, box+" checked") != ticked {
			t.Errorf("%s: ticked must be %v", box, ticked)
		}
	}
	t.Run("a refusal without an age keeps the one before", func(t *testing.T) {
		form := r.form()
		form.Del("age")
		form.Set("refuse", "1")
		r.do("/consent", form)
		if got := r.intake.recorded[len(r.intake.recorded)-1].GetAgeBand(); got != "Adult" {
			t.Errorf("age %q", got)
		}
	})
	t.Run("a notice that changed meanwhile is not ticked", func(t *testing.T) {
		form := r.form("DirectMarketing")
		r.do("/consent", form)
		r.intake.notice.Revision = 4
		w := r.do("/consent", form)
		wantStatus(t, w, http.StatusConflict)
		if strings.Contains(w.Body.String(), `value="DirectMarketing" checked`) {
			t.Error("the tick was for another text")
		}
	})
}

func TestConsent_LastPageTellsOfWithdrawals(t *testing.T) {
	for name, c := range map[string]struct {
		grants  []string
		unquiet bool
		want    string
	}{
		"nothing withdrawn":            {[]string{"DirectMarketing", "PersonalizedMarketing"}, false, "已保存，谢谢"},
		"withdrawn, and it holds":      {nil, false, "撤回已生效"},
		"withdrawn, and one is on way": {nil, true, "撤回已记录"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.login()
			wantStatus(t, r.do("/consent/done", nil), http.StatusSeeOther)
			r.do("/consent", r.form("DirectMarketing"))
			r.intake.unquiet = c.unquiet
			w := r.do("/consent", r.form(c.grants...))
			if w.Header().Get("Location") != "/consent/done" {
				t.Errorf("the address tells something: %s", w.Header().Get("Location"))
			}
			page := r.do("/consent/done", nil).Body.String()
			if !strings.Contains(page, c.want) || !strings.Contains(page, `href="/consent?lang=zh-CN"`) {
				t.Errorf("page %s", page)
			}
		})
	}
}

func TestConsent_WayThroughWeChat(t *testing.T) {
	t.Run("the address to come back to", func(t *testing.T) {
		r := newRig(t)
		if got := r.back(r.do("/consent", nil)); got.Scheme != "http" || got.Host != host || got.Path != "/consent" {
			t.Errorf("%s", got)
		}
		r.header.Set("X-Forwarded-Proto", "https")
		w := r.do("/consent", nil)
		if got := r.back(w); got.Scheme != "https" {
			t.Errorf("%s", got)
		}
		if c := w.Result().Cookies()[0]; !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %+v", c)
		}
	})
	t.Run("the language survives", func(t *testing.T) {
		r := newRig(t)
		w := r.do(r.back(r.do("/consent?lang=en", nil)).RequestURI(), nil)
		if w.Header().Get("Location") != "/consent?lang=en" {
			t.Errorf("%v", w.Header())
		}
	})
	t.Run("a state of somebody else", func(t *testing.T) {
		r := newRig(t)
		r.do("/consent", nil)
		wantStatus(t, r.do("/consent?code=c&state="+strings.Repeat("0", 32), nil), http.StatusForbidden)
		if r.cookies[sessionCookie] != "" {
			t.Error("a session began")
		}
	})
	t.Run("a state works once", func(t *testing.T) {
		r := newRig(t)
		back := r.back(r.do("/consent", nil)).RequestURI()
		r.do(back, nil)
		delete(r.cookies, sessionCookie)
		wantStatus(t, r.do(back, nil), http.StatusForbidden)
	})
	t.Run("a state ends", func(t *testing.T) {
		r := newRig(t)
		back := r.back(r.do("/consent", nil)).RequestURI()
		r.now = r.now.Add(stateLife)
		wantStatus(t, r.do(back, nil), http.StatusForbidden)
	})
	t.Run("loaded twice, the session stays", func(t *testing.T) {
		r := newRig(t)
		back := r.back(r.do("/consent", nil)).RequestURI()
		r.do(back, nil)
		before := r.cookies[sessionCookie]
		if w := r.do(back, nil); w.Code != http.StatusSeeOther || r.cookies[sessionCookie] != before {
			t.Errorf("%d", w.Code)
		}
	})
	t.Run("a virtual person is asked to use the full service", func(t *testing.T) {
		r := newRig(t)
		r.platform.snapshot = true
		w := r.do(r.back(r.do("/consent", nil)).RequestURI(), nil)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "使用完整服务") || r.cookies[sessionCookie] != "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("any replica knows the session", func(t *testing.T) {
		r := newRig(t)
		r.login()
		form := r.form("DirectMarketing")
		r.handler = r.replica()
		wantStatus(t, r.do("/consent", form), http.StatusSeeOther)
	})
}

func TestConsent_CodeThatCannotBeExchanged(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"used before: look at the session": {&wechat.Error{Call: "x", Code: codeUsed, Class: wechat.Program}, 303},
		"not valid":                        {&wechat.Error{Call: "x", Code: 40029, Class: wechat.Program}, 403},
		"a wrong secret":                   {&wechat.Error{Call: "x", Code: 40125, Class: wechat.Human}, 503},
		"WeChat away":                      {&wechat.Error{Call: "x", Class: wechat.Retry, Reason: wechat.ReasonConnect}, 503},
	} {
		r := newRig(t)
		r.platform.err = c.err
		if w := r.do(r.back(r.do("/consent", nil)).RequestURI(), nil); w.Code != c.want || r.cookies[sessionCookie] != "" {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// TestNothingPersonalLeaks walks every path with a known identifier, and looks for it in
// everything but the calls to the store.
func TestNothingPersonalLeaks(t *testing.T) {
	r := newRig(t)
	var bodies strings.Builder
	keep := func(body string) { bodies.WriteString(body) }
	walk := func() {
		keep(r.do("/consent", nil).Body.String())
		for _, lang := range []string{"zh-CN", "en"} {
			keep(r.do("/consent?lang="+lang, nil).Body.String())
		}
		keep(r.do("/consent/done", nil).Body.String())
		keep(r.do("/consent", url.Values{"csrf": {"x"}}).Body.String())
		keep(r.push(event("subscribe", "")).Body.String())
		keep(r.push(message("<MsgType>text</MsgType><Content>退订</Content><MsgId>7</MsgId>")).Body.String())
		keep(r.push(event("user_authorization_revoke", "")).Body.String())
		keep(r.push("<xml><FromUserName>" + canary + "</FromUserName></xml>").Body.String())
		keep(r.raw("openid="+canary, []byte(canary)).Body.String())
	}
	r.login()
	keep(r.do("/consent", r.form("DirectMarketing")).Body.String())
	walk()
	r.intake.err = errStore
	walk()
	r.platform.err = errors.New(canary)
	delete(r.cookies, sessionCookie)
	keep(r.do(r.back(r.do("/consent", nil)).RequestURI(), nil).Body.String())
	if r.log.Len() == 0 || r.seen.Len() == 0 || bodies.Len() == 0 {
		t.Fatal("nothing was looked at")
	}
	forms := []string{"CANARY", base64.RawURLEncoding.EncodeToString([]byte(canary))[:24], hex.EncodeToString([]byte(canary))}
	for where, text := range map[string]string{"log": r.log.String(), "headers": r.seen.String(), "bodies": bodies.String()} {
		for _, f := range forms {
			if strings.Contains(text, f) {
				t.Errorf("the identifier is in the %s", where)
			}
		}
	}
	for name, value := range maps.All(r.cookies) {
		raw, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil || strings.Contains(string(raw), "CANARY") {
			t.Errorf("cookie %s is not sealed", name)
		}
	}
}

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/consent", "/consent/done", "/wechat/callback", "/", "/consent?code=x"} {
		h := r.do(path, nil).Header()
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}

// TestConsent_TheAgeOutlivesTheText: a notice that changed under the reader takes their ticks,
// which were for another text, and not the age that they told.
func TestConsent_TheAgeOutlivesTheText(t *testing.T) {
	r := newRig(t)
	r.login()
	form := r.form("DirectMarketing")
	form.Set("age", "14to17")
	r.intake.notice.Revision = 4
	w := r.do("/consent", form)
	wantStatus(t, w, http.StatusConflict)
	if got := strings.Count(w.Body.String(), " checked"); got != 1 || !strings.Contains(w.Body.String(), `value="14to17" required checked`) {
		t.Errorf("%d boxes are ticked: %s", got, w.Body)
	}
	form.Set("age", "99")
	if w := r.do("/consent", form); strings.Contains(w.Body.String(), " checked") {
		t.Error("an age that is none is ticked")
	}
}

// TestConsent_SaysWhoGetsNoScoredMarketing beside the box, in both languages, and only there.
func TestConsent_SaysWhoGetsNoScoredMarketing(t *testing.T) {
	r := newRig(t)
	r.login()
	for lang, words := range map[string]string{langZh: "未满 18 周岁或未说明年龄的", langEn: "people who do not tell their age"} {
		if n := strings.Count(r.do("/consent?lang="+lang, nil).Body.String(), words); n != 1 {
			t.Errorf("%s: said %d times", lang, n)
		}
	}
	r.intake.notice.Purposes = r.intake.notice.Purposes[:1]
	if page := r.do("/consent", nil).Body.String(); strings.Contains(page, "未说明年龄的") {
		t.Error("said of a notice that asks for no scored marketing")
	}
}

// TestConsent_TellsTheStoragePlaceInTheReadersLanguage, where the notice does.
func TestConsent_TellsTheStoragePlaceInTheReadersLanguage(t *testing.T) {
	r := newRig(t)
	r.login()
	for _, c := range []struct {
		text map[string]string
		want map[string]string
	}{
		{nil, map[string]string{langZh: "Mainland China", langEn: "Mainland China"}},
		{map[string]string{"zh-CN": "中国大陆杭州", "en": "Hangzhou"}, map[string]string{langZh: "中国大陆杭州", langEn: "Hangzhou"}},
		{map[string]string{"zh-CN": "中国大陆杭州"}, map[string]string{langZh: "中国大陆杭州", langEn: "中国大陆杭州"}},
	} {
		r.intake.notice.StoragePlaceText = c.text
		for lang, place := range c.want {
			if page := r.do("/consent?lang="+lang, nil).Body.String(); !strings.Contains(page, "<dd>"+place+"</dd>") {
				t.Errorf("%s of %v does not say %q", lang, c.text, place)
			}
		}
	}
}

func FuzzConsentForm(f *testing.F) {
	f.Add("csrf=x&revision=3&age=adult&grant=DirectMarketing&lang=en")
	f.Add("refuse=1&grant=GroupReporting%40acme-group-crm")
	f.Add("revision=9223372036854775808&age=&grant=&grant=%00")
	f.Fuzz(func(t *testing.T, body string) {
		r := newRig(t)
		r.login()
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if genuine := r.form(); form.Get("csrf") == "x" { // let some of them past the token
			form["csrf"] = genuine["csrf"]
		}
		w := r.do("/consent", form)
		if !slices.Contains([]int{303, 400, 403, 409}, w.Code) {
			t.Fatalf("status %d", w.Code)
		}
		if (w.Code == 303) != (len(r.intake.recorded) == 1) {
			t.Fatalf("status %d, %d recorded", w.Code, len(r.intake.recorded))
		}
		for _, got := range r.intake.recorded {
			if len(got.GetChoices()) != 3 || got.GetNoticeRevision() != 3 {
				t.Fatalf("recorded %v", got.GetChoices())
			}
			for _, c := range got.GetChoices() {
				value := item{c.GetPurpose(), c.GetRecipient()}.value()
				if c.GetGranted() && (form.Has("refuse") || !slices.Contains(form["grant"], value)) {
					t.Fatalf("%s was not granted", value)
				}
			}
		}
	})
}
