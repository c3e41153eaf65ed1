package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/store"
)

// Ask makes a guardian's link for a person; n tells links apart.
func (w *World) Ask(name string, n byte) [32]byte {
	w.Helper()
	secret := [32]byte{1, n}
	w.ok(w.Ledger.AskGuardian(w.Context(), Account, OpenID(name), secret))
	return secret
}

// Says answers by a link.
func (w *World) Says(guardian string, secret [32]byte, state consent.GuardianState) error {
	w.Helper()
	a := store.GuardianAnswer{
		GuardianLink: store.GuardianLink{Account: Account, Secret: secret, Who: OpenID(guardian)},
		Revision:     w.Ledger.View().Notice.Revision, State: state, Relation: store.Parent, Language: "zh-CN",
	}
	_, err := w.Ledger.AnswerGuardian(w.Context(), a)
	return err
}

// child agrees to everything, as a person of 8 to 13 years.
func (w *World) child(name string) {
	w.Helper()
	w.Fan(name)
	w.Choose(w.Context(), name, consent.From8, Purpose, "DirectMarketing", Reporting)
}

// exported counts who could be included in the sample export.
func (w *World) exported() int64 {
	w.Helper()
	w.Clock.Move(time.Second)
	f, err := w.Ledger.TransferFacts(w.Context(), w.Export("x"))
	w.ok(err)
	return f.People.Included
}

// guardianOfChild tells how far the guardian of "child" is.
func (w *World) guardianOfChild() consent.GuardianState {
	w.Helper()
	p, err := w.Ledger.Preferences(w.Context(), Account, OpenID("child"))
	w.ok(err)
	return p.Guardian
}

func guardianConfirms(w *World) {
	w.child("child")
	want(w, "before", w.guardianOfChild(), consent.GuardianRequired)
	want(w, "exported before", w.exported(), 0)
	link := w.Ask("child", 1)
	want(w, "asked", w.guardianOfChild(), consent.GuardianPending)
	want(w, "exported when asked", w.exported(), 0)
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	want(w, "confirmed", w.guardianOfChild(), consent.GuardianVerified)
	want(w, "exported when confirmed", w.exported(), 1)
	r := w.Plan("run")
	want(w, "scored marketing to a child, whoever agrees", r.Excluded[reason.MinorAutomatedMarketing], 1)
}

func guardianTakesBack(w *World) {
	w.child("child")
	link := w.Ask("child", 1)
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	w.Clock.Move(2 * store.GuardianLinkLife) // the link of who answered stays
	w.Push(nil)
	w.ok(w.Says("mother", link, consent.GuardianWithdrawn))
	want(w, "taken back", w.guardianOfChild(), consent.GuardianRequired)
	want(w, "exported", w.exported(), 0)
	p, err := w.Ledger.Preferences(w.Context(), Account, OpenID("child"))
	w.ok(err)
	for _, i := range p.Items {
		want(w, "what the child agreed to: "+i.Purpose, i.Granted, false)
	}
}

func eitherGuardianMayRefuse(w *World) {
	w.child("child")
	w.ok(w.Says("mother", w.Ask("child", 1), consent.GuardianVerified))
	second := w.Ask("child", 2)
	want(w, "while the second is asked", w.exported(), 1)
	w.ok(w.Says("father", second, consent.GuardianRefused))
	want(w, "when the second refuses", w.exported(), 0)
}

func guardianConfirmsOneText(w *World) {
	w.child("child")
	w.ok(w.Says("mother", w.Ask("child", 1), consent.GuardianVerified))
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Notice.Revision = 4 })
	w.Choose(w.Context(), "child", consent.From8, Reporting)
	want(w, "the child agreed anew, the guardian did not", w.exported(), 0)
	want(w, "state", w.guardianOfChild(), consent.GuardianRequired)
}

func guardianRefused(w *World) {
	w.child("child")
	w.child("sister")
	w.Fan("adult")
	link := w.Ask("child", 1)
	late := w.Ask("sister", 2)
	for name, err := range map[string]error{
		"the child itself":                 w.Says("child", link, consent.GuardianVerified),
		"another child":                    w.Says("sister", link, consent.GuardianVerified),
		"a link that there is not":         w.Says("mother", [32]byte{9}, consent.GuardianVerified),
		"a link for who needs no guardian": w.Ledger.AskGuardian(w.Context(), Account, OpenID("adult"), [32]byte{7}),
		"a link for a stranger":            w.Ledger.AskGuardian(w.Context(), Account, OpenID("stranger"), [32]byte{8}),
		"no answer at all":                 w.Says("mother", link, consent.GuardianPending),
	} {
		var known *store.Error
		if !errors.As(err, &known) {
			w.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	if err := w.Says("stranger", link, consent.GuardianWithdrawn); !errors.Is(err, store.ErrGuardianLink) {
		w.Errorf("somebody else by an answered link: %v", err)
	}
	w.Clock.Move(store.GuardianLinkLife + time.Second)
	if err := w.Says("mother", late, consent.GuardianVerified); !errors.Is(err, store.ErrGuardianLink) {
		w.Errorf("by a link that is over: %v", err)
	}
	again := w.Ask("sister", 3)
	if err := w.Says("mother", late, consent.GuardianVerified); !errors.Is(err, store.ErrGuardianLink) {
		w.Errorf("by a link that was replaced: %v", err)
	}
	w.ok(w.Says("mother", again, consent.GuardianVerified))
}

// Nothing may be sent to the child after the guardian's no was acknowledged.
func guardianIsFinal(w *World) {
	w.Push(func(v *store.View) { v.Policy.GuardianAge = 18 })
	w.Fan("teen")
	w.Choose(w.Context(), "teen", consent.From14, "DirectMarketing")
	link := w.Ask("teen", 1)
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	w.Clock.Move(time.Second)
	s := Spec("plain")
	s.Purpose, s.Expression = "DirectMarketing", "true"
	_, err := w.Ledger.PlanRun(w.Context(), s)
	w.ok(err)
	p := w.Lease("plain", 1).Permits
	want(w, "permits", len(p), 1)
	a := store.GuardianAnswer{GuardianLink: store.GuardianLink{Account: Account, Secret: link, Who: OpenID("mother")}, State: consent.GuardianWithdrawn}
	ctx, cancel := context.WithTimeout(w.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := w.Ledger.AnswerGuardian(ctx, a)
	w.ok(err)
	want(w, "acknowledged with a live permit", r.Acknowledged, false)
	w.Report("plain", store.Sent, p...)
	r, err = w.Ledger.AnswerGuardian(w.Context(), a)
	w.ok(err)
	want(w, "acknowledged after the report", r.Acknowledged, true)
}

// guardianProvable: what is kept of an answer says how it was verified, and over what.
func guardianProvable(w *World) {
	w.child("child")
	link := w.Ask("child", 1)
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	w.ok(w.Says("mother", link, consent.GuardianWithdrawn))
	r, err := w.Ledger.Record(w.Context(), Account, OpenID("child"), "")
	w.ok(err)
	if len(r.Guardians) != 3 {
		w.Fatal("events", len(r.Guardians))
	}
	evidence := map[string]bool{}
	for i, x := range r.Guardians {
		want(w, "method", x.Method, consent.OwnAccountLink)
		want(w, "age by then", x.Age, consent.From8)
		answered := x.State != consent.GuardianPending
		want(w, "answered", answered, i > 0)
		want(w, "verified by somebody", x.VerifierRef != "", answered)
		want(w, "evidence", len(x.Evidence) == 64, answered)
		evidence[x.Evidence] = true
	}
	want(w, "each answer has its own", len(evidence), 3)
	_, kept, proved := w.Receipt("child")
	want(w, "in the receipt", len(kept.Guardians), len(r.Guardians))
	for i, x := range r.Guardians {
		g := kept.Guardians[i]
		want(w, "state", g.GuardianState, x.State)
		want(w, "relation", g.Relation, string(x.Relation))
		want(w, "verifier", g.VerifierRef, x.VerifierRef)
		want(w, "commitment", g.EvidenceCommitment, x.Evidence)
		want(w, "age", g.SubjectAgeBand, string(x.Age))
		want(w, "what was shown before an answer", g.Evidence.NoticeLogIndex != nil, x.State != consent.GuardianPending)
	}
	want(w, "proved beside the consents", proved.Events > 0, true)
}
