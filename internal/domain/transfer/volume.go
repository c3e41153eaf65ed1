package transfer

import (
	"slices"
	"strconv"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Grounds that are computed.
const (
	noPersonalInformation = "NoPersonalInformation"
	belowVolumeThreshold  = "BelowVolumeThreshold"
)

// project adds the declared maximum to the year, so that filtering people out can never
// slide a request below a threshold (law.md 2.3 note 2).
func (f Facts) project() Counter {
	var c Counter
	if f.Year != nil {
		c = *f.Year
	}
	return c.Plus(f.asked())
}

// Asked is what this request can add to the counters at most.
func (f Facts) Asked() Counter {
	if f.Pack == nil {
		return Counter{}
	}
	return f.asked()
}

// asked knows that there is a pack. Everything about the youngest is sensitive.
func (f Facts) asked() Counter {
	r, c := f.Request, Counter{}
	switch sensitive := f.Pack.AnySensitive(r.Categories); {
	case !f.personal():
		return c
	case sensitive:
		c.Sensitive = r.MaxPersons
	case f.People != nil:
		c.Sensitive = min(f.People.Young, r.MaxPersons)
	}
	if f.Pack.AnyPlain(r.Categories) && (c.Sensitive == 0 || f.Pack.Count.BothKinds) {
		c.NonSensitive = r.MaxPersons
	}
	return c
}

// tier is the mechanism that a transfer asks for, or the ground on which it asks for none
// (law.md 2.3, rows M1 to M10; the first that matches).
func (f Facts) tier(c Counter) (tier, ground string) {
	switch {
	case f.Request.DataStatus == DataNotified && !f.exempt():
		return TierAssessment, ""
	case !f.personal():
		return TierNone, noPersonalInformation
	case f.exempt():
		return TierNone, f.Request.Exemption.Ground
	case f.Policy.CIIO == "Yes", f.Pack.Processed > 0 && f.Processed >= f.Pack.Processed:
		return TierAssessment, ""
	}
	if tier := volume(f.Pack, c); tier != TierNone {
		return tier, ""
	}
	return TierNone, belowVolumeThreshold
}

// volume is the tier of a number of people alone.
func volume(p *law.Pack, c Counter) string {
	switch {
	case c.Sensitive >= p.Sensitive.Assessment, c.NonSensitive >= p.Plain.Assessment:
		return TierAssessment
	case c.Sensitive >= p.Sensitive.Mechanism, c.NonSensitive >= p.Plain.Mechanism:
		return TierContract
	}
	return TierNone
}

// exempt tells whether the exemption that is claimed applies in full.
func (f Facts) exempt() bool {
	return f.Request.Exemption != nil && len(askExemption(f, Decision{})) == 0
}

// askExemption holds a claimed exemption against what its article asks.
func askExemption(f Facts, _ Decision) (out []Refusal) {
	x := f.Request.Exemption
	if x == nil {
		return nil
	}
	e, known := f.Pack.Exemptions[x.Ground]
	refuse := func(message string) {
		out = append(out, Refusal{reason.ExemptionNotApplicable, "spec.exemption.ground", message})
	}
	switch {
	case !known || !e.Declared:
		refuse("the rule pack does not let a request claim it")
		return out
	case !e.CoversAll(f.Request.Categories):
		refuse("it does not cover every category")
	case e.Unmixed && x.Mixed:
		refuse("data collected in the mainland are among what leaves")
	case !e.Important && f.Request.DataStatus == DataNotified:
		refuse("it does not apply to important data")
	}
	for _, kind := range e.Evidence {
		if !slices.Contains(x.Evidence, kind) {
			out = append(out, Refusal{reason.ExemptionEvidenceMissing, "spec.exemption.evidence", kind + " is not named"})
		}
	}
	return out
}

func askCIIO(f Facts, d Decision) []Refusal {
	switch {
	case d.Ground != "" && d.Ground != belowVolumeThreshold, f.Policy.CIIO == "No":
		return nil
	case f.Policy.CIIO != "Yes":
		return []Refusal{{Code: reason.CIIOStatusUnknown, Field: "ResidencyPolicy.spec.processor.ciioStatus"}}
	case f.Mechanism == nil || !f.Pack.Mechanisms[f.Mechanism.Type].Assessment:
		return []Refusal{{Code: reason.CIIOAssessmentRequired, Field: "spec.mechanismRef"}}
	}
	return nil
}

func askCounter(f Facts, _ Decision) []Refusal {
	if f.Year != nil || !f.personal() {
		return nil
	}
	return []Refusal{{Code: reason.CounterUnavailable, Field: "spec.storeRef"}}
}

// askSplitting looks at what the recipient gets, whoever sends it and in whatever year:
// splitting by time, by entity or by object does not lower a tier (SCG; CERT 5).
func askSplitting(f Facts, d Decision) []Refusal {
	if d.Ground != belowVolumeThreshold && d.Mechanism != TierContract || f.Request.VolumeReview != "" {
		return nil
	}
	whole := volume(f.Pack, f.Recent.Plus(f.asked()))
	if tiers[whole] <= tiers[d.Mechanism] || (f.Mechanism != nil && meets(f.Pack, whole, f.Mechanism.Type)) {
		return nil
	}
	return []Refusal{{reason.VolumeSplittingSuspected, "spec.maxPersons", "the twelve months together need " + needs(f.Pack, whole)}}
}

var tiers = map[string]int{TierNone: 0, TierContract: 1, TierAssessment: 2}

// meets tells whether a kind of mechanism is good for a tier. An assessment is good for
// every tier.
func meets(p *law.Pack, tier, kind string) bool {
	m, known := p.Mechanisms[kind]
	return known && (tier != TierAssessment || m.Assessment)
}

// needs says what a tier asks for, with the line that is crossed.
func needs(p *law.Pack, tier string) string {
	if tier == TierAssessment {
		return "a security assessment, as from " + number(p.Plain.Assessment) + " people or " + number(p.Sensitive.Assessment) + " with sensitive data"
	}
	return "a standard contract or a certification, as from " + number(p.Plain.Mechanism) + " people or " + number(p.Sensitive.Mechanism) + " with sensitive data"
}

// number writes 1000000 as 1,000,000.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
