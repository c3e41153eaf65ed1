package storetest

import (
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/store"
)

func retention(w *World) {
	w.Fan("silent")
	w.Clock.Move(100 * 24 * time.Hour)
	w.Fan("heard")
	w.Clock.Move(630 * 24 * time.Hour)
	s := w.sweep()
	want(w, "on the last day", s, store.Swept{})
	w.Clock.Move(time.Second)
	want(w, "after it", w.sweep(), store.Swept{Expired: 1, Erased: 1})
	want(w, "held", w.All("silent").Known, false)
	want(w, "the other", w.All("heard").Known, true)
	w.Clock.Move(365 * 24 * time.Hour)
	want(w, "later", w.sweep(), store.Swept{Expired: 1, Erased: 1})
	w.Clock.Move(365 * 24 * time.Hour)
	want(w, "nobody left", w.sweep(), store.Swept{})
}

func (w *World) sweep() store.Swept {
	w.Helper()
	s, err := w.Ledger.Sweep(w.Context())
	w.ok(err)
	return s
}

func returnsInTime(w *World) {
	w.Fan("a")
	for range 4 {
		w.Clock.Move(500 * 24 * time.Hour)
		w.Event("a", "text", "")
		want(w, "swept", w.sweep(), store.Swept{})
	}
	w.Push(func(v *store.View) { v.Notice.RetentionDays = 30; told(4, textOf3)(v) })
	w.Clock.Move(31 * 24 * time.Hour)
	want(w, "by a shorter period", w.sweep(), store.Swept{Expired: 1, Erased: 1})
}

func sweepBounded(w *World) {
	const people = 60
	for i := range people {
		w.Event(fmt.Sprint("fan", i), "subscribe", "")
	}
	w.Clock.Move(800 * 24 * time.Hour)
	s := w.sweep()
	want(w, "expired: nobody had agreed", s.Expired, 0)
	want(w, "erased", s.Erased, people)
}
