package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/store"
)

// duties are the promises about recipients who must be told of people.
var duties = []contractCase{
	{"who withdraws after their record left is told of, by the recipient's own name for them", dutyOfWithdrawal},
	{"nobody is told of whose record did not leave, or who withdrew something else", dutyOfNobody},
	{"who is erased or corrected is told of to everybody who got their record", dutyOfErasure},
	{"who agrees again and withdraws again is told of again", dutyAgain},
	{"a letter that was lost is the same again under its reference", dutyLetter},
	{"a duty is overdue after 15 working days, until it is told", dutyOverdue},
}

// sent exports everybody who agrees, and returns the identifiers that the recipient got, by tag.
func (w *World) sent(id string) map[string]string {
	w.Helper()
	w.start(id)
	rows, stopped := w.Drain(id, 9)
	want(w, "stopped", stopped, "")
	out := map[string]string{}
	for _, r := range rows {
		var row struct {
			ID   string   `json:"id"`
			Tags []string `json:"tags"`
		}
		w.ok(json.Unmarshal([]byte(r), &row))
		for _, t := range row.Tags {
			out[t] = row.ID
		}
	}
	return out
}

// marked makes a fan whose row tells who it is.
func (w *World) marked(name string) {
	w.Fan(name)
	w.Event(name, "CLICK", "tag:"+name)
}

func (w *World) owed() store.RecipientDuties {
	w.Helper()
	all, err := w.Ledger.RecipientDuties(w.Context())
	w.ok(err)
	if len(all) == 0 {
		return store.RecipientDuties{}
	}
	want(w, "recipients", len(all), 1)
	return all[0]
}

func (w *World) letter(reference string) []store.Notification {
	w.Helper()
	all, err := w.Ledger.Tell(w.Context(), Recipient, reference)
	w.ok(err)
	return all
}

func dutyOfWithdrawal(w *World) {
	w.marked("ann")
	w.marked("ben")
	ids := w.sent("t")
	want(w, "before anybody withdrew", w.owed(), store.RecipientDuties{})
	w.Clock.Move(time.Minute)
	since := w.Clock.Now()
	w.Choose(w.Context(), "ann", consent.Adult, Purpose)
	want(w, "owed", w.owed(), store.RecipientDuties{Recipient: Recipient, Open: 1, NextDue: request.Due(w.Ledger.View().Pack(), since)})
	told := w.letter("L-1")
	want(w, "lines", len(told), 1)
	want(w, "who", told[0].ID, ids["ann"])
	want(w, "what", told[0].Kind, duty.Withdrawn)
	want(w, "since", told[0].Since.Equal(since), true)
	want(w, "the person sees it", w.All("ann").Passed[0].Duty.State(w.Clock.Now()), duty.Told)
	n, err := w.Ledger.Acknowledge(w.Context(), Recipient, "L-1", "A-1")
	w.ok(err)
	want(w, "people of the answer", n, 1)
	want(w, "owed after the answer", w.owed(), store.RecipientDuties{Recipient: Recipient, Acknowledged: 1})
	want(w, "the person sees that, too", w.All("ann").Passed[0].Duty.State(w.Clock.Now()), duty.Acknowledged)
	want(w, "the other has nothing to see", w.All("ben").Passed[0].Duty, duty.Duty{})
}

func dutyOfNobody(w *World) {
	w.marked("ann")
	w.Choose(w.Context(), "ann", consent.Adult, Purpose) // before anything left
	w.Choose(w.Context(), "ann", consent.Adult, Purpose, Reporting)
	w.marked("ben")
	w.sent("t")
	w.Choose(w.Context(), "ben", consent.Adult, Reporting) // another purpose, without a recipient
	want(w, "owed", w.owed(), store.RecipientDuties{})
	want(w, "lines", len(w.letter("L-1")), 0)
	_, err := w.Ledger.Acknowledge(w.Context(), Recipient, "L-1", "A-1")
	want(w, "an answer to no letter", err, error(store.ErrLetter))
}

func dutyOfErasure(w *World) {
	w.marked("ann")
	w.marked("ben")
	w.marked("cai")
	ids := w.sent("t")
	w.Clock.Move(time.Minute)
	_, err := w.Ledger.Correct(w.Context(), store.Correction{Account: Account, Who: OpenID("ben"), RemoveTags: []string{"ben"}})
	w.ok(err)
	want(w, "erased", w.Erase("ann").Found, true)
	_, err = w.Ledger.Ask(w.Context(), Account, OpenID("cai"), request.Correction)
	w.ok(err)
	open, err := w.Ledger.OpenRequests(w.Context())
	w.ok(err)
	w.ok(w.Ledger.Answer(w.Context(), open[0].Reference, request.Done))
	got := map[string]duty.Kind{}
	for _, n := range w.letter("L-1") {
		got[n.ID] = n.Kind
	}
	want(w, "told", fmt.Sprint(got), fmt.Sprint(map[string]duty.Kind{ids["ann"]: duty.Erased, ids["ben"]: duty.Corrected, ids["cai"]: duty.Corrected}))
	w.ok(w.verify())
}

func dutyAgain(w *World) {
	w.marked("ann")
	w.sent("one")
	for _, letter := range []string{"L-1", "L-2"} {
		w.Clock.Move(time.Minute)
		w.Choose(w.Context(), "ann", consent.Adult, Purpose)
		want(w, "lines", len(w.letter(letter)), 1)
		w.Clock.Move(time.Minute)
		w.Choose(w.Context(), "ann", consent.Adult, Purpose, Reporting)
	}
	want(w, "told", w.owed().Told, 2)
}

func dutyLetter(w *World) {
	w.marked("ann")
	w.marked("ben")
	w.sent("t")
	w.Clock.Move(time.Minute)
	w.Choose(w.Context(), "ann", consent.Adult, Purpose)
	first := w.letter("L-1")
	w.Choose(w.Context(), "ben", consent.Adult, Purpose)
	want(w, "the same letter", slices.Equal(w.letter("L-1"), first), true)
	want(w, "still open", w.owed().Open, 1)
	want(w, "the next letter", len(w.letter("L-2")), 1)
	for _, answer := range []string{"A-1", "A-2"} { // the first one counts
		n, err := w.Ledger.Acknowledge(w.Context(), Recipient, "L-1", answer)
		w.ok(err)
		want(w, "people", n, 1)
	}
	want(w, "under", w.All("ann").Passed[0].Duty.AcknowledgedUnder, "A-1")
	for _, bad := range []string{"", "13800000000", "a b", "张", "x@y.example"} {
		_, err := w.Ledger.Tell(w.Context(), Recipient, bad)
		want(w, "a letter called "+bad, err, error(store.ErrReference))
		_, err = w.Ledger.Acknowledge(w.Context(), Recipient, "L-1", bad)
		want(w, "an answer called "+bad, err, error(store.ErrReference))
	}
}

func dutyOverdue(w *World) {
	w.marked("ann")
	w.sent("t")
	w.Choose(w.Context(), "ann", consent.Adult, Purpose)
	due := w.owed().NextDue
	w.Clock.Move(due.Sub(w.Clock.Now()) - time.Second)
	want(w, "in time", w.owed().Overdue, 0)
	w.Clock.Move(time.Second)
	want(w, "too late", w.owed().Overdue, 1)
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	want(w, "in the status", s.Duties[0].Overdue, 1)
	w.letter("L-1")
	want(w, "told", w.owed(), store.RecipientDuties{Recipient: Recipient, Told: 1})
}

// verify checks the whole log.
func (w *World) verify() error {
	_, err := w.Ledger.Verify(w.Context())
	return err
}
