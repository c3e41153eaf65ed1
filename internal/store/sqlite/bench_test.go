package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

const benchPeople = 20_000

// crowded opens a ledger with people who all pass the sample campaign, written past the
// ledger's own door: recording them one by one is another benchmark.
func crowded(b *testing.B) *Ledger {
	b.Helper()
	clock := storetest.NewClock()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), Config{Dir: b.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	if _, err := l.PutView(b.Context(), storetest.LedgerID, storetest.View(clock.Now())); err != nil {
		b.Fatal(err)
	}
	err = l.write.do(b.Context(), func(t *tx) error {
		for i := range benchPeople {
			if err := crowd(b.Context(), l, t, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	clock.Move(time.Minute)
	return l
}

func crowd(ctx context.Context, l *Ledger, t *tx, i int) error {
	id, err := l.ensure(ctx, t, storetest.Account, storetest.OpenID(fmt.Sprint(i)))
	if err != nil {
		return err
	}
	for _, q := range []string{
		"UPDATE subjects SET age_band = 'Adult' WHERE id = ?1", "INSERT INTO tags VALUES (?1, 'tea')",
		"INSERT INTO lead_state VALUES (?1, 'brand-leads', 25, 1)", "INSERT INTO grants (subject_id, account, template, remaining) VALUES (?1, 'brand', 'TEMPLATE_SPRING_TEA', 1)",
		"INSERT INTO consent_state (subject_id, purpose, recipient, action, at_ms, revision, separate, control, ends_ms) VALUES (?1, 'PersonalizedMarketing', '', 'Given', 1, 3, 1, 'page', 0)",
	} {
		if _, err := t.exec(ctx, q, id); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, "UPDATE lead_state SET at_ms = ? WHERE subject_id = ?", t.now.UnixMilli(), id)
	return err
}

// BenchmarkPlan tells how many people are decided per second; the goal is a million in 10 s.
func BenchmarkPlan(b *testing.B) {
	l := crowded(b)
	n := 0
	for b.Loop() {
		n++
		r, err := l.PlanRun(b.Context(), storetest.Spec(fmt.Sprint("run", n)))
		if err != nil || r.Eligible != benchPeople {
			b.Fatal(r.Eligible, err)
		}
	}
	b.ReportMetric(float64(n*benchPeople)/b.Elapsed().Seconds(), "people/s")
}

// BenchmarkLease leases and reports 500 permits at a time; the goal is 50 ms for a lease.
func BenchmarkLease(b *testing.B) {
	l := crowded(b)
	if _, err := l.PlanRun(b.Context(), fast()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		got, err := l.Lease(b.Context(), "run", 0, 500)
		if err != nil || len(got.Permits) == 0 {
			b.Fatal(got.State, err)
		}
		out := make([]store.Outcome, len(got.Permits))
		for i, p := range got.Permits {
			out[i] = store.Outcome{Permit: p.ID, Result: store.Unused}
		}
		if err := l.Report(b.Context(), "run", out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "permits/s")
}

func fast() store.RunSpec {
	s := storetest.Spec("run")
	s.PerSecond = 1 << 30
	return s
}

// BenchmarkRecordEvent records callbacks from many gateways at once: durable events per second.
func BenchmarkRecordEvent(b *testing.B) {
	l := crowded(b)
	now := l.cfg.Clock()
	b.SetParallelism(32)
	var seq uint64
	next := make(chan uint64, 1024)
	stop := make(chan struct{})
	go func() {
		for {
			seq++
			select {
			case next <- seq:
			case <-stop:
				return
			}
		}
	}()
	defer close(stop)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := <-next
			dedupe := make([]byte, 32)
			binary.BigEndian.PutUint64(dedupe, n)
			e := store.Event{Account: storetest.Account, Dedupe: dedupe, Kind: "CLICK", Key: "pricing", Who: storetest.OpenID(fmt.Sprint(n % benchPeople)), At: now}
			if _, err := l.RecordEvent(b.Context(), e); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkWithdrawal withdraws while workers lease and report as fast as they can: how long
// a person waits for the acknowledgement. The goal is 1 s at the 99th percentile.
func BenchmarkWithdrawal(b *testing.B) {
	l := crowded(b)
	if _, err := l.PlanRun(b.Context(), fast()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() { leaseAndReport(ctx, l) })
	}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		dedupe := make([]byte, 32)
		binary.BigEndian.PutUint64(dedupe, uint64(i))
		e := store.Event{Account: storetest.Account, Dedupe: dedupe, Kind: "text", Who: storetest.OpenID(fmt.Sprint(i % benchPeople)), At: l.cfg.Clock(), Withdraw: true}
		begin := time.Now()
		if got, err := l.RecordEvent(b.Context(), e); err != nil || !got.Acknowledged {
			b.Fatal(got, err)
		}
		took = append(took, time.Since(begin))
	}
	stop()
	workers.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// leaseAndReport gives every permit back unused, so that the campaign does not end.
func leaseAndReport(ctx context.Context, l *Ledger) {
	for ctx.Err() == nil {
		got, err := l.Lease(ctx, "run", 0, 500)
		if err != nil {
			return
		}
		var out []store.Outcome
		for _, p := range got.Permits {
			out = append(out, store.Outcome{Permit: p.ID, Result: store.Unused})
		}
		if l.Report(context.WithoutCancel(ctx), "run", out) != nil {
			return
		}
	}
}
