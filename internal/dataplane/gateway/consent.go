package gateway

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"connectrpc.com/connect"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// maxForm bounds a posted form; one with every box of a large notice has about 20 kB.
const maxForm = 64 << 10

// codeUsed is the platform's answer to a code that came before: WeChat's browser may load
// the address twice, and the first load has begun the session.
const codeUsed = 40163

// showConsent shows the form to a session, and sends everybody else to WeChat to learn who
// they are.
func (h *handler) showConsent(w http.ResponseWriter, r *http.Request) {
	in, known := h.sealer.session(r)
	switch {
	case r.URL.Query().Has("code"):
		h.enter(w, r, known)
	case known:
		h.showForm(w, r, in, http.StatusOK, "")
	default:
		h.leave(w, r, "/consent")
	}
}

// leave goes to the authorisation page, from where the way leads back to one of our pages.
func (h *handler) leave(w http.ResponseWriter, r *http.Request, to string) {
	v, err := h.sealer.depart(w, r, explicitLanguage(r), to)
	if err != nil {
		h.writeError(w, r, problemInternal, err)
		return
	}
	http.Redirect(w, r, wechat.AuthorizeURL(h.AppID, scheme(r)+"://"+r.Host+"/consent", v.state), http.StatusFound)
}

// enter begins a session for who comes back from the authorisation page. A code without
// its state may be somebody else's, so it never replaces a session.
func (h *handler) enter(w http.ResponseWriter, r *http.Request, known bool) {
	query := r.URL.Query()
	v, ok := h.sealer.arrive(w, r)
	if !ok || subtle.ConstantTimeCompare([]byte(v.state), []byte(query.Get("state"))) != 1 {
		if known {
			http.Redirect(w, r, at("/consent", explicitLanguage(r)), http.StatusSeeOther)
			return
		}
		h.writeError(w, r, problemExpired, nil)
		return
	}
	who, err := h.Platform.ExchangeCode(r.Context(), query.Get("code"))
	if err != nil {
		h.notEntered(w, r, v, err)
		return
	}
	if who.Snapshot { // a virtual person, whose answers would be nobody's
		h.render(w, r, http.StatusOK, h.pages.message(cmp.Or(v.lang, language(r)), "snapshot"))
		return
	}
	in, err := h.sealer.begin(who)
	if err == nil {
		err = h.sealer.keep(w, r, in)
	}
	if err != nil {
		h.writeError(w, r, problemInternal, err)
		return
	}
	http.Redirect(w, r, at(v.to, v.lang), http.StatusSeeOther)
}

// notEntered tells a bad code from a platform that does not answer.
func (h *handler) notEntered(w http.ResponseWriter, r *http.Request, v visit, err error) {
	we, ok := wechatError(err)
	switch {
	case ok && we.Code == codeUsed:
		http.Redirect(w, r, at(v.to, v.lang), http.StatusSeeOther)
	case wechat.ClassOf(err) == wechat.Program:
		h.writeError(w, r, problemExpired, err)
	default:
		h.writeError(w, r, problemPlatform, err)
	}
}

func wechatError(err error) (*wechat.Error, bool) {
	var we *wechat.Error
	ok := errors.As(err, &we)
	return we, ok
}

// preferences asks the store what to show. A missing notice is a problem of its own.
func (h *handler) preferences(r *http.Request, in session) (*storev1.GetPreferencesResponse, problem, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	p, err := h.Intake.GetPreferences(ctx, &storev1.GetPreferencesRequest{Account: h.Account, OpenId: forStore(in.who)})
	switch {
	case err != nil && slices.Contains([]string{"PolicyMissing", "NoticeNotPublished"}, storeclient.Word(err)):
		return nil, problemNotice, err
	case err != nil:
		return nil, problemStore, err
	case p.GetNotice().GetRevision() == 0 || len(itemsOf(p.GetNotice())) == 0:
		return nil, problemNotice, nil
	}
	return p, problem{}, nil
}

// showForm shows the published notice with the recorded answers. A notice that changed
// under the reader is shown with nothing ticked: the old ticks were for another text.
func (h *handler) showForm(w http.ResponseWriter, r *http.Request, in session, status int, hint string) {
	p, bad, err := h.shownPreferences(r, in)
	if bad.status == 0 && storeclient.Word(err) == "NoticeRevision" { // it changed between the two calls
		p, bad, err = h.shownPreferences(r, in)
	}
	if bad.status != 0 {
		h.writeError(w, r, bad, err)
		return
	}
	a := recorded(p)
	if status == http.StatusConflict {
		if told := ageAnswer(r.PostForm.Get("age")); told.valid() { // the age is the same under any text
			a.age = told
		}
		a = answers{age: a.age}
	}
	h.render(w, r, status, h.pages.asking(language(r), p, a, h.sealer.token(in), hint))
}

// shownPreferences asks the store what to show, and has it note that it is shown.
func (h *handler) shownPreferences(r *http.Request, in session) (*storev1.GetPreferencesResponse, problem, error) {
	p, bad, err := h.preferences(r, in)
	if bad.status == 0 {
		bad, err = h.told(r, in, p.GetNotice(), nil)
	}
	return p, bad, err
}

// told has the store note that the notice is shown, before it is: whether or not an answer
// comes, the processor has to prove what people were told (PIPL 69). secret is that of a
// guardian's link, or nil. A store that is away takes no answer either; when it is there and
// cannot note it, the notice is shown all the same, and the answer notes it.
func (h *handler) told(r *http.Request, in session, n *storev1.Notice, secret []byte) (problem, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	_, err := h.Intake.RecordShown(ctx, &storev1.RecordShownRequest{
		Account: h.Account, OpenId: forStore(in.who), NoticeRevision: n.GetRevision(), Language: language(r), Secret: secret,
	})
	switch code := connect.CodeOf(err); {
	case err == nil:
	case code == connect.CodeUnavailable, code == connect.CodeDeadlineExceeded, code == connect.CodeCanceled:
		return problemStore, err
	default:
		h.Log.LogAttrs(r.Context(), slog.LevelError, "It is not on record that the notice was shown", causeOf(err)...)
	}
	return problem{}, err
}

// recordConsent takes the form.
func (h *handler) recordConsent(w http.ResponseWriter, r *http.Request) {
	in, ok := h.posting(w, r)
	if !ok {
		return
	}
	p, bad, err := h.preferences(r, in)
	if bad.status != 0 {
		h.writeError(w, r, bad, err)
		return
	}
	if revisionOf(r) != p.GetNotice().GetRevision() {
		h.showForm(w, r, in, http.StatusConflict, "hint.changed")
		return
	}
	given, ok := posted(r.PostForm, p)
	if !ok {
		h.render(w, r, http.StatusBadRequest, h.pages.asking(language(r), p, given, h.sealer.token(in), "hint.age"))
		return
	}
	h.store(w, r, in, p, given)
}

// revisionOf is the revision that a form was about; 0 if it says none.
func revisionOf(r *http.Request) int64 {
	n, err := strconv.ParseInt(r.PostForm.Get("revision"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// posting returns the session of a form that is genuine, or answers why it is not.
func (h *handler) posting(w http.ResponseWriter, r *http.Request) (session, bool) {
	in, known := h.sealer.session(r)
	if !known {
		h.writeError(w, r, problemExpired, nil)
		return in, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil {
		h.writeError(w, r, problemForm, nil)
		return in, false
	}
	if !h.genuine(r, in) {
		h.writeError(w, r, problemForged, nil)
		return in, false
	}
	return in, true
}

// genuine tells whether the form comes from a page of this session. Browsers that say
// where a form comes from are believed; the others are many in WeChat.
func (h *handler) genuine(r *http.Request, in session) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "" || site == "same-origin" || site == "none") &&
		subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(h.sealer.token(in))) == 1
}

// store records one choice for every item that was shown, and goes on to the last page.
func (h *handler) store(w http.ResponseWriter, r *http.Request, in session, p *storev1.GetPreferencesResponse, given answers) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.RecordChoices(ctx, &storev1.RecordChoicesRequest{
		Account: h.Account, OpenId: forStore(in.who), NoticeRevision: p.GetNotice().GetRevision(),
		AgeBand: string(given.age.band()), Choices: given.choices(p.GetNotice()), Language: language(r), UnionId: unionForStore(in),
	})
	switch {
	case err != nil && slices.Contains([]string{"NoticeRevision", "NoticeIncomplete"}, storeclient.Word(err)):
		h.showForm(w, r, in, http.StatusConflict, "hint.changed")
		return
	case err != nil:
		h.writeError(w, r, problemStore, err)
		return
	}
	in.note = noteOf(recorded(p), given, res)
	if err := h.sealer.keep(w, r, in); err != nil {
		h.Log.ErrorContext(r.Context(), "Session not kept after the answers were recorded")
	}
	http.Redirect(w, r, at("/consent/done", unusualLanguage(r)), http.StatusSeeOther)
}

// showDone thanks, and says what became of a withdrawal. Who has answered nothing is shown
// the form: the page must not claim a record that there is not.
func (h *handler) showDone(w http.ResponseWriter, r *http.Request) {
	in, _ := h.sealer.session(r)
	word, answered := map[byte]string{noteSaved: "done", noteWithdrawn: "done.withdrawn", notePending: "done.pending", noteGuardian: "done.guardian"}[in.note]
	if !answered {
		http.Redirect(w, r, at("/consent", explicitLanguage(r)), http.StatusSeeOther)
		return
	}
	p := h.pages.message(language(r), word)
	if in.note == noteGuardian {
		p.Message.AskGuardian = h.sealer.token(in)
	}
	h.render(w, r, http.StatusOK, p)
}
