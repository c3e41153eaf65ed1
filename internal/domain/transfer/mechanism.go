package transfer

import (
	"slices"
	"strconv"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// askMechanism compares the mechanism's whole scope, not merely its presence (gate G3).
// A mechanism that is named is checked even where the volume asks for none: whoever names
// one promises to keep to it.
func askMechanism(f Facts, d Decision) []Refusal {
	const field = "spec.mechanismRef"
	m := f.Mechanism
	if m == nil {
		if d.Mechanism == TierNone || f.Request.DataStatus == DataNotified {
			return nil // the important data have said it
		}
		return []Refusal{{reason.MechanismMissing, field, "this needs " + needs(f.Pack, d.Mechanism) + ", in force before it starts"}}
	}
	out := m.InForce(f.Pack, f.Now)
	kind := f.Pack.Mechanisms[m.Type]
	switch {
	case d.Mechanism != TierNone && !meets(f.Pack, d.Mechanism, m.Type):
		out = append(out, Refusal{reason.MechanismInsufficient, field, "this needs " + needs(f.Pack, d.Mechanism)})
	case len(kind.ProcessorCities) > 0 && !slices.Contains(kind.ProcessorCities, f.Policy.City):
		out = append(out, Refusal{reason.MechanismInsufficient, "ResidencyPolicy.spec.processor.city", "this mechanism is for processors registered in its cities"})
	}
	return append(append(out, m.onward(f, kind)...), m.scope(f, d)...)
}

// InForce tells what stands against relying on the mechanism at a time, and what is due.
func (m Mechanism) InForce(p *law.Pack, at time.Time) (out []Refusal) {
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
	end := m.End(p)
	switch {
	case m.EffectiveAt.IsZero() || m.EffectiveAt.After(at):
		out = append(out, Refusal{Code: reason.MechanismNotInForce, Field: field + ".effectiveTime"})
	case !end.IsZero() && !at.Before(end):
		out = append(out, Refusal{Code: reason.MechanismExpired, Field: field})
	default:
		if days, soon := m.expiring(p, end, at); soon {
			out = append(out, Refusal{reason.MechanismExpiring, field, "it ends within " + strconv.Itoa(days) + " days"})
		}
	}
	return append(out, m.filing(p, at)...)
}

// End tells when it ends, by its own date or by law; zero means never.
func (m Mechanism) End(p *law.Pack) time.Time {
	if !m.ExpiresAt.IsZero() || p == nil {
		return m.ExpiresAt
	}
	return p.Mechanisms[m.Type].End(m.EffectiveAt)
}

// Days returns the day counts of the warning that applies, the shortest that it is within.
func (m Mechanism) expiring(p *law.Pack, end, at time.Time) (days int, soon bool) {
	for _, d := range p.Terms.ExpiryWarningDays {
		if !end.IsZero() && !at.Before(end.AddDate(0, 0, -d)) && (!soon || d < days) {
			days, soon = d, true
		}
	}
	return days, soon
}

// FilingDue is when a contract must have been filed; zero: it need not be, or is.
func (m Mechanism) FilingDue(p *law.Pack, at time.Time) time.Time {
	within := p.Mechanisms[m.Type].FileWithin
	filed := !m.FiledAt.IsZero() && !m.FiledAt.After(at)
	if within == 0 || filed || m.EffectiveAt.IsZero() {
		return time.Time{}
	}
	return p.Calendar.After(m.EffectiveAt, within)
}

func (m Mechanism) filing(p *law.Pack, at time.Time) []Refusal {
	const field = "TransferMechanism.spec.filedTime"
	switch due := m.FilingDue(p, at); {
	case due.IsZero() || m.EffectiveAt.After(at):
		return nil
	case !at.Before(due):
		return []Refusal{{Code: reason.StandardContractNotFiled, Field: field}}
	default:
		return []Refusal{{reason.StandardContractFilingDue, field, "it must be filed before " + due.In(law.Zone).Format(time.DateOnly)}}
	}
}

// onward keeps what a regional contract covers inside its region.
func (m Mechanism) onward(f Facts, kind law.Mechanism) (out []Refusal) {
	if len(kind.Countries) == 0 {
		return nil
	}
	outside := func(country string) bool { return !slices.Contains(kind.Countries, country) && country != "CN" }
	if outside(f.Request.Country) {
		out = append(out, Refusal{Code: reason.OnwardTransferOutsideGBA, Field: "spec.recipient.country"})
	}
	if slices.ContainsFunc(f.Request.OnwardTo, outside) {
		out = append(out, Refusal{Code: reason.OnwardTransferOutsideGBA, Field: "spec.recipient.onwardTo"})
	}
	return out
}

func (m Mechanism) scope(f Facts, d Decision) (out []Refusal) {
	exceeded := func(field, what string) {
		out = append(out, Refusal{reason.MechanismScopeExceeded, field, what + " lies outside the mechanism's scope"})
	}
	r := f.Request
	if !slices.Contains(m.Recipients, r.Recipient) {
		exceeded("spec.recipient", "the recipient")
	}
	if !slices.Contains(m.Purposes, r.Purpose) {
		exceeded("spec.purpose", "the purpose")
	}
	for _, c := range r.Categories {
		if !slices.Contains(m.Categories, c) {
			exceeded("spec.categories", "category "+c)
		}
	}
	if !m.coversKind(r.Kind) {
		exceeded("spec.remoteAccess", "reading from abroad")
	}
	if m.RetentionDays > 0 && (r.RetentionDays == 0 || r.RetentionDays > m.RetentionDays) {
		exceeded("spec.recipient.retentionDays", "the time that the recipient keeps the data")
	}
	if m.MaxPersons > 0 && d.Projected.NonSensitive+d.Projected.Sensitive > m.MaxPersons {
		exceeded("spec.maxPersons", "the year's projected number")
	}
	return out
}

func (m Mechanism) coversKind(kind string) bool {
	if kind == "" {
		kind = defaultTransferKind
	}
	if len(m.Kinds) == 0 {
		return kind == defaultTransferKind
	}
	return slices.Contains(m.Kinds, kind)
}
