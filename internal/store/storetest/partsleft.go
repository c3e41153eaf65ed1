package storetest

import (
	"errors"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/store"
)

// unfinished tries to finish t as complete, though people may be left.
func (w *World) unfinished(when string) {
	w.Helper()
	if err := w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}); !errors.Is(err, store.ErrPartsLeft) {
		w.Errorf("FinishTransfer %s: %v", when, err)
	}
	want(w, "state "+when, w.transfer("t").State, store.TransferStarted)
}

func partsLeft(w *World) {
	w.fans(2)
	w.start("t")
	w.unfinished("before the first part")
	w.Write("t", w.Part("t", 1))
	w.unfinished("between two parts")
	w.Write("t", w.Part("t", 1))
	w.unfinished("before anybody asked")
	want(w, "done", w.Part("t", 1).Done, true)
	m := store.Manifest{Object: "o"}
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", m))
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", m)) // its answer was lost
	want(w, "rows", w.transfer("t").Manifest.Rows, 2)
	w.start("u")
	w.Write("u", w.Part("u", 1))
	w.ok(w.Ledger.FinishTransfer(w.Context(), "u", store.Manifest{Partial: true, StoppedBy: string(reason.SizeLimitReached)}))
	want(w, "state of what is finished in part", w.transfer("u").State, store.TransferStopped)
}

// partsLeftAfterRestart: what was found, and what was not asked, outlives the process.
func partsLeftAfterRestart(t *testing.T, e Engine) {
	w, dir := &World{T: t, Clock: NewClock()}, t.TempDir()
	restart := func() {
		var err error
		if w.Ledger != nil {
			w.ok(w.Ledger.Close())
		}
		w.Ledger, err = e.Open(t, dir, w.Clock, w.Ledger == nil)
		w.ok(err)
	}
	restart()
	w.Push(nil)
	w.fans(2)
	w.start("t")
	w.Write("t", w.Part("t", 1))
	restart()
	w.unfinished("after a restart between two parts")
	w.Drain("t", 1)
	restart()
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}))
	restart()
	w.ok(w.Ledger.FinishTransfer(w.Context(), "t", store.Manifest{Object: "o"}))
	want(w, "state", w.transfer("t").State, store.TransferComplete)
	w.ok(w.Ledger.Close())
}
