package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// fakeRights is what the store holds about the one person, and what it was told.
type fakeRights struct {
	record    *storev1.Record
	asked     []*storev1.GetRecordRequest
	corrected []*storev1.CorrectRecordRequest
	requested []*storev1.MakeRequestRequest
	erased    []*storev1.ErasePersonRequest
}

func (f *fakeIntake) GetRecord(ctx context.Context, r *storev1.GetRecordRequest) (*storev1.GetRecordResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.rights.asked = append(f.rights.asked, proto.CloneOf(r))
	return &storev1.GetRecordResponse{Record: f.rights.record}, nil
}

func (f *fakeIntake) CorrectRecord(ctx context.Context, r *storev1.CorrectRecordRequest) (*storev1.CorrectRecordResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.rights.corrected = append(f.rights.corrected, proto.CloneOf(r))
	return &storev1.CorrectRecordResponse{}, nil
}

func (f *fakeIntake) MakeRequest(ctx context.Context, r *storev1.MakeRequestRequest) (*storev1.MakeRequestResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	if !f.rights.record.GetKnown() {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("RequestInvalid: there is no such request"))
	}
	f.rights.requested = append(f.rights.requested, proto.CloneOf(r))
	return &storev1.MakeRequestResponse{Acknowledged: !f.unquiet}, nil
}

func (f *fakeIntake) ErasePerson(ctx context.Context, r *storev1.ErasePersonRequest) (*storev1.ErasePersonResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.rights.erased = append(f.rights.erased, proto.CloneOf(r))
	found := f.rights.record.GetKnown()
	f.rights.record = &storev1.Record{}
	return &storev1.ErasePersonResponse{Found: found, Acknowledged: !f.unquiet}, nil
}

// held is a record with something in every part.
func held() *storev1.Record {
	at := func(minutes int) *timestamppb.Timestamp {
		return timestamppb.New(start.Add(time.Duration(minutes) * time.Minute))
	}
	r := &storev1.Record{
		Known: true, UnionId: true, Notice: notice(), Since: at(0), Seen: at(90), AgeBand: "Adult", Tags: []string{"tea", "travel"},
		Leads:     []*storev1.LeadStanding{{Model: "brand-leads", Stage: "Engaged", Points: 25.4}},
		Relations: []*storev1.Relation{{Account: "brand", Following: true}},
		Grants:    []*storev1.Grant{{Account: "brand", TemplateId: "T1", Remaining: 2}},
		Consents: []*storev1.ConsentEntry{
			{Purpose: "DirectMarketing", Action: "Given", At: at(1), NoticeRevision: 2, Language: "zh-CN", Control: "page", Separate: true},
			{Purpose: "PersonalizedMarketing", Action: "Given", At: at(1), NoticeRevision: 2, Language: "zh-CN", Control: "page", Separate: true, NotUsed: "MinorAutomatedMarketing"},
			{Purpose: "GroupReporting", Recipient: "acme-group-crm", Action: "Withdrawn", At: at(2), NoticeRevision: 3, Control: "keyword", Separate: true},
		},
		Shown: []*storev1.ShownEntry{
			{At: at(0), NoticeRevision: 2, Hash: "ab", Account: "brand", Language: "zh-CN", Control: "page"},
			{At: at(1), NoticeRevision: 3, Hash: "cd", Account: "brand", Language: "en", Control: "guardian"},
		},
		Guardians: []*storev1.GuardianEntry{{State: "Refused", At: at(2), NoticeRevision: 3, Relation: "Grandparent", Method: "OwnAccountLink"}},
		Messages:  []*storev1.MessageEntry{{Campaign: "spring-tea", Purpose: "DirectMarketing", At: at(3), Outcome: "Unknown"}},
		PassedOn: []*storev1.PassedOn{{
			Recipient: "acme-group-crm", DisplayName: "Acme Group AG", Country: "CH", Purpose: "GroupReporting", LegalBasis: "Consent",
			Fields: []string{"id", "lead.stage"}, At: at(4), State: "Complete", ConsentAt: at(1), NoticeRevision: 2,
			Duty: "Withdrawn", Told: at(7),
		}},
		Requests: []*storev1.RequestEntry{
			{Kind: "Copy", Received: at(5), Due: at(5), Done: at(5), Outcome: "Done"}, {Kind: "Explanation", Received: at(6), Due: at(30000)},
		},
	}
	for i := range 23 {
		r.Interactions = append(r.Interactions, &storev1.Interaction{Kind: "CLICK", Key: "menu-" + string(rune('a'+i)), At: at(10 + i)})
	}
	return r
}

// inside is a rig whose person is known and has come in.
func inside(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.intake.rights.record = held()
	r.login()
	return r
}

// token is the csrf field of a page.
func (r *rig) token(path string) string {
	r.t.Helper()
	w := r.do(path, nil)
	m := csrfField.FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusOK || m == nil {
		r.t.Fatalf("no form at %s: %d %s", path, w.Code, w.Body)
	}
	return m[1]
}

func TestRecord_Golden(t *testing.T) {
	for name, path := range map[string]string{
		"record.zh-CN": "/consent/record", "record.en": "/consent/record?lang=en", "erase.zh-CN": "/consent/erase", "erase.en": "/consent/erase?lang=en",
		"copy.zh-CN": "/consent/record.html",
	} {
		r := inside(t)
		got := strings.Replace(r.do(path, nil).Body.String(), string(mustPages(t).style), "", 1)
		golden(t, name, got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestRecord_TellsEverything(t *testing.T) {
	r := inside(t)
	for lang, words := range map[string][]string{
		"zh-CN": {"18 周岁及以上", "tea", "travel", "Engaged", "已关注", "同意 · 营销推送", "撤回 · 集团内部分析与报告", "聊天关键词", "微信 UnionID", "spring-tea", "无法确定是否送达", "Acme Group AG", "瑞士", "去标识化编号 · 兴趣阶段", "告知书版本 2", "解释说明", "2026-11-24 17:01", "另有更早的 3 条", "menu-w"},
		"en":    {"18 or older", "Engaged (25)", "Agreed · Marketing messages", "a keyword in the chat", "not known whether it arrived", "Switzerland", "pseudonymous number · stage of interest", "if you follow several of our accounts", "did not agree", "Grandparent", "your separate consent of 2026-11-24 17:01 to notice revision 2", "Explanation", "open", "T1: 2"},
	} {
		page := r.do("/consent/record?lang="+lang, nil).Body.String()
		for _, w := range words {
			if !strings.Contains(page, w) {
				t.Errorf("%s: %s is missing", lang, w)
			}
		}
		if strings.Contains(page, "menu-a") {
			t.Error("the page shows more acts than it says")
		}
	}
	if got := r.intake.rights.asked[0]; got.GetAs() != "Access" || got.GetOpenId() != canary || got.GetAccount() != "brand" {
		t.Error("not asked as an access of this person")
	}
}

func TestRecord_Copies(t *testing.T) {
	r := inside(t)
	w := r.do("/consent/record.json", nil)
	wantStatus(t, w, http.StatusOK)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got["interactions"].([]any)); n != 23 || got["ageBand"] != "Adult" {
		t.Errorf("%d acts in %s", n, w.Body)
	}
	if d := w.Header().Get("Content-Disposition"); d != `attachment; filename="my-data.json"` {
		t.Error(d)
	}
	w = r.do("/consent/record.html?lang=en", nil)
	if d := w.Header().Get("Content-Disposition"); d != `attachment; filename="my-data.html"` {
		t.Error(d)
	}
	if body := w.Body.String(); strings.Contains(body, "<form") || strings.Contains(body, "csrf") || !strings.Contains(body, "menu-a") {
		t.Error("the copy has a form, or lacks an act")
	}
	for _, got := range r.intake.rights.asked {
		if got.GetAs() != "Copy" {
			t.Errorf("asked as %q", got.GetAs())
		}
	}
}

// TestRecord_Forms posts every form as the page has it, and as it must not be.
func TestRecord_Forms(t *testing.T) {
	r := inside(t)
	form := func(more url.Values) url.Values {
		f := url.Values{"csrf": {r.token("/consent/record")}, "lang": {"zh-CN"}}
		for k, v := range more {
			f[k] = v
		}
		return f
	}
	w := r.do("/consent/correct", form(url.Values{"remove": {"tea"}, "age": {"14to17"}}))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/consent/record" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	want := []*storev1.CorrectRecordRequest{{Account: "brand", OpenId: canary, AgeBand: "14to17", RemoveTags: []string{"tea"}}}
	if diff := cmp.Diff(want, r.intake.rights.corrected, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	wantStatus(t, r.do("/consent/correct", form(nil)), http.StatusSeeOther)
	if len(r.intake.rights.corrected) != 1 {
		t.Error("nothing was to be corrected")
	}
	wantStatus(t, r.do("/consent/request", form(url.Values{"kind": {"Explanation"}})), http.StatusSeeOther)
	w = r.do("/consent/request", form(url.Values{"kind": {"Restriction"}}))
	if w.Header().Get("Location") != "/consent/done" || !strings.Contains(r.do("/consent/done", nil).Body.String(), "撤回已生效") {
		t.Errorf("restriction: %v", w.Header())
	}
	if got := r.intake.rights.requested; len(got) != 2 || got[0].GetKind() != "Explanation" || got[1].GetKind() != "Restriction" {
		t.Errorf("requested %v", got)
	}
	wantStatus(t, r.do("/consent/correct", form(url.Values{"age": {"99"}})), http.StatusBadRequest)
	wantStatus(t, r.do("/consent/correct", form(url.Values{"remove": make([]string, 257)})), http.StatusBadRequest)
	wantStatus(t, r.do("/consent/request", form(url.Values{"kind": {"Erasure"}})), http.StatusBadRequest)
	wantStatus(t, r.do("/consent/erase", form(nil)), http.StatusBadRequest)
	if len(r.intake.rights.erased) != 0 {
		t.Error("erased without being sure")
	}
}

func TestErase_EndsTheSession(t *testing.T) {
	for name, c := range map[string]struct {
		unquiet, unknown bool
		want             string
	}{
		"nothing on its way":   {false, false, "您将是一位新的用户"},
		"a message on its way": {true, false, "已经发出的消息可能仍会送达"},
		"erased before":        {false, true, "没有持有"},
	} {
		t.Run(name, func(t *testing.T) {
			r := inside(t)
			form := url.Values{"csrf": {r.token("/consent/erase")}, "sure": {"yes"}}
			r.intake.unquiet = c.unquiet
			if c.unknown {
				r.intake.rights.record = &storev1.Record{}
			}
			w := r.do("/consent/erase", form)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if !strings.Contains(strings.Join(w.Header()["Set-Cookie"], " "), sessionCookie+"=; ") {
				t.Error("the session goes on")
			}
			if got := r.intake.rights.erased; len(got) != 1 || got[0].GetOpenId() != canary {
				t.Errorf("erased %d", len(got))
			}
		})
	}
}

// TestRights_NothingHappens: no form of another origin, session or time does anything.
func TestRights_NothingHappens(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(r *rig, form url.Values)
		want    int
	}{
		"without a token":         {func(_ *rig, f url.Values) { f.Del("csrf") }, 403},
		"with another session's":  {func(r *rig, _ url.Values) { delete(r.cookies, sessionCookie); r.login() }, 403},
		"from another site":       {func(r *rig, _ url.Values) { r.header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"without a session":       {func(r *rig, _ url.Values) { delete(r.cookies, sessionCookie) }, 403},
		"after the session's end": {func(r *rig, _ url.Values) { r.now = r.now.Add(sessionLife) }, 403},
		"as too large a body":     {func(_ *rig, f url.Values) { f.Set("x", strings.Repeat("x", maxForm)) }, 400},
		"when the store is away":  {func(r *rig, _ url.Values) { r.intake.err = errStore }, 503},
	} {
		for path, more := range map[string]url.Values{"/consent/erase": {"sure": {"yes"}}, "/consent/correct": {"remove": {"tea"}}, "/consent/request": {"kind": {"Restriction"}}} {
			r := inside(t)
			form := url.Values{"csrf": {r.token("/consent/record")}}
			for k, v := range more {
				form[k] = v
			}
			c.prepare(r, form)
			if w := r.do(path, form); w.Code != c.want {
				t.Errorf("%s %s: %d", name, path, w.Code)
			}
			if f := r.intake.rights; len(f.erased)+len(f.corrected)+len(f.requested) != 0 {
				t.Errorf("%s %s: something happened", name, path)
			}
		}
	}
}

func TestRights_WhoIsNotIn(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/consent/record", "/consent/record.json", "/consent/record.html", "/consent/erase"} {
		if w := r.do(path+"?lang=en", nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/consent?lang=en" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	r.login()
	for _, path := range []string{"/consent/record", "/consent/record.json", "/consent/record.html"} {
		if w := r.do(path, nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "没有您的信息") || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s of somebody unknown: %d %s", path, w.Code, w.Body)
		}
	}
	form := url.Values{"csrf": {r.token("/consent/erase")}, "kind": {"Explanation"}}
	if w := r.do("/consent/request", form); !strings.Contains(w.Body.String(), "没有您的信息") {
		t.Errorf("a request of somebody unknown: %d %s", w.Code, w.Body)
	}
	r.intake.err = word("PolicyMissing: none")
	wantStatus(t, r.do("/consent/record", nil), http.StatusServiceUnavailable)
}

// TestRights_NothingPersonalLeaks looks for the identifier and an interest outside the pages
// of the person themselves, and for the identifier there too.
func TestRights_NothingPersonalLeaks(t *testing.T) {
	r := inside(t)
	var bodies strings.Builder
	for _, failing := range []bool{false, true} {
		if failing {
			r.intake.err = errStore
		}
		for _, path := range []string{"/consent/record", "/consent/record.json", "/consent/record.html", "/consent/erase"} {
			bodies.WriteString(r.do(path, nil).Body.String())
		}
		csrf := r.token("/consent/erase")
		bodies.WriteString(r.do("/consent/correct", url.Values{"csrf": {csrf}, "remove": {"tea"}}).Body.String())
		bodies.WriteString(r.do("/consent/request", url.Values{"csrf": {csrf}, "kind": {"Explanation"}}).Body.String())
		if failing {
			bodies.WriteString(r.do("/consent/erase", url.Values{"csrf": {csrf}, "sure": {"yes"}}).Body.String())
		}
	}
	if strings.Contains(bodies.String()+r.log.String()+r.seen.String(), "CANARY") {
		t.Error("the identifier is somewhere")
	}
	if strings.Contains(r.log.String()+r.seen.String(), "travel") || r.log.Len() == 0 {
		t.Error("an interest is in the log or a header")
	}
}

// TestRecord_Accessible: every input has a label, ids are unique, nothing is loaded or run.
func TestRecord_Accessible(t *testing.T) {
	r := inside(t)
	for _, path := range []string{"/consent/record", "/consent/erase"} {
		root, err := html.Parse(r.do(path, nil).Body)
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if slices.Contains([]string{"script", "img", "link", "iframe"}, n.Data) {
				t.Errorf("%s has a %s", path, n.Data)
			}
			hidden := false
			for _, a := range n.Attr {
				switch {
				case a.Key == "id" && ids[a.Val]:
					t.Errorf("%s: id %s twice", path, a.Val)
				case a.Key == "id":
					ids[a.Val] = true
				case a.Key == "type" && a.Val == "hidden":
					hidden = true
				case a.Key == "style", strings.HasPrefix(a.Key, "on"):
					t.Errorf("the policy forbids %s", a.Key)
				}
			}
			if n.Data == "input" && !hidden && n.Parent.Data != "label" {
				t.Errorf("%s: an input without a label", path)
			}
		}
	}
}

// TestRecord_TextsAreThere: a template that names a text which there is not shows nothing.
func TestRecord_TextsAreThere(t *testing.T) {
	p := mustPages(t)
	var keys []string
	for _, file := range []string{"page/record.html", "page/layout.html", "page/form.html", "recordpage.go"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`index (?:\$|\$\.|\.)?[tT] "([^"]+)"|"(record\.[a-zA-Z.]+)"`).FindAllStringSubmatch(string(raw), -1) {
			keys = append(keys, m[1]+m[2])
		}
	}
	if len(keys) < 50 {
		t.Fatalf("%d keys found", len(keys))
	}
	for _, k := range append(keys, "erased.title", "erased.text", "erased.pending.title", "erased.pending.text", "nothing.title", "nothing.text", "hint.sure") {
		if k != "record.html" && p.texts[langZh].Text[k] == "" {
			t.Errorf("%s has no text", k)
		}
	}
}
