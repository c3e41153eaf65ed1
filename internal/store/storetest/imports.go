package storetest

import (
	"errors"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/store"
)

// collected is a consent to the sample export that was given on paper.
func (w *World) collected(change ...func(*store.ImportedConsent)) store.ImportedConsent {
	c := store.ImportedConsent{Purpose: Reporting, Recipient: Recipient, NoticeRevision: 3, CollectedAt: w.Clock.Now().AddDate(0, -2, 0), Evidence: "paper form 2026-09, folder 12"}
	for _, f := range change {
		f(&c)
	}
	return c
}

// takes imports one person.
func (w *World) takes(name string, consents ...store.ImportedConsent) store.Imported {
	w.Helper()
	got, err := w.Ledger.Import(w.Context(), Account, []store.ImportedPerson{{Who: OpenID(name), Following: true, Consents: consents}})
	w.ok(err)
	return got
}

func importsWhatIsProved(w *World) {
	want(w, "imported", w.takes("old", w.collected()), store.Imported{People: 1, Consents: 1})
	want(w, "imported again", w.takes("old", w.collected()), store.Imported{})
	want(w, "could be exported", w.exported(), 1)
	r := w.Plan("run")
	want(w, "a follower who was never asked for marketing", r.Excluded[reason.NotInAudience]+r.Excluded[reason.MarketingConsentMissing], 1)
}

func importsNothingUnproved(w *World) {
	for _, c := range []store.ImportedConsent{
		w.collected(func(c *store.ImportedConsent) { c.Evidence = "" }),
		w.collected(func(c *store.ImportedConsent) { c.Evidence = "yes" }),
		w.collected(func(c *store.ImportedConsent) { c.CollectedAt = time.Time{} }),
		w.collected(func(c *store.ImportedConsent) { c.CollectedAt = w.Clock.Now().Add(time.Hour) }),
		w.collected(func(c *store.ImportedConsent) { c.NoticeRevision = 0 }),
	} {
		got := w.takes("old", c)
		want(w, "unproved", got.Unproved, 1)
		want(w, "recorded", got.Consents, 0)
	}
	want(w, "could be exported", w.exported(), 0)
}

func importGoesStale(w *World) {
	w.takes("old", w.collected(func(c *store.ImportedConsent) { c.NoticeRevision = 2 }))
	want(w, "given to another text", w.exported(), 0)
}

func importChangesNothingSaidHere(w *World) {
	w.Fan("fan")
	w.withdrawal("fan")(10 * time.Second)
	want(w, "after a withdrawal", w.takes("fan", w.collected()), store.Imported{Contradicted: 1})
	w.Choose(w.Context(), "refuser", consent.Adult)
	want(w, "after a refusal", w.takes("refuser", w.collected()), store.Imported{Contradicted: 1})
	w.Fan("leaver")
	w.Event("leaver", "unsubscribe", "")
	w.takes("leaver", w.collected())
	want(w, "could be exported", w.exported(), 0)
}

func importIsWhole(w *World) {
	bad := []store.ImportedPerson{
		{Who: OpenID("a"), Consents: []store.ImportedConsent{w.collected()}},
		{Who: OpenID("b"), Consents: []store.ImportedConsent{w.collected(func(c *store.ImportedConsent) { c.Purpose = "Unheard" })}},
	}
	if _, err := w.Ledger.Import(w.Context(), Account, bad); !errors.Is(err, store.ErrNoticeIncomplete) {
		w.Errorf("a purpose that nobody was told: %v", err)
	}
	want(w, "half of an import", w.exported(), 0)
	if _, err := w.Ledger.Import(w.Context(), Account, make([]store.ImportedPerson, store.MaxImported+1)); !errors.Is(err, store.ErrInvalid) {
		w.Errorf("too many: %v", err)
	}
}
