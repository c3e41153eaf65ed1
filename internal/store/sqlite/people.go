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

// find returns the person behind an openid, or nil.
func (l *Ledger) find(ctx context.Context, q rowQuerier, account string, who subject.OpenID) ([]byte, error) {
	var id []byte
	blind := l.cfg.Ring.Blind(kindOpenID, account, who.Reveal())
	err := q.QueryRowContext(ctx, "SELECT subject_id FROM identities WHERE blind = ?", blind).Scan(&id)
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
	if id != nil || err != nil {
		return id, err
	}
	fresh, err := subject.NewID(nil)
	if err != nil {
		return nil, err
	}
	id = fresh.Bytes()
	wrapped, err := l.cfg.Ring.NewSubjectKey(id)
	if err != nil {
		return nil, err
	}
	sealed, err := l.cfg.Ring.Seal(wrapped, id, sealedOpenID, who.Reveal())
	if err != nil {
		return nil, err
	}
	if _, err := t.exec(ctx, "INSERT INTO subjects (id, created_ms, wrapped) VALUES (?, ?, ?)", id, t.now.UnixMilli(), wrapped); err != nil {
		return nil, err
	}
	const q = "INSERT INTO identities (subject_id, kind, scope, blind, sealed) VALUES (?, ?, ?, ?, ?)"
	_, err = t.exec(ctx, q, id, kindOpenID, account, l.cfg.Ring.Blind(kindOpenID, account, who.Reveal()), sealed)
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
	if err := l.read.QueryRowContext(ctx, "SELECT age_band FROM subjects WHERE id = ?", id).Scan(&p.Age); err != nil {
		return p, fmt.Errorf("read preferences: %w", err)
	}
	rows, err := l.read.QueryContext(ctx, "SELECT purpose, recipient, action FROM consent_state WHERE subject_id = ? AND revision = ?", id, v.Notice.Revision)
	if err != nil {
		return p, fmt.Errorf("read preferences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c store.Choice
		var action consent.Action
		if err := rows.Scan(&c.Purpose, &c.Recipient, &action); err != nil {
			return p, fmt.Errorf("read preferences: %w", err)
		}
		c.Granted = action == consent.Given
		p.Items = append(p.Items, c)
	}
	return p, rows.Err()
}

// RecordChoices stores the answers of the consent page. Unticking what was granted is a
// withdrawal; it is acknowledged when no permit for it is live any more.
func (l *Ledger) RecordChoices(patience context.Context, c store.Choices) (store.Recorded, error) {
	v, err := l.policyView()
	if err != nil {
		return store.Recorded{}, err
	}
	if err := answerable(v, c); err != nil {
		return store.Recorded{}, err
	}
	var id []byte
	var withdrawn []string
	ctx := context.WithoutCancel(patience) // as with an event
	err = l.write.do(ctx, func(t *tx) (err error) {
		if now := l.View(); now.Notice.Revision != c.Revision {
			return store.ErrNoticeRevision
		}
		if id, err = l.ensure(ctx, t, c.Account, c.Who); err != nil {
			return err
		}
		withdrawn, err = t.chooseAll(ctx, id, c)
		return err
	})
	if err != nil {
		return store.Recorded{}, err
	}
	return store.Recorded{Acknowledged: len(withdrawn) == 0 || l.quiet(patience, id, withdrawn)}, nil
}

// answerable refuses answers to what the notice does not ask.
func answerable(v *store.View, c store.Choices) error {
	if !c.Age.Valid() || len(c.Items) > 256 {
		return store.ErrInvalid
	}
	for _, i := range c.Items {
		if _, ok := v.Rules(i.Purpose, i.Recipient); !ok {
			return store.ErrNoticeIncomplete
		}
	}
	return nil
}

// chooseAll records all answers, and returns the purposes that they withdraw.
func (t *tx) chooseAll(ctx context.Context, id []byte, c store.Choices) (withdrawn []string, err error) {
	// An age once told is not taken back by declining to say it: it would take a child out of protection.
	const age = "UPDATE subjects SET age_band = ?1 WHERE id = ?2 AND age_band <> ?1 AND ?1 <> ''"
	n, err := t.exec(ctx, age, string(c.Age), id)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		t.log("age", id, map[string]any{"band": c.Age})
	}
	for _, i := range c.Items {
		was, err := t.choose(ctx, id, i, c)
		if err != nil {
			return nil, err
		}
		if was {
			withdrawn = append(withdrawn, i.Purpose)
		}
	}
	return withdrawn, nil
}

// choose records one answer, and tells whether it withdraws an earlier consent.
func (t *tx) choose(ctx context.Context, id []byte, i store.Choice, c store.Choices) (withdrawn bool, err error) {
	before, err := t.state(ctx, id, i.Purpose, i.Recipient)
	if err != nil {
		return false, err
	}
	act := consent.Given
	switch {
	case !i.Granted && (before == consent.Given || before == consent.Withdrawn):
		act = consent.Withdrawn
	case !i.Granted:
		act = consent.Refused
	}
	e := consentEvent{i.Purpose, i.Recipient, act, c.Revision, true, "page", c.Language}
	return act == consent.Withdrawn, t.consent(ctx, id, e) // a second form waits as the first did
}

func (t *tx) state(ctx context.Context, id []byte, purpose, recipient string) (consent.Action, error) {
	var a consent.Action
	const q = "SELECT action FROM consent_state WHERE subject_id = ? AND purpose = ? AND recipient = ?"
	err := t.QueryRowContext(ctx, q, id, purpose, recipient).Scan(&a)
	if errors.Is(err, sql.ErrNoRows) {
		return consent.None, nil
	}
	if err != nil {
		return consent.None, fmt.Errorf("read consent: %w", err)
	}
	return a, nil
}

type consentEvent struct {
	purpose, recipient string
	action             consent.Action
	revision           int64
	separate           bool
	control, language  string
}

// consent appends an event, moves the current state, and logs it: one transaction.
func (t *tx) consent(ctx context.Context, id []byte, e consentEvent) error {
	const add = `INSERT INTO consent_events (subject_id, n, purpose, recipient, action, at_ms, revision, separate, control, language)
		VALUES (?1, (SELECT COALESCE(max(n), 0) + 1 FROM consent_events WHERE subject_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`
	if _, err := t.exec(ctx, add, id, e.purpose, e.recipient, string(e.action), t.now.UnixMilli(), e.revision, e.separate, e.control, e.language); err != nil {
		return err
	}
	const set = `INSERT INTO consent_state (subject_id, purpose, recipient, action, at_ms, revision, separate) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (subject_id, purpose, recipient) DO UPDATE SET action = excluded.action, at_ms = excluded.at_ms, revision = excluded.revision, separate = excluded.separate`
	if _, err := t.exec(ctx, set, id, e.purpose, e.recipient, string(e.action), t.now.UnixMilli(), e.revision, e.separate); err != nil {
		return err
	}
	t.log("consent", id, map[string]any{
		"purpose": e.purpose, "recipient": e.recipient, "action": e.action, "revision": e.revision, "separate": e.separate, "control": e.control, "language": e.language,
	})
	return nil
}

// withdrawAll withdraws every consent that stands: a keyword names no purpose, and a doubt
// is not resolved in the person's disfavour.
func (t *tx) withdrawAll(ctx context.Context, id []byte, control string) ([]string, error) {
	all, err := t.standing(ctx, id)
	if err != nil {
		return nil, err
	}
	var purposes []string
	for _, e := range all {
		e.action, e.separate, e.control = consent.Withdrawn, true, control
		if err := t.consent(ctx, id, e); err != nil {
			return nil, err
		}
		purposes = append(purposes, e.purpose)
	}
	return purposes, nil
}

// standing returns the consents that stand.
func (t *tx) standing(ctx context.Context, id []byte) ([]consentEvent, error) {
	rows, err := t.QueryContext(ctx, "SELECT purpose, recipient, revision FROM consent_state WHERE subject_id = ? AND action = 'Given'", id)
	if err != nil {
		return nil, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	var all []consentEvent
	for rows.Next() {
		var e consentEvent
		if err := rows.Scan(&e.purpose, &e.recipient, &e.revision); err != nil {
			return nil, fmt.Errorf("read consents: %w", err)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// quiet waits until no permit for the person and these purposes (none named: all) is live,
// and no page of an export from before is on its way, as far as ctx allows, and tells whether
// that is so. It is what makes a withdrawal's acknowledgement true.
func (l *Ledger) quiet(ctx context.Context, id []byte, purposes []string) bool {
	for before := l.pages.begun(); ; {
		news := l.news.wait()
		until, err := l.liveUntil(ctx, id, purposes)
		if err != nil {
			return false
		}
		left := until.Sub(l.cfg.Clock())
		passed := l.pages.passed(before)
		switch {
		case left <= 0 && passed:
			return true
		case !passed:
			left = time.Hour // the page's end is news
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

// liveUntil returns when the last live permit for the person and purposes ends; zero when
// there is none.
func (l *Ledger) liveUntil(ctx context.Context, id []byte, purposes []string) (time.Time, error) {
	const q = `SELECT d.deadline_ms, json_extract(r.spec, '$.Purpose') FROM deliveries d JOIN runs r ON r.id = d.run_id
		WHERE d.subject_id = ? AND d.state = 'leased'`
	rows, err := l.read.QueryContext(ctx, q, id)
	if err != nil {
		return time.Time{}, fmt.Errorf("read permits: %w", err)
	}
	defer rows.Close()
	var last time.Time
	for rows.Next() {
		var ms int64
		var purpose string
		if err := rows.Scan(&ms, &purpose); err != nil {
			return last, fmt.Errorf("read permits: %w", err)
		}
		if end := time.UnixMilli(ms).Add(skew); (len(purposes) == 0 || slices.Contains(purposes, purpose)) && end.After(last) {
			last = end
		}
	}
	return last, rows.Err()
}
