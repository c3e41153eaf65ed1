package gateway

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// guardianPath leads to the page of a guardian, who is named by nothing but the secret after it.
const guardianPath = "/consent/guardian/"

const secretLen = 32

// linkCode writes secrets in one way only: a link has one address.
var linkCode = base64.RawURLEncoding.Strict()

// secretOf reads a link's secret. Decoding skips line breaks, so the length is looked at too.
func secretOf(r *http.Request) ([]byte, bool) {
	written := r.PathValue("secret")
	if len(written) != linkCode.EncodedLen(secretLen) {
		return nil, false
	}
	secret, err := linkCode.DecodeString(written)
	return secret, err == nil && len(secret) == secretLen
}

// askGuardian makes a link for a minor, and shows it to be passed on. Nothing sends it: only
// the minor knows who their guardian is.
func (h *handler) askGuardian(w http.ResponseWriter, r *http.Request) {
	in, ok := h.posting(w, r)
	if !ok {
		return
	}
	secret, err := h.sealer.draw(secretLen)
	if err != nil {
		h.writeError(w, r, problemInternal, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	_, err = h.Intake.AskGuardian(ctx, &storev1.AskGuardianRequest{Account: h.Account, OpenId: forStore(in.who), Secret: secret})
	switch {
	case err != nil && storeclient.Word(err) == "GuardianNeedless":
		http.Redirect(w, r, at("/consent", explicitLanguage(r)), http.StatusSeeOther)
		return
	case err != nil:
		h.writeError(w, r, problemStore, err)
		return
	}
	p, err := h.pages.link(language(r), scheme(r)+"://"+r.Host+guardianPath+linkCode.EncodeToString(secret))
	if err != nil {
		h.writeError(w, r, problemInternal, err)
		return
	}
	h.render(w, r, http.StatusOK, p)
}

// showGuardian shows a guardian what they are asked; who is not known yet is sent to WeChat first.
func (h *handler) showGuardian(w http.ResponseWriter, r *http.Request) {
	secret, ok := secretOf(r)
	if !ok {
		h.writeError(w, r, problemLink, nil)
		return
	}
	in, known := h.sealer.session(r)
	if !known {
		h.leave(w, r, r.URL.Path)
		return
	}
	h.showCase(w, r, in, secret, http.StatusOK, "")
}

func (h *handler) showCase(w http.ResponseWriter, r *http.Request, in session, secret []byte, status int, hint string) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	c, err := h.Intake.GetGuardianCase(ctx, &storev1.GetGuardianCaseRequest{Account: h.Account, OpenId: forStore(in.who), Secret: secret})
	if err != nil {
		h.writeError(w, r, guardianProblem(err), err)
		return
	}
	if bad, err := h.told(r, in, c.GetNotice(), secret); bad.status != 0 {
		h.writeError(w, r, bad, err)
		return
	}
	h.render(w, r, status, h.pages.guardian(language(r), c, h.sealer.token(in), hint))
}

// guardianProblem tells who may not speak from a store that does not answer.
func guardianProblem(err error) problem {
	switch storeclient.Word(err) {
	case "GuardianLink":
		return problemLink
	case "GuardianSelf":
		return problemSelf
	case "GuardianMinor":
		return problemMinor
	}
	return problemStore
}

// relations are those of the form, in its order.
var relations = []string{"Parent", "Grandparent", "Sibling", "Other"}

// answerGuardian takes a guardian's answer.
func (h *handler) answerGuardian(w http.ResponseWriter, r *http.Request) {
	secret, ok := secretOf(r)
	if !ok {
		h.writeError(w, r, problemLink, nil)
		return
	}
	in, ok := h.posting(w, r)
	if !ok {
		return
	}
	req := &storev1.AnswerGuardianRequest{
		Account: h.Account, OpenId: forStore(in.who), Secret: secret, NoticeRevision: revisionOf(r), State: guardianState(r), Language: language(r),
	}
	if relation := r.PostForm.Get("relation"); slices.Contains(relations, relation) {
		req.Relation = relation
	}
	if req.GetState() == string(consent.GuardianVerified) && (req.GetRelation() == "" || r.PostForm.Get("adult") != "1") {
		h.showCase(w, r, in, secret, http.StatusBadRequest, "hint.guardian")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.AnswerGuardian(ctx, req)
	switch {
	case err != nil && storeclient.Word(err) == "NoticeRevision":
		h.showCase(w, r, in, secret, http.StatusConflict, "hint.changed")
		return
	case err != nil:
		h.writeError(w, r, guardianProblem(err), err)
		return
	}
	in.note = guardianNote(req.GetState(), res.GetAcknowledged())
	if err := h.sealer.keep(w, r, in); err != nil {
		h.Log.ErrorContext(r.Context(), "Session not kept after a guardian's answer was recorded")
	}
	http.Redirect(w, r, at(r.URL.Path+"/done", unusualLanguage(r)), http.StatusSeeOther)
}

// guardianState is the button that was pressed. Whatever is not a clear yes is a no.
func guardianState(r *http.Request) string {
	switch {
	case r.PostForm.Has("confirm") && !r.PostForm.Has("refuse") && !r.PostForm.Has("withdraw"):
		return string(consent.GuardianVerified)
	case r.PostForm.Has("withdraw"):
		return string(consent.GuardianWithdrawn)
	}
	return string(consent.GuardianRefused)
}

func guardianNote(state string, acknowledged bool) byte {
	switch {
	case state == string(consent.GuardianVerified):
		return noteSaved
	case acknowledged:
		return noteWithdrawn
	}
	return notePending
}

// showGuardianDone says what became of the answer.
func (h *handler) showGuardianDone(w http.ResponseWriter, r *http.Request) {
	in, _ := h.sealer.session(r)
	word, answered := map[byte]string{noteSaved: "guardian.done", noteWithdrawn: "guardian.withdrawn", notePending: "guardian.pending"}[in.note]
	if _, ok := secretOf(r); !ok || !answered {
		h.writeError(w, r, problemLink, nil)
		return
	}
	p := h.pages.message(language(r), word)
	p.Message.To = guardianPath + r.PathValue("secret")
	h.render(w, r, http.StatusOK, p)
}
