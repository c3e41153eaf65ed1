// Package law is what a rule pack says: the statutory constants and rules of one time, as
// plain data. Packs are parsed elsewhere; the decisions only read them, so that two packs
// differ by data alone. Every number is inclusive where the law says "not fewer than"
// (Civil Code 1259).
package law

import (
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Zone is the zone by which days, years and deadlines are counted. It has no summer time.
var Zone = time.FixedZone("Asia/Shanghai", 8*60*60)

// Pack is one version of the rules.
type Pack struct {
	Name        string
	Title       map[string]string // by language
	From, Until time.Time         // first moment, and the first one no longer; zero Until: no end is known

	Count     Count
	Plain     Floors // people whose data are not sensitive
	Sensitive Floors
	Processed int64 // from so many people processed, every transfer needs an assessment; 0: no such rule

	Mechanisms map[string]Mechanism
	Exemptions map[string]Exemption
	Bases      map[string]Basis
	Categories map[string]Category
	Terms      Terms
	Rules      map[reason.Code]Rule
	Calendar   Calendar
}

// Count says how people are counted.
type Count struct {
	YearsBack int  // 0: since 1 January of this year; 1: of the year before
	BothKinds bool // somebody with plain and sensitive data in one transfer counts in both
	Exempt    bool // transfers that need no mechanism by an exemption are counted, too
}

// Since returns the first year that counts at a moment.
func (c Count) Since(at time.Time) int { return Year(at) - c.YearsBack }

// Year is the calendar year of a moment.
func Year(at time.Time) int { return at.In(Zone).Year() }

// Floors are numbers of people from which something is due.
type Floors struct{ Mechanism, Assessment int64 }

// Mechanism says what one kind of mechanism is good for.
type Mechanism struct {
	Assessment       bool     // meets the tier of the security assessment
	Years            int      // of validity; 0: as long as its parties say
	FileWithin       int      // working days after its effect; 0: is in force by an authority's act
	Countries        []string // where its recipients must be; empty: anywhere
	ProcessorCities  []string // where the processor must be registered; empty: anywhere
	RenewLeadMonths  int      // a renewal is asked for so long before the end
	RenewWorkingDays int      // or within so many working days before it
}

// End tells when a mechanism ends that took effect at a time: at the end of the same day of
// the year in question (Civil Code 201, 202). Zero: the law sets no end.
func (m Mechanism) End(effective time.Time) time.Time {
	if m.Years == 0 || effective.IsZero() {
		return time.Time{}
	}
	y, month, day := effective.In(Zone).Date()
	return time.Date(y+m.Years, month, day+1, 0, 0, 0, 0, Zone).UTC()
}

// Exemption is a ground on which no mechanism is needed. Everything else that a transfer
// needs is needed all the same.
type Exemption struct {
	Cites      []string
	Declared   bool     // by the request; else computed, and a declaration of it does not apply
	Evidence   []string // kinds of evidence, each of which must be named
	Covers     []string // categories that it can cover; empty: every one
	Impersonal bool     // covers only what is about nobody
	Unmixed    bool     // does not apply where data collected in the mainland are mixed in
	// Important: applies to important data, too.
	Important bool
}

// CoversAll tells whether the ground can cover every one of the categories.
func (e Exemption) CoversAll(categories []string) bool {
	return len(e.Covers) == 0 || !slices.ContainsFunc(categories, func(c string) bool { return !slices.Contains(e.Covers, c) })
}

// Basis is a legal basis of PIPL 13 on which a transfer may rest.
type Basis struct {
	Grounds []string // exemptions, one of which it needs beside it; empty: stands alone
}

// Category is a kind of data.
type Category struct {
	Sensitive  bool
	Impersonal bool // about nobody, and not to be restored
}

// Terms are the ages, intervals and deadlines of the law, and where it gives no number, of
// the project.
type Terms struct {
	GuardianAge, GuardianAgeDefault int // years
	AutomatedMarketingAge           int // years
	SensitiveBelowAge               int // years; everything about younger people is sensitive
	AssessmentReviewMonths          int // of an impact assessment
	RecordYears                     int
	NetworkLogMonths                int
	OfficerFloor                    int64 // people processed
	MinorsAuditYears                int
	RequestWorkingDays              int   // to answer a person's request
	ReaskDays                       int   // after a refusal
	ExpiryWarningDays               []int // before a mechanism ends
	ImportantDataMonths             int   // to declare an assessment after data were notified as important
}

// LiftedBy says who can lift a refusal.
type LiftedBy string

// Who can.
const (
	Nobody    LiftedBy = "Nobody"
	Authority LiftedBy = "Authority"
	Processor LiftedBy = "Processor" // by doing what the remedy says
	Person    LiftedBy = "Person"    // by an act of their own
)

// Scope says what a rule is asked about.
type Scope string

// Scopes.
const (
	OfTransfer Scope = "Transfer"
	OfPerson   Scope = "Person"
	OfCampaign Scope = "Campaign"
	OfNotice   Scope = "Notice"
	OfStorage  Scope = "Storage"
)

// Rule is one rule of the pack.
type Rule struct {
	Code        reason.Code
	Scope       Scope
	Effect      reason.Effect
	Cites       []string // articles, as in law.md's list of instruments
	From, Until time.Time
	LiftedBy    LiftedBy
}

// In tells whether the rule is in force.
func (r Rule) In(at time.Time) bool {
	return !at.Before(r.From) && (r.Until.IsZero() || at.Before(r.Until))
}

// Asks tells whether the pack has the rule, and it is in force.
func (p *Pack) Asks(code reason.Code, at time.Time) bool {
	r, ok := p.Rules[code]
	return ok && r.In(at)
}

// Cites returns the articles behind a code: the pack's, or those of the catalogue for a code
// that is no rule of law.
func (p *Pack) Cites(code reason.Code) []string {
	if p != nil {
		if r, ok := p.Rules[code]; ok {
			return r.Cites
		}
	}
	return reason.Lookup(code).Cites
}

// AnySensitive tells whether one of the categories is sensitive. A category that the pack
// does not know is.
func (p *Pack) AnySensitive(categories []string) bool {
	return slices.ContainsFunc(categories, func(c string) bool { return p.sensitive(c) })
}

// AnyPlain tells whether one of the categories is personal and not sensitive.
func (p *Pack) AnyPlain(categories []string) bool {
	return slices.ContainsFunc(categories, func(c string) bool { return !p.sensitive(c) && !p.Categories[c].Impersonal })
}

// Personal tells whether one of the categories is about people.
func (p *Pack) Personal(categories []string) bool {
	return slices.ContainsFunc(categories, func(c string) bool { return !p.Categories[c].Impersonal })
}

func (p *Pack) sensitive(category string) bool {
	c, known := p.Categories[category]
	return !known || c.Sensitive
}
