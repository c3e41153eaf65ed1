package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// jobs of one transfer that believe to be the only one: a node was lost and came back.
const jobs = 2

// PartRaces is Races for transfers: Jobs lease parts, write, report late or never, and die.
// No row may be written, and no part with it reported, after that person's withdrawal was
// acknowledged and before they agree anew.
func PartRaces(t *testing.T, e Engine, histories int) { rounds(t, e, histories, (*World).partRace) }

func (w *World) partRace(seed uint64) {
	w.Helper()
	each(func(i int) {
		w.Fan(fmt.Sprint(i))
		w.Event(fmt.Sprint(i), "CLICK", fmt.Sprint("tag:", i)) // rows tell who it is
	})
	w.Clock.Move(time.Second)
	p, spec := newPlatform(w.Clock), w.Export("")
	ctx, stop := context.WithCancel(w.Context())
	var workers sync.WaitGroup
	for n := range jobs {
		workers.Go(func() { w.exports(ctx, p, seeded(seed, n), spec) })
	}
	anew := func(name string) {
		w.Clock.Move(time.Second)
		w.Choose(w.Context(), name, consent.Adult, Purpose, Reporting)
	}
	each(func(i int) { w.lives(p, i, seeded(seed, jobs+i), anew) })
	stop()
	workers.Wait()
	if p.wrongly > 0 || p.sent == 0 {
		w.Errorf("%d rows written, of which %d after the withdrawal was acknowledged", p.sent, p.wrongly)
	}
}

// exports runs one transfer after the other.
func (w *World) exports(ctx context.Context, p *platform, r *rand.Rand, spec store.TransferSpec) {
	for n := 0; ctx.Err() == nil; n++ {
		spec.ID = fmt.Sprint("t", n)
		p.tick()
		w.Clock.Move(time.Duration(1+r.IntN(1000)) * time.Millisecond)
		_, err := w.Ledger.PutView(ctx, LedgerID, View(w.Clock.Now()))
		if err == nil {
			_, err = w.Ledger.DeclareTransfer(ctx, spec)
		}
		if err == nil {
			_, err = w.Ledger.StartTransfer(ctx, spec.ID)
		}
		for done := err != nil; !done && ctx.Err() == nil; {
			done = w.exportPart(ctx, p, r, spec.ID)
		}
	}
}

// exportPart is a Job with one part: it does its duty, is slow, or dies.
func (w *World) exportPart(ctx context.Context, p *platform, r *rand.Rand, id string) (done bool) {
	asked := w.Clock.Now()
	part, err := w.Ledger.LeasePart(ctx, id, 1+r.IntN(8))
	if err != nil || part.Done || part.Stopped != "" {
		return true
	}
	p.tick()
	if part.Wait > 0 {
		w.Clock.Move(min(part.Wait, time.Duration(r.IntN(5000))*time.Millisecond))
		return false
	}
	fate, who := r.IntN(10), people(part)
	w.dawdle(r, fate)
	if fate == 0 || !p.write(who, asked.Add(part.Life)) {
		return false
	}
	w.dawdle(r, fate)
	if fate == 1 {
		return false // died before the report
	}
	quiet := p.anyQuiet(who) // asked before: what is acknowledged in between is no fault
	err = w.Ledger.ReportPart(ctx, id, part.Lease, written(part))
	if err == nil && (quiet || p.again(id, who)) {
		p.fault()
	}
	return err != nil && !errors.Is(err, store.ErrLeaseOver)
}

// dawdle is half of the time slow.
func (w *World) dawdle(r *rand.Rand, fate int) {
	if fate >= 5 {
		w.Clock.Move(time.Duration(r.IntN(8000)) * time.Millisecond)
	}
}

// people tells whose rows a part holds.
func people(p store.LeasedPart) (out []subject.OpenID) {
	for _, raw := range p.Rows {
		var row struct{ Tags []string }
		if err := json.Unmarshal(raw, &row); err != nil {
			panic(err)
		}
		out = append(out, OpenID(row.Tags[0])) // a number comes before "tea"
	}
	return out
}

// write begins to write rows, unless their lease is over.
func (p *platform) write(who []subject.OpenID, until time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.clock.Now().Before(until) {
		return false
	}
	p.sent += len(who)
	for _, x := range who {
		if p.quiet[x] {
			p.wrongly++
		}
	}
	return true
}

func (p *platform) anyQuiet(who []subject.OpenID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range who {
		if p.quiet[x] {
			return true
		}
	}
	return false
}

// again notes who was written by a transfer, and tells whether anybody was before.
func (p *platform) again(id string, who []subject.OpenID) (before bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range who {
		key := id + " " + x.Reveal()
		before = before || p.written[key]
		p.written[key] = true
	}
	return before
}

func (p *platform) fault() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrongly++
}
