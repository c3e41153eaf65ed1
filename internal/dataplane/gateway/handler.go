package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// answerWithin leaves half a second of the 5 s after which the platform hangs up.
const answerWithin = 4500 * time.Millisecond

// Platform is what the gateway asks WeChat for.
type Platform interface {
	ExchangeCode(ctx context.Context, code string) (wechat.WebIdentity, error)
	Check(ctx context.Context) error
}

// Options are what a handler works with.
type Options struct {
	Account, AppID   string
	Credentials      Credentials
	WithdrawKeywords []string
	Templates        []string
	PublicHost       string // of the consent page; empty: nobody is invited to it
	Intake           storev1connect.IntakeServiceClient
	Platform         Platform
	Log              *slog.Logger
	Files            fs.FS            // holds the file that verifies the domain, if any
	Metrics          *metrics         // nil: of its own
	Clock            func() time.Time // nil: time.Now
	Random           io.Reader        // nil: crypto/rand.Reader
}

type handler struct {
	Options
	keys     callback.Keys
	keywords keywords
	sealer   *sealer
	pages    *pages
}

// NewHandler serves callbacks and the consent page.
func NewHandler(o Options) (http.Handler, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Metrics == nil {
		o.Metrics = newMetrics(o.Clock)
	}
	h := &handler{Options: o, keywords: newKeywords(o.WithdrawKeywords)}
	var err error
	if h.keys, err = o.Credentials.keys(o.AppID); err != nil {
		return nil, err
	}
	if h.sealer, err = newSealer(o.Credentials, o.AppID, o.Clock, o.Random); err != nil {
		return nil, err
	}
	if h.pages, err = loadPages(); err != nil {
		return nil, err
	}
	return h.secure(h.routes()), nil
}

func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	for _, x := range []struct {
		pattern, metric string
		serve           http.HandlerFunc
	}{
		{"GET /wechat/callback", "verification", h.verifyURL},
		{"POST /wechat/callback", "callback", h.receive},
		{"GET /consent", "consent", h.showConsent},
		{"POST /consent", "consent", h.recordConsent},
		{"GET /consent/done", "consent", h.showDone},
		{"GET /consent/record", "record", h.entered(h.showRecord)},
		{"GET /consent/record.html", "record", h.entered(h.saveRecord)},
		{"GET /consent/record.json", "record", h.entered(h.recordJSON)},
		{"POST /consent/correct", "record", h.posts(h.correct)},
		{"POST /consent/request", "record", h.posts(h.makeRequest)},
		{"GET /consent/erase", "record", h.entered(h.confirmErasure)},
		{"POST /consent/erase", "record", h.posts(h.erase)},
		{"POST /consent/guardian", "guardian", h.askGuardian},
		{"GET /consent/guardian/{secret}", "guardian", h.showGuardian},
		{"POST /consent/guardian/{secret}", "guardian", h.answerGuardian},
		{"GET /consent/guardian/{secret}/done", "guardian", h.showGuardianDone},
		{"GET /consent/receipt", "consent", h.showReceipt},
		{"GET /consent/receipt.json", "consent", h.saveReceipt},
		{"GET /{file}", "verification", h.verification},
	} {
		mux.HandleFunc(x.pattern, h.Metrics.measure(x.metric, x.serve))
	}
	return mux
}

// secure sets the headers that every answer has.
func (h *handler) secure(next http.Handler) http.Handler {
	csp := "default-src 'none'; style-src '" + h.pages.styleHash + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", csp)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// problem is a way in which a request can end badly. Its word names the text of the page
// and appears in the log; nothing else about the request does.
type problem struct {
	status int
	word   string
}

// problems of requests.
var (
	problemRefused  = problem{http.StatusForbidden, "refused"}           // a callback that is not the platform's
	problemForm     = problem{http.StatusBadRequest, "form"}             // not a form, or too large
	problemForged   = problem{http.StatusForbidden, "form"}              // not a form of this session
	problemExpired  = problem{http.StatusForbidden, "expired"}           // session, state or code is over
	problemStore    = problem{http.StatusServiceUnavailable, "store"}    // nothing was recorded
	problemPlatform = problem{http.StatusServiceUnavailable, "platform"} // WeChat does not say who it is
	problemNotice   = problem{http.StatusServiceUnavailable, "notice"}   // there is nothing to show yet
	problemInternal = problem{http.StatusInternalServerError, "internal"}
	problemLink     = problem{http.StatusNotFound, "link"}   // no such link of a guardian, or not for this person
	problemSelf     = problem{http.StatusForbidden, "self"}  // a minor opened their own link
	problemMinor    = problem{http.StatusForbidden, "minor"} // another minor opened it
	problemAbsent   = problem{http.StatusNotFound, "absent"} // no such file
)

// writeError answers with a problem: a page where people look, one word where machines do.
func (h *handler) writeError(w http.ResponseWriter, r *http.Request, p problem, cause error) {
	ended(w, p)
	attrs := []slog.Attr{slog.String("word", p.word), slog.Int("status", p.status)}
	if cause != nil {
		attrs = append(attrs, causeOf(cause)...)
	}
	level := slog.LevelInfo
	if p.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.Log.LogAttrs(r.Context(), level, "Request not served", attrs...)
	if strings.HasPrefix(r.URL.Path, "/consent") {
		h.render(w, r, p.status, h.pages.message(language(r), "problem."+p.word))
		return
	}
	http.Error(w, p.word, p.status)
}

// causeOf describes an error by words of closed sets: its text could hold an address.
func causeOf(err error) []slog.Attr {
	if c := callback.CauseOf(err); c != callback.CauseNone {
		return []slog.Attr{slog.String("cause", string(c))}
	}
	if we, ok := wechatError(err); ok {
		return []slog.Attr{slog.String("class", we.Class.String()), slog.Int64("code", we.Code), slog.String("reason", we.Reason), slog.String("rid", we.RID)}
	}
	return []slog.Attr{slog.String("rpc", connect.CodeOf(err).String()), slog.String("store", storeclient.Word(err))}
}

// language is zh-CN unless English is asked for, by form, address or browser.
func language(r *http.Request) string {
	return cmp.Or(explicitLanguage(r), negotiated(r))
}

// explicitLanguage is that of the form that was posted, or of the address; empty if neither
// says any.
func explicitLanguage(r *http.Request) string {
	asked := cmp.Or(r.PostForm.Get("lang"), r.URL.Query().Get("lang"))
	if asked != langZh && asked != langEn {
		return ""
	}
	return asked
}

// negotiated is what the browser prefers.
func negotiated(r *http.Request) string {
	for tag := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		switch tag = strings.ToLower(strings.TrimSpace(tag)); {
		case strings.HasPrefix(tag, "zh"):
			return langZh
		case strings.HasPrefix(tag, "en"):
			return langEn
		}
	}
	return langZh
}

// unusualLanguage is the explicit language where the browser would get another one.
func unusualLanguage(r *http.Request) string {
	if asked := explicitLanguage(r); asked != negotiated(r) {
		return asked
	}
	return ""
}

// at adds a language that was asked for explicitly to one of our own addresses.
func at(path, lang string) string {
	if lang == "" {
		return path
	}
	return fmt.Sprintf("%s?lang=%s", path, lang)
}
