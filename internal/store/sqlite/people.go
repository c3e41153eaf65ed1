package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

const (
	kindOpenID   = "openid"
	sealedOpenID = "identities.openid"
)

// find returns the person behind an openid, or nil. The index is in the file of people's
// keys; what counts is whether the ledger has the person.
func (l *Ledger) find(ctx context.Context, q rowQuerier, account string, who subject.OpenID) ([]byte, error) {
	_, id, ok := l.keys.Find(l.cfg.Ring.Blind(kindOpenID, account, who.Reveal()))
	if !ok {
		return nil, nil
	}
	err := q.QueryRowContext(ctx, "SELECT id FROM subjects WHERE id = ? AND wrapped IS NOT NULL", id).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up subject: %w", err)
	}
	return id, nil
}

// ensure returns the person behind an openid, and makes a record when there is none.
func (l *Ledger) ensure(ctx context.Context, t *tx, account string, who subject.OpenID) ([]byte, error) {
	id, err := l.find(ctx, t, account, who)
	if err != nil {
		return nil, err
	}
	if id != nil {
		return id, t.seen(ctx, id)
	}
	fresh, err := subject.NewID(nil)
	if err != nil {
		return nil, err
	}
	id = fresh.Bytes()
	p, err := l.keyFor(id, account, who)
	if err != nil {
		return nil, err
	}
	const add = "INSERT INTO subjects (id, created_ms, seen_ms, wrapped) VALUES (?1, ?2, ?2, ?3)"
	if _, err := t.exec(ctx, add, id, t.now.UnixMilli(), p.wrapped); err != nil {
		return nil, err
	}
	const q = "INSERT INTO identities (subject_id, kind, scope, blind, sealed) VALUES (?, ?, ?, ?, ?)"
	_, err = t.exec(ctx, q, id, kindOpenID, account, p.hidden, p.sealed)
	return id, err
}

// Preferences returns what the person answered before, to the published revision: an
// answer to another text is no answer to this one.
func (l *Ledger) Preferences(ctx context.Context, account string, who subject.OpenID) (store.Preferences, error) {
	v, err := l.policyView()
	if err != nil {
		return store.Preferences{}, err
	}
	p := store.Preferences{Notice: v.Notice}
	id, err := l.find(ctx, l.read, account, who)
	if id == nil || err != nil {
		return p, err
	}
	person, err := personOf(ctx, l.read, id)
	if err != nil {
		return p, err
	}
	p.Age, p.Guardian = person.Age, shown(person, v)
	p.Items, err = choices(ctx, l.read, id, v.Notice.Revision)
	return p, err
}

// personOf reads what of a person decides beside the consents.
func personOf(ctx context.Context, q rowQuerier, id []byte) (consent.Person, error) {
	var p consent.Person
	err := q.QueryRowContext(ctx, "SELECT "+personColumns+" FROM subjects s WHERE s.id = ?", id).Scan(&p.Age, &p.Guardian, &p.GuardianRevision)
	if err != nil {
		return p, fmt.Errorf("read person: %w", err)
	}
	return p, nil
}

// choices are the answers to one revision.
func choices(ctx context.Context, q querier, id []byte, revision int64) ([]store.Choice, error) {
	rows, err := q.QueryContext(ctx, "SELECT purpose, recipient, action FROM consent_state WHERE subject_id = ? AND revision = ?", id, revision)
	if err != nil {
		return nil, fmt.Errorf("read choices: %w", err)
	}
	defer rows.Close()
	var out []store.Choice
	for rows.Next() {
		var c store.Choice
		var action consent.Action
		if err := rows.Scan(&c.Purpose, &c.Recipient, &action); err != nil {
			return nil, fmt.Errorf("read choices: %w", err)
		}
		c.Granted = action == consent.Given
		out = append(out, c)
	}
	return out, rows.Err()
}

// item is one purpose and recipient (empty: the processor itself) of a consent.
type item struct{ purpose, recipient string }

// quiet waits until no permit for the person and these items (none named: all) is live, to
// send to them or to write their row, as far as ctx allows, and tells whether that is so. It
// is what makes a withdrawal's acknowledgement true.
func (l *Ledger) quiet(ctx context.Context, id []byte, items []item) bool {
	for {
		news := l.news.wait()
		until, err := l.liveUntil(ctx, id, items)
		if err != nil {
			return false
		}
		left := until.Sub(l.cfg.Clock())
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
}

// livePermits are the live permits that concern a person: of runs, and of parts of transfers.
const livePermits = `SELECT d.deadline_ms, json_extract(r.spec, '$.Purpose'), '' FROM deliveries d JOIN runs r ON r.id = d.run_id
		WHERE d.subject_id = ?1 AND d.state = 'leased'
	UNION ALL
	SELECT p.deadline_ms, json_extract(t.spec, '$.Purpose'), json_extract(t.spec, '$.Recipient') FROM transfer_parts p INDEXED BY transfer_parts_open
		CROSS JOIN transfer_rows x ON x.transfer_id = p.transfer_id AND x.subject_id = ?1 AND x.part = p.part AND x.dropped = 0
		CROSS JOIN transfers t ON t.id = p.transfer_id WHERE p.state = 'Leased'`

// liveUntil returns when the last live permit for the person and items ends; zero when there
// is none.
func (l *Ledger) liveUntil(ctx context.Context, id []byte, items []item) (time.Time, error) {
	rows, err := l.read.QueryContext(ctx, livePermits, id)
	if err != nil {
		return time.Time{}, fmt.Errorf("read permits: %w", err)
	}
	defer rows.Close()
	var last time.Time
	for rows.Next() {
		var ms int64
		var i item
		if err := rows.Scan(&ms, &i.purpose, &i.recipient); err != nil {
			return last, fmt.Errorf("read permits: %w", err)
		}
		if end := time.UnixMilli(ms).Add(skew); (len(items) == 0 || slices.Contains(items, i)) && end.After(last) {
			last = end
		}
	}
	return last, rows.Err()
}
