package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// Bounds of a worker's patience.
const (
	idleWait     = 500 * time.Millisecond
	maxWait      = time.Second // a SendHold must be seen, and its end, within 2 s
	tries        = 3           // of one request that provably did not arrive
	outage       = 5 * time.Second
	reportGrace  = 10 * time.Second
	startMargin  = 3 * time.Second // before a permit ends: a token or another host may have to be fetched first
	maxLeases    = 3               // of one person by this process, when the platform is busy each time
	leaseTimeout = 15 * time.Second
	noGrantLeft  = 43101 // WeChat: the user refused, or no grant remains
)

// Sender sends one message.
type Sender interface {
	SendSubscription(context.Context, wechat.SubscriptionMessage) (wechat.Receipt, error)
}

// Worker sends one shard of a run. A permit is the intent on disk: none is leased before a
// sender is free to use it at once, and a sender is free again when its outcome is on disk.
// So a killed process leaves as unknown the requests that were in flight, at most Workers
// of them (promise P5).
type Worker struct {
	Store   storev1connect.DispatchServiceClient
	Sender  Sender
	RunID   string
	Shard   int32
	Message wechat.SubscriptionMessage // without the person
	Workers int                        // requests in flight
	Log     *slog.Logger

	paused atomic.Int64 // unix nanoseconds until which nothing is leased
	busy   sync.Map     // idempotency key to how often the platform was busy for it
}

// task is a permit with the moment after which no request starts, by this process's own
// monotonic clock: the store's and ours may differ.
type task struct {
	permit *storev1.Permit
	until  time.Time
}

// ErrStopped says that the platform refuses the account or the content, not a person:
// sending on would burn everybody else.
var ErrStopped = errors.New("PlatformRefused")

// ErrInterrupted says that the process was asked to stop before the shard was finished. It
// is an error, or the Job would count the shard as done.
var ErrInterrupted = errors.New("Interrupted")

// Run works until the shard is finished, ctx ends, or the platform stops it. Permits that
// were not used are given back; a process that is killed leaves them to run out.
func (w *Worker) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	outcomes, free := make(chan *storev1.Outcome, w.Workers), make(chan struct{}, w.Workers)
	for range w.Workers {
		free <- struct{}{}
	}
	reported := make(chan error, 1)
	go func() { reported <- w.report(ctx, outcomes, free, stop) }()
	var senders sync.WaitGroup
	err := w.lease(ctx, free, func(t task) {
		senders.Go(func() { outcomes <- w.one(ctx, t, stop) })
	})
	senders.Wait()
	close(outcomes)
	err = errors.Join(err, <-reported)
	if cause := context.Cause(ctx); errors.Is(cause, ErrStopped) {
		return errors.Join(cause, err)
	}
	return err
}

// stopped is the error of a process that was asked to stop; other errors only say so too.
func stopped(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return ErrInterrupted
	default:
		return err
	}
}

// lease takes whoever is free to send, asks for as many permits, and has them used.
func (w *Worker) lease(ctx context.Context, free chan struct{}, use func(task)) error {
	for failures := 0; ; {
		n := take(ctx, free)
		if n == 0 || !w.sleep(ctx, time.Until(time.Unix(0, w.paused.Load()))) {
			return ErrInterrupted
		}
		asked := time.Now()
		res, err := w.ask(ctx, n)
		permits := res.GetPermits()
		for range n - len(permits) {
			free <- struct{}{}
		}
		if err != nil {
			if failures++; failures > 30 || ctx.Err() != nil || word(err) {
				return stopped(ctx, fmt.Errorf("lease: %w", err))
			}
			w.sleep(ctx, min(time.Duration(failures)*idleWait, outage))
			continue
		}
		failures = 0
		for _, p := range permits {
			use(task{p, asked.Add(time.Duration(res.GetPermitMillis()) * time.Millisecond)})
		}
		switch {
		case res.GetState() == store.LeaseFinished:
			return nil
		case len(permits) == 0:
			wait := time.Duration(res.GetWaitMillis()) * time.Millisecond
			w.sleep(ctx, min(max(wait, 10*time.Millisecond), maxWait))
		}
	}
}

// take waits for a free sender and counts all that are free; 0 when ctx ends.
func take(ctx context.Context, free <-chan struct{}) int {
	select {
	case <-ctx.Done():
		return 0
	case <-free:
	}
	for n := 1; ; n++ {
		select {
		case <-free:
		default:
			return n
		}
	}
}

// ask leases n permits. It hears the answer also when the process is asked to stop: permits
// in an answer that nobody hears could not be given back.
func (w *Worker) ask(ctx context.Context, n int) (*storev1.LeaseResponse, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
	defer cancel()
	return w.Store.Lease(ctx, &storev1.LeaseRequest{RunId: w.RunID, Shard: w.Shard, Max: int32(n)})
}

// one uses one permit, or says that it was not used.
func (w *Worker) one(ctx context.Context, t task, stop context.CancelCauseFunc) *storev1.Outcome {
	out := &storev1.Outcome{PermitId: t.permit.GetPermitId(), Result: store.Unused}
	who, err := subject.NewOpenID(t.permit.GetOpenId())
	if err != nil {
		out.Result = store.Failed
		return out
	}
	usable := func() bool { return ctx.Err() == nil && time.Until(t.until) > startMargin }
	if !usable() {
		return out
	}
	m := w.Message
	m.To = who
	// A request that has begun is brought to its end also when the process is asked to stop:
	// cutting it off would only make its outcome unknown. Past the permit nothing is written.
	call, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.until)
	defer cancel()
	for try := 1; ; try++ {
		_, err := w.Sender.SendSubscription(call, m)
		class := wechat.ClassOf(err)
		pause := time.Duration(try)*100*time.Millisecond + rand.N(100*time.Millisecond) //nolint:gosec,forbidigo // jitter wants no seed
		if class == wechat.Retry && try < tries && w.sleep(ctx, pause) && usable() {
			continue
		}
		return w.settle(out, t.permit.GetIdempotencyKey(), class, err, stop)
	}
}

// settle turns what the platform said into an outcome (wechat.md 17).
func (w *Worker) settle(out *storev1.Outcome, key string, class wechat.Class, err error, stop context.CancelCauseFunc) *storev1.Outcome {
	var e *wechat.Error
	if errors.As(err, &e) {
		out.PlatformCode = e.Code
	}
	switch class {
	case wechat.OK:
		out.Result = store.Sent
	case wechat.User:
		out.Result, out.GrantVoid = store.Refused, out.GetPlatformCode() == noGrantLeft
	case wechat.Unknown:
		out.Result = store.Unknown
	case wechat.Retry, wechat.Token: // provably not accepted: given back, and the process waits a while
		w.paused.Store(time.Now().Add(outage).UnixNano())
		if w.tooBusy(key) {
			out.Result = store.Failed
		}
	default:
		stop(fmt.Errorf("%w: class %s, code %d", ErrStopped, class, out.GetPlatformCode()))
	}
	return out
}

// tooBusy counts how often the platform was busy for one person, so that nobody is tried for ever.
func (w *Worker) tooBusy(key string) bool {
	n, _ := w.busy.LoadOrStore(key, new(atomic.Int32))
	count, ok := n.(*atomic.Int32)
	return ok && count.Add(1) >= maxLeases
}

// report sends outcomes to the store until they are on disk there, and frees their senders:
// an outcome that is not reported becomes unknown. While the store is away no new request
// starts, since no sender is free.
func (w *Worker) report(ctx context.Context, outcomes <-chan *storev1.Outcome, free chan<- struct{}, stop context.CancelCauseFunc) error {
	for first := range outcomes {
		batch := collect(first, outcomes)
		if err := w.deliver(ctx, batch); err != nil {
			stop(err) // nothing more may be sent that cannot be reported
			return fmt.Errorf("report: %w", err)
		}
		for range batch {
			free <- struct{}{}
		}
	}
	return nil
}

// collect adds to the first outcome what waits beside it. It does not wait for more: while
// a report is under way the next ones gather by themselves.
func collect(first *storev1.Outcome, outcomes <-chan *storev1.Outcome) []*storev1.Outcome {
	batch := []*storev1.Outcome{first}
	for {
		select {
		case o, ok := <-outcomes:
			if !ok {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
}

func (w *Worker) deliver(ctx context.Context, batch []*storev1.Outcome) error {
	req := &storev1.ReportRequest{RunId: w.RunID, Outcomes: batch}
	var deadline time.Time
	for try := 1; ; try++ {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportGrace)
		_, err := w.Store.Report(call, req)
		cancel()
		if err == nil || word(err) {
			return err
		}
		if ctx.Err() != nil && deadline.IsZero() {
			deadline = time.Now().Add(reportGrace)
		}
		if !deadline.IsZero() && time.Now().After(deadline) {
			return err
		}
		w.Log.Warn("Store does not take reports; trying again", "try", try)
		w.sleep(context.WithoutCancel(ctx), min(time.Duration(try)*100*time.Millisecond, time.Second))
	}
}

// sleep waits, and tells whether ctx is still good.
func (w *Worker) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err() == nil
}
