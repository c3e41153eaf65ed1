// Package storetest is the contract of a ledger: every engine passes it. Its names are the
// promises, and its world is a small brand with a notice, a lead model and a clock of its own.
package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// Clock is a clock that tests move.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a fixed time in the sample campaign's schedule.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Move sets the clock forward.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// LedgerID is what Open is asked to create.
const LedgerID = "7b0c1f9e-3b1e-4d5e-9a57-0f6f6c2d8a11"

// Account, purpose and recipient of the world.
const (
	Account   = "brand"
	Purpose   = "PersonalizedMarketing"
	Reporting = "GroupReporting"
	Recipient = "acme-group-crm"
	Template  = "TEMPLATE_SPRING_TEA"
)

// World is a ledger with its clock.
type World struct {
	*testing.T
	Ledger store.Ledger
	Clock  *Clock
	n      atomic.Int64
}

// View is what the manager pushes for the samples.
func View(at time.Time) *store.View {
	all := []string{"PseudonymousID", "InterestTag", "LeadScore"}
	v := &store.View{
		IssuedAt: at, ValidFor: 10 * time.Minute,
		Policy: store.Policy{Name: "cn-mainland", Jurisdiction: "cn-mainland", RulePack: "cn-2026-01", Processor: "acme-china", CIIO: "No", GuardianAge: 18},
		Notice: store.Notice{
			Name: "brand-notice", Revision: 3, RetentionDays: 730, ProcessorName: "Acme", ProcessorContact: "c", StoragePlace: textOf3,
			Purposes: []store.Purpose{{Name: "DirectMarketing"}, {Name: Purpose}},
			Recipients: []store.Recipient{{Recipient: transfer.Recipient{
				Name: Recipient, Country: "CH", Contact: "c", RightsChannel: "r", Purposes: []string{Reporting}, Categories: all,
			}}},
		},
		Mechanisms: map[string]store.Mechanism{},
		LeadModels: []store.LeadModel{{
			Name:  "brand-leads",
			Model: lead.Model{HalfLifeDays: 30, Stages: []lead.Stage{{Name: "Lead", MinPoints: 1}, {Name: "Engaged", MinPoints: 15}, {Name: "Qualified", MinPoints: 30}}},
			Rules: []store.LeadRule{
				{Name: "followed", Event: "subscribe", Points: 5}, {Name: "scanned", Event: "SCAN", Match: "event.scene == 'booth-2026'", Points: 20},
				{Name: "pricing", Event: "CLICK", Match: "event.key == 'pricing'", Points: 10, MaxPerDay: 2},
			},
		}},
	}
	v.Notice.Hash = v.Notice.Text().Hash()
	return v
}

// textOf3 is what the world's first notice says.
const textOf3 = "text of 3"

// Spec is the sample campaign.
func Spec(id string) store.RunSpec {
	return store.RunSpec{
		ID: id, Campaign: "spring-tea", Account: Account, Purpose: Purpose, LeadModel: "brand-leads",
		Expression: "'tea' in profile.tags && lead.stage in ['Engaged', 'Qualified']",
		Channel:    "Subscription", TemplateID: Template, PerSecond: 10000, CapMessages: 3, CapDays: 7, Shards: 1,
	}
}

// Export is the sample transfer with its papers in order.
func (w *World) Export(id string) store.TransferSpec {
	now := w.Clock.Now()
	return store.TransferSpec{
		ID: id, Name: "leads", LeadModel: "brand-leads",
		Request: transfer.Request{
			Recipient: Recipient, Country: "CH", Purpose: Reporting, LegalBasis: "Consent",
			Categories: []string{"PseudonymousID", "InterestTag", "LeadScore"}, Fields: []string{"id", "tags", "lead.score", "lead.stage"},
			MaxPersons: 5000, Necessity: "report", HasDestination: true,
		},
		Assessment: transfer.Assessment{Reference: "P", CompletedAt: now.AddDate(0, -1, 0), ReviewBy: now.AddDate(1, 0, 0), Outcome: "Acceptable"},
	}
}

// OpenID makes a person up.
func OpenID(name string) subject.OpenID {
	id, err := subject.NewOpenID(fmt.Sprintf("oTEST%023s", name))
	if err != nil {
		panic(err)
	}
	return id
}

func (w *World) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Push pushes a view issued now.
func (w *World) Push(change func(*store.View)) {
	w.Helper()
	v := View(w.Clock.Now())
	if change != nil {
		change(v)
	}
	_, err := w.Ledger.PutView(w.Context(), LedgerID, v)
	w.ok(err)
}

// Event records something that a person does now.
func (w *World) Event(name, kind, key string, change ...func(*store.Event)) store.Recorded {
	w.Helper()
	sum := sha256.Sum256(fmt.Appendf(nil, "%d", w.n.Add(1)))
	e := store.Event{Account: Account, Dedupe: sum[:], Kind: kind, Who: OpenID(name), At: w.Clock.Now(), Key: key}
	for _, f := range change {
		f(&e)
	}
	r, err := w.Ledger.RecordEvent(w.Context(), e)
	w.ok(err)
	return r
}

// Choose records the answers of the consent page: granted items, all others refused.
func (w *World) Choose(ctx context.Context, name string, age consent.AgeBand, granted ...string) store.Recorded {
	w.Helper()
	c := store.Choices{Account: Account, Who: OpenID(name), Revision: w.Ledger.View().Notice.Revision, Age: age, Language: "zh-CN"}
	for _, item := range [][2]string{{"DirectMarketing", ""}, {Purpose, ""}, {Reporting, Recipient}} {
		c.Items = append(c.Items, store.Choice{Purpose: item[0], Recipient: item[1], Granted: contains(granted, item[0])})
	}
	r, err := w.Ledger.RecordChoices(ctx, c)
	w.ok(err)
	return r
}

// withdrawal makes a person's withdrawal, which the platform may repeat, and returns how to
// send it with so much patience; sending tells whether it was acknowledged.
func (w *World) withdrawal(name string) (send func(patience time.Duration) bool) {
	sum := sha256.Sum256([]byte("the withdrawal of " + name))
	e := store.Event{Account: Account, Dedupe: sum[:], Kind: "text", Who: OpenID(name), At: w.Clock.Now(), Withdraw: true}
	return func(patience time.Duration) bool {
		w.Helper()
		ctx, cancel := context.WithTimeout(w.Context(), patience)
		defer cancel()
		r, err := w.Ledger.RecordEvent(ctx, e)
		w.ok(err)
		return r.Acknowledged
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// Fan makes a person who passes every check of the sample campaign, and of the export.
func (w *World) Fan(name string) {
	w.Helper()
	w.Event(name, "subscribe", "")
	w.Event(name, "SCAN", "booth-2026")
	w.Event(name, "CLICK", "tag:tea")
	w.Choose(w.Context(), name, consent.Adult, Purpose, "DirectMarketing", Reporting)
	w.Grant(name)
}

// Grant answers the subscription pop-up.
func (w *World) Grant(name string) {
	w.Helper()
	w.Event(name, "subscribe_msg_popup_event", "", func(e *store.Event) {
		e.Subscriptions = []store.SubscriptionAnswer{{TemplateID: Template, Accepted: true}}
	})
}

// Plan plans the sample campaign a moment later.
func (w *World) Plan(id string) store.Run {
	w.Helper()
	w.Clock.Move(time.Second)
	r, err := w.Ledger.PlanRun(w.Context(), Spec(id))
	w.ok(err)
	return r
}

// Lease leases up to n permits.
func (w *World) Lease(run string, n int) store.Leased {
	w.Helper()
	l, err := w.Ledger.Lease(w.Context(), run, 0, n)
	w.ok(err)
	return l
}

// Report reports one result for all permits.
func (w *World) Report(run, result string, permits ...store.Permit) {
	w.Helper()
	var out []store.Outcome
	for _, p := range permits {
		out = append(out, store.Outcome{Permit: p.ID, Result: result})
	}
	w.ok(w.Ledger.Report(w.Context(), run, out))
}

// Run counts the run.
func (w *World) Run(id string) store.Run {
	w.Helper()
	r, err := w.Ledger.Run(w.Context(), id)
	w.ok(err)
	return r
}
