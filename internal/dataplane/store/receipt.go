package store

import (
	"context"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// GetReceipt returns what a person may keep as proof of their consents.
func (i *intake) GetReceipt(ctx context.Context, r *storev1.GetReceiptRequest) (*storev1.GetReceiptResponse, error) {
	if err := scoped(ctx, name, r.GetAccount()); err != nil {
		return nil, err
	}
	who, err := subject.NewOpenID(r.GetOpenId())
	if err != nil {
		return nil, store.ErrInvalid
	}
	raw, err := i.ledger.Receipt(ctx, r.GetAccount(), who)
	if err != nil {
		return nil, err
	}
	return &storev1.GetReceiptResponse{Receipt: raw}, nil
}
