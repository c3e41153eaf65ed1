package sqlite

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// owe notes that recipients must be told of a person: one of them, or all (empty) that
// records left for, or may have left for. It is part of the change that they are told of, so
// no crash loses it. of names the person in the log; nil: nothing is written about them any
// more.
func (t *tx) owe(ctx context.Context, id, of []byte, recipient string, kind duty.Kind) error {
	add := `INSERT INTO duties (recipient, subject_id, kind, since_ms, due_ms)
		SELECT DISTINCT t.recipient, x.subject_id, ?2, ?3, ?4 FROM transfers t CROSS JOIN transfer_rows x ON x.transfer_id = t.id AND x.subject_id = ?1`
	args := []any{id, string(kind), t.now.UnixMilli(), t.due(t.now).UnixMilli()}
	if recipient != "" {
		add, args = add+" WHERE t.recipient = ?5", append(args, recipient)
	}
	n, err := t.exec(ctx, add+" ON CONFLICT DO NOTHING", args...)
	if err != nil || n == 0 {
		return err
	}
	t.log("recipients to be told", of, map[string]any{"kind": kind, "recipient": recipient, "recipients": n})
	return nil
}

// RecipientDuties counts by recipient, in order of names.
func (l *Ledger) RecipientDuties(ctx context.Context) ([]store.RecipientDuties, error) {
	return recipientDuties(ctx, l.read, l.cfg.Clock())
}

func recipientDuties(ctx context.Context, q querier, now time.Time) ([]store.RecipientDuties, error) {
	const sel = `SELECT recipient, sum(told_ms = 0), sum(told_ms = 0 AND due_ms <= ?), sum(told_ms > 0 AND acked_ms = 0), sum(acked_ms > 0),
		COALESCE(min(CASE WHEN told_ms = 0 THEN due_ms END), 0) FROM duties GROUP BY recipient ORDER BY recipient`
	rows, err := q.QueryContext(ctx, sel, now.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("count duties: %w", err)
	}
	defer rows.Close()
	var out []store.RecipientDuties
	for rows.Next() {
		var d store.RecipientDuties
		var next int64
		if err := rows.Scan(&d.Recipient, &d.Open, &d.Overdue, &d.Told, &d.Acknowledged, &next); err != nil {
			return nil, fmt.Errorf("count duties: %w", err)
		}
		d.NextDue = at(next)
		out = append(out, d)
	}
	return out, rows.Err()
}

// reference is what a letter may be called; it is logged, so it must not name anybody.
var reference = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9./]{0,63}$`)

// Tell notes first and tells then: a letter that was lost is asked for again under its
// reference.
func (l *Ledger) Tell(ctx context.Context, recipient, letter string) ([]store.Notification, error) {
	if !reference.MatchString(letter) {
		return nil, store.ErrReference
	}
	err := l.write.do(ctx, func(t *tx) error {
		var there bool
		if err := t.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM duties WHERE recipient = ? AND told_as = ? AND told_ms > 0)", recipient, letter).Scan(&there); err != nil || there {
			return err
		}
		const tell = `UPDATE duties SET told_ms = ?1, told_as = ?2 WHERE (recipient, subject_id, kind, since_ms) IN
			(SELECT recipient, subject_id, kind, since_ms FROM duties WHERE recipient = ?3 AND told_ms = 0 ORDER BY due_ms, subject_id LIMIT ?4)`
		n, err := t.exec(ctx, tell, t.now.UnixMilli(), letter, recipient, store.MaxLetter)
		if err != nil || n == 0 {
			return err
		}
		t.log("recipient told", nil, map[string]any{"recipient": recipient, "letter": letter, "people": n})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l.letter(ctx, recipient, letter)
}

func (l *Ledger) letter(ctx context.Context, recipient, letter string) ([]store.Notification, error) {
	const sel = "SELECT subject_id, kind, since_ms FROM duties WHERE recipient = ? AND told_as = ? AND told_ms > 0 ORDER BY subject_id, since_ms, kind"
	rows, err := l.read.QueryContext(ctx, sel, recipient, letter)
	if err != nil {
		return nil, fmt.Errorf("read duties: %w", err)
	}
	defer rows.Close()
	var out []store.Notification
	for rows.Next() {
		var id []byte
		var n store.Notification
		var since int64
		if err := rows.Scan(&id, &n.Kind, &since); err != nil {
			return nil, fmt.Errorf("read duties: %w", err)
		}
		n.ID, n.Since = l.known(recipient, id), at(since)
		out = append(out, n)
	}
	return out, rows.Err()
}

// known is the identifier under which a recipient knows a person.
func (l *Ledger) known(recipient string, id []byte) string {
	return subject.Commitment(l.cfg.Ring.Commit("recipient "+recipient, id)).String()
}

// Acknowledge notes the recipient's answer.
func (l *Ledger) Acknowledge(ctx context.Context, recipient, letter, answer string) (people int64, err error) {
	if !reference.MatchString(answer) {
		return 0, store.ErrReference
	}
	err = l.write.do(ctx, func(t *tx) error {
		const all = "SELECT count(*) FROM duties WHERE recipient = ? AND told_as = ? AND told_ms > 0"
		if err := t.QueryRowContext(ctx, all, recipient, letter).Scan(&people); err != nil {
			return fmt.Errorf("count duties: %w", err)
		}
		if people == 0 {
			return store.ErrLetter
		}
		const set = "UPDATE duties SET acked_ms = ?, acked_as = ? WHERE recipient = ? AND told_as = ? AND told_ms > 0 AND acked_ms = 0"
		n, err := t.exec(ctx, set, t.now.UnixMilli(), answer, recipient, letter)
		if err != nil || n == 0 {
			return err
		}
		t.log("recipient acknowledged", nil, map[string]any{"recipient": recipient, "letter": letter, "answer": answer, "people": n})
		return nil
	})
	return people, err
}
