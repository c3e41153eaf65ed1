package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// success is the word that ends the platform's retries. It is sent plain in secure mode too.
const success = "success"

// withdrawnReply is sent only when nothing further can leave for what was withdrawn.
const withdrawnReply = "您的撤回已生效，我们不会再向您推送营销信息。\nYour withdrawal has taken effect. We will not send you marketing messages."

// invitation is what a new follower is answered with, once: the store says when (NDSMR 22(5)).
// It asks for nothing by itself; the page does, item by item.
const invitation = "您可以在此查看隐私告知，并逐项选择是否同意；不选择也不影响使用：https://%[1]s/consent\n" +
	"Read the privacy notice and choose for each item here. Not choosing changes nothing: https://%[1]s/consent?lang=en"

// verifyURL answers the console's check of the address.
func (h *handler) verifyURL(w http.ResponseWriter, r *http.Request) {
	echo, err := h.keys.VerifyURL(r.URL.Query(), h.Clock())
	if err != nil {
		h.writeError(w, r, problemRefused, err)
		return
	}
	answer(w, echo)
}

// receive takes one push. It says success when the store has the event on disk, or when
// there is nothing to store: the platform forgets the event then.
func (h *handler) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, callback.MaxBody+1))
	if err != nil {
		h.writeError(w, r, problemRefused, nil)
		return
	}
	plain, used, err := h.keys.Open(r.URL.Query(), body, h.Clock())
	if err != nil {
		h.writeError(w, r, problemRefused, err)
		return
	}
	event, err := callback.Parse(plain)
	if err != nil {
		// The platform sent it, and would send the same again.
		h.Log.LogAttrs(r.Context(), slog.LevelError, "Callback not understood")
		answer(w, success)
		return
	}
	if event.Attention {
		h.Log.LogAttrs(r.Context(), slog.LevelWarn, "Callback needs attention: it does not tell whom or what it is about", slog.String("kind", string(event.Kind)))
	}
	req := h.request(event)
	if req == nil {
		answer(w, success)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.RecordEvent(ctx, req)
	switch {
	case err != nil:
		h.writeError(w, r, problemStore, err)
	case req.GetWithdraw() && res.GetWithdrawalAcknowledged():
		h.reply(w, r, event, used, withdrawnReply)
	case res.GetMayAsk() && h.PublicHost != "":
		h.reply(w, r, event, used, fmt.Sprintf(invitation, h.PublicHost))
	default:
		answer(w, success)
	}
}

// request maps an event, or returns nil for those that the store need not know. What the
// person wrote stays here.
func (h *handler) request(e callback.Event) *storev1.RecordEventRequest {
	if e.OpenID.IsZero() {
		return nil
	}
	req := &storev1.RecordEventRequest{
		Account: h.Account, Kind: string(e.Kind), DedupeKey: e.DedupeKey().Bytes(), OpenId: forStore(e.OpenID),
		At: timestamppb.New(e.CreateTime), Withdraw: h.keywords.withdraws(e),
	}
	switch e.Kind {
	case callback.KindClick, callback.KindView:
		req.Key = e.EventKey
	case callback.KindSubscribe, callback.KindScan:
		req.Key = e.Scene
	case callback.KindPopup, callback.KindChange:
		req.Subscriptions = h.answers(e.Subscriptions)
	case callback.KindUnsubscribe, callback.KindText, callback.KindOtherMessage, callback.KindRevoke, callback.KindCancellation:
	default:
		return nil // results of sends, changes of a profile that we do not keep, news of the platform
	}
	return req
}

// answers keeps refusals of any template, but permissions only for the account's own.
func (h *handler) answers(in []callback.Subscription) []*storev1.SubscriptionAnswer {
	var out []*storev1.SubscriptionAnswer
	for _, s := range in {
		if s.Accepted && len(h.Templates) > 0 && !slices.Contains(h.Templates, s.TemplateID) {
			continue
		}
		out = append(out, &storev1.SubscriptionAnswer{TemplateId: s.TemplateID, Accepted: s.Accepted})
	}
	return out
}

// reply answers in the chat. The event is on disk: if the reply cannot be made, success is
// still the right answer.
func (h *handler) reply(w http.ResponseWriter, r *http.Request, e callback.Event, key callback.AESKey, text string) {
	now := h.Clock()
	nonce, err := h.sealer.draw(8)
	if err == nil {
		var sealed callback.Sealed
		sealed, err = h.keys.Seal(key, textReply(e, text, now), fmt.Sprintf("%x", nonce), now, h.Random)
		if err == nil {
			w.Header().Set("Content-Type", "application/xml; charset=utf-8")
			_, _ = w.Write(sealed.Reply())
			return
		}
	}
	h.Log.LogAttrs(r.Context(), slog.LevelError, "Reply not made", causeOf(err)...)
	answer(w, success)
}

// answer writes a word; the reader has gone if that fails.
func answer(w http.ResponseWriter, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, word)
}
