package store

import (
	"context"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// officer serves who answers people's requests.
type officer struct{ ledger store.Ledger }

// ListRequests lists the open requests.
func (o *officer) ListRequests(ctx context.Context, _ *storev1.ListRequestsRequest) (*storev1.ListRequestsResponse, error) {
	all, err := o.ledger.OpenRequests(ctx)
	if err != nil {
		return nil, err
	}
	out := &storev1.ListRequestsResponse{}
	for _, x := range all {
		out.Requests = append(out.Requests, &storev1.OpenRequest{Reference: x.Reference, Account: x.Account, Request: requestOf(x.Request)})
	}
	return out, nil
}

// AnswerRequest closes one.
func (o *officer) AnswerRequest(ctx context.Context, r *storev1.AnswerRequestRequest) (*storev1.AnswerRequestResponse, error) {
	if err := o.ledger.Answer(ctx, r.GetReference(), request.Outcome(r.GetOutcome())); err != nil {
		return nil, err
	}
	return &storev1.AnswerRequestResponse{}, nil
}

// FetchRecord tells all that is held about a person.
func (o *officer) FetchRecord(ctx context.Context, r *storev1.FetchRecordRequest) (*storev1.FetchRecordResponse, error) {
	if (r.GetReference() == "") == (r.GetOpenId() == "") {
		return nil, store.ErrInvalid
	}
	var out store.Record
	var err error
	if r.GetReference() != "" {
		out, err = o.ledger.RecordFor(ctx, r.GetReference())
	} else {
		var who subject.OpenID
		if who, err = subject.NewOpenID(r.GetOpenId()); err != nil {
			return nil, store.ErrInvalid
		}
		out, err = o.ledger.Record(ctx, r.GetAccount(), who, request.Access)
	}
	if err != nil {
		return nil, err
	}
	return &storev1.FetchRecordResponse{Record: recordOf(out)}, nil
}

// RemovePerson removes a person for good, at their request.
func (o *officer) RemovePerson(ctx context.Context, r *storev1.RemovePersonRequest) (*storev1.RemovePersonResponse, error) {
	who, err := subject.NewOpenID(r.GetOpenId())
	if err != nil {
		return nil, store.ErrInvalid
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	out, err := o.ledger.Erase(ctx, r.GetAccount(), who, consent.Request)
	if err != nil {
		return nil, err
	}
	return &storev1.RemovePersonResponse{Found: out.Found, Acknowledged: out.Acknowledged}, nil
}

// ImportPeople takes over people whom the processor knew before.
func (o *officer) ImportPeople(ctx context.Context, r *storev1.ImportPeopleRequest) (*storev1.ImportPeopleResponse, error) {
	var people []store.ImportedPerson
	for _, x := range r.GetPeople() {
		who, err := subject.NewOpenID(x.GetOpenId())
		if err != nil {
			return nil, store.ErrInvalid
		}
		p := store.ImportedPerson{Who: who, Following: x.GetFollowing()}
		for _, c := range x.GetConsents() {
			p.Consents = append(p.Consents, store.ImportedConsent{
				Purpose: c.GetPurpose(), Recipient: c.GetRecipient(), NoticeRevision: c.GetNoticeRevision(), CollectedAt: moment(c.GetCollectedAt()), Evidence: c.GetEvidence(),
			})
		}
		people = append(people, p)
	}
	out, err := o.ledger.Import(ctx, r.GetAccount(), people)
	if err != nil {
		return nil, err
	}
	return &storev1.ImportPeopleResponse{People: out.People, Consents: out.Consents, Unproved: out.Unproved, Contradicted: out.Contradicted}, nil
}

// ListRecipientDuties counts of whom each recipient must be told.
func (o *officer) ListRecipientDuties(ctx context.Context, _ *storev1.ListRecipientDutiesRequest) (*storev1.ListRecipientDutiesResponse, error) {
	all, err := o.ledger.RecipientDuties(ctx)
	if err != nil {
		return nil, err
	}
	out := &storev1.ListRecipientDutiesResponse{}
	for _, d := range all {
		out.Recipients = append(out.Recipients, &storev1.RecipientDuties{
			Recipient: d.Recipient, Open: d.Open, Overdue: d.Overdue, Told: d.Told, Acknowledged: d.Acknowledged, NextDue: timestamp(d.NextDue),
		})
	}
	return out, nil
}

// TellRecipient returns a letter.
func (o *officer) TellRecipient(ctx context.Context, r *storev1.TellRecipientRequest) (*storev1.TellRecipientResponse, error) {
	lines, err := o.ledger.Tell(ctx, r.GetRecipient(), r.GetReference())
	if err != nil {
		return nil, err
	}
	out := &storev1.TellRecipientResponse{}
	for _, n := range lines {
		out.Notifications = append(out.Notifications, &storev1.Notification{Id: n.ID, Kind: string(n.Kind), Since: timestamp(n.Since)})
	}
	return out, nil
}

// AcknowledgeLetter notes the recipient's answer.
func (o *officer) AcknowledgeLetter(ctx context.Context, r *storev1.AcknowledgeLetterRequest) (*storev1.AcknowledgeLetterResponse, error) {
	people, err := o.ledger.Acknowledge(ctx, r.GetRecipient(), r.GetLetter(), r.GetReference())
	if err != nil {
		return nil, err
	}
	return &storev1.AcknowledgeLetterResponse{People: people}, nil
}
