package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// Engine opens ledgers of one kind.
type Engine struct {
	// Open opens the ledger in dir with this clock; create allows an empty place.
	Open func(t *testing.T, dir string, clock *Clock, create bool) (store.Ledger, error)
}

// contractCase is one promise.
type contractCase struct {
	name string
	run  func(*World)
}

// contract is what every engine keeps.
var contract = []contractCase{
	{"one reason for everyone left out", planReasons},
	{"a plan is made once, and another content under its id is refused", planOnce},
	{"each eligible person gets one permit, and ends in one outcome", onePermit},
	{"a permit that runs out unreported is unknown and is not leased again", unknownIsFinal},
	{"a report after the permit ran out still brings knowledge", lateReport},
	{"a permit given back unused is leased again with the same key", unusedComesBack},
	{"a grant that was voided meanwhile does not come back with an unused permit", voidedMeanwhile},
	{"a permit lives no longer than the schedule, and none is given for its last moments", scheduleEnds},
	{"a withdrawal between plan and lease stops the send", withdrawnBeforeLease},
	{"a withdrawal is acknowledged only when no permit is live", withdrawalWaits},
	{"what a person says is kept, also when the caller's time is up", callerGone},
	{"an age once told is not taken back", ageIsKept},
	{"marketing selected by profile is scored, whatever its purpose", scoredByAnyName},
	{"a lead model that makes no sense keeps no hold out", badModel},
	{"a late word that nothing was sent ends the delivery", lateUnused},
	{"leaving the account is an opt-out, and voids grants", leaving},
	{"an unfollow that arrives before its follow still wins", outOfOrder},
	{"the same event twice is one", duplicates},
	{"one grant carries one message, also with two campaigns", oneGrant},
	{"the cap counts what was sent and what is unknown", frequencyCap},
	{"the budget is one for all workers and survives", budget},
	{"a hold stops leases, and its end lets them go on", held},
	{"after the schedule what is left is refused", closed},
	{"points decay, are capped per day, and cannot come from the future", scoring},
	{"a new revision makes old consents stale", staleNotice},
	{"answers to another revision are not recorded", wrongRevision},
	{"a minor's yes to scored marketing is kept, and the record says that it is not used", yesOfAMinor},
	{"that the notice was shown is kept without an answer", lookIsKept},
	{"to look again on the same day writes nothing", lookOnceADay},
	{"an answer refers to what was shown before it", answerRefersToLook},
	{"nothing is noted of a text that is not in force", lookAtAnotherText},
	{"what a guardian was shown is in the record of the person", guardianLooks},
	{"what was shown goes with the person", lookIsErased},
	{"a notice does not go back, nor change its text under its number", noticeStays},
	{"a notice that is refused keeps no hold out", refusedNoticeBesideHold},
	{"a notice made anew with a lower number makes no old consent valid", noticeMadeAnew},
	{"people read the former text while a newer one is not complete", textKept},
	{"people are counted whose consents are to an older text", staleCounted},
	{"only those who consented are exported, with the named fields", export},
	{"people are counted once a year, and not again by a restart", counted},
	{"people are counted by the kind of their data, and children as sensitive", countedByKind},
	{"what other stores counted is added", elsewhereCounts},
	{"a hold refuses the transfer", heldTransfer},
	{"a hold that comes before a restart stops it, since something may have left", heldRestart},
	{"papers that run out before a restart stop it", expiredRestart},
	{"a stale view refuses transfers", staleView},
	{"a view pushed late does not replace a newer one", overtakenView},
	{"a view dated ahead is fresh no longer, and keeps no later one out", viewAhead},
	{"the audit agrees person by person", reconcile},
	{"a guardian's word is kept with method, verifier, evidence and the age told", guardianProvable},
	{"a child's consent counts when a guardian has confirmed it", guardianConfirms},
	{"a guardian takes the answer back, and with it what the child agreed to", guardianTakesBack},
	{"a no of either guardian counts", eitherGuardianMayRefuse},
	{"a guardian confirms one text", guardianConfirmsOneText},
	{"who may not speak as a guardian is refused", guardianRefused},
	{"a guardian's no is acknowledged only when no permit is live", guardianIsFinal},
	{"a consent collected elsewhere counts with evidence, once", importsWhatIsProved},
	{"a consent without evidence is none", importsNothingUnproved},
	{"a consent collected under another text is stale", importGoesStale},
	{"an import changes nothing that a person said here", importChangesNothingSaidHere},
	{"an import is taken as a whole, or not at all", importIsWhole},
	{"the log verifies", verifies},
	{"bad input is refused with a word", badInput},
	{"a checkpoint is signed once for each head", checkpointOnce},
	{"a receipt proves what a person answered and took back", receiptProves},
	{"a receipt stays good while the log grows", receiptLasts},
	{"a receipt is about one person", receiptOfOne},
	{"who has answered nothing gets no receipt", receiptOfNobody},
}

// Run runs the contract.
func Run(t *testing.T, e Engine) {
	for _, c := range slices.Concat(contract, rights, unions, parts, duties, aggregates) {
		t.Run(c.name, func(t *testing.T) {
			w := &World{T: t, Clock: NewClock()}
			var err error
			if w.Ledger, err = e.Open(t, t.TempDir(), w.Clock, true); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { w.ok(w.Ledger.Close()) })
			w.Push(nil)
			c.run(w)
			if _, err := w.Ledger.Verify(t.Context()); err != nil {
				t.Errorf("the log does not verify afterwards: %v", err)
			}
		})
	}
	t.Run("reopening keeps everything", func(t *testing.T) { reopen(t, e) })
	t.Run("that somebody is left of a transfer, or nobody, outlives a restart", func(t *testing.T) { partsLeftAfterRestart(t, e) })
	t.Run("texts that were told outlive their notice and a restart", func(t *testing.T) { textsOutlive(t, e) })
	t.Run("a ledger is created once", func(t *testing.T) { createdOnce(t, e) })
}

func want[T comparable](w *World, what string, got, want T) {
	w.Helper()
	if got != want {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func planReasons(w *World) {
	w.Fan("fan")
	w.Event("stranger", "subscribe", "")
	w.Fan("minor")
	w.Choose(w.Context(), "minor", consent.From14, Purpose)
	w.Event("ageless", "SCAN", "booth-2026")
	w.Event("ageless", "CLICK", "tag:tea")
	w.Choose(w.Context(), "ageless", consent.AgeUnknown, Purpose)
	w.Fan("refuser")
	w.Choose(w.Context(), "refuser", consent.Adult)
	w.Event("asked", "subscribe", "")
	w.Event("asked", "SCAN", "booth-2026")
	w.Event("asked", "CLICK", "tag:tea")
	w.Choose(w.Context(), "asked", consent.Adult)
	w.Event("silent", "subscribe", "booth-2026")
	w.Event("silent", "SCAN", "booth-2026")
	w.Event("silent", "CLICK", "tag:tea")
	w.Fan("leaver")
	w.Event("leaver", "unsubscribe", "")
	w.Event("grantless", "SCAN", "booth-2026")
	w.Event("grantless", "CLICK", "tag:tea")
	w.Choose(w.Context(), "grantless", consent.Adult, Purpose)
	r := w.Plan("run")
	want(w, "audience", r.Audience, 8)
	want(w, "eligible", r.Eligible, 1)
	for code, n := range map[reason.Code]int64{
		reason.NotInAudience: 1, reason.MinorAutomatedMarketing: 1, reason.AgeUnknown: 1, reason.ConsentWithdrawn: 1,
		reason.ConsentRefused: 1, reason.MarketingConsentMissing: 1, reason.OptOutRecorded: 1, reason.NoSubscriptionGrant: 1,
	} {
		want(w, string(code), r.Excluded[code], n)
	}
}

func planOnce(w *World) {
	w.Fan("a")
	first := w.Plan("run")
	w.Fan("b")
	again := w.Plan("run")
	want(w, "eligible", again.Eligible, first.Eligible)
	other := Spec("run")
	other.Purpose = "DirectMarketing"
	if _, err := w.Ledger.PlanRun(w.Context(), other); !errors.Is(err, store.ErrRunConflict) {
		w.Errorf("PlanRun: %v", err)
	}
}

func callerGone(w *World) {
	w.Fan("a")
	w.Fan("b")
	gone, cancel := context.WithCancel(w.Context())
	cancel()
	sum := sha256.Sum256([]byte("the withdrawal"))
	r, err := w.Ledger.RecordEvent(gone, store.Event{Account: Account, Dedupe: sum[:], Kind: "text", Who: OpenID("a"), At: w.Clock.Now(), Withdraw: true})
	w.ok(err)
	want(w, "duplicate", r.Duplicate, false)
	w.Choose(gone, "b", consent.Adult)
	want(w, "eligible", w.Plan("run").Eligible, 0)
}

func viewAhead(w *World) {
	ahead := View(w.Clock.Now().Add(time.Hour))
	_, err := w.Ledger.PutView(w.Context(), LedgerID, ahead)
	w.ok(err)
	w.Clock.Move(time.Minute)
	w.Push(func(v *store.View) { v.Notice.Revision = 5 })
	want(w, "revision", w.Ledger.View().Notice.Revision, 5)
	_, err = w.Ledger.PutView(w.Context(), LedgerID, View(w.Clock.Now().Add(time.Hour)))
	w.ok(err)
	w.Clock.Move(ahead.ValidFor)
	want(w, "fresh", w.Ledger.View().Fresh(w.Clock.Now()), false)
}

func ageIsKept(w *World) {
	w.Choose(w.Context(), "child", consent.From8, "DirectMarketing")
	w.Choose(w.Context(), "child", consent.AgeUnknown, "DirectMarketing")
	p, err := w.Ledger.Preferences(w.Context(), Account, OpenID("child"))
	w.ok(err)
	want(w, "age", p.Age, consent.From8)
}

func scoredByAnyName(w *World) {
	w.Fan("teen")
	w.Choose(w.Context(), "teen", consent.From14, "DirectMarketing")
	s := Spec("run")
	s.Purpose = "DirectMarketing"
	w.Clock.Move(time.Second)
	r, err := w.Ledger.PlanRun(w.Context(), s)
	w.ok(err)
	want(w, "left out", r.Excluded[reason.MinorAutomatedMarketing], 1)
}

func badModel(w *World) {
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) {
		v.LeadModels[0].Rules[0].Match = "event.openid == 'x'"
		v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}}
	})
	want(w, "the hold arrived all the same", len(w.Ledger.View().Holds), 1)
	if _, err := w.Ledger.SizeAudience(w.Context(), "lead.score > 1.0", "brand-leads"); !errors.Is(err, store.ErrAudience) {
		w.Errorf("SizeAudience: %v", err)
	}
}

func leaving(w *World) {
	w.Fan("a")
	w.Clock.Move(time.Second)
	w.Event("a", "unsubscribe", "")
	w.Clock.Move(time.Second)
	w.Event("a", "subscribe", "")
	want(w, "following again is no consent", w.Plan("run").Excluded[reason.ConsentWithdrawn], 1)
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	want(w, "a grant from before is void", w.Plan("again").Excluded[reason.NoSubscriptionGrant], 1)
}

func outOfOrder(w *World) {
	w.Fan("a")
	w.Clock.Move(time.Minute)
	early := w.Clock.Now()
	w.Clock.Move(time.Minute)
	w.Event("a", "unsubscribe", "")
	w.Event("a", "subscribe", "", func(e *store.Event) { e.At = early })
	w.Grant("a")
	want(w, "opted out", w.Plan("run").Excluded[reason.OptOutRecorded], 1)
}

func duplicates(w *World) {
	w.Fan("a")
	var first store.Event
	w.Event("a", "subscribe_msg_popup_event", "", func(e *store.Event) {
		e.Subscriptions = []store.SubscriptionAnswer{{TemplateID: Template, Accepted: true}}
		first = *e
	})
	for range 3 {
		r, err := w.Ledger.RecordEvent(w.Context(), first)
		w.ok(err)
		want(w, "duplicate", r.Duplicate, true)
	}
	for i := range 3 { // two grants: one of Fan, one of above
		id := fmt.Sprint("run", i)
		w.Plan(id)
		w.Report(id, store.Sent, w.Lease(id, 1).Permits...)
	}
	want(w, "third run", w.Run("run2").Excluded[reason.NoSubscriptionGrant], 1)
}

func scoring(w *World) {
	size := func(expr string) int64 {
		n, err := w.Ledger.SizeAudience(w.Context(), expr, "brand-leads")
		w.ok(err)
		return n
	}
	for range 5 {
		w.Event("a", "CLICK", "pricing")
	}
	want(w, "two of five clicks count", size("lead.score == 20.0"), 1)
	w.Event("b", "SCAN", "booth-2026", func(e *store.Event) { e.At = w.Clock.Now().AddDate(1, 0, 0) })
	w.Clock.Move(30 * 24 * time.Hour)
	want(w, "half-life", size("lead.score > 9.99 && lead.score < 10.01"), 2)
	want(w, "stage", size("lead.stage == 'Lead'"), 2)
}

func staleNotice(w *World) {
	w.Fan("a")
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Notice.Revision = 4 })
	p, err := w.Ledger.Preferences(w.Context(), Account, OpenID("a"))
	w.ok(err)
	want(w, "answers to the former text", len(p.Items), 0)
	want(w, "stale", w.Plan("run").Excluded[reason.ConsentStaleNotice], 1)
}

func wrongRevision(w *World) {
	c := store.Choices{Account: Account, Who: OpenID("a"), Revision: 2, Age: consent.Adult, Items: []store.Choice{{Purpose: Purpose, Granted: true}}}
	if _, err := w.Ledger.RecordChoices(w.Context(), c); !errors.Is(err, store.ErrNoticeRevision) {
		w.Errorf("RecordChoices: %v", err)
	}
	c.Revision, c.Items[0].Purpose = 3, "Unheard"
	if _, err := w.Ledger.RecordChoices(w.Context(), c); !errors.Is(err, store.ErrNoticeIncomplete) {
		w.Errorf("RecordChoices: %v", err)
	}
}

func verifies(w *World) {
	w.Fan("a")
	v, err := w.Ledger.Verify(w.Context())
	w.ok(err)
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "root", string(v.Root), string(s.LogRoot))
	want(w, "size", v.Size, s.LogSize)
	want(w, "subjects", s.Subjects, 1)
}

func reconcile(w *World) {
	for _, n := range []string{"sent", "twice", "lost", "never"} {
		w.Fan(n)
	}
	w.Event("outsider", "subscribe", "")
	w.Plan("run")
	for _, p := range w.Lease("run", 9).Permits {
		switch p.Who {
		case OpenID("lost"), OpenID("never"):
			w.Report("run", store.Unknown, p)
		default:
			w.Report("run", store.Sent, p)
		}
	}
	got, err := w.Ledger.Reconcile(w.Context(), "run", map[subject.OpenID]int{
		OpenID("sent"): 1, OpenID("twice"): 2, OpenID("lost"): 1, OpenID("outsider"): 0, OpenID("nobody-we-know"): 1,
	})
	w.ok(err)
	want(w, "reconciled", got, store.Reconciled{SentOnce: 1, SentNotOnce: 1, UnknownOnce: 1, UnknownNone: 1, OthersNone: 1, OthersReceived: 1})
}

func badInput(w *World) {
	short := store.Event{Account: Account, Dedupe: []byte("x"), Kind: "CLICK", Who: OpenID("a")}
	if _, err := w.Ledger.RecordEvent(w.Context(), short); !errors.Is(err, store.ErrInvalid) {
		w.Errorf("RecordEvent: %v", err)
	}
	if _, err := w.Ledger.Run(w.Context(), "none"); !errors.Is(err, store.ErrRunUnknown) {
		w.Errorf("Run: %v", err)
	}
	if _, err := w.Ledger.Lease(w.Context(), "none", 0, 1); !errors.Is(err, store.ErrRunUnknown) {
		w.Errorf("Lease: %v", err)
	}
	if _, err := w.Ledger.Transfer(w.Context(), "none"); !errors.Is(err, store.ErrTransferUnknown) {
		w.Errorf("Transfer: %v", err)
	}
	if _, err := w.Ledger.PutView(w.Context(), "another", View(w.Clock.Now())); !errors.Is(err, store.ErrLedgerForeign) {
		w.Errorf("PutView: %v", err)
	}
	if _, err := w.Ledger.SizeAudience(w.Context(), "1 +", ""); !errors.Is(err, store.ErrAudience) {
		w.Errorf("SizeAudience: %v", err)
	}
	bad := Spec("run")
	bad.Expression = "profile.phone == '1'"
	if _, err := w.Ledger.PlanRun(w.Context(), bad); !errors.Is(err, store.ErrAudience) {
		w.Errorf("PlanRun: %v", err)
	}
	bad.Purpose, bad.Expression = "Unheard", "true"
	if _, err := w.Ledger.PlanRun(w.Context(), bad); !errors.Is(err, store.ErrNoticeIncomplete) {
		w.Errorf("PlanRun: %v", err)
	}
	w.Plan("run") // the refused attempts left no run behind
}

func overtakenView(w *World) {
	now := w.Clock.Now()
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Notice.Revision = 5 })
	_, err := w.Ledger.PutView(w.Context(), LedgerID, View(now))
	w.ok(err)
	want(w, "revision", w.Ledger.View().Notice.Revision, 5)
}
