package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// Ask notes a request that somebody must answer (PIPL 48, 24, 46), or stops all use at once
// (PIPL 44). As long as one of a kind is open, it is the same one.
func (l *Ledger) Ask(patience context.Context, account string, who subject.OpenID, kind request.Kind) (store.Asked, error) {
	if account == "" || who.IsZero() || (!kind.ByHand() && kind != request.Restriction) {
		return store.Asked{}, store.ErrAsk
	}
	var id []byte
	var out store.Asked
	ctx := context.WithoutCancel(patience)
	err := l.write.do(ctx, func(t *tx) (err error) {
		if id, err = l.find(ctx, t, account, who); err != nil {
			return err
		}
		if id == nil {
			return store.ErrAsk // nothing is held that could be explained, corrected or restricted
		}
		out.Request, err = t.askFor(ctx, id, account, kind)
		return err
	})
	if err != nil {
		return store.Asked{}, err
	}
	out.Acknowledged = kind == request.Restriction && l.quiet(patience, id, nil)
	return out, nil
}

// askFor stops all use, or notes what is not open yet.
func (t *tx) askFor(ctx context.Context, id []byte, account string, kind request.Kind) (store.Request, error) {
	if kind == request.Restriction {
		if _, err := t.withdrawAll(ctx, id, account, consent.Page); err != nil {
			return store.Request{}, err
		}
		return t.ask(ctx, id, account, kind, request.Done)
	}
	x, err := t.pending(ctx, id, kind)
	if errors.Is(err, sql.ErrNoRows) {
		return t.ask(ctx, id, account, kind, request.Open)
	}
	return x, err
}

// pending returns the person's open request of a kind.
func (t *tx) pending(ctx context.Context, id []byte, kind request.Kind) (store.Request, error) {
	rows, err := t.QueryContext(ctx, "SELECT kind, received_ms, due_ms, done_ms, outcome FROM requests WHERE subject_id = ? AND kind = ? AND done_ms = 0", id, string(kind))
	if err != nil {
		return store.Request{}, fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return store.Request{}, errors.Join(rows.Err(), sql.ErrNoRows)
	}
	return scanRequest(rows)
}

func scanRequest(rows *sql.Rows) (store.Request, error) {
	var x store.Request
	var received, due, done int64
	if err := rows.Scan(&x.Kind, &received, &due, &done, &x.Outcome); err != nil {
		return x, fmt.Errorf("read requests: %w", err)
	}
	x.Received, x.Due, x.Done = at(received), at(due), at(done)
	return x, nil
}

// ask stores a request with its outcome; an open one is due.
func (t *tx) ask(ctx context.Context, id []byte, account string, kind request.Kind, outcome request.Outcome) (store.Request, error) {
	x := store.Request{Kind: kind, Received: t.now, Due: t.due(t.now), Outcome: outcome}
	if outcome != request.Open {
		x.Done = t.now
	}
	const add = `INSERT INTO requests (subject_id, n, kind, account, received_ms, due_ms, done_ms, outcome)
		VALUES (?1, (SELECT COALESCE(max(n), 0) + 1 FROM requests WHERE subject_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7)`
	if _, err := t.exec(ctx, add, id, string(kind), account, x.Received.UnixMilli(), x.Due.UnixMilli(), milli(x.Done), string(outcome)); err != nil {
		return x, err
	}
	t.log("request", id, map[string]any{"kind": kind, "account": account, "due": x.Due.UnixMilli(), "outcome": outcome})
	return x, nil
}

func (t *tx) note(ctx context.Context, id []byte, account string, kind request.Kind, outcome request.Outcome) error {
	_, err := t.ask(ctx, id, account, kind, outcome)
	return err
}

// noteDaily notes a request that is fulfilled by answering, once a day.
func (t *tx) noteDaily(ctx context.Context, id []byte, account string, kind request.Kind) error {
	var there bool
	const q = "SELECT EXISTS (SELECT 1 FROM requests WHERE subject_id = ? AND kind = ? AND received_ms > ?)"
	if err := t.QueryRowContext(ctx, q, id, string(kind), t.now.Add(-24*time.Hour).UnixMilli()).Scan(&there); err != nil {
		return fmt.Errorf("read requests: %w", err)
	}
	if there {
		return nil
	}
	return t.note(ctx, id, account, kind, request.Done)
}

// requestCounts counts the open requests of everybody.
func requestCounts(ctx context.Context, q rowQuerier, now time.Time) (store.Requests, error) {
	var r store.Requests
	var next int64
	const sel = "SELECT count(*), COALESCE(sum(due_ms <= ?), 0), COALESCE(min(due_ms), 0) FROM requests WHERE done_ms = 0"
	if err := q.QueryRowContext(ctx, sel, now.UnixMilli()).Scan(&r.Open, &r.Overdue, &next); err != nil {
		return r, fmt.Errorf("count requests: %w", err)
	}
	r.NextDue = at(next)
	return r, nil
}

// mayAsk tells whether a person who begins to follow may be invited to the consent page now, and notes that they
// are: there is something in the notice that they have not answered, no refusal or withdrawal
// is young (NDSMR 22(5)), and neither is the last invitation.
func (l *Ledger) mayAsk(ctx context.Context, t *tx, id []byte, kind string) (bool, error) {
	v := l.View()
	if kind != "subscribe" || v == nil || v.Notice.Revision == 0 {
		return false, nil
	}
	open, err := t.unanswered(ctx, id, v)
	if !open || err != nil {
		return false, err
	}
	n, err := t.exec(ctx, "UPDATE subjects SET asked_ms = ?1 WHERE id = ?2 AND asked_ms <= ?1 - ?3", t.now.UnixMilli(), id, v.AskAgain().Milliseconds())
	return n > 0, err
}

// unanswered tells whether the notice holds something that the person has not answered, and
// no answer stands in the way of asking.
func (t *tx) unanswered(ctx context.Context, id []byte, v *store.View) (bool, error) {
	n := v.Notice
	left := map[[2]string]bool{}
	for _, p := range n.Purposes {
		left[[2]string{p.Name, ""}] = true
	}
	for _, r := range n.Recipients {
		for _, p := range r.Purposes {
			left[[2]string{p, r.Name}] = true
		}
	}
	rows, err := t.QueryContext(ctx, "SELECT c.purpose, c.recipient, "+stateColumns+" FROM consent_state c WHERE c.subject_id = ?", id)
	if err != nil {
		return false, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var item [2]string
		var row stateRow
		if err := rows.Scan(append([]any{&item[0], &item[1]}, row.into()...)...); err != nil {
			return false, fmt.Errorf("read consents: %w", err)
		}
		s := row.state()
		if consent.MayAsk(s, t.now, v.AskAgain()) != reason.AllChecksPassed {
			return false, nil
		}
		if s.NoticeRevision == n.Revision && s.Action == consent.Given {
			delete(left, item)
		}
	}
	return len(left) > 0, rows.Err()
}
