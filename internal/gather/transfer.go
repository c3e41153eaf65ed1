package gather

import (
	"time"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/law"
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
	Beside    Beside // of the processor's other stores
}

// TransferFacts translates cluster objects into what the decision looks at.
func TransferFacts(in TransferInput) transfer.Facts {
	s := in.Transfer.Spec
	f := transfer.Facts{
		Now: in.Now, Request: Request(in.Transfer),
		Assessment: transfer.Assessment{
			Reference: s.ImpactAssessment.Reference, CompletedAt: s.ImpactAssessment.CompletedTime.Time,
			ReviewBy: s.ImpactAssessment.ReviewByTime.Time, Outcome: string(s.ImpactAssessment.Outcome),
		},
	}
	if p := in.Policy; p != nil {
		f.Pack = law.Named(p.Spec.RulePack)
		f.Policy = transfer.Policy{Name: p.Name, CIIO: string(p.Spec.Processor.CIIOStatus), City: p.Spec.Processor.City}
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
		storeFacts(&f, in.Store, in.Beside)
	}
	return f
}

// storeFacts adds what the store tells of its people: rounded up, and how many agreed not at
// all, since the decision asks only whether anybody did.
func storeFacts(f *transfer.Facts, r *storev1.GetTransferFactsResponse, beside Beside) {
	year := transfer.Counter{NonSensitive: r.GetNonSensitiveAtMost(), Sensitive: r.GetSensitiveAtMost()}.Plus(beside.Counted)
	f.Year = &year
	f.Recent = transfer.Counter{NonSensitive: r.GetRecentNonSensitiveAtMost(), Sensitive: r.GetRecentSensitiveAtMost()}.Plus(beside.Recent)
	f.People = &transfer.People{Excluded: map[reason.Code]int64{}}
	if r.GetAnyoneConsents() {
		f.People.Included = max(1, r.GetYoungAtMost())
	}
	f.People.Young = r.GetYoungAtMost()
	for _, code := range r.GetExcluded() {
		f.People.Excluded[reason.Code(code)] = 1
	}
}

// Request translates what is asked. Whatever a store holds was collected in the mainland.
func Request(t *residencyv1.DataTransfer) transfer.Request {
	s := t.Spec
	r := transfer.Request{
		Store: t.Namespace + "/" + s.StoreRef.Name, Recipient: s.Recipient.Name, Country: s.Recipient.Country,
		ForeignAuthority: s.Recipient.Authority != "", Approval: s.Recipient.Approval, OnwardTo: sortedStrings(s.Recipient.OnwardTo),
		Purpose: string(s.Purpose), LegalBasis: string(s.LegalBasis), Categories: words(s.Categories), DataStatus: string(s.DataStatus),
		MaxPersons: s.MaxPersons, RetentionDays: int64(s.Recipient.RetentionDays), Necessity: s.Necessity,
		HasDestination: hasDestination(s.Destination), VolumeReview: s.VolumeReview,
	}
	for _, f := range s.Fields { // in the order that the recipient asked for
		r.Fields = append(r.Fields, string(f))
	}
	for _, a := range s.Aggregates {
		r.Aggregates = append(r.Aggregates, string(a))
	}
	if s.Exemption.Ground != "" {
		r.Exemption = &transfer.Exemption{Ground: string(s.Exemption.Ground), Mixed: true}
		for _, e := range s.Exemption.Evidence {
			r.Exemption.Evidence = append(r.Exemption.Evidence, string(e.Kind))
		}
	}
	return r
}

// HoldFacts translates one hold.
func HoldFacts(h residencyv1.RegulatoryHold) transfer.Hold {
	return transfer.Hold{
		Kind: string(h.Spec.Type), Reference: h.Spec.Reference, From: h.Spec.EffectiveTime.Time, Until: h.Spec.ExpiryTime.Time,
		Policies: h.Spec.Scope.Policies, Stores: h.Spec.Scope.Stores, Recipients: h.Spec.Scope.Recipients,
		Countries: h.Spec.Scope.Countries, Categories: words(h.Spec.Scope.Categories),
	}
}

// Mechanism translates one mechanism.
func Mechanism(s residencyv1.TransferMechanismSpec) transfer.Mechanism {
	return transfer.Mechanism{
		Type: string(s.Type), State: string(s.State),
		EffectiveAt: s.EffectiveTime.Time, FiledAt: s.FiledTime.Time, ExpiresAt: s.ExpiryTime.Time,
		Recipients: s.Scope.Recipients, Purposes: words(s.Scope.Purposes), Categories: words(s.Scope.Categories),
		MaxPersons: s.Scope.MaxPersons, RetentionDays: int64(s.Scope.RetentionDays),
	}
}

func noticeFacts(s residencyv1.PrivacyNoticeSpec) transfer.Notice {
	n := transfer.Notice{Revision: int64(s.Revision), RetentionDays: int64(s.RetentionDays)}
	for _, p := range s.Purposes {
		if len(languages(p.Sensitive.Necessity)) > 0 && len(languages(p.Sensitive.Impact)) > 0 {
			n.SensitiveTold = append(n.SensitiveTold, string(p.Name))
		}
	}
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
	s, r := t.Spec, Request(t)
	out := &storev1.TransferSpec{
		TransferId: string(t.UID), Name: t.Name, Store: r.Store, Recipient: r.Recipient, Country: r.Country, Purpose: r.Purpose,
		LegalBasis: r.LegalBasis, Categories: r.Categories, Fields: r.Fields, MaxPersons: r.MaxPersons, Necessity: r.Necessity,
		Mechanism: s.MechanismRef.Name, HasDestination: r.HasDestination, LeadModel: leadModel,
		AssessmentReference: s.ImpactAssessment.Reference, AssessmentOutcome: string(s.ImpactAssessment.Outcome),
		AssessmentCompletedAt: stamp(s.ImpactAssessment.CompletedTime), AssessmentReviewBy: stamp(s.ImpactAssessment.ReviewByTime),
		DataStatus: r.DataStatus, VolumeReview: r.VolumeReview, ForeignAuthority: r.ForeignAuthority, Approval: r.Approval,
		OnwardTo: r.OnwardTo, RetentionDays: r.RetentionDays, Aggregates: r.Aggregates,
	}
	if r.Exemption != nil {
		out.ExemptionGround, out.ExemptionEvidence = r.Exemption.Ground, r.Exemption.Evidence
	}
	return out
}

func hasDestination(d residencyv1.TransferDestination) bool {
	return d.S3.Endpoint != "" || d.HTTPS.URL != "" || d.SFTP.Host != ""
}
