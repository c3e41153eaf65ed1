package store

import (
	"context"

	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// aggregates serves the Job of one transfer of counts. It has no part of the ledger but the
// one that tells counts.
type aggregates struct{ ledger store.Aggregates }

// ReleaseAggregates decides, counts, and tells what may be told.
func (a *aggregates) ReleaseAggregates(ctx context.Context, r *storev1.ReleaseAggregatesRequest) (*storev1.ReleaseAggregatesResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	x, err := a.ledger.ReleaseAggregates(ctx, r.GetTransferId())
	if err != nil {
		return nil, err
	}
	out := &storev1.ReleaseAggregatesResponse{
		Refusals: refusalsOf(x.Refusals), StartedAt: timestamp(x.Started), LeaseMillis: int32(x.Life.Milliseconds()), Decision: x.Decision.ID, Rules: x.Decision.Rules,
	}
	for _, t := range x.Tables {
		shape, _ := aggregate.ShapeOf(t.Name)
		table := &storev1.AggregateTable{Name: string(t.Name), Dimensions: shape.Dimensions, CountedAt: timestamp(t.CountedAt)}
		for _, c := range t.Cells {
			table.Cells = append(table.Cells, &storev1.AggregateCell{Keys: c.Keys, People: c.People})
		}
		out.Tables = append(out.Tables, table)
	}
	return out, nil
}

// FinishAggregates records the manifest.
func (a *aggregates) FinishAggregates(ctx context.Context, r *storev1.FinishAggregatesRequest) (*storev1.FinishAggregatesResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	m := r.GetManifest()
	if err := a.ledger.FinishAggregates(ctx, r.GetTransferId(), store.Manifest{Object: m.GetObject(), SHA256: m.GetSha256()}); err != nil {
		return nil, err
	}
	return &storev1.FinishAggregatesResponse{}, nil
}
