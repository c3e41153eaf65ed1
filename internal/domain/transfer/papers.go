package transfer

import (
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

func askAuthority(f Facts, _ Decision) []Refusal {
	if !f.Request.ForeignAuthority || f.Request.Approval != "" {
		return nil
	}
	return []Refusal{{Code: reason.ForeignAuthorityRequest, Field: "spec.recipient.authority"}}
}

func askHolds(f Facts, _ Decision) (out []Refusal) {
	for _, h := range f.Holds {
		if h.Covers(f.Target(), f.Now) {
			out = append(out, Refusal{h.Code(), "RegulatoryHold", "hold " + h.Reference + " covers this transfer"})
		}
	}
	return out
}

// askData asks what the state says about the data themselves, people or not.
func askData(f Facts, _ Decision) []Refusal {
	const field = "spec.dataStatus"
	switch f.Request.DataStatus {
	case "", DataNone:
		return nil
	case DataSelfIdentified:
		return []Refusal{{Code: reason.ImportantDataNotNotified, Field: field}}
	case DataCore:
		return []Refusal{{Code: reason.CoreDataProhibited, Field: field}}
	case DataExportControlled:
		return []Refusal{{Code: reason.ExportControlledData, Field: field}}
	case DataNotified:
		if f.exempt() || (f.Mechanism != nil && f.Pack.Mechanisms[f.Mechanism.Type].Assessment) {
			return nil
		}
		return []Refusal{{Code: reason.ImportantDataUnassessed, Field: field}}
	}
	return []Refusal{{Code: reason.ImportantDataUnknown, Field: field}}
}

func askAccess(f Facts, _ Decision) []Refusal {
	if f.Request.Kind != RemoteAccess || f.Request.Declared {
		return nil
	}
	return []Refusal{{Code: reason.RemoteAccessUndeclared, Field: "spec.remoteAccess"}}
}

func askBasis(f Facts, _ Decision) []Refusal {
	b, known := f.Pack.Bases[f.Request.LegalBasis]
	switch {
	case !f.personal(), known && len(b.Grounds) == 0:
		return nil
	case known && f.Request.Exemption != nil && slices.Contains(b.Grounds, f.Request.Exemption.Ground):
		return nil
	}
	return []Refusal{{Code: reason.LegalBasisUnsupported, Field: "spec.legalBasis"}}
}

func askNotice(f Facts, _ Decision) (out []Refusal) {
	if !f.personal() {
		return nil
	}
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
	if f.Pack.AnySensitive(f.Request.Categories) && !slices.Contains(f.Notice.SensitiveTold, f.Request.Purpose) {
		out = append(out, Refusal{reason.NoticeIncomplete, "PrivacyNotice.spec.purposes", "necessity and impact of the sensitive data for this purpose"})
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

// askFields asks for no more than was told and claimed.
func askFields(f Facts, _ Decision) (out []Refusal) {
	excessive := func(field, message string) {
		out = append(out, Refusal{reason.ExcessiveCategories, field, message})
	}
	r := f.Request
	for _, field := range r.Fields {
		if c, ok := CategoryOf(field); !ok || !slices.Contains(r.Categories, c) {
			excessive("spec.fields", "field "+field+" belongs to no declared category")
		}
	}
	if len(r.Aggregates) > 0 && (f.personal() || len(r.Fields) > 0) {
		excessive("spec.aggregates", "counts and records leave by two requests, not by one")
	}
	for _, c := range f.untold() {
		excessive("spec.categories", "category "+c+" is not in the notice for this recipient")
	}
	if r.Exemption != nil {
		if e := f.Pack.Exemptions[r.Exemption.Ground]; !e.CoversAll(r.Categories) {
			excessive("spec.categories", "the exemption does not cover every category")
		}
	}
	return out
}

// untold lists the categories that the notice does not have for the recipient.
func (f Facts) untold() (out []string) {
	told := f.recipient()
	if told == nil || !f.personal() {
		return nil
	}
	for _, c := range f.Request.Categories {
		if !slices.Contains(told.Categories, c) {
			out = append(out, c)
		}
	}
	return out
}

func askNecessity(f Facts, _ Decision) (out []Refusal) {
	if f.Request.Necessity == "" {
		out = append(out, Refusal{Code: reason.NecessityNotShown, Field: "spec.necessity"})
	}
	if !f.Request.HasDestination && f.Request.Kind != RemoteAccess {
		out = append(out, Refusal{Code: reason.DestinationUnknown, Field: "spec.destination"})
	}
	return out
}

func askAssessment(f Facts, _ Decision) []Refusal {
	a := f.Assessment
	const field = "spec.impactAssessment"
	switch {
	case !f.personal():
		return nil
	case a.Reference == "" || a.CompletedAt.IsZero() || a.CompletedAt.After(f.Now):
		return []Refusal{{Code: reason.PIAMissing, Field: field}}
	case a.Outcome == Unacceptable:
		return []Refusal{{Code: reason.ConflictsWithSubjectInterests, Field: field + ".outcome"}}
	case a.Outcome == Insufficient:
		return []Refusal{{Code: reason.PIANegative, Field: field + ".outcome"}}
	case a.Outcome != Acceptable:
		return []Refusal{{Code: reason.PIAMissing, Field: field + ".outcome"}}
	case !a.ReviewBy.After(f.Now):
		return []Refusal{{Code: reason.PIAExpired, Field: field + ".reviewByTime"}}
	case f.Now.After(a.CompletedAt.AddDate(0, f.Pack.Terms.AssessmentReviewMonths, 0)):
		return []Refusal{{reason.PIAExpired, field + ".completedTime", "it is older than the rule pack lets an assessment be"}}
	}
	return nil
}

// askConsent tells why nobody may be included.
func askConsent(f Facts, _ Decision) (out []Refusal) {
	if f.People == nil || f.People.Included > 0 || !f.personal() {
		return nil
	}
	const field = "spec.recipient"
	codes := make([]reason.Code, 0, len(f.People.Excluded))
	for code, n := range f.People.Excluded {
		if n > 0 {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	if slices.Contains(codes, reason.ConsentNotSeparate) {
		out = append(out, Refusal{Code: reason.ConsentBundled, Field: "PrivacyNotice.spec.recipients"})
	}
	if len(codes) == 0 {
		codes = []reason.Code{reason.ConsentMissing}
	}
	for _, code := range codes {
		out = append(out, Refusal{code, field, "of nobody may records be sent: " + reason.Lookup(code).Says})
	}
	return out
}
