package storetest

import (
	"errors"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store"
)

// Look opens the consent page, or a guardian's link.
func (w *World) Look(name, language string, link *[32]byte) error {
	w.Helper()
	return w.Ledger.RecordLook(w.Context(), store.Look{
		Account: Account, Who: OpenID(name), Revision: w.Ledger.View().Notice.Revision, Language: language, Link: link,
	})
}

// shownTo is when the notice was shown about a person.
func (w *World) shownTo(name string) []store.ShownEntry {
	w.Helper()
	r, err := w.Ledger.Record(w.Context(), Account, OpenID(name), "")
	w.ok(err)
	return r.Shown
}

func refusedWith(w *World, what string, got, want error) {
	w.Helper()
	if !errors.Is(got, want) {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func lookIsKept(w *World) {
	w.ok(w.Look("a", "en", nil))
	all := w.shownTo("a")
	if len(all) != 1 {
		w.Fatal("shown", all)
	}
	x := all[0]
	want(w, "when", x.At, w.Clock.Now())
	want(w, "which text", len(x.Hash), 64)
	x.At, x.Hash = time.Time{}, ""
	want(w, "what", x, store.ShownEntry{Revision: 3, Account: Account, Language: "en", Control: consent.Page})
}

func lookOnceADay(w *World) {
	w.ok(w.Look("a", "zh-CN", nil))
	size := w.status().LogSize
	for range 3 {
		w.Clock.Move(time.Hour) // 12:00 to 15:00 in Shanghai
		w.ok(w.Look("a", "zh-CN", nil))
	}
	want(w, "the log when the page is loaded again", w.status().LogSize, size)
	w.ok(w.Look("a", "en", nil))
	want(w, "in another language", len(w.shownTo("a")), 2)
	w.Clock.Move(8 * time.Hour) // 23:00
	w.ok(w.Look("a", "zh-CN", nil))
	want(w, "late on the same day, which is another one in UTC", len(w.shownTo("a")), 2)
	w.Clock.Move(time.Hour)
	w.ok(w.Look("a", "zh-CN", nil))
	want(w, "on the next day", len(w.shownTo("a")), 3)
	w.tell(told(4, "text of 4"))
	w.ok(w.Look("a", "zh-CN", nil))
	want(w, "another text", len(w.shownTo("a")), 4)
	w.ok(w.Look("b", "zh-CN", nil))
	want(w, "another person", len(w.shownTo("b")), 1)
}

func answerRefersToLook(w *World) {
	w.ok(w.Look("a", "zh-CN", nil))
	w.Clock.Move(24 * time.Hour)
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	w.Choose(w.Context(), "a", consent.Adult)
	want(w, "looks of who opened the page the day before", len(w.shownTo("a")), 1)
	w.Choose(w.Context(), "b", consent.Adult, Purpose)
	w.Choose(w.Context(), "b", consent.Adult)
	want(w, "looks of who was not seen to open it", len(w.shownTo("b")), 1)
	_, a, _ := w.Receipt("a")
	_, b, _ := w.Receipt("b")
	want(w, "notice events", len(a.Notices)+len(b.Notices), 2)
	want(w, "was opened", a.Notices[0].Opened, true)
	want(w, "was opened, as far as is known", b.Notices[0].Opened, false)
	for _, x := range a.Records {
		for _, e := range x.Events {
			if n := e.Evidence.NoticeLogIndex; n == nil || *n != a.Notices[0].LogIndex || *n >= e.LogIndex {
				w.Errorf("%s of entry %d does not answer what was shown", e.Type, e.LogIndex)
			}
		}
	}
}

func lookAtAnotherText(w *World) {
	k := store.Look{Account: Account, Who: OpenID("a"), Revision: 2, Language: "en"}
	size := w.status().LogSize
	refusedWith(w, "an older revision", w.Ledger.RecordLook(w.Context(), k), store.ErrNoticeRevision)
	k.Revision, k.Language = 3, ""
	refusedWith(w, "no language", w.Ledger.RecordLook(w.Context(), k), store.ErrInvalid)
	w.tell(withdrawn)
	k.Revision, k.Language = 0, "en"
	refusedWith(w, "no notice", w.Ledger.RecordLook(w.Context(), k), store.ErrNoticeRevision)
	want(w, "people", w.status().Subjects, 0)
	want(w, "log, but for the view", w.status().LogSize, size+1)
}

func guardianLooks(w *World) {
	w.child("child")
	link := w.Ask("child", 1)
	before := len(w.shownTo("child"))
	for range 2 {
		w.ok(w.Look("mother", "en", &link))
	}
	all := w.shownTo("child")
	want(w, "looks", len(all), before+1)
	want(w, "on", all[before].Control, consent.Guardian)
	want(w, "the guardian is not known for looking", w.status().Subjects, 1)
	wrong := [32]byte{9}
	refusedWith(w, "another link", w.Look("mother", "en", &wrong), store.ErrGuardianLink)
	refusedWith(w, "their own", w.Look("child", "en", &link), store.ErrGuardianSelf)
	w.ok(w.Says("mother", link, consent.GuardianRefused)) // in Chinese, of which nothing was seen
	want(w, "an answer without a look notes it", len(w.shownTo("child")), before+2)
	w.Receipt("child")
}

func lookIsErased(w *World) {
	w.ok(w.Look("a", "en", nil))
	_, err := w.Ledger.Erase(w.Context(), Account, OpenID("a"), consent.Page)
	w.ok(err)
	want(w, "looks", len(w.shownTo("a")), 0)
	w.ok(w.Look("a", "en", nil))
	want(w, "of the new person", len(w.shownTo("a")), 1)
}
