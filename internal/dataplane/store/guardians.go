package store

import (
	"context"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// guardianLink reads what every call by a guardian's link has.
func guardianLink(ctx context.Context, account string, secret []byte, openID string) (store.GuardianLink, error) {
	if err := scoped(ctx, name, account); err != nil {
		return store.GuardianLink{}, err
	}
	who, err := subject.NewOpenID(openID)
	if err != nil || len(secret) != 32 {
		return store.GuardianLink{}, store.ErrInvalid
	}
	return store.GuardianLink{Account: account, Secret: [32]byte(secret), Who: who}, nil
}

// AskGuardian makes a link.
func (i *intake) AskGuardian(ctx context.Context, r *storev1.AskGuardianRequest) (*storev1.AskGuardianResponse, error) {
	l, err := guardianLink(ctx, r.GetAccount(), r.GetSecret(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	if err := i.ledger.AskGuardian(ctx, l.Account, l.Who, l.Secret); err != nil {
		return nil, err
	}
	return &storev1.AskGuardianResponse{}, nil
}

// GetGuardianCase returns what a guardian is shown.
func (i *intake) GetGuardianCase(ctx context.Context, r *storev1.GetGuardianCaseRequest) (*storev1.GetGuardianCaseResponse, error) {
	l, err := guardianLink(ctx, r.GetAccount(), r.GetSecret(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	c, err := i.ledger.GuardianCase(ctx, l)
	if err != nil {
		return nil, err
	}
	return &storev1.GetGuardianCaseResponse{
		Notice: noticeFor(c.Notice), AgeBand: string(c.Age), Choices: choicesFor(c.Items), GuardianState: string(c.State),
	}, nil
}

// AnswerGuardian stores what a guardian says.
func (i *intake) AnswerGuardian(ctx context.Context, r *storev1.AnswerGuardianRequest) (*storev1.AnswerGuardianResponse, error) {
	l, err := guardianLink(ctx, r.GetAccount(), r.GetSecret(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	if len(r.GetLanguage()) > 16 {
		return nil, store.ErrInvalid
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	out, err := i.ledger.AnswerGuardian(ctx, store.GuardianAnswer{
		GuardianLink: l, Revision: r.GetNoticeRevision(), State: consent.GuardianState(r.GetState()),
		Relation: store.Relation(r.GetRelation()), Language: r.GetLanguage(),
	})
	if err != nil {
		return nil, err
	}
	return &storev1.AnswerGuardianResponse{Acknowledged: out.Acknowledged}, nil
}
