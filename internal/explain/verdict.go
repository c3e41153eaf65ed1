package explain

import (
	"cmp"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// Verdict is a decision on one transfer, in words. Its JSON is documented in docs/decide.md
// and grows only.
type Verdict struct {
	Namespace string               `json:"namespace"`
	Name      string               `json:"name"`
	Recipient string               `json:"recipient"`
	Country   string               `json:"country"`
	Policy    string               `json:"policy,omitempty"`
	RulePack  string               `json:"rulePack,omitempty"`
	Decision  residencyv1.Decision `json:"decision,omitempty"` // empty: not known
	Refusals  []Objection          `json:"refusals"`
	Warnings  []Objection          `json:"warnings"`
	// Mechanism is the tier that is asked for: None, with a ground, Contract, or
	// SecurityAssessment. Empty where there are no rules to decide by, or no numbers.
	Mechanism string `json:"mechanism,omitempty"`
	Ground    string `json:"ground,omitempty"`
	// Projected is how many people the year comes to with all whom this transfer may reach;
	// nil where the year is not known.
	Projected *People `json:"projected,omitempty"`
	Next      *Next   `json:"nextTier,omitempty"`
	// Unknown lists what could not be looked at.
	Unknown []string `json:"unknown"`
}

// People is a number of people, by what their data are.
type People struct {
	NonSensitive int64 `json:"nonSensitive"`
	Sensitive    int64 `json:"sensitive"`
}

// Next is the tier above: from how many people, and how many are left until then.
type Next struct {
	Mechanism string `json:"mechanism"`
	From      People `json:"from"`
	Left      People `json:"left"`
}

// Objection is one rule that refuses or warns, and who can lift it.
type Objection struct {
	Code     string        `json:"code"`
	Effect   reason.Effect `json:"effect"`
	Articles []string      `json:"articles"`
	Field    string        `json:"field,omitempty"`
	Message  string        `json:"message"`
	Remedy   string        `json:"remedy"`
	LiftedBy law.LiftedBy  `json:"liftedBy"`
}

// Refused tells whether anything refuses the transfer.
func (v Verdict) Refused() bool { return v.Decision == residencyv1.DecisionRefused }

// Codes lists the codes that refuse.
func (v Verdict) Codes() []string {
	out := make([]string, len(v.Refusals))
	for i, r := range v.Refusals {
		out[i] = r.Code
	}
	return out
}

// Decide asks the rules, and puts the answer into words. As in status, an authority's order
// is told by its code alone.
func Decide(t *residencyv1.DataTransfer, f transfer.Facts, unknown []string) Verdict {
	d := transfer.Decide(f)
	v := Verdict{
		Namespace: t.Namespace, Name: t.Name, Recipient: t.Spec.Recipient.Name, Country: t.Spec.Recipient.Country,
		Policy: f.Policy.Name, Decision: residencyv1.DecisionAllowed, Mechanism: d.Mechanism, Ground: d.Ground,
		Refusals: Objections(f.Pack, Refusals(f.Pack, d.Public())), Warnings: Objections(f.Pack, Refusals(f.Pack, d.Warnings)),
		Unknown: append([]string{}, unknown...),
	}
	if f.Pack != nil {
		v.RulePack = f.Pack.Name
	}
	if !d.Allowed() {
		v.Decision = residencyv1.DecisionRefused
	}
	n, byNumber := d.Next(f.Pack)
	switch {
	case d.Mechanism == "":
		return v
	case f.Year == nil && byNumber: // what was added up is too little to tell
		v.Mechanism, v.Ground = "", ""
		return v
	case f.Year == nil:
		return v
	}
	v.Projected = &People{d.Projected.NonSensitive, d.Projected.Sensitive}
	if byNumber {
		v.Next = &Next{Mechanism: n.Tier, From: People{n.From.NonSensitive, n.From.Sensitive}, Left: People{n.Left.NonSensitive, n.Left.Sensitive}}
	}
	return v
}

// Objections adds to refusals, as a status has them, what a person asks next.
func Objections(p *law.Pack, in []residencyv1.Refusal) []Objection {
	out := make([]Objection, len(in))
	for i, r := range in {
		code := reason.Code(r.Code)
		out[i] = Objection{
			Code: r.Code, Effect: reason.Lookup(code).Effect, Articles: append([]string{}, r.Cites...), Field: r.Field, Message: r.Message, Remedy: r.Remedy,
			LiftedBy: liftedBy(p, code),
		}
	}
	return out
}

// liftedBy is what the pack says. What is no rule of law is the processor's own to mend.
func liftedBy(p *law.Pack, code reason.Code) law.LiftedBy {
	if p == nil {
		return law.Processor
	}
	return cmp.Or(p.Rules[code].LiftedBy, law.Processor)
}
