package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// rights is the part of the contract about people's own requests.
var rights = []contractCase{
	{"a person sees all that is held about them", recordIsWhole},
	{"of somebody unknown nothing is held, and nothing is noted", recordOfNobody},
	{"access is noted once a day", accessNotedDaily},
	{"an interest that is wrong goes, and the correction is noted", corrects},
	{"an erased person is gone, and comes back as somebody new", erasedIsGone},
	{"an erasure is acknowledged only when no permit is live", erasureWaits},
	{"an erasure happens, also when the caller's time is up", erasedAllTheSame},
	{"a permit of an erased person comes back unused, and the run ends", erasedMidLease},
	{"what is planned for an erased person is refused", erasedPending},
	{"an erased person is not streamed, and stays counted", erasedInTransfer},
	{"the audit still agrees after an erasure", erasedInAudit},
	{"what guardians said goes with the person, and their links with it", erasedWard},
	{"erasures race leases, reports and events, and the log verifies", erasureRaces},
	{"what the platform takes back is erased", revoked},
	{"who is silent for longer than the notice says expires and is erased", retention},
	{"who comes back in time stays", returnsInTime},
	{"a sweep is bounded", sweepBounded},
	{"a request that somebody must answer is open once, due and overdue", requestsAreDue},
	{"an open request is answered by its reference", answered},
	{"a restriction stops all use at once", restriction},
	{"an invitation goes out once in thirty days, and not to who said no", invitations},
	{"bad input about rights is refused with a word", badRights},
}

// All is everything that is held about the person.
func (w *World) All(name string) store.Record {
	w.Helper()
	r, err := w.Ledger.Record(w.Context(), Account, OpenID(name), "")
	w.ok(err)
	return r
}

// Erase erases the person, at the page.
func (w *World) Erase(name string) store.Erased {
	w.Helper()
	e, err := w.Ledger.Erase(w.Context(), Account, OpenID(name), consent.Page)
	w.ok(err)
	return e
}

func recordIsWhole(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.Event("b", "CLICK", "tag:coffee")
	w.Plan("run")
	w.Report("run", store.Sent, w.Lease("run", 9).Permits...)
	w.Clock.Move(time.Second)
	s := w.Export("t")
	_, err := w.Ledger.DeclareTransfer(w.Context(), s)
	w.ok(err)
	_, err = w.Ledger.StartTransfer(w.Context(), "t")
	w.ok(err)
	w.Drain("t", 9)
	w.Choose(w.Context(), "a", consent.Adult, Purpose, Reporting)
	r := w.All("a")
	want(w, "known", r.Known, true)
	want(w, "age", r.Age, consent.Adult)
	want(w, "interests", fmt.Sprint(r.Tags), "[tea]")
	want(w, "stage", r.Stages[0].Stage, "Engaged")
	want(w, "relation", r.Relations[0], store.Following{Account: Account, Following: true})
	want(w, "answers", len(r.Consents), 6)
	last := r.Consents[3]
	want(w, "withdrawn", last.Action, consent.Withdrawn)
	want(w, "revision", last.NoticeRevision, 3)
	want(w, "language", last.Language, "zh-CN")
	want(w, "control", last.Control, consent.Page)
	want(w, "messages", len(r.Messages), 1)
	want(w, "campaign", r.Messages[0].Campaign, "spring-tea")
	want(w, "outcome", r.Messages[0].Outcome, store.Sent)
	want(w, "passed on", len(r.Passed), 1)
	p := r.Passed[0]
	want(w, "recipient", p.Recipient+" "+p.Country+" "+p.Purpose, Recipient+" CH "+Reporting)
	want(w, "fields", fmt.Sprint(p.Fields), fmt.Sprint(s.Fields))
	want(w, "when", p.At.Equal(w.Clock.Now()), true)
	want(w, "rests on", p.Revision, 3)
	want(w, "agreed", p.ConsentAt.Equal(r.Consents[2].At), true)
	want(w, "acts", len(r.Interactions), 4)
	want(w, "the other's interests", len(w.All("b").Tags), 2)
	want(w, "prints as", fmt.Sprintf("%+v %s", r, r), "[redacted] [redacted]")
}

func recordOfNobody(w *World) {
	r, err := w.Ledger.Record(w.Context(), Account, OpenID("nobody"), request.Access)
	w.ok(err)
	want(w, "known", r.Known, false)
	want(w, "the notice is told all the same", r.Notice.Revision, 3)
	want(w, "erased", w.Erase("nobody"), store.Erased{Acknowledged: true})
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "subjects", s.Subjects, 0)
}

func accessNotedDaily(w *World) {
	w.Fan("a")
	for range 3 {
		for _, kind := range []request.Kind{request.Access, request.Copy} {
			_, err := w.Ledger.Record(w.Context(), Account, OpenID("a"), kind)
			w.ok(err)
		}
	}
	want(w, "noted", len(w.All("a").Requests), 2)
	want(w, "outcome", w.All("a").Requests[0].Outcome, request.Done)
	w.Clock.Move(25 * time.Hour)
	_, err := w.Ledger.Record(w.Context(), Account, OpenID("a"), request.Access)
	w.ok(err)
	want(w, "noted a day later", len(w.All("a").Requests), 3)
}

func corrects(w *World) {
	w.Fan("a")
	c := store.Correction{Account: Account, Who: OpenID("a"), Age: consent.From14, RemoveTags: []string{"tea", "never had"}}
	r, err := w.Ledger.Correct(w.Context(), c)
	w.ok(err)
	want(w, "interests", len(r.Tags), 0)
	want(w, "age", r.Age, consent.From14)
	want(w, "noted", r.Requests[0].Kind, request.Correction)
	r, err = w.Ledger.Correct(w.Context(), c)
	w.ok(err)
	want(w, "nothing to correct, nothing noted", len(r.Requests), 1)
	want(w, "in the audience", w.Plan("run").Audience, 0)
}

func erasedIsGone(w *World) {
	w.Fan("a")
	w.Fan("b")
	want(w, "erased", w.Erase("a"), store.Erased{Found: true, Acknowledged: true})
	want(w, "held", w.All("a").Known, false)
	want(w, "again", w.Erase("a").Found, false)
	p, err := w.Ledger.Preferences(w.Context(), Account, OpenID("a"))
	w.ok(err)
	want(w, "answers", len(p.Items), 0)
	want(w, "age", p.Age, consent.AgeUnknown)
	r := w.Plan("run")
	want(w, "audience", r.Audience, 1)
	want(w, "consenting", w.consenting(), 1)
	v, err := w.Ledger.Verify(w.Context())
	w.ok(err)
	if v.Sealed == 0 {
		w.Error("no entry is sealed")
	}
	w.Event("a", "subscribe", "")
	again := w.All("a")
	want(w, "somebody new", again.Known, true)
	want(w, "with answers", len(again.Consents), 0)
	want(w, "with interests", len(again.Tags), 0)
	want(w, "the other", len(w.All("b").Tags), 1)
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "subjects", s.Subjects, 2)
}

func (w *World) consenting() int64 {
	w.Helper()
	f, err := w.Ledger.TransferFacts(w.Context(), w.Export("t"))
	w.ok(err)
	return f.People.Included
}

func erasureWaits(w *World) {
	w.Fan("a")
	w.Plan("run")
	w.Lease("run", 1)
	ctx, cancel := context.WithTimeout(w.Context(), 200*time.Millisecond)
	defer cancel()
	e, err := w.Ledger.Erase(ctx, Account, OpenID("a"), consent.Page)
	w.ok(err)
	want(w, "with a live permit", e, store.Erased{Found: true})
	want(w, "held", w.All("a").Known, false)
}

func erasedAllTheSame(w *World) {
	w.Fan("a")
	gone, cancel := context.WithCancel(w.Context())
	cancel()
	e, err := w.Ledger.Erase(gone, Account, OpenID("a"), consent.Page)
	w.ok(err)
	want(w, "found", e.Found, true)
	want(w, "held", w.All("a").Known, false)
}

func erasedMidLease(w *World) {
	w.Fan("a")
	w.Plan("run")
	p := w.Lease("run", 1).Permits
	done := make(chan store.Erased)
	go func() {
		e, _ := w.Ledger.Erase(w.Context(), Account, OpenID("a"), consent.Page)
		done <- e
	}()
	for w.All("a").Known && !w.Failed() { // the erasure is on disk before it is acknowledged
	}
	w.Report("run", store.Unused, p...)
	want(w, "acknowledged after the report", (<-done).Acknowledged, true)
	want(w, "state", w.Lease("run", 1).State, store.LeaseFinished)
	r := w.Run("run")
	want(w, "refused", r.Refused, 1)
	want(w, "finished", r.Finished, true)
}

func erasedPending(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.Plan("run")
	w.Erase("a")
	p := w.Lease("run", 9).Permits
	want(w, "permits", len(p), 1)
	want(w, "to", p[0].Who, OpenID("b"))
	w.Report("run", store.Sent, p...)
	want(w, "refused", w.Run("run").Refused, 1)
	want(w, "finished", w.Run("run").Finished, true)
}

func erasedInTransfer(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.Clock.Move(time.Second)
	_, err := w.Ledger.DeclareTransfer(w.Context(), w.Export("t"))
	w.ok(err)
	_, err = w.Ledger.StartTransfer(w.Context(), "t")
	w.ok(err)
	p := w.Part("t", 9)
	want(w, "rows", len(p.Rows), 2)
	w.Clock.Move(p.Life + time.Minute) // its Job has died
	w.Erase("a")
	p = w.Part("t", 9)
	want(w, "rows, leased again", len(p.Rows), 1)
	w.Write("t", p)
	want(w, "done", w.Part("t", 9).Done, true)
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "the year's count", s.Counter.NonSensitive, 2)
}

func erasedInAudit(w *World) {
	for _, n := range []string{"a", "b", "c"} {
		w.Fan(n)
	}
	w.Plan("run")
	w.Report("run", store.Sent, w.Lease("run", 9).Permits...)
	w.Erase("a")
	got, err := w.Ledger.Reconcile(w.Context(), "run", received("a", "b", "c"))
	w.ok(err)
	want(w, "reconciled", got, store.Reconciled{SentOnce: 3})
	got, err = w.Ledger.Reconcile(w.Context(), "run", received("a", "b", "c", "nobody-we-know"))
	w.ok(err)
	want(w, "one too many is still seen", got.OthersReceived, 1)
}

func erasedWard(w *World) {
	w.child("child")
	link := w.Ask("child", 1)
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	r := w.All("child")
	want(w, "what guardians said", len(r.Guardians), 2)
	want(w, "the answer", r.Guardians[1].State, consent.GuardianVerified)
	want(w, "by", r.Guardians[1].Relation, store.Parent)
	w.Erase("child")
	if err := w.Says("mother", link, consent.GuardianWithdrawn); !errors.Is(err, store.ErrGuardianLink) {
		w.Errorf("by the link of who is erased: %v", err)
	}
	w.child("child")
	want(w, "who comes back is somebody new", w.guardianOfChild(), consent.GuardianRequired)
}

func erasureRaces(w *World) {
	const people = 24
	for i := range people {
		w.Fan(fmt.Sprint("fan", i))
	}
	w.Plan("run")
	w.Clock.Move(time.Second)
	var wg sync.WaitGroup
	for i := range people / 2 {
		w.erasesAndActs(&wg, i)
	}
	for n := range 4 {
		wg.Go(func() { w.leasesAndReports(n) })
	}
	wg.Wait()
	r := w.Run("run")
	want(w, "finished", r.Finished, true)
	want(w, "everybody has an outcome", r.Sent+r.Failed+r.Refused+r.Unknown, people)
	for i := range people / 2 {
		if r := w.All(fmt.Sprint("fan", i)); len(r.Consents) != 0 || len(r.Messages) != 0 {
			w.Errorf("something of before is held")
		}
	}
}

// erasesAndActs has one person erased while they press a button.
func (w *World) erasesAndActs(wg *sync.WaitGroup, i int) {
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
		defer cancel()
		if e, err := w.Ledger.Erase(ctx, Account, OpenID(fmt.Sprint("fan", i)), consent.Page); err != nil || !e.Found {
			w.Errorf("Erase: %v %v", e, err)
		}
	})
	wg.Go(func() {
		sum := sha256.Sum256(fmt.Appendf(nil, "race %d", i))
		e := store.Event{Account: Account, Dedupe: sum[:], Kind: "CLICK", Who: OpenID(fmt.Sprint("fan", i)), At: w.Clock.Now(), Key: "tag:milk"}
		if _, err := w.Ledger.RecordEvent(w.Context(), e); err != nil {
			w.Errorf("RecordEvent: %v", err)
		}
	})
}

// leasesAndReports works until nothing is left.
func (w *World) leasesAndReports(n int) {
	for {
		l, err := w.Ledger.Lease(w.Context(), "run", 0, 3)
		if err != nil || len(l.Permits) == 0 {
			return
		}
		var out []store.Outcome
		for i, p := range l.Permits {
			out = append(out, store.Outcome{Permit: p.ID, Result: []string{store.Sent, store.Failed, store.Sent}[(i+n)%3]})
		}
		if err := w.Ledger.Report(w.Context(), "run", out); err != nil {
			w.Errorf("Report: %v", err)
		}
	}
}

func revoked(w *World) {
	for _, kind := range []string{"user_authorization_revoke", "user_authorization_cancellation"} {
		w.Fan("a")
		w.Clock.Move(time.Second)
		want(w, "acknowledged", w.Event("a", kind, "").Acknowledged, true)
		want(w, "held after "+kind, w.All("a").Known, false)
		w.Event("a", kind, "") // the platform says it again
		want(w, "held", w.All("a").Known, false)
	}
}

func requestsAreDue(w *World) {
	w.Fan("a")
	first, err := w.Ledger.Ask(w.Context(), Account, OpenID("a"), request.Explanation)
	w.ok(err)
	w.Clock.Move(time.Hour)
	again, err := w.Ledger.Ask(w.Context(), Account, OpenID("a"), request.Explanation)
	w.ok(err)
	want(w, "the same one", again.Received.Equal(first.Received), true)
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "open", s.Requests.Open, 1)
	want(w, "overdue", s.Requests.Overdue, 0)
	want(w, "due", s.Requests.NextDue.Equal(first.Due), true)
	want(w, "due by the rule pack", first.Due, request.Due(w.Ledger.View().Pack(), first.Received))
	w.Push(func(v *store.View) { v.Policy.RulePack = "not known" })
	w.Fan("b")
	other, err := w.Ledger.Ask(w.Context(), Account, OpenID("b"), request.Explanation)
	w.ok(err)
	want(w, "due earlier where the pack is not known", other.Due.Before(first.Due), true)
	w.Clock.Move(30 * 24 * time.Hour)
	s, err = w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "overdue later", s.Requests.Overdue, 2)
	w.Erase("a")
	w.Erase("b")
	s, err = w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "after the erasure", s.Requests, store.Requests{})
}

func answered(w *World) {
	w.Fan("a")
	w.Fan("b")
	for _, n := range []string{"a", "b"} {
		_, err := w.Ledger.Ask(w.Context(), Account, OpenID(n), request.Explanation)
		w.ok(err)
		w.Clock.Move(24 * time.Hour)
	}
	all, err := w.Ledger.OpenRequests(w.Context())
	w.ok(err)
	want(w, "open", len(all), 2)
	want(w, "the oldest first", all[0].Due.Before(all[1].Due), true)
	r, err := w.Ledger.RecordFor(w.Context(), all[0].Reference)
	w.ok(err)
	want(w, "held", r.Known, true)
	w.ok(w.Ledger.Answer(w.Context(), all[0].Reference, request.Refused))
	want(w, "what the person sees", w.All("a").Requests[0].Outcome, request.Refused)
	want(w, "the other", w.All("b").Requests[0].Outcome, request.Open)
	if err := w.Ledger.Answer(w.Context(), all[0].Reference, request.Done); !errors.Is(err, store.ErrAsk) {
		w.Errorf("answered twice: %v", err)
	}
	if err := w.Ledger.Answer(w.Context(), all[1].Reference, request.Moot); !errors.Is(err, store.ErrInvalid) {
		w.Errorf("an outcome that an officer cannot give: %v", err)
	}
	if _, err := w.Ledger.RecordFor(w.Context(), ""); !errors.Is(err, store.ErrAsk) {
		w.Errorf("no reference: %v", err)
	}
}

func restriction(w *World) {
	w.Fan("a")
	w.Plan("run")
	w.Clock.Move(time.Second)
	a, err := w.Ledger.Ask(w.Context(), Account, OpenID("a"), request.Restriction)
	w.ok(err)
	want(w, "acknowledged", a.Acknowledged, true)
	want(w, "outcome", a.Outcome, request.Done)
	want(w, "permits", len(w.Lease("run", 1).Permits), 0)
	want(w, "why", w.Plan("next").Excluded[reason.ConsentWithdrawn], 1)
	want(w, "consenting", w.consenting(), 0)
}

func invitations(w *World) {
	want(w, "who is new", w.Event("a", "subscribe", "").MayAsk, true)
	w.Event("a", "unsubscribe", "")
	w.Clock.Move(time.Minute)
	want(w, "who was asked a minute ago", w.Event("a", "subscribe", "").MayAsk, false)
	w.Clock.Move(31 * 24 * time.Hour)
	want(w, "a month later", w.Event("a", "subscribe", "").MayAsk, true)
	w.Clock.Move(20 * 24 * time.Hour)
	w.Choose(w.Context(), "a", consent.Adult)
	w.Clock.Move(29 * 24 * time.Hour)
	want(w, "who refused a month ago, all but a day", w.Event("a", "subscribe", "").MayAsk, false)
	w.Clock.Move(2 * 24 * time.Hour)
	want(w, "who refused long ago", w.Event("a", "subscribe", "").MayAsk, true)
	w.Fan("b")
	w.Clock.Move(31 * 24 * time.Hour)
	want(w, "who agreed to everything", w.Event("b", "subscribe", "").MayAsk, false)
	want(w, "who did something else", w.Event("c", "CLICK", "x").MayAsk, false)
	w.Push(func(v *store.View) { v.Notice.Revision = 0 })
	want(w, "without a notice", w.Event("d", "subscribe", "").MayAsk, false)
}

func badRights(w *World) {
	w.Fan("a")
	_, record := w.Ledger.Record(w.Context(), Account, OpenID("a"), "Other")
	_, explain := w.Ledger.Ask(w.Context(), Account, OpenID("a"), request.Access)
	_, nobody := w.Ledger.Ask(w.Context(), Account, OpenID("nobody"), request.Explanation)
	for what, err := range map[string]error{"Record": record, "Ask": explain, "Ask of nobody": nobody} {
		if !errors.Is(err, store.ErrAsk) {
			w.Errorf("%s: %v", what, err)
		}
	}
	_, age := w.Ledger.Correct(w.Context(), store.Correction{Account: Account, Who: OpenID("a"), Age: "Old"})
	_, none := w.Ledger.Correct(w.Context(), store.Correction{Account: Account, Who: OpenID("a")})
	_, erase := w.Ledger.Erase(w.Context(), "", OpenID("a"), consent.Page)
	for what, err := range map[string]error{"an age": age, "nothing": none, "no account": erase} {
		if !errors.Is(err, store.ErrInvalid) {
			w.Errorf("%s: %v", what, err)
		}
	}
}

// received is an audit by which each of these people received one message.
func received(names ...string) map[subject.OpenID]int {
	out := map[subject.OpenID]int{}
	for _, n := range names {
		out[OpenID(n)] = 1
	}
	return out
}

// yesOfAMinor: what people say is kept as they said it; the record tells that it is not used.
func yesOfAMinor(w *World) {
	for _, c := range []struct {
		age consent.AgeBand
		why reason.Code
	}{
		{consent.Adult, ""}, {consent.From14, reason.MinorAutomatedMarketing}, {consent.AgeUnknown, reason.AgeUnknown},
	} {
		who := "aged" + string(c.age)
		w.Choose(w.Context(), who, c.age, Purpose, "DirectMarketing")
		r, err := w.Ledger.Record(w.Context(), Account, OpenID(who), "")
		w.ok(err)
		for _, x := range r.Consents {
			why := reason.Code("")
			if x.Purpose == Purpose {
				why = c.why
				want(w, who+": told", x.Action, consent.Given)
			}
			want(w, who+": "+x.Purpose, x.NotUsed, why)
		}
	}
}
