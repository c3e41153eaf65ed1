package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// What one round of Races holds.
const (
	crowd   = 100 // people, each with a random history
	senders = 4   // workers of the campaign
)

// Races lets histories many people withdraw and agree anew at random, while the workers of a
// campaign lease, send, report late or never, and die. Nothing may be sent to a person after
// a withdrawal was acknowledged and before they agree anew (promise P4). What each actor does
// follows from the seed; how the actors meet is up to the scheduler.
func Races(t *testing.T, e Engine, histories int) { rounds(t, e, histories, (*World).race) }

// rounds gives each round of a race a world of its own.
func rounds(t *testing.T, e Engine, histories int, race func(w *World, seed uint64)) {
	t.Helper()
	for round := range (histories + crowd - 1) / crowd {
		w := &World{T: t, Clock: NewClock()}
		var err error
		if w.Ledger, err = e.Open(t, t.TempDir(), w.Clock, true); err != nil {
			t.Fatal(err)
		}
		w.Push(nil)
		race(w, uint64(round))
		if _, err := w.Ledger.Verify(t.Context()); err != nil {
			t.Errorf("round %d: the log does not verify: %v", round, err)
		}
		w.ok(w.Ledger.Close())
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// platform is where sends arrive. It knows to whom nothing may be sent any more.
type platform struct {
	mu      sync.Mutex
	quiet   map[subject.OpenID]bool
	written map[string]bool // transfer and person
	clock   *Clock
	sent    int
	wrongly int
	leases  int
	leased  *sync.Cond // of mu, after each lease
}

func newPlatform(clock *Clock) *platform {
	p := &platform{quiet: map[subject.OpenID]bool{}, written: map[string]bool{}, clock: clock}
	p.leased = sync.NewCond(&p.mu)
	return p
}

// tick counts a lease, and wait waits for n more of them: it spreads people over a run
// without any clock.
func (p *platform) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases++
	p.leased.Broadcast()
}

func (p *platform) wait(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for until := p.leases + n; p.leases < until; {
		p.leased.Wait()
	}
}

// send starts a request, unless the permit's deadline has passed.
func (p *platform) send(permit store.Permit) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.clock.Now().Before(permit.Deadline) {
		return false
	}
	p.sent++
	if p.quiet[permit.Who] {
		p.wrongly++
	}
	return true
}

func (p *platform) set(who subject.OpenID, quiet bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet[who] = quiet
}

func (w *World) race(seed uint64) {
	w.Helper()
	each(func(i int) { w.Fan(fmt.Sprint(i)) })
	w.Plan("run")
	p := newPlatform(w.Clock)
	ctx, stop := context.WithCancel(w.Context())
	var workers sync.WaitGroup
	for n := range senders {
		workers.Go(func() { w.sends(ctx, p, seeded(seed, n)) })
	}
	anew := func(name string) {
		w.Choose(w.Context(), name, consent.Adult, Purpose)
		w.Grant(name)
	}
	each(func(i int) { w.lives(p, i, seeded(seed, senders+i), anew) })
	stop()
	workers.Wait()
	if p.wrongly > 0 || p.sent == 0 {
		w.Errorf("%d sent, of which %d after the withdrawal was acknowledged", p.sent, p.wrongly)
	}
}

// seeded is the source of one actor's decisions.
func seeded(round uint64, actor int) *rand.Rand {
	return rand.New(rand.NewPCG(round, uint64(actor))) //nolint:gosec // repeatable, and no secret
}

// each runs f for everybody of the crowd at once.
func each(f func(i int)) {
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// sends is a worker: it does its duty, is slow, forgets to report, or loses what it leased.
func (w *World) sends(ctx context.Context, p *platform, r *rand.Rand) {
	for ctx.Err() == nil {
		l, err := w.Ledger.Lease(ctx, "run", 0, 1+r.IntN(8))
		if err != nil {
			return // the round is over
		}
		p.tick()
		for _, permit := range l.Permits {
			fate := r.IntN(10)
			if fate == 0 {
				continue // died before the request
			}
			if fate < 4 {
				w.Clock.Move(time.Duration(r.IntN(8000)) * time.Millisecond)
			}
			result := store.Unused
			if p.send(permit) {
				result = store.Sent
			}
			if fate == 9 {
				continue // died after it
			}
			if w.Ledger.Report(ctx, "run", []store.Outcome{{Permit: permit.ID, Result: result}}) != nil {
				return
			}
		}
	}
}

// lives is a person: they withdraw until it is acknowledged, and some agree anew.
func (w *World) lives(p *platform, i int, r *rand.Rand, anew func(name string)) {
	name := fmt.Sprint(i)
	for turn := range 1 + r.IntN(3) {
		p.wait(r.IntN(40))
		sum := sha256.Sum256(fmt.Appendf(nil, "%d withdraws, %d", i, turn))
		e := store.Event{Account: Account, Dedupe: sum[:], Kind: "text", Who: OpenID(name), At: w.Clock.Now(), Withdraw: true}
		for !w.acknowledged(e, time.Duration(1+r.IntN(20))*time.Millisecond) {
			w.Clock.Move(time.Duration(r.IntN(5000)) * time.Millisecond)
		}
		p.set(e.Who, true)
		if r.IntN(2) == 0 {
			return
		}
		p.set(e.Who, false)
		anew(name)
	}
}

func (w *World) acknowledged(e store.Event, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	got, err := w.Ledger.RecordEvent(ctx, e)
	return err == nil && got.Acknowledged
}
