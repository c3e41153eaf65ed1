package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat"
)

const permitLife = 20 * time.Second

// counter is a store in memory, so that a test's clock can stand still: it hands out the
// people that wait, and takes back whoever was not sent to.
type counter struct {
	mu      sync.Mutex
	began   time.Time
	waiting []string // openids
	out     map[string]string
	results map[string][]string         // openid to what was reported, in order
	answer  func() error                // of a report; nil: it is taken
	slow    func(context.Context) error // before a lease is answered
}

func newCounter(names ...string) *counter {
	c := &counter{began: time.Now(), out: map[string]string{}, results: map[string][]string{}}
	for _, n := range names {
		c.waiting = append(c.waiting, openID(n))
	}
	return c
}

func openID(name string) string { return storetest.OpenID(name).Reveal() }

func (c *counter) Lease(ctx context.Context, r *storev1.LeaseRequest) (*storev1.LeaseResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &storev1.LeaseResponse{State: store.LeaseOpen, PermitMillis: int32(permitLife.Milliseconds()), WaitMillis: 100}
	if len(c.waiting)+len(c.out) == 0 {
		out.State = store.LeaseFinished
		return out, nil
	}
	for len(c.waiting) > 0 && len(out.GetPermits()) < int(r.GetMax()) {
		id := fmt.Sprint("permit of ", c.waiting[0])
		out.Permits = append(out.Permits, &storev1.Permit{PermitId: id, OpenId: c.waiting[0], IdempotencyKey: c.waiting[0]})
		c.out[id], c.waiting = c.waiting[0], c.waiting[1:]
	}
	if c.slow != nil {
		if err := c.slow(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *counter) Report(_ context.Context, r *storev1.ReportRequest) (*storev1.ReportResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer != nil {
		if err := c.answer(); err != nil {
			return nil, err
		}
	}
	for _, o := range r.GetOutcomes() {
		who := c.out[o.GetPermitId()]
		delete(c.out, o.GetPermitId())
		c.results[who] = append(c.results[who], o.GetResult())
		if o.GetResult() == store.Unused {
			c.waiting = append(c.waiting, who)
		}
	}
	return &storev1.ReportResponse{}, nil
}

func (c *counter) Reconcile(context.Context, *storev1.ReconcileRequest) (*storev1.ReconcileResponse, error) {
	return nil, errors.ErrUnsupported
}

func (c *counter) last(name string) string {
	all := c.results[openID(name)]
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// sender is a platform made of one function.
type sender func(context.Context, subject.OpenID) error

func (s sender) SendSubscription(ctx context.Context, m wechat.SubscriptionMessage) (wechat.Receipt, error) {
	return wechat.Receipt{}, s(ctx, m.To)
}

// patience runs a worker against a counter, on a clock that moves when everybody waits.
func patience(t *testing.T, c *counter, limit time.Duration, s sender) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	w := &Worker{Store: c, Sender: s, RunID: "run", Workers: 4, Log: slog.New(slog.DiscardHandler), Message: wechat.SubscriptionMessage{TemplateID: "T"}}
	return w.Run(ctx)
}

var platformBusy = &wechat.Error{Code: -1, Class: wechat.Retry}

func TestWorker_ThePlatformIsNotAskedForEverAboutOnePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, calls := newCounter("busy", "easy"), 0
		var mu sync.Mutex
		err := patience(t, c, time.Hour, func(_ context.Context, who subject.OpenID) error {
			mu.Lock()
			defer mu.Unlock()
			if who != storetest.OpenID("busy") {
				return nil
			}
			calls++
			return platformBusy
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.last("busy") != store.Failed || calls != maxLeases*tries {
			t.Errorf("%d requests for one person, then %v; want %d, then %s", calls, c.results[openID("busy")], maxLeases*tries, store.Failed)
		}
		if c.last("easy") != store.Sent {
			t.Errorf("somebody else: %v", c.results[openID("easy")])
		}
	})
}

func TestWorker_StopsWhenTheStoreRefusesAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprint("fan", i))
		}
		c, calls := newCounter(names...), 0
		c.answer = func() error { return gone }
		var mu sync.Mutex
		err := patience(t, c, time.Hour, func(context.Context, subject.OpenID) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), store.ErrRunUnknown.Word) {
			t.Errorf("Run: %v", err)
		}
		if calls > 4 || time.Since(c.began) > time.Second {
			t.Errorf("%d requests, and an end after %s: what cannot be reported must not be sent", calls, time.Since(c.began))
		}
	})
}

// TestWorker_NothingIsSentAfterThePermit lets a request wait, as for a token, longer than
// its permit lives.
func TestWorker_NothingIsSentAfterThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sent := newCounter("slow"), 0
		err := patience(t, c, time.Hour, func(ctx context.Context, _ subject.OpenID) error {
			select {
			case <-time.After(permitLife + time.Second):
				sent++
				return nil
			case <-ctx.Done():
				return &wechat.Error{Class: wechat.Retry, Reason: wechat.ReasonTimeout}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if sent != 0 || c.last("slow") != store.Failed {
			t.Errorf("%d sent after the permit had ended: %v", sent, c.results[openID("slow")])
		}
	})
}

func TestWorker_APermitThatCameTooLateIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, first := newCounter("late"), true
		c.slow = func(context.Context) error {
			if first {
				<-time.After(permitLife - startMargin)
				first = false
			}
			return nil
		}
		var starts []time.Duration
		err := patience(t, c, time.Hour, func(context.Context, subject.OpenID) error {
			starts = append(starts, time.Since(c.began))
			return nil
		})
		if got := c.results[openID("late")]; err != nil || len(starts) != 1 || len(got) != 2 || got[0] != store.Unused || got[1] != store.Sent {
			t.Errorf("reported %v after requests at %v: %v", got, starts, err)
		}
	})
}

// TestWorker_StoppedWhileItAsks stops the process between a lease and its answer: the
// permits are given back.
func TestWorker_StoppedWhileItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter("a", "b")
		c.slow = func(ctx context.Context) error {
			select {
			case <-time.After(2 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := patience(t, c, time.Second, func(context.Context, subject.OpenID) error {
			t.Error("a request began after the stop")
			return nil
		})
		if !errors.Is(err, ErrInterrupted) || len(c.out) != 0 || len(c.waiting) != 2 {
			t.Errorf("%d permits are lost: %v", len(c.out), err)
		}
	})
}
