// Package transfer is the cross-border decision (law.md 2.3): given what is known, which
// rules object to sending these records to this recipient? It is one pure function, used
// alike by controller, store, command line and tests, and returns every failing code, so
// that the person who asks can mend all of it in one round. Default is refusal: what is not
// known objects.
//
// The numbers, articles and dates come with the facts, as a rule pack. The questions are
// here; a question whose rule is not in the pack, or not in force, is not asked.
package transfer

import (
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Refusal is one objection, or one warning.
type Refusal struct {
	Code    reason.Code
	Field   string // path in the request or policy, if one is to blame
	Message string // detail without values of people
}

// Tiers of mechanism that a volume or a processor asks for.
const (
	TierNone       = "None"
	TierContract   = "Contract" // a standard contract or a certification
	TierAssessment = "SecurityAssessment"
)

// Decision is the outcome.
type Decision struct {
	Refusals  []Refusal // terminal ones first, then in the order of the questions
	Warnings  []Refusal
	Mechanism string // the tier that is asked for
	Ground    string // the exemption because of which no mechanism is; empty: there is none
	Projected Counter
}

// Allowed tells whether nothing objects.
func (d Decision) Allowed() bool { return len(d.Refusals) == 0 }

// Public returns what may be told to everybody: an authority's order is named by its code
// alone, and suppresses the rest (law.md 2.3 note 3).
func (d Decision) Public() []Refusal {
	var terminal []Refusal
	for _, r := range d.Refusals {
		if reason.Lookup(r.Code).Effect == reason.Terminal && !slices.ContainsFunc(terminal, func(o Refusal) bool { return o.Code == r.Code }) {
			terminal = append(terminal, Refusal{Code: r.Code})
		}
	}
	if terminal != nil {
		return terminal
	}
	return d.Refusals
}

// rule asks questions that have to do with one another, and names every code that it can
// answer with.
type rule struct {
	codes []reason.Code
	ask   func(Facts, Decision) []Refusal
}

var rules = []rule{
	{[]reason.Code{reason.ForeignAuthorityRequest}, askAuthority},
	{[]reason.Code{reason.PublicSecurityHold, reason.NationalSecurityReview, reason.RecipientRestricted, reason.DestinationRestricted}, askHolds},
	{[]reason.Code{reason.CoreDataProhibited, reason.ExportControlledData, reason.ImportantDataUnassessed, reason.ImportantDataUnknown, reason.ImportantDataNotNotified}, askData},
	{[]reason.Code{reason.RemoteAccessUndeclared}, askAccess},
	{[]reason.Code{reason.LegalBasisUnsupported}, askBasis},
	{[]reason.Code{reason.NoticeNotPublished, reason.NoticeIncomplete, reason.RecipientUnidentified, reason.RecordRetentionNotSet}, askNotice},
	{[]reason.Code{reason.ExcessiveCategories}, askFields},
	{[]reason.Code{reason.NecessityNotShown, reason.DestinationUnknown}, askNecessity},
	{[]reason.Code{reason.PIAMissing, reason.PIAExpired, reason.PIANegative, reason.ConflictsWithSubjectInterests}, askAssessment},
	{[]reason.Code{reason.CIIOStatusUnknown, reason.CIIOAssessmentRequired}, askCIIO},
	{[]reason.Code{reason.CounterUnavailable}, askCounter},
	{[]reason.Code{reason.VolumeSplittingSuspected}, askSplitting},
	{[]reason.Code{reason.ExemptionNotApplicable, reason.ExemptionEvidenceMissing}, askExemption},
	{[]reason.Code{
		reason.MechanismMissing, reason.MechanismInsufficient, reason.MechanismNotInForce, reason.MechanismExpired, reason.MechanismSuspended,
		reason.MechanismScopeExceeded, reason.MechanismExpiring, reason.StandardContractNotFiled, reason.StandardContractFilingDue,
		reason.OnwardTransferOutsideGBA,
	}, askMechanism},
	{[]reason.Code{reason.ConsentBundled}, askConsent},
}

// Codes returns every code of a rule of law that is about the transfer as a whole, in the
// order of the questions.
func Codes() []reason.Code {
	var out []reason.Code
	for _, r := range rules {
		out = append(out, r.codes...)
	}
	return out
}

// Decide asks every question, in order.
func Decide(f Facts) Decision {
	if refusals := f.unruled(); refusals != nil {
		return Decision{Refusals: refusals}
	}
	d := Decision{Projected: f.project()}
	d.Mechanism, d.Ground = f.tier(d.Projected)
	for _, r := range rules {
		for _, o := range r.ask(f, d) {
			f.file(&d, o)
		}
	}
	slices.SortStableFunc(d.Refusals, func(a, b Refusal) int { return rank(a) - rank(b) })
	return d
}

// unruled tells why there are no rules to decide by.
func (f Facts) unruled() []Refusal {
	switch {
	case f.Policy.Name == "":
		return []Refusal{{Code: reason.PolicyMissing, Field: "metadata.namespace"}}
	case f.Pack == nil:
		return []Refusal{{Code: reason.RulePackUnknown, Field: "ResidencyPolicy.spec.rulePack"}}
	case f.Now.Before(f.Pack.From) || (!f.Pack.Until.IsZero() && !f.Now.Before(f.Pack.Until)):
		return []Refusal{{Code: reason.RulePackNotInForce, Field: "ResidencyPolicy.spec.rulePack"}}
	}
	return nil
}

// file keeps an objection if its rule is in force. What is no rule of law always counts.
func (f Facts) file(d *Decision, o Refusal) {
	r, ruled := f.Pack.Rules[o.Code]
	switch {
	case !ruled && slices.Contains(Codes(), o.Code), ruled && !r.In(f.Now):
	case reason.Lookup(o.Code).Effect == reason.Warn:
		d.Warnings = append(d.Warnings, o)
	default:
		d.Refusals = append(d.Refusals, o)
	}
}

func rank(r Refusal) int {
	if reason.Lookup(r.Code).Effect == reason.Terminal {
		return 0
	}
	return 1
}
