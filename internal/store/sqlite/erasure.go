package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// By these the platform tells that a person took back what they had allowed it to pass on,
// or closed their account.
const (
	kindRevoke = "user_authorization_revoke"
	kindCancel = "user_authorization_cancellation"
)

// Erase removes a person for good (PIPL 47). One transaction empties the ledger of them and
// notes that their key is to be destroyed; then the key is, outside the database. A crash in
// between is made good when the ledger is opened. The openid's next contact is a new person.
func (l *Ledger) Erase(patience context.Context, account string, who subject.OpenID, by consent.Control) (store.Erased, error) {
	if account == "" || who.IsZero() {
		return store.Erased{}, store.ErrInvalid
	}
	var id []byte
	ctx := context.WithoutCancel(patience) // only the acknowledgement is bounded by the caller's patience
	err := l.write.do(ctx, func(t *tx) (err error) {
		if id, err = l.find(ctx, t, account, who); id == nil || err != nil {
			return err
		}
		if err := t.note(ctx, id, account, request.Erasure, request.Done); err != nil {
			return err
		}
		return t.erase(ctx, id, by)
	})
	if id == nil || err != nil {
		return store.Erased{Acknowledged: err == nil}, err
	}
	if err := errors.Join(l.destroy(ctx, id), l.scrub.try(ctx, l.read)); err != nil {
		return store.Erased{}, err
	}
	return store.Erased{Found: true, Acknowledged: l.quiet(patience, id, nil)}, nil
}

// personal are the tables that hold what is known of a person, and are emptied of it. What
// stays says nothing about who it was: that a message was decided on (never twice), that a
// row left and on which consent (PIPL 55), that a recipient must be told, that a request was
// answered, and sealed log entries.
var personal = []string{
	"identities", "relations", "tags", "grants", "events", "lead_state", "lead_daily", "sends", "consent_state", "consent_events",
	"guardians", "guardian_events", "looks",
}

// sealAll seals the entries of the log about a person.
const sealAll = "UPDATE log SET body = NULL, salt = NULL WHERE subject_id = ? AND body IS NOT NULL"

// erase empties the ledger of a person; one who is erased already stays so.
func (t *tx) erase(ctx context.Context, id []byte, by consent.Control) error {
	var wrapped []byte
	if err := t.QueryRowContext(ctx, "SELECT wrapped FROM subjects WHERE id = ?", id).Scan(&wrapped); err != nil {
		return fmt.Errorf("read subject: %w", err)
	}
	if wrapped == nil {
		return nil
	}
	at, _, err := place(wrapped)
	if err != nil {
		return err
	}
	const begin = "INSERT INTO erasures (subject_id, place, control, begun_ms) VALUES (?, ?, ?, ?) ON CONFLICT (subject_id) DO UPDATE SET finished_ms = 0"
	if _, err := t.exec(ctx, begin, id, at, string(by), t.now.UnixMilli()); err != nil {
		return err
	}
	if err := t.owe(ctx, id, nil, "", duty.Erased); err != nil {
		return err
	}
	const empty = "UPDATE subjects SET wrapped = NULL, age_band = '', guardian = '', guardian_revision = 0, created_ms = 0, seen_ms = 0, asked_ms = 0 WHERE id = ?"
	if _, err := t.exec(ctx, empty, id); err != nil {
		return err
	}
	for _, table := range personal {
		if _, err := t.exec(ctx, "DELETE FROM "+table+" WHERE subject_id = ?", id); err != nil {
			return err
		}
	}
	if err := t.settleOpen(ctx, id); err != nil {
		return err
	}
	if _, err := t.exec(ctx, sealAll, id); err != nil {
		return err
	}
	t.erased = append(t.erased, id)
	t.log("erased", id, map[string]any{"control": by})
	return nil
}

// settleOpen ends what still waited for the person: a delivery that was not begun, and a
// request that nobody can answer any more.
func (t *tx) settleOpen(ctx context.Context, id []byte) error {
	const refuse = "UPDATE deliveries SET state = 'refused', reason = ? WHERE subject_id = ? AND state = 'pending' AND run_id IN (SELECT id FROM runs)"
	if _, err := t.exec(ctx, refuse, string(reason.ConsentWithdrawn), id); err != nil {
		return err
	}
	const moot = "UPDATE requests SET done_ms = ?, outcome = 'Moot' WHERE subject_id = ? AND done_ms = 0"
	_, err := t.exec(ctx, moot, t.now.UnixMilli(), id)
	return err
}

// destroy makes the key of an erased person unrecoverable, and notes that. What was deleted
// is still in the write-ahead log, until that is scrubbed.
func (l *Ledger) destroy(ctx context.Context, id []byte) error {
	var at int64
	if err := l.read.QueryRowContext(ctx, "SELECT place FROM erasures WHERE subject_id = ?", id).Scan(&at); err != nil {
		return fmt.Errorf("read erasure: %w", err)
	}
	if err := l.keys.Destroy(at, id); err != nil {
		return err
	}
	err := l.write.do(ctx, func(t *tx) error {
		_, err := t.exec(ctx, "UPDATE erasures SET finished_ms = ? WHERE subject_id = ? AND finished_ms = 0", t.now.UnixMilli(), id)
		return err
	})
	l.scrub.want()
	return err
}

// resumeErasures makes database and key file agree when they are opened: an erasure that was
// interrupted is completed, also where an older copy of either file was put back.
func (l *Ledger) resumeErasures(ctx context.Context) error {
	for _, id := range l.keys.Gone() {
		var there bool
		const q = "SELECT EXISTS (SELECT 1 FROM subjects WHERE id = ? AND wrapped IS NOT NULL)"
		if err := l.read.QueryRowContext(ctx, q, id[:]).Scan(&there); err != nil {
			return fmt.Errorf("read subject: %w", err)
		}
		if !there {
			continue
		}
		if err := l.write.do(ctx, func(t *tx) error { return t.erase(ctx, id[:], consent.Request) }); err != nil {
			return err
		}
	}
	all, err := l.erasures(ctx, "SELECT subject_id, place FROM erasures")
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := l.keys.Destroy(e.at, e.id); err != nil {
			return err
		}
	}
	if err := l.finishErasures(ctx); err != nil {
		return err
	}
	l.scrub.want()
	return l.scrub.try(ctx, l.read)
}

// finishErasures completes those that the ledger knows to be unfinished.
func (l *Ledger) finishErasures(ctx context.Context) error {
	open, err := l.erasures(ctx, "SELECT subject_id, place FROM erasures WHERE finished_ms = 0")
	if err != nil {
		return err
	}
	for _, e := range open {
		if err := l.destroy(ctx, e.id); err != nil {
			return err
		}
	}
	return l.scrub.try(ctx, l.read)
}

type erasure struct {
	id []byte
	at int64
}

func (l *Ledger) erasures(ctx context.Context, q string) ([]erasure, error) {
	rows, err := l.read.QueryContext(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	defer rows.Close()
	var out []erasure
	for rows.Next() {
		var e erasure
		if err := rows.Scan(&e.id, &e.at); err != nil {
			return nil, fmt.Errorf("read erasures: %w", err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// Bounds of one sweep: people in one transaction, and transactions.
const (
	sweepChunk = 50
	sweepMost  = 40
)

// Sweep expires whose retention period is over since they were last heard of, and erases
// them (PIPL 19, 47). Who is heard of in between stays, with nothing agreed to.
func (l *Ledger) Sweep(ctx context.Context) (store.Swept, error) {
	var out store.Swept
	if err := l.finishErasures(ctx); err != nil {
		return out, err
	}
	if err := l.forgetCounted(ctx, &out); err != nil {
		return out, err
	}
	v := l.View()
	if v == nil || v.Notice.RetentionDays <= 0 {
		return out, l.scrub.try(ctx, l.read)
	}
	for range sweepMost {
		n, err := l.sweepChunk(ctx, v.Notice.RetentionDays, &out)
		if err != nil || n < sweepChunk {
			return out, errors.Join(err, l.scrub.try(ctx, l.read))
		}
	}
	out.More = true
	return out, l.scrub.try(ctx, l.read)
}

// sweepChunk does both for a few people, each in a transaction of its own: what was agreed
// to ends even if the rest must wait.
func (l *Ledger) sweepChunk(ctx context.Context, days int64, out *store.Swept) (n int, err error) {
	err = l.write.do(ctx, func(t *tx) error {
		due, err := t.silent(ctx, days)
		if err != nil {
			return err
		}
		for _, id := range due {
			expired, err := t.expireAll(ctx, id)
			if err != nil {
				return err
			}
			out.Expired += expired
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = l.write.do(ctx, func(t *tx) error {
		due, err := t.silent(ctx, days)
		if err != nil {
			return err
		}
		for _, id := range due {
			if err := t.erase(ctx, id, consent.Clock); err != nil {
				return err
			}
		}
		n = len(due)
		return nil
	})
	if err != nil {
		return 0, err
	}
	out.Erased += int64(n)
	return n, l.finishErasures(ctx)
}

// silent lists people who were last heard of longer ago than so many days.
func (t *tx) silent(ctx context.Context, days int64) ([][]byte, error) {
	limit := t.now.AddDate(0, 0, -int(days)).UnixMilli()
	rows, err := t.QueryContext(ctx, "SELECT id FROM subjects WHERE wrapped IS NOT NULL AND seen_ms < ? ORDER BY seen_ms LIMIT ?", limit, sweepChunk)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read subjects: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// expireAll ends every consent that stands by time, and tells whether there was one.
func (t *tx) expireAll(ctx context.Context, id []byte) (people int64, err error) {
	all, err := t.standing(ctx, id)
	for _, s := range all {
		e := consentEvent{purpose: s.purpose, recipient: s.recipient, Event: consent.Event{
			Action: consent.Expired, NoticeRevision: s.NoticeRevision, Separate: true, Control: consent.Clock,
		}}
		if err := t.consent(ctx, id, s.Event, e); err != nil {
			return 0, err
		}
		people = 1
	}
	return people, err
}

// seen notes that a person was heard of; once a day is enough.
func (t *tx) seen(ctx context.Context, id []byte) error {
	now := t.now.UnixMilli()
	_, err := t.exec(ctx, "UPDATE subjects SET seen_ms = ? WHERE id = ? AND seen_ms < ?", now, id, now-(24*time.Hour).Milliseconds())
	return err
}

// scrubber empties the write-ahead log, which keeps deleted bytes until it is. Long readers
// may keep it from doing so; the next sweep tries again.
type scrubber struct {
	mu     sync.Mutex
	wanted bool
}

func (s *scrubber) want() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
}

// try waits for others for a moment only: writers wait meanwhile.
func (s *scrubber) try(ctx context.Context, db *sql.DB) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted {
		return nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("empty write-ahead log: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 250"); err != nil {
		return fmt.Errorf("empty write-ahead log: %w", err)
	}
	var busy, frames, moved int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	_, restored := conn.ExecContext(ctx, "PRAGMA busy_timeout = 10000")
	if err := errors.Join(err, restored); err != nil {
		return fmt.Errorf("empty write-ahead log: %w", err)
	}
	s.wanted = busy != 0
	return nil
}
