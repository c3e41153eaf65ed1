package storetest

import (
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

func onePermit(w *World) {
	for i := range 7 {
		w.Fan(fmt.Sprint("fan", i))
	}
	w.Plan("run")
	a, b := w.Lease("run", 4), w.Lease("run", 4)
	seen := map[subject.OpenID]bool{}
	for _, p := range append(a.Permits, b.Permits...) {
		if seen[p.Who] {
			w.Error("somebody has two permits")
		}
		seen[p.Who] = true
	}
	want(w, "permits", len(seen), 7)
	want(w, "state while others are out", w.Lease("run", 4).State, store.LeaseOpen)
	w.Report("run", store.Sent, a.Permits...)
	w.Report("run", store.Failed, b.Permits[0])
	w.Report("run", store.Refused, b.Permits[1:]...)
	w.Report("run", store.Failed, a.Permits...) // a second report changes nothing
	r := w.Run("run")
	want(w, "sent", r.Sent, 4)
	want(w, "failed", r.Failed, 1)
	want(w, "refused", r.Refused, 2)
	want(w, "finished", r.Finished, true)
	want(w, "state", w.Lease("run", 4).State, store.LeaseFinished)
}

func unknownIsFinal(w *World) {
	w.Fan("a")
	w.Plan("run")
	want(w, "permits", len(w.Lease("run", 1).Permits), 1)
	w.Clock.Move(time.Minute)
	want(w, "state", w.Lease("run", 1).State, store.LeaseFinished)
	want(w, "unknown", w.Run("run").Unknown, 1)
}

func lateReport(w *World) {
	w.Fan("a")
	w.Plan("run")
	p := w.Lease("run", 1).Permits
	w.Clock.Move(time.Minute)
	want(w, "unknown", w.Run("run").Unknown, 1)
	w.Report("run", store.Sent, p...)
	want(w, "sent", w.Run("run").Sent, 1)
}

func unusedComesBack(w *World) {
	w.Fan("a")
	w.Plan("run")
	p := w.Lease("run", 1).Permits
	w.Report("run", store.Unused, p...)
	again := w.Lease("run", 1).Permits
	want(w, "permits", len(again), 1)
	want(w, "key", again[0].Key, p[0].Key)
	if again[0].ID == p[0].ID {
		w.Error("the permit itself was used again")
	}
	w.Report("run", store.Sent, p...) // of the permit that was given back
	want(w, "sent", w.Run("run").Sent, 0)
}

func voidedMeanwhile(w *World) {
	w.Fan("a")
	w.Plan("run")
	p := w.Lease("run", 1).Permits
	want(w, "permits", len(p), 1)
	w.Clock.Move(time.Second)
	w.Event("a", "subscribe_msg_change_event", "", func(e *store.Event) {
		e.Subscriptions = []store.SubscriptionAnswer{{TemplateID: Template}}
	})
	w.Report("run", store.Unused, p...)
	want(w, "permits after it was voided", len(w.Lease("run", 1).Permits), 0)
	want(w, "refused", w.Run("run").Refused, 1)
}

func scheduleEnds(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.Clock.Move(time.Second)
	s := Spec("run")
	s.NotAfter = w.Clock.Now().Add(10 * time.Second)
	_, err := w.Ledger.PlanRun(w.Context(), s)
	w.ok(err)
	l := w.Lease("run", 1)
	want(w, "permits", len(l.Permits), 1)
	want(w, "life", l.Life, 10*time.Second)
	want(w, "deadline", l.Permits[0].Deadline.Equal(s.NotAfter), true)
	w.Report("run", store.Sent, l.Permits...)
	w.Clock.Move(6 * time.Second)
	l = w.Lease("run", 1)
	want(w, "permits in the last moments", len(l.Permits), 0)
	want(w, "state", l.State, store.LeaseEarly)
	w.Clock.Move(4 * time.Second)
	want(w, "state after the end", w.Lease("run", 1).State, store.LeaseFinished)
	want(w, "refused", w.Run("run").Refused, 1)
}

func withdrawnBeforeLease(w *World) {
	w.Fan("a")
	w.Plan("run")
	r := w.Event("a", "text", "", func(e *store.Event) { e.Withdraw = true })
	want(w, "acknowledged", r.Acknowledged, true)
	want(w, "permits", len(w.Lease("run", 1).Permits), 0)
	want(w, "refused", w.Run("run").Refused, 1)
	people, err := w.Ledger.TransferFacts(w.Context(), w.Export("t"))
	w.ok(err)
	want(w, "a keyword withdraws exports as well", people.People.Included, 0)
}

func withdrawalWaits(w *World) {
	w.Fan("a")
	w.Plan("run")
	p := w.Lease("run", 1).Permits
	withdraw := w.withdrawal("a")
	want(w, "acknowledged with a live permit", withdraw(200*time.Millisecond), false)
	want(w, "acknowledged when the platform repeats it", withdraw(200*time.Millisecond), false)
	w.Report("run", store.Sent, p...)
	want(w, "acknowledged after the report", withdraw(10*time.Second), true)
}

func lateUnused(w *World) {
	w.Fan("a")
	w.Plan("run")
	p := w.Lease("run", 1).Permits
	w.Clock.Move(time.Minute)
	want(w, "state", w.Lease("run", 1).State, store.LeaseFinished)
	w.Report("run", store.Unused, p...)
	r := w.Run("run")
	want(w, "failed", r.Failed, 1)
	want(w, "finished", r.Finished, true)
}

func oneGrant(w *World) {
	w.Fan("a")
	w.Event("a", "subscribe_msg_sent_event", "", func(e *store.Event) { // the result of a send is no grant
		e.Subscriptions = []store.SubscriptionAnswer{{TemplateID: Template, Accepted: true}}
	})
	w.Plan("one")
	w.Plan("two")
	want(w, "first", len(w.Lease("one", 1).Permits), 1)
	want(w, "second", len(w.Lease("two", 1).Permits), 0)
	want(w, "refused by our own ledger", w.Run("two").Refused, 1)
}

func frequencyCap(w *World) {
	w.Fan("a")
	for i := range 4 {
		w.Grant("a")
		id := fmt.Sprint("run", i)
		w.Plan(id)
		result := store.Sent
		if i == 0 {
			result = store.Unknown
		}
		w.Report(id, result, w.Lease(id, 1).Permits...)
	}
	want(w, "fourth in seven days", w.Run("run3").Excluded[reason.FrequencyCapReached], 1)
	w.Clock.Move(8 * 24 * time.Hour)
	want(w, "a week later", w.Plan("later").Eligible, 1)
}

func budget(w *World) {
	for i := range 5 {
		w.Fan(fmt.Sprint("fan", i))
	}
	s := Spec("run")
	s.PerSecond = 2
	w.Clock.Move(time.Second)
	_, err := w.Ledger.PlanRun(w.Context(), s)
	w.ok(err)
	want(w, "first second", len(w.Lease("run", 10).Permits), 2)
	l := w.Lease("run", 10)
	want(w, "same instant", len(l.Permits), 0)
	if l.Wait <= 0 || l.State != store.LeaseOpen {
		w.Errorf("lease without budget: %+v", l)
	}
	w.Clock.Move(time.Second)
	want(w, "a second later", len(w.Lease("run", 10).Permits), 2)
}

func held(w *World) {
	w.Fan("a")
	w.Plan("run")
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.SendHolds = []store.SendHold{{Name: "stop", Campaigns: []string{"spring-tea"}}} })
	l := w.Lease("run", 1)
	want(w, "state", l.State, store.LeaseHeld)
	want(w, "permits", len(l.Permits), 0)
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.SendHolds = []store.SendHold{{Name: "stop", Accounts: []string{Account}}} })
	want(w, "by account", w.Lease("run", 1).State, store.LeaseHeld)
	w.Clock.Move(time.Second)
	w.Push(nil)
	want(w, "permits after", len(w.Lease("run", 1).Permits), 1)
}

func closed(w *World) {
	w.Fan("a")
	s := Spec("run")
	s.NotBefore, s.NotAfter = w.Clock.Now().Add(time.Hour), w.Clock.Now().Add(2*time.Hour)
	w.Clock.Move(time.Second)
	_, err := w.Ledger.PlanRun(w.Context(), s)
	w.ok(err)
	want(w, "before", w.Lease("run", 1).State, store.LeaseEarly)
	w.Clock.Move(3 * time.Hour)
	want(w, "after", w.Lease("run", 1).State, store.LeaseFinished)
	want(w, "refused", w.Run("run").Refused, 1)
}
