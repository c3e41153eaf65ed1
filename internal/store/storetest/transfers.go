package storetest

import (
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

func (w *World) stream(id string) (rows []string, stopped reason.Code) {
	w.Helper()
	stopped, err := w.Ledger.StreamRows(w.Context(), id, func(page [][]byte) error {
		for _, r := range page {
			rows = append(rows, string(r))
		}
		return nil
	})
	w.ok(err)
	return rows, stopped
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
	want(w, "persons", t.Persons, 1)
	want(w, "withdrawn", t.Excluded[reason.ConsentWithdrawn], 1)
	want(w, "guardian", t.Excluded[reason.GuardianConsentMissing], 1)
	want(w, "never asked", t.Excluded[reason.ConsentMissing], 1)
	rows, stopped := w.stream("t")
	want(w, "stopped", stopped, reason.AllChecksPassed)
	want(w, "rows", len(rows), 1)
	var row map[string]any
	w.ok(json.Unmarshal([]byte(rows[0]), &row))
	want(w, "fields", len(row), 4)
	want(w, "tags", fmt.Sprint(row["tags"]), "[tea]")
	want(w, "stage", row["lead.stage"], any("Engaged"))
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o", SHA256: "s", Rows: 1}))
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o", SHA256: "s", Rows: 1}))
	done, err := w.Ledger.Transfer(w.Context(), "t")
	w.ok(err)
	want(w, "state", done.State, store.TransferComplete)
	if _, err := w.Ledger.StreamRows(w.Context(), "t", nil); !errors.Is(err, store.ErrTransferState) {
		w.Errorf("StreamRows after the end: %v", err)
	}
}

func counted(w *World) {
	w.Fan("a")
	w.Fan("b")
	year := func() int64 {
		f, err := w.Ledger.TransferFacts(w.Context(), w.Export("x"))
		w.ok(err)
		return f.Counter.NonSensitive
	}
	t := w.start("one")
	want(w, "newly counted", t.Newly, 2)
	again, err := w.Ledger.StartTransfer(w.Context(), "one")
	w.ok(err)
	want(w, "after a restart", again.Newly, 2)
	want(w, "year", year(), 2)
	w.Fan("c")
	want(w, "second transfer", w.start("two").Newly, 1)
	want(w, "year", year(), 3)
	w.Clock.Move(60 * 24 * time.Hour) // into January
	want(w, "next year", year(), 0)
}

func droppedInStream(w *World) {
	w.Fan("a")
	w.Fan("b")
	w.start("t")
	w.Clock.Move(time.Second)
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	rows, _ := w.stream("t")
	want(w, "rows", len(rows), 1)
}

func withdrawnInStream(w *World) {
	w.Fan("a")
	w.start("t")
	w.Clock.Move(time.Second)
	withdraw := w.withdrawal("a")
	_, err := w.Ledger.StreamRows(w.Context(), "t", func([][]byte) error {
		want(w, "acknowledged while the page is on its way", withdraw(200*time.Millisecond), false)
		return nil
	})
	w.ok(err)
	want(w, "acknowledged afterwards", withdraw(10*time.Second), true)
}

func heldInStream(w *World) {
	for i := range 501 {
		w.Fan(fmt.Sprint(i))
	}
	w.start("t")
	pages := 0
	stopped, err := w.Ledger.StreamRows(w.Context(), "t", func([][]byte) error {
		if pages++; pages == 1 {
			w.Clock.Move(time.Second)
			w.Push(func(v *store.View) { v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}} })
		}
		return nil
	})
	w.ok(err)
	want(w, "stopped", stopped, reason.PublicSecurityHold)
	want(w, "pages", pages, 1)
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Partial: true, StoppedBy: string(stopped)}))
	t, err := w.Ledger.Transfer(w.Context(), "t")
	w.ok(err)
	want(w, "state", t.State, store.TransferStopped)
}

func heldTransfer(w *World) {
	w.Fan("a")
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}} })
	t := w.start("t")
	want(w, "state", t.State, store.TransferRefused)
	want(w, "code", t.Refusals[0].Code, reason.PublicSecurityHold)
	want(w, "persons", t.Persons, 0)
	if _, err := w.Ledger.StreamRows(w.Context(), "t", nil); !errors.Is(err, store.ErrTransferState) {
		w.Errorf("StreamRows of a refused transfer: %v", err)
	}
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
	_, stopped := w.stream("t")
	want(w, "stopped", stopped, reason.PolicyStale)
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
