package store

import (
	"context"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// person reads whom a call is about: somebody of the account that the certificate names.
func person(ctx context.Context, account, openID string) (subject.OpenID, error) {
	if err := scoped(ctx, name, account); err != nil {
		return subject.OpenID{}, err
	}
	who, err := subject.NewOpenID(openID)
	if err != nil {
		return subject.OpenID{}, store.ErrInvalid
	}
	return who, nil
}

// GetRecord tells all that is held about a person.
func (i *intake) GetRecord(ctx context.Context, r *storev1.GetRecordRequest) (*storev1.GetRecordResponse, error) {
	who, err := person(ctx, r.GetAccount(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	out, err := i.ledger.Record(ctx, r.GetAccount(), who, request.Kind(r.GetAs()))
	if err != nil {
		return nil, err
	}
	return &storev1.GetRecordResponse{Record: recordOf(out)}, nil
}

// CorrectRecord changes what a person says is wrong.
func (i *intake) CorrectRecord(ctx context.Context, r *storev1.CorrectRecordRequest) (*storev1.CorrectRecordResponse, error) {
	who, err := person(ctx, r.GetAccount(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	out, err := i.ledger.Correct(ctx, store.Correction{Account: r.GetAccount(), Who: who, Age: consent.AgeBand(r.GetAgeBand()), RemoveTags: r.GetRemoveTags()})
	if err != nil {
		return nil, err
	}
	return &storev1.CorrectRecordResponse{Record: recordOf(out)}, nil
}

// MakeRequest notes a request.
func (i *intake) MakeRequest(ctx context.Context, r *storev1.MakeRequestRequest) (*storev1.MakeRequestResponse, error) {
	who, err := person(ctx, r.GetAccount(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	out, err := i.ledger.Ask(ctx, r.GetAccount(), who, request.Kind(r.GetKind()))
	if err != nil {
		return nil, err
	}
	return &storev1.MakeRequestResponse{Request: requestOf(out.Request), Acknowledged: out.Acknowledged}, nil
}

// ErasePerson removes a person for good.
func (i *intake) ErasePerson(ctx context.Context, r *storev1.ErasePersonRequest) (*storev1.ErasePersonResponse, error) {
	who, err := person(ctx, r.GetAccount(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	out, err := i.ledger.Erase(ctx, r.GetAccount(), who, consent.Page)
	if err != nil {
		return nil, err
	}
	return &storev1.ErasePersonResponse{Found: out.Found, Acknowledged: out.Acknowledged}, nil
}

func recordOf(r store.Record) *storev1.Record {
	out := &storev1.Record{
		Known: r.Known, UnionId: r.UnionID, Notice: noticeFor(r.Notice), Since: timestamp(r.Since), Seen: timestamp(r.Seen),
		AgeBand: string(r.Age), Guardian: string(r.Guardian), Tags: r.Tags,
	}
	for _, x := range r.Stages {
		out.Leads = append(out.Leads, &storev1.LeadStanding{Model: x.Model, Stage: x.Stage, Points: x.Points})
	}
	for _, x := range r.Relations {
		out.Relations = append(out.Relations, &storev1.Relation{Account: x.Account, Following: x.Following, OptedOut: x.OptedOut})
	}
	for _, x := range r.Grants {
		out.Grants = append(out.Grants, &storev1.Grant{Account: x.Account, TemplateId: x.Template, Remaining: x.Remaining})
	}
	for _, x := range r.Consents {
		out.Consents = append(out.Consents, &storev1.ConsentEntry{
			Purpose: x.Purpose, Recipient: x.Recipient, Action: string(x.Action), At: timestamp(x.At), NoticeRevision: x.NoticeRevision,
			Language: x.Language, Control: string(x.Control), Ends: timestamp(x.Ends), Separate: x.Separate, NotUsed: string(x.NotUsed),
		})
	}
	for _, x := range r.Guardians {
		out.Guardians = append(out.Guardians, guardianEntryOf(x))
	}
	for _, x := range r.Shown {
		out.Shown = append(out.Shown, &storev1.ShownEntry{
			At: timestamp(x.At), NoticeRevision: x.Revision, Hash: x.Hash, Account: x.Account, Language: x.Language, Control: string(x.Control),
		})
	}
	for _, x := range r.Messages {
		out.Messages = append(out.Messages, &storev1.MessageEntry{Campaign: x.Campaign, Purpose: x.Purpose, At: timestamp(x.At), Outcome: x.Outcome})
	}
	for _, x := range r.Passed {
		out.PassedOn = append(out.PassedOn, &storev1.PassedOn{
			Recipient: x.Recipient, DisplayName: x.DisplayName, Country: x.Country, Purpose: x.Purpose, LegalBasis: x.LegalBasis, Mechanism: x.Mechanism,
			Fields: x.Fields, At: timestamp(x.At), State: x.State, ConsentAt: timestamp(x.ConsentAt), NoticeRevision: x.Revision,
			Duty: string(x.Duty.Kind), Told: timestamp(x.Duty.Told), Acknowledged: timestamp(x.Duty.Acknowledged),
		})
	}
	for _, x := range r.Requests {
		out.Requests = append(out.Requests, requestOf(x))
	}
	for _, x := range r.Interactions {
		out.Interactions = append(out.Interactions, &storev1.Interaction{Kind: x.Kind, Key: x.Key, At: timestamp(x.At)})
	}
	return out
}

func guardianEntryOf(x store.GuardianEntry) *storev1.GuardianEntry {
	out := &storev1.GuardianEntry{
		State: string(x.State), At: timestamp(x.At), NoticeRevision: x.Revision, Relation: string(x.Relation),
		Method: string(x.Method), VerifierRef: x.VerifierRef, EvidenceCommitment: x.Evidence, SubjectAgeBand: string(x.Age),
	}
	if x.State == consent.GuardianVerified {
		out.VerifiedAt = out.GetAt()
	}
	return out
}

func requestOf(x store.Request) *storev1.RequestEntry {
	return &storev1.RequestEntry{
		Kind: string(x.Kind), Received: timestamp(x.Received), Due: timestamp(x.Due), Done: timestamp(x.Done), Outcome: string(x.Outcome),
	}
}

// requestCountsOf rounds as every number of people is rounded; that one is overdue at all is
// told, since somebody has to act on it.
func requestCountsOf(r store.Requests) *storev1.RequestCounts {
	return &storev1.RequestCounts{
		Open: subject.People(r.Open), Overdue: subject.People(r.Overdue), AnyOverdue: r.Overdue > 0, NextDue: timestamp(r.NextDue),
	}
}
