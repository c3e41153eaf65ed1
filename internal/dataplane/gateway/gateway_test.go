package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat"
	"github.com/maodian-dev/maodian/internal/wechat/twin/twintest"
)

const (
	canary = "oCANARYcanaryCANARYcanary0001"
	host   = "brand.example"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func notice() *storev1.Notice {
	return &storev1.Notice{
		Name: "brand-notice", Revision: 3, ProcessorName: "Acme (China) Co. Ltd.", ProcessorContact: "privacy@acme.example",
		RetentionDays: 730, StoragePlace: "Mainland China",
		Rights:  map[string]string{"zh-CN": "您可随时查阅、更正、删除或撤回同意", "en": "View, correct, delete or withdraw at any time"},
		Refusal: map[string]string{"zh-CN": "拒绝不影响您使用服务"},
		Method:  map[string]string{"zh-CN": "由软件加密存储并处理", "en": "Software keeps and processes them"}, Safeguards: map[string]string{"zh-CN": "加密存储", "en": "Encrypted at rest"},
		AutomatedDecision: map[string]string{"zh-CN": "按互动评分", "en": "Scored by what you do"}, Complaints: map[string]string{"zh-CN": "向我们投诉", "en": "Complain to us"},
		Purposes: []*storev1.Purpose{
			{Name: "DirectMarketing", Description: map[string]string{"zh-CN": "向您推送活动与优惠信息", "en": "Send you offers"}, Categories: []string{"WeChatOpenID", "InterestTag"}},
			{Name: "PersonalizedMarketing", Description: map[string]string{"zh-CN": "为您推荐内容 <b>", "en": "Recommend content <b>"}, Categories: []string{"LeadScore"},
				Necessity: map[string]string{"zh-CN": "推荐需要评分", "en": "Recommending needs a score"}, Impact: map[string]string{"zh-CN": "可能推断您的兴趣", "en": "It may tell what you like"}},
		},
		Recipients: []*storev1.Recipient{{
			Name: "acme-group-crm", DisplayName: "Acme Group AG", Contact: "dpo@acme-group.example", Country: "CH",
			Purposes: []string{"GroupReporting"}, Categories: []string{"PseudonymousID", "SomethingNew"}, RightsChannel: "https://acme-group.example/rights",
			Method: map[string]string{"zh-CN": "统计分析", "en": "Statistics"},
		}},
	}
}

// fakeIntake is a store in memory, for any number of people.
type fakeIntake struct {
	mu       sync.Mutex
	notice   *storev1.Notice
	err      error
	stall    bool // answers only when the caller gives up
	unquiet  bool // a permit is still live: withdrawals are not acknowledged
	seen     map[string]bool
	events   []*storev1.RecordEventRequest
	recorded []*storev1.RecordChoicesRequest
	choices  map[string]*storev1.RecordChoicesRequest
	rights   fakeRights
	mayAsk   bool
	links    fakeLinks
	receipt  []byte
	shown    []*storev1.RecordShownRequest
	shownErr error // of noting that the notice is shown
	changes  bool  // the notice changes before it is noted
}

func newFakeIntake() *fakeIntake {
	return &fakeIntake{notice: notice(), seen: map[string]bool{}, choices: map[string]*storev1.RecordChoicesRequest{}}
}

func (f *fakeIntake) enter(ctx context.Context) error {
	if f.stall {
		<-ctx.Done()
		return connect.NewError(connect.CodeDeadlineExceeded, ctx.Err())
	}
	return f.err
}

func (f *fakeIntake) RecordEvent(ctx context.Context, r *storev1.RecordEventRequest) (*storev1.RecordEventResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &storev1.RecordEventResponse{Duplicate: f.seen[string(r.GetDedupeKey())], WithdrawalAcknowledged: !f.unquiet, MayAsk: f.mayAsk}
	if !out.GetDuplicate() {
		f.seen[string(r.GetDedupeKey())] = true
		f.events = append(f.events, proto.CloneOf(r))
	}
	return out, nil
}

func (f *fakeIntake) GetPreferences(ctx context.Context, r *storev1.GetPreferencesRequest) (*storev1.GetPreferencesResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.choices[r.GetOpenId()]
	return &storev1.GetPreferencesResponse{Notice: f.notice, AgeBand: c.GetAgeBand(), Choices: c.GetChoices(), GuardianState: guardianStateOf(c.GetAgeBand())}, nil
}

func (f *fakeIntake) RecordShown(ctx context.Context, r *storev1.RecordShownRequest) (*storev1.RecordShownResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shownErr != nil {
		return nil, f.shownErr
	}
	if r.GetNoticeRevision() != f.notice.GetRevision() || f.changes {
		f.changes = false
		f.notice.Revision++
		return nil, word("NoticeRevision: another")
	}
	f.shown = append(f.shown, proto.CloneOf(r))
	return &storev1.RecordShownResponse{}, nil
}

func (f *fakeIntake) RecordChoices(ctx context.Context, r *storev1.RecordChoicesRequest) (*storev1.RecordChoicesResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choices[r.GetOpenId()] = proto.CloneOf(r)
	f.recorded = append(f.recorded, proto.CloneOf(r))
	return &storev1.RecordChoicesResponse{WithdrawalAcknowledged: !f.unquiet, GuardianState: guardianStateOf(r.GetAgeBand())}, nil
}

// guardianStateOf is what a policy with a guardian below 14 says where nobody was asked.
func guardianStateOf(band string) string {
	if band == "Under8" || band == "8to13" {
		return "Required"
	}
	return ""
}

// fakePlatform exchanges any code for the same person.
type fakePlatform struct {
	who      subject.OpenID
	union    subject.UnionID
	snapshot bool
	err      error
}

func (f *fakePlatform) ExchangeCode(context.Context, string) (wechat.WebIdentity, error) {
	return wechat.WebIdentity{OpenID: f.who, UnionID: f.union, Snapshot: f.snapshot}, f.err
}

func (f *fakePlatform) Check(context.Context) error { return f.err }

// sequence is a source that repeats nothing and is the same in every run.
type sequence struct {
	mu sync.Mutex
	n  byte
}

func (s *sequence) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range p {
		s.n++
		p[i] = s.n
	}
	return len(p), nil
}

// rig is a handler with a browser in front of it.
type rig struct {
	t        testing.TB
	handler  http.Handler
	intake   *fakeIntake
	platform *fakePlatform
	log      bytes.Buffer
	now      time.Time
	cookies  map[string]string
	header   http.Header
	seen     bytes.Buffer // every header that was sent to the browser
	files    fs.FS
	metrics  *metrics
	host     string // public address of the page
}

func credentials() Credentials {
	return Credentials{
		AppSecret: subject.NewSecret(twintest.AppSecret), Token: subject.NewSecret(twintest.CallbackToken),
		EncodingAESKey: subject.NewSecret(twintest.EncodingAESKey),
	}
}

func newRig(t testing.TB) *rig {
	t.Helper()
	who, err := subject.NewOpenID(canary)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, intake: newFakeIntake(), platform: &fakePlatform{who: who}, now: start, cookies: map[string]string{}, header: http.Header{}}
	r.handler = r.replica()
	return r
}

// replica makes another handler with the same configuration.
func (r *rig) replica() http.Handler {
	r.t.Helper()
	h, err := NewHandler(Options{
		Account: "brand", AppID: twintest.AppID, Credentials: credentials(), WithdrawKeywords: []string{"退订", "TD"}, Templates: []string{"T1"},
		Intake: r.intake, Platform: r.platform, Log: slog.New(slog.NewJSONHandler(&r.log, nil)),
		Clock: func() time.Time { return r.now }, Random: &sequence{}, Files: r.files, Metrics: r.metrics, PublicHost: r.host,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// do sends a request as a browser would; a nil form is a GET.
func (r *rig) do(target string, form url.Values) *httptest.ResponseRecorder {
	r.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req := httptest.NewRequestWithContext(r.t.Context(), method, target, body)
	req.Host = host
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	for name, value := range r.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	_ = w.Header().Write(&r.seen)
	for _, c := range w.Result().Cookies() {
		if r.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(r.cookies, c.Name)
		}
	}
	return w
}

// back returns the address that the authorisation page leads to.
func (r *rig) back(w *httptest.ResponseRecorder) *url.URL {
	r.t.Helper()
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusFound || to.Host != "open.weixin.qq.com" {
		r.t.Fatalf("no way to the authorisation page: %d %v", w.Code, w.Header())
	}
	out, err := url.Parse(to.Query().Get("redirect_uri"))
	if err != nil {
		r.t.Fatal(err)
	}
	out.RawQuery = url.Values{"code": {"c0de"}, "state": {to.Query().Get("state")}}.Encode()
	return out
}

// login goes through the authorisation page.
func (r *rig) login() {
	r.t.Helper()
	w := r.do(r.back(r.do("/consent", nil)).RequestURI(), nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/consent" {
		r.t.Fatalf("login: %d %s", w.Code, w.Body)
	}
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// form returns a form as the page would post it, with the given boxes ticked.
func (r *rig) form(grants ...string) url.Values {
	r.t.Helper()
	w := r.do("/consent", nil)
	m := csrfField.FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusOK || m == nil {
		r.t.Fatalf("no form: %d %s", w.Code, w.Body)
	}
	return url.Values{"csrf": {m[1]}, "revision": {"3"}, "lang": {"zh-CN"}, "age": {"adult"}, "grant": grants, "agree": {"1"}}
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	if w.Code != want {
		t.Fatalf("status %d, want %d: %s", w.Code, want, w.Body)
	}
}

var errStore = connect.NewError(connect.CodeUnavailable, errors.New("dial of "+canary))
