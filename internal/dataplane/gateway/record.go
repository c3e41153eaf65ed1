package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/request"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// entered serves a page to a session, and sends everybody else through the form's address,
// which learns who they are.
func (h *handler) entered(serve func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, known := h.sealer.session(r)
		if !known {
			http.Redirect(w, r, at("/consent", explicitLanguage(r)), http.StatusSeeOther)
			return
		}
		serve(w, r, in)
	}
}

// posts serves a form of a page of this session, and refuses every other.
func (h *handler) posts(serve func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, known := h.sealer.session(r)
		if !known {
			h.writeError(w, r, problemExpired, nil)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if r.ParseForm() != nil {
			h.writeError(w, r, problemForm, nil)
			return
		}
		if !h.genuine(r, in) {
			h.writeError(w, r, problemForged, nil)
			return
		}
		serve(w, r, in)
	}
}

// record asks the store for all that it holds about the person of a session.
func (h *handler) record(r *http.Request, in session, as request.Kind) (*storev1.Record, problem, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.GetRecord(ctx, &storev1.GetRecordRequest{Account: h.Account, OpenId: forStore(in.who), As: string(as)})
	switch {
	case err != nil && storeclient.Word(err) == "PolicyMissing":
		return nil, problemNotice, err
	case err != nil:
		return nil, problemStore, err
	}
	return res.GetRecord(), problem{}, nil
}

// showRecord shows what is held about the person, and who received it (PIPL 45).
func (h *handler) showRecord(w http.ResponseWriter, r *http.Request, in session) {
	h.answerRecord(w, r, in, request.Access, func(rec *storev1.Record) {
		h.render(w, r, http.StatusOK, h.pages.record(language(r), rec, h.sealer.token(in)))
	})
}

// saveRecord is the same page to keep, without forms.
func (h *handler) saveRecord(w http.ResponseWriter, r *http.Request, in session) {
	h.answerRecord(w, r, in, request.Copy, func(rec *storev1.Record) {
		w.Header().Set("Content-Disposition", `attachment; filename="my-data.html"`)
		h.render(w, r, http.StatusOK, h.pages.record(language(r), rec, ""))
	})
}

// recordJSON is the record for other programs (PIPL 45 para. 3).
func (h *handler) recordJSON(w http.ResponseWriter, r *http.Request, in session) {
	h.answerRecord(w, r, in, request.Copy, func(rec *storev1.Record) {
		raw, err := protojson.Marshal(rec)
		var body bytes.Buffer
		if err == nil {
			err = json.Indent(&body, raw, "", "  ") // its own blanks differ from build to build
		}
		if err != nil {
			h.writeError(w, r, problemInternal, nil)
			return
		}
		body.WriteByte('\n')
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="my-data.json"`)
		_, _ = w.Write(body.Bytes()) // the reader has gone if that fails
	})
}

func (h *handler) answerRecord(w http.ResponseWriter, r *http.Request, in session, as request.Kind, serve func(*storev1.Record)) {
	rec, bad, err := h.record(r, in, as)
	switch {
	case bad.status != 0:
		h.writeError(w, r, bad, err)
	case !rec.GetKnown():
		h.render(w, r, http.StatusOK, h.pages.message(language(r), "nothing"))
	default:
		serve(rec)
	}
}

// correct removes interests and changes the age band (PIPL 46).
func (h *handler) correct(w http.ResponseWriter, r *http.Request, in session) {
	age := ageAnswer(r.PostForm.Get("age"))
	remove := r.PostForm["remove"]
	if (age != "" && !age.valid()) || len(remove) > 256 {
		h.writeError(w, r, problemForm, nil)
		return
	}
	if age.band() != consent.AgeUnknown || len(remove) > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		_, err := h.Intake.CorrectRecord(ctx, &storev1.CorrectRecordRequest{
			Account: h.Account, OpenId: forStore(in.who), AgeBand: string(age.band()), RemoveTags: remove,
		})
		if err != nil {
			h.writeError(w, r, problemStore, err)
			return
		}
	}
	http.Redirect(w, r, at("/consent/record", unusualLanguage(r)), http.StatusSeeOther)
}

// askable are the requests that the page makes; seeing, copying and erasing have their own ways.
var askable = []request.Kind{request.Explanation, request.Correction, request.Restriction}

// makeRequest notes a request that somebody has to answer, or stops all use at once.
func (h *handler) makeRequest(w http.ResponseWriter, r *http.Request, in session) {
	kind := request.Kind(r.PostForm.Get("kind"))
	if !slices.Contains(askable, kind) {
		h.writeError(w, r, problemForm, nil)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.MakeRequest(ctx, &storev1.MakeRequestRequest{Account: h.Account, OpenId: forStore(in.who), Kind: string(kind)})
	switch {
	case err != nil && storeclient.Word(err) == "RequestInvalid": // erased meanwhile, at another screen
		h.render(w, r, http.StatusOK, h.pages.message(language(r), "nothing"))
		return
	case err != nil:
		h.writeError(w, r, problemStore, err)
		return
	case kind != request.Restriction:
		http.Redirect(w, r, at("/consent/record", unusualLanguage(r)), http.StatusSeeOther)
		return
	}
	in.note = noteWithdrawn
	if !res.GetAcknowledged() {
		in.note = notePending
	}
	if err := h.sealer.keep(w, r, in); err != nil {
		h.Log.ErrorContext(r.Context(), "Session not kept after use was restricted")
	}
	http.Redirect(w, r, at("/consent/done", unusualLanguage(r)), http.StatusSeeOther)
}

// confirmErasure says what goes, what must remain, and why, before anything is done.
func (h *handler) confirmErasure(w http.ResponseWriter, r *http.Request, in session) {
	h.render(w, r, http.StatusOK, h.pages.confirm(language(r), h.sealer.token(in), ""))
}

// erase removes the person for good (PIPL 47). The session ends with it.
func (h *handler) erase(w http.ResponseWriter, r *http.Request, in session) {
	if r.PostForm.Get("sure") != "yes" {
		h.render(w, r, http.StatusBadRequest, h.pages.confirm(language(r), h.sealer.token(in), "hint.sure"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.ErasePerson(ctx, &storev1.ErasePersonRequest{Account: h.Account, OpenId: forStore(in.who)})
	if err != nil {
		h.writeError(w, r, problemStore, err)
		return
	}
	word := "erased"
	switch {
	case !res.GetFound():
		word = "nothing"
	case !res.GetAcknowledged():
		word = "erased.pending"
	}
	http.SetCookie(w, cookie(r, sessionCookie, "", -time.Second))
	h.render(w, r, http.StatusOK, h.pages.message(language(r), word))
}
