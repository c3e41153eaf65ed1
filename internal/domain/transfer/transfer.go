// Package transfer is the cross-border decision (law.md 2.3): given what is known, which
// rules object to sending these records to this recipient? It is one pure function, used
// alike by controller, store, command line and tests, and returns every failing code, so
// that the person who asks can mend all of it in one round. Default is refusal.
package transfer

import (
	"slices"
	"strconv"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Facts is everything that a rule may look at, gathered beforehand. It holds numbers of
// people, never people.
type Facts struct {
	Now time.Time

	PolicyKnown bool
	CIIO        string // "Yes", "No"; all else is unknown
	Request     Request
	Notice      Notice
	Assessment  Assessment
	Mechanism   *Mechanism
	Holds       []Hold

	// Year is the processor's counter since 1 January, Asia/Shanghai; nil when it cannot be read.
	Year *Counter
	// Consenting is the number of people who may be included; nil before the store has said it.
	Consenting *int64
}

// Request is what somebody asks to send.
type Request struct {
	Recipient, Country string
	Purpose            string
	LegalBasis         string
	Categories, Fields []string
	MaxPersons         int64
	Necessity          string
	HasDestination     bool
	Policy             string
}

// Notice is the published notice revision.
type Notice struct {
	Revision      int64
	RetentionDays int64
	Recipients    []Recipient
}

// Recipient is one entry of a notice's list.
type Recipient struct {
	Name, Country, Contact, RightsChannel string
	Purposes, Categories                  []string
}

// Assessment is the personal information protection impact assessment (PIPL 55).
type Assessment struct {
	Reference             string
	CompletedAt, ReviewBy time.Time
	Outcome               string // "Acceptable" or "Unacceptable"
}

// Kind of a mechanism.
const (
	SecurityAssessment  = "SecurityAssessment"
	StandardContract    = "StandardContract"
	Certification       = "Certification"
	GBAStandardContract = "GBAStandardContract"
)

// Mechanism is a transfer mechanism and its scope.
type Mechanism struct {
	Type, State                      string
	EffectiveAt, FiledAt, ExpiresAt  time.Time // zero: not set
	Recipients, Purposes, Categories []string
	MaxPersons                       int64
}

// Hold is an authority's order.
type Hold struct {
	Reference            string
	From, Until          time.Time // zero Until: open end
	Policies, Recipients []string  // empty: all
}

// Covers tells whether the hold stops transfers to recipient under policy at this time.
func (h Hold) Covers(policy, recipient string, at time.Time) bool {
	return !at.Before(h.From) && (h.Until.IsZero() || at.Before(h.Until)) &&
		(len(h.Policies) == 0 || slices.Contains(h.Policies, policy)) &&
		(len(h.Recipients) == 0 || slices.Contains(h.Recipients, recipient))
}

// Counter is a number of distinct people sent this year.
type Counter struct{ NonSensitive, Sensitive int64 }

// Refusal is one objection.
type Refusal struct {
	Code    reason.Code
	Field   string // path in the request or policy, if one is to blame
	Message string // detail without values of people
}

// Decision is the outcome.
type Decision struct {
	Refusals  []Refusal
	Mechanism string // what the volume asks for: None, Contract, SecurityAssessment
	Projected Counter
}

// Allowed tells whether nothing objects.
func (d Decision) Allowed() bool { return len(d.Refusals) == 0 }

// Rule pack cn-2026-01: thresholds are inclusive (P24 5, 7, 8).
const (
	mechanismFloor          = 100_000
	assessmentFloor         = 1_000_000
	sensitiveMechanismFloor = 1
	sensitiveAssessment     = 10_000
	filingGrace             = 14 * 24 * time.Hour // ten working days, without a holiday calendar
)

// Tiers of mechanism that a volume asks for.
const (
	TierNone       = "None"
	TierContract   = "Contract"
	TierAssessment = "SecurityAssessment"
)

// rule asks one question; a nil answer does not object.
type rule struct {
	name string
	ask  func(Facts, Decision) []Refusal
}

var rules = []rule{
	{"policy", askPolicy}, {"basis", askBasis}, {"notice", askNotice}, {"fields", askFields}, {"necessity", askNecessity},
	{"assessment", askAssessment}, {"ciio", askCIIO}, {"counter", askCounter}, {"mechanism", askMechanism}, {"consent", askConsent},
}

// Decide asks every rule, in order. A hold suppresses the rest in what is published
// (law.md 2.3 note 3).
func Decide(f Facts) Decision {
	d := Decision{Projected: project(f)}
	d.Mechanism = tier(f, d.Projected)
	for _, h := range f.Holds {
		if h.Covers(f.Request.Policy, f.Request.Recipient, f.Now) {
			d.Refusals = []Refusal{{reason.PublicSecurityHold, "RegulatoryHold", "hold " + h.Reference + " covers this recipient"}}
			return d
		}
	}
	for _, r := range rules {
		d.Refusals = append(d.Refusals, r.ask(f, d)...)
	}
	return d
}

// project adds the declared maximum to the year, so that filtering people out can never
// slide a request below a threshold (law.md 2.3 note 2).
func project(f Facts) Counter {
	var c Counter
	if f.Year != nil {
		c = *f.Year
	}
	if slices.ContainsFunc(f.Request.Categories, Sensitive) {
		c.Sensitive += f.Request.MaxPersons
	} else {
		c.NonSensitive += f.Request.MaxPersons
	}
	return c
}

func tier(f Facts, c Counter) string {
	switch {
	case f.CIIO == "Yes", c.Sensitive >= sensitiveAssessment, c.NonSensitive >= assessmentFloor:
		return TierAssessment
	case c.Sensitive >= sensitiveMechanismFloor, c.NonSensitive >= mechanismFloor:
		return TierContract
	}
	return TierNone
}

// Sensitive tells whether a data category is sensitive personal information (law.md 8.2).
func Sensitive(category string) bool {
	switch category {
	case "PreciseLocation", "MovementTrack", "MessageContent", "IDDocumentNumber", "FinancialAccount", "Health", "Biometric", "ReligiousBelief", "SpecificIdentity":
		return true
	}
	return false
}

// CategoryOf tells which data category a field belongs to; false for an unknown field.
func CategoryOf(field string) (string, bool) {
	switch field {
	case "id":
		return "PseudonymousID", true
	case "tags":
		return "InterestTag", true
	case "lead.score", "lead.stage":
		return "LeadScore", true
	}
	return "", false
}

func askPolicy(f Facts, _ Decision) []Refusal {
	if f.PolicyKnown {
		return nil
	}
	return []Refusal{{Code: reason.PolicyMissing, Field: "metadata.namespace"}}
}

func askBasis(f Facts, _ Decision) []Refusal {
	if f.Request.LegalBasis == "Consent" {
		return nil
	}
	return []Refusal{{Code: reason.LegalBasisUnsupported, Field: "spec.legalBasis"}}
}

func askNotice(f Facts, _ Decision) (out []Refusal) {
	if f.Notice.Revision == 0 {
		return []Refusal{{Code: reason.NoticeNotPublished, Field: "ConsentStore.spec.noticeRef"}}
	}
	if f.Notice.RetentionDays <= 0 {
		out = append(out, Refusal{Code: reason.RecordRetentionNotSet, Field: "PrivacyNotice.spec.retentionDays"})
	}
	r := f.recipient()
	if r == nil || r.Country != f.Request.Country || !slices.Contains(r.Purposes, f.Request.Purpose) {
		return append(out, Refusal{reason.RecipientUnidentified, "spec.recipient", "the notice must list this recipient with this country and purpose"})
	}
	if r.Contact == "" || r.RightsChannel == "" {
		out = append(out, Refusal{reason.NoticeIncomplete, "PrivacyNotice.spec.recipients", "contact and rightsChannel of the recipient"})
	}
	return out
}

func (f Facts) recipient() *Recipient {
	i := slices.IndexFunc(f.Notice.Recipients, func(r Recipient) bool { return r.Name == f.Request.Recipient })
	if i < 0 {
		return nil
	}
	return &f.Notice.Recipients[i]
}

func askFields(f Facts, _ Decision) (out []Refusal) {
	for _, field := range f.Request.Fields {
		c, ok := CategoryOf(field)
		if !ok || !slices.Contains(f.Request.Categories, c) {
			out = append(out, Refusal{reason.ExcessiveCategories, "spec.fields", "field " + field + " belongs to no declared category"})
		}
	}
	r := f.recipient()
	if r == nil {
		return out
	}
	for _, c := range f.Request.Categories {
		if !slices.Contains(r.Categories, c) {
			out = append(out, Refusal{reason.ExcessiveCategories, "spec.categories", "category " + c + " is not in the notice for this recipient"})
		}
	}
	return out
}

func askNecessity(f Facts, _ Decision) (out []Refusal) {
	if f.Request.Necessity == "" {
		out = append(out, Refusal{Code: reason.NecessityNotShown, Field: "spec.necessity"})
	}
	if !f.Request.HasDestination {
		out = append(out, Refusal{Code: reason.DestinationUnknown, Field: "spec.destination"})
	}
	return out
}

func askAssessment(f Facts, _ Decision) []Refusal {
	a := f.Assessment
	switch {
	case a.Reference == "" || a.CompletedAt.IsZero() || a.CompletedAt.After(f.Now):
		return []Refusal{{Code: reason.PIAMissing, Field: "spec.impactAssessment"}}
	case a.Outcome == "Unacceptable":
		return []Refusal{{Code: reason.ConflictsWithSubjectInterests, Field: "spec.impactAssessment.outcome"}, {Code: reason.PIANegative, Field: "spec.impactAssessment.outcome"}}
	case a.Outcome != "Acceptable":
		return []Refusal{{Code: reason.PIAMissing, Field: "spec.impactAssessment.outcome"}}
	case !a.ReviewBy.After(f.Now):
		return []Refusal{{Code: reason.PIAExpired, Field: "spec.impactAssessment.reviewByTime"}}
	}
	return nil
}

func askCIIO(f Facts, _ Decision) []Refusal {
	switch {
	case f.CIIO == "No":
		return nil
	case f.CIIO != "Yes":
		return []Refusal{{Code: reason.CIIOStatusUnknown, Field: "ResidencyPolicy.spec.processor.ciioStatus"}}
	case f.Mechanism == nil || f.Mechanism.Type != SecurityAssessment:
		return []Refusal{{Code: reason.CIIOAssessmentRequired, Field: "spec.mechanismRef"}}
	}
	return nil
}

func askCounter(f Facts, _ Decision) []Refusal {
	if f.Year != nil {
		return nil
	}
	return []Refusal{{Code: reason.CounterUnavailable, Field: "spec.storeRef"}}
}

func askConsent(f Facts, _ Decision) []Refusal {
	if f.Consenting == nil || *f.Consenting > 0 {
		return nil
	}
	return []Refusal{{reason.ConsentMissing, "spec.recipient", "nobody has given separate, prior and current consent to this recipient"}}
}

// Tiers returns the thresholds of the rule pack as text, for documentation and status.
func Tiers() string {
	return "mechanism from " + strconv.Itoa(mechanismFloor) + " people, security assessment from " + strconv.Itoa(assessmentFloor)
}
