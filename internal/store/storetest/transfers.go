package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

func (w *World) start(id string) store.Transfer {
	w.Helper()
	w.Clock.Move(time.Second)
	_, err := w.Ledger.DeclareTransfer(w.Context(), w.Export(id))
	w.ok(err)
	t, err := w.Ledger.StartTransfer(w.Context(), id)
	w.ok(err)
	return t
}

// Part leases a part of at most n people.
func (w *World) Part(id string, n int) store.LeasedPart {
	w.Helper()
	p, err := w.Ledger.LeasePart(w.Context(), id, n)
	w.ok(err)
	return p
}

// written is what a Job reports of a part.
func written(p store.LeasedPart) store.Part {
	if len(p.Rows) == 0 {
		return store.Part{Number: p.Part}
	}
	body := bytes.Join(p.Rows, []byte("\n"))
	sum := sha256.Sum256(body)
	return store.Part{Number: p.Part, Object: fmt.Sprintf("part-%05d", p.Part), SHA256: hex.EncodeToString(sum[:]), Rows: int64(len(p.Rows)), Bytes: int64(len(body))}
}

// Write reports a leased part as written.
func (w *World) Write(id string, p store.LeasedPart) {
	w.Helper()
	w.ok(w.Ledger.ReportPart(w.Context(), id, p.Lease, written(p)))
}

// Drain leases and writes parts of at most n people until there are no more.
func (w *World) Drain(id string, n int) (rows []string, stopped reason.Code) {
	w.Helper()
	for {
		p := w.Part(id, n)
		for _, r := range p.Rows {
			rows = append(rows, string(r))
		}
		switch {
		case p.Stopped != "" || p.Done:
			return rows, p.Stopped
		case p.Wait > 0:
			w.Clock.Move(p.Wait)
		default:
			w.Write(id, p)
		}
	}
}

// moved is the year's counter.
func (w *World) moved() int64 {
	w.Helper()
	f, err := w.Ledger.TransferFacts(w.Context(), w.Export("x"))
	w.ok(err)
	return f.Counter.NonSensitive
}

func (w *World) transfer(id string) store.Transfer {
	w.Helper()
	t, err := w.Ledger.Transfer(w.Context(), id)
	w.ok(err)
	return t
}

func (w *World) refusedPart(id string, want error) {
	w.Helper()
	if _, err := w.Ledger.LeasePart(w.Context(), id, 1); !errors.Is(err, want) {
		w.Errorf("LeasePart: %v, want %v", err, want)
	}
}

func export(w *World) {
	w.Fan("a")
	w.Fan("no-export")
	w.Choose(w.Context(), "no-export", consent.Adult, Purpose)
	w.Fan("minor")
	w.Choose(w.Context(), "minor", consent.From14, Reporting)
	w.Event("stranger", "subscribe", "")
	t := w.start("t")
	want(w, "state", t.State, store.TransferStarted)
	want(w, "rules of the decision", t.Decision.Rules, w.transfer("t").Decision.Rules)
	want(w, "name of the decision", len(t.Decision.ID), 32)
	want(w, "persons before the first part", t.Persons, 0)
	want(w, "withdrawn", t.Excluded[reason.ConsentWithdrawn], 1)
	want(w, "guardian", t.Excluded[reason.GuardianConsentMissing], 1)
	want(w, "never asked", t.Excluded[reason.ConsentMissing], 1)
	rows, stopped := w.Drain("t", 10)
	want(w, "stopped", stopped, "")
	want(w, "rows", len(rows), 1)
	want(w, "persons", w.transfer("t").Persons, 1)
	var row map[string]any
	w.ok(json.Unmarshal([]byte(rows[0]), &row))
	want(w, "fields", len(row), 4)
	want(w, "tags", fmt.Sprint(row["tags"]), "[tea]")
	want(w, "stage", row["lead.stage"], any("Engaged"))
	m := store.Manifest{Object: "o", SHA256: "s", Rows: 99, Bytes: 99}
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", m))
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", m))
	done := w.transfer("t")
	want(w, "state", done.State, store.TransferComplete)
	want(w, "rows of the manifest", done.Manifest.Rows, 1)
	want(w, "bytes of the manifest", done.Manifest.Bytes, int64(len(rows[0])))
	w.refusedPart("t", store.ErrTransferState)
}

func counted(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.start("one")
	want(w, "year, before the first part", w.moved(), 0)
	w.Drain("one", 1)
	want(w, "newly counted", w.transfer("one").Newly, 2)
	again, err := w.Ledger.StartTransfer(w.Context(), "one")
	w.ok(err)
	want(w, "after a restart", again.Newly, 2)
	want(w, "year", w.moved(), 2)
	w.Fan("c")
	w.start("two")
	w.Drain("two", 2)
	want(w, "second transfer", w.transfer("two").Newly, 1)
	want(w, "persons", w.transfer("two").Persons, 3)
	want(w, "year", w.moved(), 3)
	w.Clock.Move(60 * 24 * time.Hour) // into January
	want(w, "next year", w.moved(), 0)
}

func heldTransfer(w *World) {
	w.Fan("a")
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}} })
	t := w.start("t")
	want(w, "state", t.State, store.TransferRefused)
	want(w, "code", t.Refusals[0].Code, reason.PublicSecurityHold)
	want(w, "name of the decision", len(t.Decision.ID), 32)
	want(w, "persons", t.Persons, 0)
	w.refusedPart("t", store.ErrTransferState)
	w.Clock.Move(time.Second)
	w.Push(nil)
	want(w, "declared again after the hold", w.start("t").State, store.TransferStarted)
}

func expiredRestart(w *World) {
	w.Fan("a")
	w.start("t")
	w.Clock.Move(400 * 24 * time.Hour) // past the assessment's review
	w.Push(nil)
	t, err := w.Ledger.StartTransfer(w.Context(), "t")
	w.ok(err)
	want(w, "state", t.State, store.TransferStopped)
	want(w, "stopped by", t.Manifest.StoppedBy, string(reason.PIAExpired))
}

func heldRestart(w *World) {
	w.Fan("a")
	w.start("t")
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}} })
	t, err := w.Ledger.StartTransfer(w.Context(), "t")
	w.ok(err)
	want(w, "state", t.State, store.TransferStopped)
	want(w, "stopped by", t.Manifest.StoppedBy, string(reason.PublicSecurityHold))
}

func staleView(w *World) {
	w.Fan("a")
	w.Clock.Move(11 * time.Minute)
	_, err := w.Ledger.DeclareTransfer(w.Context(), w.Export("t"))
	w.ok(err)
	if _, err := w.Ledger.StartTransfer(w.Context(), "t"); !errors.Is(err, store.ErrPolicyStale) {
		w.Errorf("StartTransfer: %v", err)
	}
	w.Push(nil)
	if _, err := w.Ledger.StartTransfer(w.Context(), "t"); err != nil {
		w.Errorf("StartTransfer with a fresh view: %v", err)
	}
	w.Clock.Move(11 * time.Minute)
	want(w, "stopped", w.Part("t", 1).Stopped, reason.PolicyStale)
}

func reopen(t *testing.T, e Engine) {
	w := &World{T: t, Clock: NewClock()}
	dir := t.TempDir()
	open := func() {
		var err error
		if w.Ledger, err = e.Open(t, dir, w.Clock, false); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if w.Ledger, err = e.Open(t, dir, w.Clock, true); err != nil {
		t.Fatal(err)
	}
	w.Push(nil)
	w.Fan("a")
	w.Fan("b")
	w.Plan("run")
	p := w.Lease("run", 1)
	before, err := w.Ledger.Status(t.Context())
	w.ok(err)
	w.ok(w.Ledger.Close())
	open()
	after, err := w.Ledger.Status(t.Context())
	w.ok(err)
	want(w, "root", string(after.LogRoot), string(before.LogRoot))
	want(w, "view", after.ViewHash, before.ViewHash)
	want(w, "a permit from before is still out", len(w.Lease("run", 9).Permits), 1)
	w.Report("run", store.Sent, p.Permits...)
	want(w, "sent", w.Run("run").Sent, 1)
	w.ok(w.Ledger.Close())
}

func createdOnce(t *testing.T, e Engine) {
	dir, clock := t.TempDir(), NewClock()
	if _, err := e.Open(t, dir, clock, false); !errors.Is(err, store.ErrLedgerMissing) {
		t.Errorf("an empty folder was taken for a ledger: %v", err)
	}
	l, err := e.Open(t, dir, clock, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = e.Open(t, dir, clock, true); err != nil {
		t.Fatalf("an existing ledger is opened also where creation is allowed: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// startUnder starts a transfer under a standard contract.
func (w *World) startUnder(id string) store.Transfer {
	w.Helper()
	at := w.Clock.Now()
	w.Push(func(v *store.View) {
		v.Mechanisms = map[string]store.Mechanism{"sc": {
			Type: transfer.StandardContract, State: "InForce", EffectiveAt: at.AddDate(0, 0, -30), FiledAt: at.AddDate(0, 0, -29),
			Recipients: []string{Recipient}, Purposes: []string{Reporting}, Categories: []string{"PseudonymousID", "InterestTag", "LeadScore"},
		}}
	})
	w.Clock.Move(time.Second)
	spec := w.Export(id)
	spec.Mechanism = "sc"
	_, err := w.Ledger.DeclareTransfer(w.Context(), spec)
	w.ok(err)
	t, err := w.Ledger.StartTransfer(w.Context(), id)
	w.ok(err)
	return t
}

// countedByKind: sensitive data move the sensitive counter, plain ones beside them both, and
// everything about a child is sensitive.
func countedByKind(w *World) {
	w.Fan("adult")
	w.Fan("child")
	w.Choose(w.Context(), "child", consent.From8, Reporting)
	w.ok(w.Says("mother", w.Ask("child", 1), consent.GuardianVerified))
	want(w, "without a mechanism", w.start("u").State, store.TransferRefused)
	want(w, "under a contract", w.startUnder("t").State, store.TransferStarted)
	w.Drain("t", 10)
	c, err := w.Ledger.Counters(w.Context(), Recipient)
	w.ok(err)
	want(w, "the year", c.Counted, transfer.Counter{NonSensitive: 2, Sensitive: 1})
}

// elsewhereCounts: what the processor's other stores have counted is added before a decision.
func elsewhereCounts(w *World) {
	w.Fan("a")
	w.Clock.Move(time.Second)
	for others, want := range map[int64]string{94_999: store.TransferStarted, 95_000: store.TransferRefused} { // with 5,000 declared
		s := w.Export(fmt.Sprint("t", others))
		s.Elsewhere = transfer.Counter{NonSensitive: others}
		_, err := w.Ledger.DeclareTransfer(w.Context(), s)
		w.ok(err)
		t, err := w.Ledger.StartTransfer(w.Context(), s.ID)
		w.ok(err)
		if t.State != want {
			w.Errorf("with %d elsewhere: %s, want %s", others, t.State, want)
		}
	}
}
