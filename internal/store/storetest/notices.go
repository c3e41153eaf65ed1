package storetest

import (
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// told makes a change of a view: the notice has this revision and text.
func told(revision int64, text string) func(*store.View) {
	return func(v *store.View) {
		v.Notice.Revision, v.Notice.StoragePlace = revision, text
		v.Notice.Hash = v.Notice.Text().Hash()
	}
}

// version names a text that was told.
func version(revision int64, text string) notice.Version {
	v := View(time.Time{})
	told(revision, text)(v)
	return v.Notice.Version()
}

// claimed makes a change of a view: the notice has this text, and comes with this hash.
func claimed(revision int64, text, hash string) func(*store.View) {
	return func(v *store.View) {
		told(revision, text)(v)
		v.Notice.Hash = hash
	}
}

// withdrawn takes the notice out of a view.
func withdrawn(v *store.View) { v.Notice = store.Notice{} }

// tell pushes a view a moment later, and tells whether its notice was refused.
func (w *World) tell(change func(*store.View)) (refused bool) {
	w.Helper()
	w.Clock.Move(time.Second)
	w.Push(change)
	return w.status().NoticeRefused
}

func (w *World) status() store.Status {
	w.Helper()
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	return s
}

func noticeStays(w *World) {
	for _, c := range []struct {
		name    string
		push    func(*store.View)
		refusal string
		inForce notice.Version
		place   string
	}{
		{"the same again", told(3, textOf3), "", version(3, textOf3), textOf3},
		{"other words under its hash", claimed(3, "other", version(3, textOf3).Hash), store.RefusedHash, version(3, textOf3), textOf3},
		{"another text under the same number", told(3, "other"), store.RefusedRevision, version(3, textOf3), textOf3},
		{"a newer revision under a hash of its own", claimed(5, "text of 5", version(5, "other").Hash), store.RefusedHash, version(3, textOf3), textOf3},
		{"a newer revision", told(5, "text of 5"), "", version(5, "text of 5"), "text of 5"},
		{"back to the older one", told(3, textOf3), store.RefusedRevision, version(5, "text of 5"), "text of 5"},
		{"a number in between", told(4, "text of 4"), store.RefusedRevision, version(5, "text of 5"), "text of 5"},
		{"another text without a hash", claimed(5, "other", ""), store.RefusedRevision, version(5, "text of 5"), "text of 5"},
		{"the newer one again, without a hash", claimed(5, "text of 5", ""), "", version(5, "text of 5"), "text of 5"},
		{"one without a hash gets its own", claimed(6, "text of 6", ""), "", version(6, "text of 6"), "text of 6"},
		{"another text of it", told(6, "other"), store.RefusedRevision, version(6, "text of 6"), "text of 6"},
	} {
		want(w, c.name+": refused", w.tell(c.push), c.refusal != "")
		want(w, c.name+": why", w.status().NoticeRefusal, c.refusal)
		want(w, c.name+": in force", w.Ledger.View().Notice.Version(), c.inForce)
		want(w, c.name+": what people read", w.Ledger.View().Notice.StoragePlace, c.place)
		want(w, c.name+": newest", w.status().Notice, c.inForce)
	}
	p, err := w.Ledger.Preferences(w.Context(), Account, OpenID("a"))
	w.ok(err)
	want(w, "the page is told the hash", p.Notice.Hash, version(6, "text of 6").Hash)
}

func refusedNoticeBesideHold(w *World) {
	refused := w.tell(func(v *store.View) {
		told(2, "text of 2")(v)
		v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}}
	})
	want(w, "refused", refused, true)
	want(w, "the hold arrived", len(w.Ledger.View().Holds), 1)
}

func noticeMadeAnew(w *World) {
	w.Fan("a")
	w.tell(told(4, "text of 4"))
	w.Fan("b")
	want(w, "the notice is gone", w.tell(withdrawn), false)
	want(w, "made anew with a lower number", w.tell(told(3, "other")), true)
	want(w, "nothing is in force", w.Ledger.View().Notice.Revision, 0)
	if _, err := w.Ledger.PlanRun(w.Context(), Spec("early")); err == nil {
		w.Error("a run was planned although nobody is told anything")
	}
	want(w, "another text under the last number", w.tell(told(4, "other")), true)
	want(w, "the last text again", w.tell(told(4, "text of 4")), false)
	r := w.Plan("run")
	want(w, "who agreed to the last text", r.Eligible, 1)
	want(w, "who agreed to the one before", r.Excluded[reason.ConsentStaleNotice], 1)
}

func textKept(w *World) {
	kept := func(revision int64, text string) func(*store.View) {
		return func(v *store.View) {
			v.Notice = store.Notice{Name: "brand-notice", Revision: revision, Hash: version(revision, text).Hash, TextKept: true}
		}
	}
	w.Fan("a")
	want(w, "refused", w.tell(kept(3, textOf3)), false)
	want(w, "the text is whole", len(w.Ledger.View().Notice.Purposes), 2)
	want(w, "consents stand", w.Plan("run").Eligible, 1)
	w.tell(withdrawn)
	want(w, "it comes back from the ledger", w.tell(kept(3, textOf3)), false)
	want(w, "purposes", len(w.Ledger.View().Notice.Purposes), 2)
	want(w, "a text that never came here is not in force", w.tell(kept(9, "text of 9")), false)
	want(w, "revision", w.Ledger.View().Notice.Revision, 3)
	want(w, "an older one", w.tell(kept(2, "text of 2")), true)
}

func staleCounted(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.Choose(w.Context(), "refuser", consent.Adult)
	want(w, "before a newer text", w.status().StaleConsents, 0)
	w.tell(told(4, "text of 4"))
	want(w, "after it", w.status().StaleConsents, 2)
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	w.Clock.Move(time.Minute)
	want(w, "one was asked again", w.status().StaleConsents, 1)
	w.Event("b", "unsubscribe", "")
	w.Clock.Move(time.Minute)
	want(w, "the other has left", w.status().StaleConsents, 0)
}

func textsOutlive(t *testing.T, e Engine) {
	w := &World{T: t, Clock: NewClock()}
	dir := t.TempDir()
	var err error
	w.Ledger, err = e.Open(t, dir, w.Clock, true)
	w.ok(err)
	w.Push(nil)
	w.tell(withdrawn)
	w.ok(w.Ledger.Close())
	w.Ledger, err = e.Open(t, dir, w.Clock, false)
	w.ok(err)
	want(w, "the newest text is known", w.status().Notice, version(3, textOf3))
	want(w, "a lower number is refused", w.tell(told(2, "text of 2")), true)
	want(w, "another text is refused", w.tell(told(3, "other")), true)
	want(w, "a newer one is taken", w.tell(told(4, "text of 4")), false)
	w.ok(w.Ledger.Close())
}
