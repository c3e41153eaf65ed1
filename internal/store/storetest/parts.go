package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// parts are the promises about transfers that leave part by part.
var parts = []contractCase{
	{"parts are leased one after the other, and hold everybody once", partsInOrder},
	{"a part whose lease is out is not leased again before it ends", partLeaseIsExclusive},
	{"a part whose Job died is leased again with the same people", partLeasedAgain},
	{"who withdrew is left out of a part that is leased again", partLeftOut},
	{"a part whose people all withdrew is written without an object", partOfNobody},
	{"a part is reported once, and with another content never", partConflict},
	{"a report after the lease is refused", partReportLate},
	{"a report of an earlier lease is refused", partReportOfAnother},
	{"no more than the permitted number leaves, in however many parts", partsAtMost},
	{"who agreed after the start is in no part", partsAskPriorConsent},
	{"a hold stops the transfer between two parts", partsHeld},
	{"a mechanism that is revoked stops the transfer between two parts", partsWithoutMechanism},
	{"the year's volume is decided on before each part, without counting the transfer twice", partsByVolume},
	{"a transfer with a part that is out is not complete", partsUnfinished},
	{"a transfer is complete when nobody is left, and not before somebody asked", partsLeft},
	{"a withdrawal waits for the part with the person, until it is reported", partAwaited},
	{"a withdrawal waits for a part until the lease's end and no longer", partAwaitedToTheEnd},
	{"a withdrawal of somebody else, or of another purpose, waits for no part", partNotAwaited},
	{"a part is waited for also when its transfer was stopped", partAwaitedAfterStop},
	{"an erasure and a guardian's no wait for a part", partAwaitedByOthers},
	{"whatever the Jobs do, everybody is written once, and counted once", partsAtRandom},
}

func (w *World) fans(n int) {
	w.Helper()
	for i := range n {
		w.Fan(fmt.Sprint("fan", i))
	}
}

func partsInOrder(w *World) {
	w.fans(5)
	w.start("t")
	var sizes []int
	seen := map[string]bool{}
	for i := int64(0); ; i++ {
		p := w.Part("t", 2)
		if p.Done {
			want(w, "rows beside done", len(p.Rows), 0)
			break
		}
		want(w, "number", p.Part, i)
		want(w, "persons, counted before they leave", w.transfer("t").Persons, int64(len(seen)+len(p.Rows)))
		sizes = append(sizes, len(p.Rows))
		for _, r := range p.Rows {
			want(w, "seen before", seen[string(r)], false)
			seen[string(r)] = true
		}
		w.Write("t", p)
	}
	want(w, "sizes", fmt.Sprint(sizes), "[2 2 1]")
	list, err := w.Ledger.Parts(w.Context(), "t")
	w.ok(err)
	want(w, "parts", len(list), 3)
	want(w, "object of the last", list[2].Object, "part-00002")
}

func partLeaseIsExclusive(w *World) {
	w.fans(1)
	w.start("t")
	first := w.Part("t", 1)
	second := w.Part("t", 1)
	want(w, "rows of a second lease", len(second.Rows), 0)
	want(w, "it waits", second.Wait > 0, true)
	w.Clock.Move(second.Wait - time.Millisecond)
	want(w, "a moment before", len(w.Part("t", 1).Rows), 0)
	w.Clock.Move(time.Millisecond)
	again := w.Part("t", 1)
	want(w, "rows", string(again.Rows[0]), string(first.Rows[0]))
	want(w, "life", again.Life, first.Life)
}

// lose lets the lease of t run out.
func (w *World) lose() {
	w.Helper()
	w.Clock.Move(w.Part("t", 1).Wait)
}

func partLeasedAgain(w *World) {
	w.fans(3)
	w.start("t")
	first := w.Part("t", 2)
	w.lose()
	w.Fan("late")
	again := w.Part("t", 1)
	want(w, "part", again.Part, first.Part)
	want(w, "the same rows", slices.EqualFunc(again.Rows, first.Rows, slices.Equal), true)
	want(w, "persons", w.transfer("t").Persons, 2)
	w.Write("t", again)
	w.Drain("t", 2)
	want(w, "persons", w.transfer("t").Persons, 3)
	want(w, "year", w.moved(), 3)
}

func partLeftOut(w *World) {
	w.fans(3)
	w.start("t")
	w.Part("t", 3)
	w.lose()
	w.Choose(w.Context(), "fan1", consent.Adult, Purpose)
	w.Clock.Move(time.Second)
	w.Choose(w.Context(), "fan1", consent.Adult, Purpose, Reporting) // anew, and so not prior
	p := w.Part("t", 3)
	want(w, "rows", len(p.Rows), 2)
	want(w, "who was left out is not kept waiting", w.withdrawal("fan1")(10*time.Second), true)
	w.Write("t", p)
	want(w, "done", w.Part("t", 3).Done, true)
	want(w, "counted, since the row may have left", w.moved(), 3)
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}))
	want(w, "rows", w.transfer("t").Manifest.Rows, 2)
}

func partOfNobody(w *World) {
	w.fans(1)
	w.start("t")
	w.Part("t", 1)
	w.lose()
	w.Choose(w.Context(), "fan0", consent.Adult, Purpose)
	p := w.Part("t", 1)
	want(w, "rows", len(p.Rows), 0)
	want(w, "it is a lease all the same", p.Done || p.Wait > 0 || p.Stopped != "", false)
	err := w.Ledger.ReportPart(w.Context(), "t", p.Lease, store.Part{Number: p.Part, Object: "o"})
	want(w, "an object of nobody", errors.Is(err, store.ErrInvalid), true)
	w.Write("t", p)
	want(w, "done", w.Part("t", 1).Done, true)
}

func partConflict(w *World) {
	w.fans(2)
	w.start("t")
	report := func(p store.Part) error { return w.Ledger.ReportPart(w.Context(), "t", 1, p) }
	if err := report(store.Part{Number: 0}); !errors.Is(err, store.ErrPartUnknown) {
		w.Errorf("a part that was not leased: %v", err)
	}
	p := written(w.Part("t", 2))
	fewer, other, torn := p, p, p
	fewer.Rows, other.SHA256, torn.SHA256 = 1, fmt.Sprintf("%064d", 1), "x"
	if err := report(fewer); !errors.Is(err, store.ErrPartConflict) {
		w.Errorf("fewer rows than leased: %v", err)
	}
	if err := report(torn); !errors.Is(err, store.ErrInvalid) {
		w.Errorf("no hash: %v", err)
	}
	w.ok(report(p))
	w.ok(report(p))
	want(w, "done", w.Part("t", 2).Done, true)
	if err := report(other); !errors.Is(err, store.ErrPartConflict) {
		w.Errorf("another content: %v", err)
	}
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}))
	w.ok(report(p)) // its answer was lost
}

func partReportLate(w *World) {
	w.fans(1)
	w.start("t")
	p := w.Part("t", 1)
	w.Clock.Move(p.Life + time.Millisecond)
	if err := w.Ledger.ReportPart(w.Context(), "t", p.Lease, written(p)); !errors.Is(err, store.ErrLeaseOver) {
		w.Errorf("ReportPart: %v", err)
	}
	rows, _ := w.Drain("t", 1)
	want(w, "rows", len(rows), 1)
}

func partReportOfAnother(w *World) {
	w.fans(1)
	w.start("t")
	old := w.Part("t", 1)
	w.lose()
	p := w.Part("t", 1)
	if err := w.Ledger.ReportPart(w.Context(), "t", old.Lease, written(old)); !errors.Is(err, store.ErrLeaseOver) {
		w.Errorf("ReportPart: %v", err)
	}
	w.Write("t", p)
}

func partsAtMost(w *World) {
	w.fans(9)
	w.Clock.Move(time.Second)
	s := w.Export("t")
	s.MaxPersons = 5
	_, err := w.Ledger.DeclareTransfer(w.Context(), s)
	w.ok(err)
	t, err := w.Ledger.StartTransfer(w.Context(), "t")
	w.ok(err)
	want(w, "left out", t.Excluded[reason.MaxPersonsReached], 4)
	w.Part("t", 2)
	w.lose()
	w.Choose(w.Context(), "fan0", consent.Adult, Purpose) // in a part that may have left, or not: nobody comes in instead
	rows, _ := w.Drain("t", 2)
	want(w, "persons", w.transfer("t").Persons, 5)
	want(w, "year", w.moved(), 5)
	want(w, "at most", len(rows) <= 5, true)
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}))
}

func partsAskPriorConsent(w *World) {
	w.fans(2)
	w.start("t")
	w.Fan("same-instant")
	w.Clock.Move(time.Second)
	w.Fan("late")
	w.Choose(w.Context(), "fan0", consent.Adult, Purpose)
	w.Clock.Move(time.Second)
	w.Choose(w.Context(), "fan0", consent.Adult, Purpose, Reporting) // withdrew, and agreed anew
	w.Clock.Move(time.Second)
	rows, _ := w.Drain("t", 9)
	want(w, "rows", len(rows), 1)
	want(w, "year", w.moved(), 1)
}

func partsHeld(w *World) {
	w.fans(2)
	w.start("t")
	w.Write("t", w.Part("t", 1))
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}} })
	p := w.Part("t", 1)
	want(w, "stopped", p.Stopped, reason.PublicSecurityHold)
	want(w, "rows", len(p.Rows), 0)
	want(w, "persons", w.transfer("t").Persons, 1)
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Partial: true, StoppedBy: string(p.Stopped)}))
	t := w.transfer("t")
	want(w, "state", t.State, store.TransferStopped)
	want(w, "rows of the manifest", t.Manifest.Rows, 1)
}

func partsWithoutMechanism(w *World) {
	w.fans(2)
	m := store.Mechanism{
		Type: transfer.StandardContract, State: "InForce", EffectiveAt: w.Clock.Now().AddDate(0, -1, 0), FiledAt: w.Clock.Now().AddDate(0, -1, 0),
		Recipients: []string{Recipient}, Purposes: []string{Reporting}, Categories: []string{"PseudonymousID", "InterestTag", "LeadScore"},
	}
	push := func(state string) {
		m.State = state
		w.Clock.Move(time.Second)
		w.Push(func(v *store.View) { v.Mechanisms = map[string]store.Mechanism{"scc": m} })
	}
	push("InForce")
	s := w.Export("t")
	s.Mechanism = "scc"
	_, err := w.Ledger.DeclareTransfer(w.Context(), s)
	w.ok(err)
	_, err = w.Ledger.StartTransfer(w.Context(), "t")
	w.ok(err)
	w.Write("t", w.Part("t", 1))
	push("Revoked")
	want(w, "stopped", w.Part("t", 1).Stopped, reason.MechanismSuspended)
}

func partsByVolume(w *World) {
	w.fans(3)
	start := func(id string, most int64) store.Transfer {
		w.Clock.Move(time.Second)
		s := w.Export(id)
		s.MaxPersons = most
		_, err := w.Ledger.DeclareTransfer(w.Context(), s)
		w.ok(err)
		t, err := w.Ledger.StartTransfer(w.Context(), id)
		w.ok(err)
		return t
	}
	const floor = 100_000 // from there on a mechanism is needed
	start("t", floor-2)
	w.Write("t", w.Part("t", 1))
	start("again", 1) // somebody the year counts already
	w.Drain("again", 1)
	p := w.Part("t", 1)
	want(w, "stopped by its own volume", p.Stopped, "")
	w.Write("t", p)
	start("other", 3)
	w.Drain("other", 3)
	want(w, "year", w.moved(), 3)
	want(w, "one more of another transfer", w.Part("t", 1).Stopped, "")
	w.lose()
	w.Fan("another")
	start("last", 4)
	w.Drain("last", 4)
	want(w, "year", w.moved(), 4)
	want(w, "and one more", w.Part("t", 1).Stopped, reason.MechanismMissing)
	want(w, "a new one of the same volume", start("new", floor-4).Refusals[0].Code, reason.MechanismMissing)
}

func partsUnfinished(w *World) {
	w.fans(1)
	w.start("t")
	p := w.Part("t", 1)
	if err := w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}); !errors.Is(err, store.ErrPartOpen) {
		w.Errorf("FinishTransfer: %v", err)
	}
	w.Write("t", p)
	w.Drain("t", 1)
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}))
}

// soon is long enough for what does not wait, and short for what does.
const soon = 200 * time.Millisecond

func partAwaited(w *World) {
	w.fans(1)
	w.start("t")
	p := w.Part("t", 1)
	withdraw, answer := w.withdrawal("fan0"), make(chan bool)
	go func() { answer <- withdraw(10 * time.Second) }()
	want(w, "acknowledged while the part is out", withdraw(soon), false) // by then the other waits, too
	w.Write("t", p)
	want(w, "acknowledged when it is written", <-answer, true)
}

func partAwaitedToTheEnd(w *World) {
	w.fans(1)
	w.start("t")
	p := w.Part("t", 1)
	withdraw := w.withdrawal("fan0")
	w.Clock.Move(p.Life)
	want(w, "acknowledged at the lease's end, by clocks that may differ", withdraw(soon), false)
	w.Clock.Move(2 * time.Second)
	want(w, "acknowledged afterwards", withdraw(10*time.Second), true)
	if err := w.Ledger.ReportPart(w.Context(), "t", p.Lease, written(p)); !errors.Is(err, store.ErrLeaseOver) {
		w.Errorf("ReportPart after the acknowledgement: %v", err)
	}
}

func partNotAwaited(w *World) {
	w.fans(3)
	w.start("t")
	w.Write("t", w.Part("t", 1))
	p := w.Part("t", 1) // of three people, one is written, one is out, and one is in no part yet
	awaited := 0
	for _, name := range []string{"fan0", "fan1", "fan2"} {
		patience, cancel := context.WithTimeout(w.Context(), 10*time.Second)
		other := w.Choose(patience, name, consent.Adult, Reporting) // takes the other purposes back
		cancel()
		want(w, "another purpose, acknowledged at once", other.Acknowledged, true)
		if !w.withdrawal(name)(soon) {
			awaited++
		}
	}
	want(w, "withdrawals that wait", awaited, 1)
	w.Write("t", p)
}

func partAwaitedAfterStop(w *World) {
	w.fans(1)
	w.start("t")
	w.Part("t", 1)
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Partial: true, StoppedBy: string(reason.PublicSecurityHold)}))
	want(w, "acknowledged", w.withdrawal("fan0")(soon), false)
}

func partAwaitedByOthers(w *World) {
	w.Fan("a")
	w.child("child")
	link := w.Ask("child", 1)
	w.ok(w.Says("mother", link, consent.GuardianVerified))
	w.startUnder("t")
	p := w.Part("t", 2)
	want(w, "rows", len(p.Rows), 2)
	patience, cancel := context.WithTimeout(w.Context(), soon)
	defer cancel()
	e, err := w.Ledger.Erase(patience, Account, OpenID("a"), consent.Page)
	w.ok(err)
	want(w, "erasure acknowledged", e.Acknowledged, false)
	patience, cancel = context.WithTimeout(w.Context(), soon)
	defer cancel()
	no := store.GuardianAnswer{GuardianLink: store.GuardianLink{Account: Account, Secret: link, Who: OpenID("mother")}, State: consent.GuardianWithdrawn}
	r, err := w.Ledger.AnswerGuardian(patience, no)
	w.ok(err)
	want(w, "guardian's no acknowledged", r.Acknowledged, false)
	w.Write("t", p)
	want(w, "erasure, asked for again", w.Erase("a").Acknowledged, true)
}

// partsAtRandom runs transfers whose Jobs die, lose answers and come back, while people
// withdraw, and compares with a plain model.
func partsAtRandom(w *World) {
	year := map[string]bool{}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 27)) //nolint:gosec // repeatable, and no secret
		id := fmt.Sprint("t", seed)
		for i := range 4 {
			w.Fan(fmt.Sprint("s", seed, "-", i))
		}
		w.start(id)
		out := map[string]int{}
		leased, last := map[string]bool{}, map[int64]store.LeasedPart{}
		for step := 0; ; step++ {
			w.Clock.Move(time.Duration(r.IntN(3000)) * time.Millisecond)
			w.Push(nil)
			p := w.Part(id, 1+r.IntN(3))
			for _, row := range p.Rows {
				leased[w.rowID(row)], year[w.rowID(row)] = true, true
			}
			if p.Done {
				break
			}
			if p.Wait > 0 {
				w.Clock.Move(p.Wait)
				continue
			}
			w.partFate(r, id, p, last)
		}
		for _, p := range last {
			for _, row := range p.Rows {
				out[w.rowID(row)]++
			}
		}
		for _, n := range out {
			want(w, "times that a person was written", n, 1)
		}
		t := w.transfer(id)
		want(w, "persons", t.Persons, int64(len(leased)))
		want(w, "year", w.moved(), int64(len(year)))
		w.ok(w.Ledger.FinishTransfer(w.Context(), id, store.Manifest{Object: "o"}))
		want(w, "rows", w.transfer(id).Manifest.Rows, int64(len(out)))
	}
}

// rowID is the pseudonym in a row, the same in every transfer to one recipient.
func (w *World) rowID(row []byte) string {
	w.Helper()
	var r struct{ ID string }
	w.ok(json.Unmarshal(row, &r))
	return r.ID
}

// partFate is what becomes of a leased part.
func (w *World) partFate(r *rand.Rand, id string, p store.LeasedPart, last map[int64]store.LeasedPart) {
	w.Helper()
	switch r.IntN(5) {
	case 0: // died
	case 1: // somebody withdraws, and then it dies
		patience, cancel := context.WithTimeout(w.Context(), time.Millisecond)
		defer cancel()
		w.Choose(patience, fmt.Sprint("s", r.IntN(6), "-", r.IntN(4)), consent.Adult, Purpose)
	case 2: // too slow
		w.Clock.Move(p.Life + time.Millisecond)
		if err := w.Ledger.ReportPart(w.Context(), id, p.Lease, written(p)); !errors.Is(err, store.ErrLeaseOver) {
			w.Errorf("ReportPart: %v", err)
		}
	case 3: // the answer is lost
		w.Write(id, p)
		w.Write(id, p)
		last[p.Part] = p
	default:
		w.Write(id, p)
		last[p.Part] = p
	}
}
