package gather

import (
	"time"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// TransferInput is what the facts of a transfer are made of; nil means that there is none.
type TransferInput struct {
	Now       time.Time
	Transfer  *residencyv1.DataTransfer
	Policy    *residencyv1.ResidencyPolicy
	Notice    *residencyv1.PrivacyNotice
	Mechanism *residencyv1.TransferMechanism
	Holds     []residencyv1.RegulatoryHold
	Store     *storev1.GetTransferFactsResponse
}

// TransferFacts translates cluster objects into what the decision looks at.
func TransferFacts(in TransferInput) transfer.Facts {
	s := in.Transfer.Spec
	f := transfer.Facts{
		Now: in.Now,
		Request: transfer.Request{
			Recipient: s.Recipient.Name, Country: s.Recipient.Country, Purpose: string(s.Purpose), LegalBasis: string(s.LegalBasis),
			Categories: words(s.Categories), Fields: words(s.Fields), MaxPersons: s.MaxPersons, Necessity: s.Necessity,
			HasDestination: s.Destination.S3.Endpoint != "",
		},
		Assessment: transfer.Assessment{
			Reference: s.ImpactAssessment.Reference, CompletedAt: s.ImpactAssessment.CompletedTime.Time,
			ReviewBy: s.ImpactAssessment.ReviewByTime.Time, Outcome: string(s.ImpactAssessment.Outcome),
		},
	}
	if in.Policy != nil {
		f.PolicyKnown, f.CIIO, f.Request.Policy = true, string(in.Policy.Spec.Processor.CIIOStatus), in.Policy.Name
	}
	if in.Notice != nil {
		f.Notice = noticeFacts(in.Notice.Spec)
	}
	if in.Mechanism != nil {
		m := Mechanism(in.Mechanism.Spec)
		f.Mechanism = &m
	}
	for _, h := range in.Holds {
		f.Holds = append(f.Holds, HoldFacts(h))
	}
	if in.Store != nil {
		f.Year = &transfer.Counter{NonSensitive: in.Store.GetNonSensitiveAtMost(), Sensitive: in.Store.GetSensitiveAtMost()}
		var consenting int64
		if in.Store.GetAnyoneConsents() {
			consenting = 1 // how many is the store's secret; the decision asks only whether
		}
		f.Consenting = &consenting
	}
	return f
}

// HoldFacts translates one hold.
func HoldFacts(h residencyv1.RegulatoryHold) transfer.Hold {
	return transfer.Hold{
		Reference: h.Spec.Reference, From: h.Spec.EffectiveTime.Time, Until: h.Spec.ExpiryTime.Time,
		Policies: h.Spec.Scope.Policies, Recipients: h.Spec.Scope.Recipients,
	}
}

// Mechanism translates one mechanism.
func Mechanism(s residencyv1.TransferMechanismSpec) transfer.Mechanism {
	return transfer.Mechanism{
		Type: string(s.Type), State: string(s.State),
		EffectiveAt: s.EffectiveTime.Time, FiledAt: s.FiledTime.Time, ExpiresAt: MechanismEnd(s).Time,
		Recipients: s.Scope.Recipients, Purposes: words(s.Scope.Purposes), Categories: words(s.Scope.Categories), MaxPersons: s.Scope.MaxPersons,
	}
}

func noticeFacts(s residencyv1.PrivacyNoticeSpec) transfer.Notice {
	n := transfer.Notice{Revision: int64(s.Revision), RetentionDays: int64(s.RetentionDays)}
	for _, r := range s.Recipients {
		n.Recipients = append(n.Recipients, transfer.Recipient{
			Name: r.Name, Country: r.Country, Contact: r.Contact, RightsChannel: r.RightsChannel, Purposes: words(r.Purposes), Categories: words(r.Categories),
		})
	}
	return n
}

// TransferSpec is the request as the store is told of it. Its id is the object's own, so
// that declaring twice is declaring once.
func TransferSpec(t *residencyv1.DataTransfer, leadModel string) *storev1.TransferSpec {
	s := t.Spec
	out := &storev1.TransferSpec{
		TransferId: string(t.UID), Name: t.Name, Recipient: s.Recipient.Name, Country: s.Recipient.Country, Purpose: string(s.Purpose),
		LegalBasis: string(s.LegalBasis), Categories: words(s.Categories), MaxPersons: s.MaxPersons, Necessity: s.Necessity,
		Mechanism: s.MechanismRef.Name, HasDestination: s.Destination.S3.Endpoint != "", LeadModel: leadModel,
		AssessmentReference: s.ImpactAssessment.Reference, AssessmentOutcome: string(s.ImpactAssessment.Outcome),
		AssessmentCompletedAt: stamp(s.ImpactAssessment.CompletedTime), AssessmentReviewBy: stamp(s.ImpactAssessment.ReviewByTime),
	}
	for _, f := range s.Fields { // in the order that the recipient asked for
		out.Fields = append(out.Fields, string(f))
	}
	return out
}
