package transfer_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/law"
)

// anything makes facts by a seed: in order, and then wrong in some places.
func anything(f transfer.Facts, r *rand.Rand) transfer.Facts {
	names := law.Names()
	pack := law.Named(names[r.IntN(len(names))])
	f.Pack, f.Now = pack, pack.From.AddDate(0, r.IntN(14), r.IntN(28))
	f.Assessment.CompletedAt, f.Assessment.ReviewBy = f.Now.AddDate(0, -r.IntN(16), 0), f.Now.AddDate(0, r.IntN(12)-2, 1)
	f.Request.MaxPersons = 1 << r.IntN(22)
	f.Year = &transfer.Counter{NonSensitive: r.Int64N(1 << r.IntN(22)), Sensitive: r.Int64N(1 << r.IntN(15))}
	f.Request.Categories = pick(r, []string{"PseudonymousID", "InterestTag", "LeadScore", "Health", "AnonymousAggregate", "Horoscope"})
	f.Request.LegalBasis = one(r, "Consent", "Consent", "Contract", "")
	f.Request.DataStatus = one(r, "", "", "None", transfer.DataNotified, transfer.DataCore, "?")
	f.Policy.CIIO = one(r, "No", "No", "Yes", "Unknown", "")
	f.Policy.City = one(r, "", "shenzhen")
	f.Request.Country = one(r, "DE", "HK")
	f.Request.Kind = one(r, "", transfer.RemoteAccess)
	f.Request.Necessity = one(r, "x", "")
	if r.IntN(2) == 0 {
		f.Mechanism = &transfer.Mechanism{
			Type:        one(r, transfer.SecurityAssessment, transfer.StandardContract, transfer.Certification, transfer.GBAStandardContract, "Other"),
			State:       one(r, "InForce", "InForce", "Suspended", "Draft"),
			EffectiveAt: f.Now.AddDate(-r.IntN(4), 0, 1-r.IntN(20)), FiledAt: f.Now.AddDate(0, 0, -r.IntN(30)),
			Recipients: []string{"crm"}, Purposes: []string{"GroupReporting"}, Categories: pick(r, f.Request.Categories), MaxPersons: 1 << r.IntN(22),
		}
	}
	if r.IntN(3) == 0 {
		f.Request.Exemption = &transfer.Exemption{
			Ground:   one(r, "ContractNecessity", "TransitData", "Treaty", "BelowVolumeThreshold", "?"),
			Evidence: pick(r, []string{"Contract", "FieldNecessity", "Treaty", "OriginJurisdiction", "UnmixedStatement"}), Mixed: r.IntN(2) == 0,
		}
	}
	if r.IntN(6) == 0 {
		f.Holds = []transfer.Hold{{From: f.Now.AddDate(0, 0, -1), Countries: pick(r, []string{"DE", "HK"})}}
	}
	return f
}

func one(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func pick(r *rand.Rand, of []string) (out []string) {
	for _, s := range of {
		if r.IntN(2) == 0 {
			out = append(out, s)
		}
	}
	return out
}

const seeds = 20_000

// inOrder is the base of all cases.
func inOrder(t testing.TB) transfer.Facts {
	t.Helper()
	f := transfer.Facts{}
	overlay(t, &f, read(t, "base.yaml"))
	f.Pack = law.Named("cn-2026-01")
	return f
}

func every(t *testing.T, check func(t *testing.T, seed uint64, f transfer.Facts, d transfer.Decision)) {
	t.Helper()
	base := inOrder(t)
	for seed := range uint64(seeds) {
		f := anything(base, rand.New(rand.NewPCG(seed, 1)))
		check(t, seed, f, transfer.Decide(f))
		if t.Failed() {
			return
		}
	}
}

// TestDecide_IsDeterministicAndExplained: the same facts, the same answer; every code is in
// the catalogue, and terminal ones come first.
func TestDecide_IsDeterministicAndExplained(t *testing.T) {
	every(t, func(t *testing.T, seed uint64, f transfer.Facts, d transfer.Decision) {
		t.Helper()
		if !reflect.DeepEqual(d, transfer.Decide(f)) {
			t.Errorf("seed %d: two answers to the same facts", seed)
		}
		others := false
		for _, r := range d.Refusals {
			terminal := reason.Lookup(r.Code).Effect == reason.Terminal
			if _, known := reason.Codes()[r.Code]; !known || (terminal && others) || len(f.Pack.Cites(r.Code)) == 0 {
				t.Errorf("seed %d: %s is unknown, cites nothing, or comes too late", seed, r.Code)
			}
			others = others || !terminal
		}
	})
}

// TestDecide_TakingAPaperAwayNeverHelps: whatever was refused stays refused.
func TestDecide_TakingAPaperAwayNeverHelps(t *testing.T) {
	papers := map[string]func(*transfer.Facts){
		"the mechanism's effect": func(f *transfer.Facts) {
			if f.Mechanism != nil {
				m := *f.Mechanism
				m.State = "Draft"
				f.Mechanism = &m
			}
		},
		"the assessment":   func(f *transfer.Facts) { f.Assessment = transfer.Assessment{} },
		"the notice":       func(f *transfer.Facts) { f.Notice = transfer.Notice{} },
		"the necessity":    func(f *transfer.Facts) { f.Request.Necessity = "" },
		"the counter":      func(f *transfer.Facts) { f.Year = nil },
		"the CIIO status":  func(f *transfer.Facts) { f.Policy.CIIO = "" },
		"the exemption":    func(f *transfer.Facts) { f.Request.Exemption = nil },
		"the policy":       func(f *transfer.Facts) { f.Policy.Name = "" },
		"the rules":        func(f *transfer.Facts) { f.Pack = nil },
		"everybody's yes":  func(f *transfer.Facts) { f.People = &transfer.People{} },
		"the legal basis":  func(f *transfer.Facts) { f.Request.LegalBasis = "" },
		"the data's state": func(f *transfer.Facts) { f.Request.DataStatus = "?" },
		"freedom of holds": func(f *transfer.Facts) { f.Holds = append(slices.Clone(f.Holds), transfer.Hold{From: f.Now}) },
	}
	every(t, func(t *testing.T, seed uint64, f transfer.Facts, d transfer.Decision) {
		t.Helper()
		if d.Allowed() {
			return
		}
		for name, take := range papers {
			g := f
			take(&g)
			if claimed := f.Request.Exemption != nil && name == "the exemption"; claimed {
				continue // a claim that does not apply refuses by itself: to drop it may help, as the remedy says
			}
			if transfer.Decide(g).Allowed() {
				t.Errorf("seed %d: without %s it is allowed", seed, name)
			}
		}
	})
}

// TestDecide_MorePeopleNeverLowerTheTier: nor do more in the years before, or at the recipient.
func TestDecide_MorePeopleNeverLowerTheTier(t *testing.T) {
	order := []string{transfer.TierNone, transfer.TierContract, transfer.TierAssessment}
	every(t, func(t *testing.T, seed uint64, f transfer.Facts, d transfer.Decision) {
		t.Helper()
		r := rand.New(rand.NewPCG(seed, 2))
		g := f
		year := *f.Year
		year.NonSensitive, year.Sensitive = year.NonSensitive+r.Int64N(1<<21), year.Sensitive+r.Int64N(1<<15)
		g.Year, g.Request.MaxPersons = &year, f.Request.MaxPersons+r.Int64N(1<<21)
		g.Recent.NonSensitive += r.Int64N(1 << 21)
		more := transfer.Decide(g)
		if slices.Index(order, more.Mechanism) < slices.Index(order, d.Mechanism) {
			t.Errorf("seed %d: %s for fewer people, %s for more", seed, d.Mechanism, more.Mechanism)
		}
		if !d.Allowed() && more.Allowed() {
			t.Errorf("seed %d: refused for fewer people, allowed for more", seed)
		}
	})
}

// TestDecision_Public: beside an authority's order nothing else is told, and of it only the code.
func TestDecision_Public(t *testing.T) {
	f := inOrder(t)
	f.Policy.CIIO = ""
	f.Holds = []transfer.Hold{{Reference: "PSB-1", From: f.Now.Add(-time.Hour)}, {Reference: "PSB-2", From: f.Now.Add(-time.Hour)}}
	d := transfer.Decide(f)
	if len(d.Refusals) != 3 {
		t.Errorf("%d refusals, want both orders and the status", len(d.Refusals))
	}
	if got := d.Public(); len(got) != 1 || got[0] != (transfer.Refusal{Code: reason.PublicSecurityHold}) {
		t.Errorf("told: %v", got)
	}
	f.Holds = nil
	if got := transfer.Decide(f).Public(); len(got) != 1 || got[0].Code != reason.CIIOStatusUnknown || got[0].Field == "" {
		t.Errorf("told without an order: %v", got)
	}
}

func BenchmarkDecide(b *testing.B) {
	f := inOrder(b)
	refused := f
	refused.Policy.CIIO, refused.Assessment, refused.Notice = "", transfer.Assessment{}, transfer.Notice{}
	for name, f := range map[string]transfer.Facts{"allowed": f, "refused": refused} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				transfer.Decide(f)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}
