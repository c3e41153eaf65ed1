package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// exported runs a transfer of a small ledger, and asks the oracle about the same file.
func exported(t *testing.T) (q question, want map[string]answer, rows []map[string]any) {
	t.Helper()
	key, dir, clock := bytes.Repeat([]byte{7}, seal.KeySize), t.TempDir(), storetest.NewClock()
	ring, err := seal.NewRing(key, seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	begun := clock.Now()
	for i := range 5 {
		w.Fan(fmt.Sprint("fan", i))
		for range i { // the rule counts two a day
			w.Event(fmt.Sprint("fan", i), "CLICK", "pricing")
		}
	}
	w.Event("fan1", "CLICK", "tag:coffee")
	clock.Move(10 * 24 * time.Hour) // points have fallen
	w.Push(nil)
	for _, name := range []string{"withdrew", "erased", "minor"} {
		w.Fan(name)
	}
	w.Event("withdrew", "text", "", func(e *store.Event) { e.Withdraw = true })
	w.Erase("erased")
	w.Choose(t.Context(), "minor", consent.From14, storetest.Reporting)
	clock.Move(time.Second)
	if _, err := l.DeclareTransfer(t.Context(), w.Export("t")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.StartTransfer(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	from := clock.Now()
	lines, stopped := w.Drain("t", 2)
	if stopped != "" || begun.Equal(from) {
		t.Fatal(stopped)
	}
	for _, line := range lines {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	q = question{purpose: storetest.Reporting, recipient: storetest.Recipient, revision: 3, from: from, until: clock.Now(), model: marketingv1.LeadModelSpec{
		HalfLifeDays: 30, Stages: []marketingv1.LeadStage{{Name: "Lead", MinPoints: 1}, {Name: "Engaged", MinPoints: 15}, {Name: "Qualified", MinPoints: 30}},
		Rules: []marketingv1.LeadRule{
			{Name: "followed", Event: "subscribe", Points: 5}, {Name: "scanned", Event: "SCAN", Match: "event.scene == 'booth-2026'", Points: 20},
			{Name: "pricing", Event: "CLICK", Match: "event.key == 'pricing'", Points: 10, MaxPerDay: 2},
		},
	}}
	o, err := openOracle(filepath.Join(dir, "ledger.db"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.db.Close()
	if want, err = o.answers(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return q, want, rows
}

// TestOracle_AgreesWithTheTransfer, whose rows it computes from other tables by other code.
func TestOracle_AgreesWithTheTransfer(t *testing.T) {
	q, want, rows := exported(t)
	if got := q.judge(want, rows); got != (verdict{agree: 5}) {
		t.Errorf("%+v of %d rows; want %v, got %v", got, len(rows), want, rows)
	}
}

// TestOracle_SeesEveryKindOfError: what would go unseen here would go unseen in the demo.
func TestOracle_SeesEveryKindOfError(t *testing.T) {
	q, want, rows := exported(t)
	change := func(field string, value any) func([]map[string]any) []map[string]any {
		return func(rows []map[string]any) []map[string]any {
			rows[2] = maps.Clone(rows[2])
			rows[2][field] = value
			return rows
		}
	}
	score, _ := rows[2]["lead.score"].(float64)
	for name, c := range map[string]struct {
		spoil func([]map[string]any) []map[string]any
		want  verdict
	}{
		"a row lost":        {func(r []map[string]any) []map[string]any { return r[1:] }, verdict{agree: 4, missing: 1}},
		"a row twice":       {func(r []map[string]any) []map[string]any { return append(r, r[0]) }, verdict{agree: 5, doubled: 1}},
		"a row of somebody": {change("id", "0011"), verdict{agree: 4, missing: 1, extra: 1}},
		"another score":     {change("lead.score", score+0.1), verdict{agree: 4, different: 1}},
		"another stage":     {change("lead.stage", "Lead"), verdict{agree: 4, different: 1}},
		"another interest":  {change("tags", []any{"tea", "golf"}), verdict{agree: 4, different: 1}},
		"a field more":      {change("openid", "x"), verdict{agree: 4, different: 1}},
	} {
		if got := q.judge(want, c.spoil(slices.Clone(rows))); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
