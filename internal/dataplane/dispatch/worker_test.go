package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// ledgerClient is the store's dispatch service over a real ledger, without the wire.
type ledgerClient struct {
	ledger store.Ledger
	mu     sync.Mutex
	deaf   int  // reports that fail before they arrive
	mute   int  // reports whose answer is lost after they arrived
	cut    bool // nothing of this process arrives any more
}

// gone is what a process hears whose run is not its own any more.
var gone = connect.NewError(connect.CodeFailedPrecondition, store.ErrRunUnknown)

func (c *ledgerClient) off() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

func (c *ledgerClient) Lease(ctx context.Context, r *storev1.LeaseRequest) (*storev1.LeaseResponse, error) {
	if c.off() {
		return nil, gone
	}
	l, err := c.ledger.Lease(ctx, r.GetRunId(), int(r.GetShard()), int(r.GetMax()))
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	out := &storev1.LeaseResponse{State: l.State, WaitMillis: int32(l.Wait.Milliseconds()), PermitMillis: int32(l.Life.Milliseconds())}
	for _, p := range l.Permits {
		out.Permits = append(out.Permits, &storev1.Permit{PermitId: p.ID, OpenId: p.Who.Reveal(), IdempotencyKey: p.Key})
	}
	return out, nil
}

func (c *ledgerClient) Report(ctx context.Context, r *storev1.ReportRequest) (*storev1.ReportResponse, error) {
	if c.off() {
		return nil, gone
	}
	c.mu.Lock()
	deaf, mute := c.deaf > 0, c.mute > 0
	if deaf {
		c.deaf--
	} else if mute {
		c.mute--
	}
	c.mu.Unlock()
	lost := connect.NewError(connect.CodeUnavailable, errors.New("connection lost"))
	if deaf {
		return nil, lost
	}
	var out []store.Outcome
	for _, o := range r.GetOutcomes() {
		out = append(out, store.Outcome{Permit: o.GetPermitId(), Result: o.GetResult(), Code: o.GetPlatformCode(), GrantVoid: o.GetGrantVoid()})
	}
	if err := c.ledger.Report(ctx, r.GetRunId(), out); err != nil {
		return nil, err
	}
	if mute {
		return nil, lost
	}
	return &storev1.ReportResponse{}, nil
}

func (c *ledgerClient) Reconcile(context.Context, *storev1.ReconcileRequest) (*storev1.ReconcileResponse, error) {
	return nil, errors.ErrUnsupported
}

// phone counts what each person received.
type phone struct {
	mu       sync.Mutex
	received map[subject.OpenID]int
	calls    int
	answer   func(call int, to subject.OpenID) (arrives bool, err error)
}

func (p *phone) SendSubscription(_ context.Context, m wechat.SubscriptionMessage) (wechat.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	arrives, err := true, error(nil)
	if p.answer != nil {
		arrives, err = p.answer(p.calls, m.To)
	}
	if arrives {
		p.received[m.To]++
	}
	return wechat.Receipt{}, err
}

type scene struct {
	*storetest.World
	client *ledgerClient
	phone  *phone
	log    *bytes.Buffer
}

func setUp(t *testing.T, people int) *scene {
	t.Helper()
	clock := storetest.NewClock()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &scene{
		World: &storetest.World{T: t, Ledger: l, Clock: clock}, client: &ledgerClient{ledger: l},
		phone: &phone{received: map[subject.OpenID]int{}}, log: &bytes.Buffer{},
	}
	s.Push(nil)
	for i := range people {
		s.Fan(fmt.Sprint("fan", i))
	}
	s.Plan("run")
	return s
}

func (s *scene) worker() *Worker {
	return &Worker{Store: s.client, Sender: s.phone, RunID: "run", Workers: 4, Log: slog.New(slog.NewTextHandler(s.log, nil)), Message: wechat.SubscriptionMessage{TemplateID: "T"}}
}

func (s *scene) exactlyOnce(people int) {
	s.Helper()
	if len(s.phone.received) != people {
		s.Errorf("%d people received something, want %d", len(s.phone.received), people)
	}
	for _, n := range s.phone.received {
		if n != 1 {
			s.Errorf("somebody received %d messages", n)
		}
	}
	if r := s.Run("run"); r.Sent != int64(people) || !r.Finished {
		s.Errorf("ledger: %+v", r)
	}
}

func TestWorker_EveryoneOnce(t *testing.T) {
	s := setUp(t, 50)
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exactlyOnce(50)
}

func TestWorker_ReportsAreRepeatedUntilTheyAreOnDisk(t *testing.T) {
	s := setUp(t, 20)
	s.client.deaf, s.client.mute = 2, 2
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exactlyOnce(20)
}

func TestWorker_BusyPlatformIsAskedAgainWithTheSamePermit(t *testing.T) {
	s := setUp(t, 10)
	s.phone.answer = func(call int, _ subject.OpenID) (bool, error) {
		if call%3 == 1 {
			return false, &wechat.Error{Code: -1, Class: wechat.Retry}
		}
		return true, nil
	}
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exactlyOnce(10)
}

func TestWorker_LostAnswersAreUnknownAndNotSentAgain(t *testing.T) {
	s := setUp(t, 10)
	s.phone.answer = func(call int, _ subject.OpenID) (bool, error) {
		if call%2 == 0 {
			return true, &wechat.Error{Class: wechat.Unknown}
		}
		return true, nil
	}
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := s.Run("run")
	if r.Sent != 5 || r.Unknown != 5 || s.phone.calls != 10 {
		t.Errorf("ledger: %+v after %d calls", r, s.phone.calls)
	}
}

func TestWorker_APersonsRefusalIsFinal(t *testing.T) {
	s := setUp(t, 1)
	s.phone.answer = func(int, subject.OpenID) (bool, error) {
		return false, &wechat.Error{Code: noGrantLeft, Class: wechat.User}
	}
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.Run("run"); r.Refused != 1 || s.phone.calls != 1 {
		t.Errorf("ledger: %+v after %d calls", r, s.phone.calls)
	}
}

func TestWorker_StopsWhenThePlatformRefusesTheAccount(t *testing.T) {
	s := setUp(t, 30)
	s.phone.answer = func(int, subject.OpenID) (bool, error) {
		return false, &wechat.Error{Code: 48001, Class: wechat.Program}
	}
	err := s.worker().Run(t.Context())
	if !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "48001") {
		t.Fatalf("Run: %v", err)
	}
	if s.phone.calls > 4 {
		t.Errorf("%d calls after the first refusal", s.phone.calls)
	}
	if r := s.Run("run"); r.Pending != 30 {
		t.Errorf("what was not sent must come back: %+v", r)
	}
}

// TestWorker_Stopping asks the process to stop in the middle, and starts it again.
func TestWorker_Stopping(t *testing.T) {
	s := setUp(t, 40)
	ctx, cancel := context.WithCancel(t.Context())
	s.phone.answer = func(call int, _ subject.OpenID) (bool, error) {
		if call == 10 {
			cancel()
		}
		return true, nil
	}
	if err := s.worker().Run(ctx); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("an unfinished shard must not look finished: %v", err)
	}
	r := s.Run("run")
	if r.Sent+r.Pending != 40 || r.Unknown != 0 || r.Pending == 0 {
		t.Errorf("after the stop: %+v", r)
	}
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exactlyOnce(40)
}

// deadEnd answers some requests; the others hang until the process is dead. Every second
// one of those had arrived.
type deadEnd struct {
	*phone
	answers int
	hung    chan struct{}
	dead    chan struct{}
}

func (d *deadEnd) SendSubscription(ctx context.Context, m wechat.SubscriptionMessage) (wechat.Receipt, error) {
	d.mu.Lock()
	hangs := d.calls >= d.answers
	if hangs {
		if d.calls++; d.calls%2 == 0 {
			d.received[m.To]++
		}
	}
	d.mu.Unlock()
	if !hangs {
		return d.phone.SendSubscription(ctx, m)
	}
	d.hung <- struct{}{}
	<-d.dead
	return wechat.Receipt{}, &wechat.Error{Class: wechat.Unknown}
}

// TestWorker_Killed ends a process with its requests in flight, and starts another: these
// requests are unknown, nobody else, and nobody receives two messages.
func TestWorker_Killed(t *testing.T) {
	s := setUp(t, 40)
	s.phone.answer = nil
	first, platform := s.worker(), &deadEnd{phone: s.phone, answers: 10, hung: make(chan struct{}, 40), dead: make(chan struct{})}
	first.Sender = platform
	over := make(chan error, 1)
	go func() { over <- first.Run(t.Context()) }()
	for range first.Workers {
		<-platform.hung
	}
	s.client.mu.Lock()
	s.client.cut = true
	s.client.mu.Unlock()
	close(platform.dead)
	if err := <-over; err == nil {
		t.Fatal("a process that is cut off ended well")
	}
	s.client.cut = false
	s.Clock.Move(time.Minute)
	if err := s.worker().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.phone.calls != 40 {
		t.Errorf("%d requests for 40 people", s.phone.calls)
	}
	got, err := s.Ledger.Reconcile(t.Context(), "run", s.phone.received)
	want := store.Reconciled{SentOnce: 36, UnknownOnce: 2, UnknownNone: 2}
	if err != nil || got != want {
		t.Errorf("person by person: %+v, want %+v: %v", got, want, err)
	}
	if strings.Contains(s.log.String(), "oTEST") {
		t.Error("the log holds an identifier")
	}
}

func TestRender(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC) // the 24th in Shanghai
	got, err := render(map[string]string{"thing1": "春茶上市", "time2": `{{ .Now | date "2006-01-02" }}`}, now)
	if err != nil || got["time2"] != "2026-11-24" || got["thing1"] != "春茶上市" {
		t.Fatal(got, err)
	}
	for name, data := range map[string]map[string]string{
		"a template that does not parse":   {"thing1": "{{ .Now "},
		"a field that does not exist":      {"thing1": "{{ .OpenID }}"},
		"a value longer than WeChat takes": {"thing1": strings.Repeat("茶", 21)},
		"an empty value":                   {"thing1": ""},
	} {
		if _, err := render(data, now); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	c := Config{Account: "a", AppID: "wx", RunID: "r", CredentialsDir: "d", Channel: "Mass", Hosts: []string{"h"}}
	c.Store.Address = "https://s"
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "ChannelUnsupported") {
		t.Errorf("Validate: %v", err)
	}
}
