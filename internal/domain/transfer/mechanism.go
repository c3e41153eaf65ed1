package transfer

import (
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// askMechanism compares the mechanism's whole scope, not merely its presence (gate G3).
// A mechanism that is named is checked even where the volume asks for none: whoever names
// one promises to keep to it.
func askMechanism(f Facts, d Decision) []Refusal {
	m := f.Mechanism
	if m == nil {
		if d.Mechanism == TierNone {
			return nil
		}
		return []Refusal{{reason.MechanismMissing, "spec.mechanismRef", "the year's projected number needs " + d.Mechanism}}
	}
	out := m.inForce(f)
	if d.Mechanism == TierAssessment && m.Type != SecurityAssessment {
		out = append(out, Refusal{reason.MechanismInsufficient, "spec.mechanismRef", "the year's projected number needs a security assessment"})
	}
	if m.Type == GBAStandardContract && f.Request.Country != "HK" && f.Request.Country != "MO" {
		out = append(out, Refusal{Code: reason.OnwardTransferOutsideGBA, Field: "spec.recipient.country"})
	}
	return append(out, m.scope(f, d)...)
}

func (m Mechanism) inForce(f Facts) (out []Refusal) {
	const field = "TransferMechanism.spec"
	switch m.State {
	case "InForce", "ExtensionRequested":
	case "Suspended", "Revoked", "Superseded":
		return []Refusal{{Code: reason.MechanismSuspended, Field: field + ".state"}}
	case "Expired":
		return []Refusal{{Code: reason.MechanismExpired, Field: field + ".state"}}
	default:
		return []Refusal{{Code: reason.MechanismNotInForce, Field: field + ".state"}}
	}
	if m.EffectiveAt.IsZero() || m.EffectiveAt.After(f.Now) {
		out = append(out, Refusal{Code: reason.MechanismNotInForce, Field: field + ".effectiveTime"})
	}
	if !m.ExpiresAt.IsZero() && !f.Now.Before(m.ExpiresAt) {
		out = append(out, Refusal{Code: reason.MechanismExpired, Field: field})
	}
	if m.unfiled(f.Now) {
		out = append(out, Refusal{Code: reason.StandardContractNotFiled, Field: field + ".filedTime"})
	}
	return out
}

// unfiled tells whether a contract's ten working days for filing have passed without it.
func (m Mechanism) unfiled(at time.Time) bool {
	contract := m.Type == StandardContract || m.Type == GBAStandardContract
	filed := !m.FiledAt.IsZero() && !m.FiledAt.After(at)
	return contract && !filed && at.After(m.EffectiveAt.Add(filingGrace))
}

func (m Mechanism) scope(f Facts, d Decision) (out []Refusal) {
	exceeded := func(field, what string) {
		out = append(out, Refusal{reason.MechanismScopeExceeded, field, what + " lies outside the mechanism's scope"})
	}
	if !slices.Contains(m.Recipients, f.Request.Recipient) {
		exceeded("spec.recipient", "the recipient")
	}
	if !slices.Contains(m.Purposes, f.Request.Purpose) {
		exceeded("spec.purpose", "the purpose")
	}
	for _, c := range f.Request.Categories {
		if !slices.Contains(m.Categories, c) {
			exceeded("spec.categories", "category "+c)
		}
	}
	if m.MaxPersons > 0 && d.Projected.NonSensitive+d.Projected.Sensitive > m.MaxPersons {
		exceeded("spec.maxPersons", "the year's projected number")
	}
	return out
}
