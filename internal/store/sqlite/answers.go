package sqlite

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/store"
)

// mostOpen bounds one list of open requests; those that follow come when these are answered.
const mostOpen = 1000

// openRequest is one with the person and number that it is stored under.
type openRequest struct {
	id []byte
	n  int64
	store.OpenRequest
}

// OpenRequests lists what somebody must answer, the oldest first.
func (l *Ledger) OpenRequests(ctx context.Context) ([]store.OpenRequest, error) {
	all, err := l.openRequests(ctx, l.read)
	out := make([]store.OpenRequest, len(all))
	for i, x := range all {
		out[i] = x.OpenRequest
	}
	return out, err
}

func (l *Ledger) openRequests(ctx context.Context, q querier) ([]openRequest, error) {
	const sel = "SELECT subject_id, n, account, kind, received_ms, due_ms FROM requests WHERE done_ms = 0 ORDER BY due_ms LIMIT ?"
	rows, err := q.QueryContext(ctx, sel, mostOpen)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	var out []openRequest
	for rows.Next() {
		var x openRequest
		var received, due int64
		if err := rows.Scan(&x.id, &x.n, &x.Account, &x.Kind, &received, &due); err != nil {
			return nil, fmt.Errorf("read requests: %w", err)
		}
		x.Received, x.Due = at(received), at(due)
		c := l.cfg.Ring.Commit(fmt.Sprint("request ", x.n), x.id)
		x.Reference = hex.EncodeToString(c[:8])
		out = append(out, x)
	}
	return out, rows.Err()
}

// referred returns the open request of a reference.
func (l *Ledger) referred(ctx context.Context, q querier, reference string) (openRequest, error) {
	all, err := l.openRequests(ctx, q)
	for _, x := range all {
		if x.Reference == reference {
			return x, nil
		}
	}
	return openRequest{}, errors.Join(err, store.ErrAsk)
}

// Answer closes an open request. What was said to the person is not kept; that it was, is.
func (l *Ledger) Answer(ctx context.Context, reference string, outcome request.Outcome) error {
	if outcome != request.Done && outcome != request.Refused {
		return store.ErrInvalid
	}
	return l.write.do(ctx, func(t *tx) error {
		x, err := l.referred(ctx, t, reference)
		if err != nil {
			return err
		}
		const q = "UPDATE requests SET done_ms = ?, outcome = ? WHERE subject_id = ? AND n = ?"
		if _, err := t.exec(ctx, q, t.now.UnixMilli(), string(outcome), x.id, x.n); err != nil {
			return err
		}
		t.log("request answered", x.id, map[string]any{"kind": x.Kind, "account": x.Account, "outcome": outcome})
		if x.Kind == request.Correction && outcome == request.Done {
			return t.owe(ctx, x.id, x.id, "", duty.Corrected)
		}
		return nil
	})
}

// RecordFor returns all that is held about who made an open request.
func (l *Ledger) RecordFor(ctx context.Context, reference string) (store.Record, error) {
	x, err := l.referred(ctx, l.read, reference)
	if err != nil {
		return store.Record{}, err
	}
	return l.record(ctx, x.id)
}
