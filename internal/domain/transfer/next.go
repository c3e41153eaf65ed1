package transfer

import "github.com/maodian-dev/maodian/internal/domain/law"

// Next is the tier above, and how far it is.
type Next struct {
	Tier string
	From Counter // so many people reach it: of either kind alone
	Left Counter // the so-many-th one more of that kind does
}

// Next tells how many people are left until more than now is asked for; false where the
// number does not decide, or nothing lies above.
func (d Decision) Next(p *law.Pack) (Next, bool) {
	var n Next
	switch {
	case p == nil:
		return n, false
	case d.Mechanism == TierNone && d.Ground == belowVolumeThreshold:
		n.Tier, n.From = TierContract, Counter{p.Plain.Mechanism, p.Sensitive.Mechanism}
	case d.Mechanism == TierContract:
		n.Tier, n.From = TierAssessment, Counter{p.Plain.Assessment, p.Sensitive.Assessment}
	default:
		return n, false
	}
	n.Left = Counter{n.From.NonSensitive - d.Projected.NonSensitive, n.From.Sensitive - d.Projected.Sensitive}
	return n, true
}
