package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/store"
)

// stateColumns are what stands of one consent, in stateRow's order; all empty where nobody
// was asked.
const stateColumns = `COALESCE(c.action, ''), COALESCE(c.at_ms, 0), COALESCE(c.revision, 0), COALESCE(c.separate, 0), COALESCE(c.control, ''), COALESCE(c.ends_ms, 0)`

// personColumns are what else of a person decides.
const personColumns = "s.age_band, s.guardian, s.guardian_revision"

// stateRow reads stateColumns.
type stateRow struct {
	at, ends int64
	consent.State
}

func (r *stateRow) into() []any {
	return []any{&r.Action, &r.at, &r.NoticeRevision, &r.Separate, &r.Control, &r.ends}
}

func (r *stateRow) state() consent.State {
	s := r.State
	if s.Action != consent.None {
		s.At = time.UnixMilli(r.at).UTC()
	}
	if r.ends != 0 {
		s.Ends = time.UnixMilli(r.ends).UTC()
	}
	return s
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
	var who consent.Person
	var withdrawn []item
	ctx := context.WithoutCancel(patience) // as with an event
	err = l.write.do(ctx, func(t *tx) (err error) {
		if now := l.View(); now.Notice.Revision != c.Revision {
			return store.ErrNoticeRevision
		}
		if id, err = l.ensure(ctx, t, c.Account, c.Who); err != nil {
			return err
		}
		if err := t.answering(ctx, l.View(), viewer{id: id, account: c.Account, language: c.Language}); err != nil {
			return err
		}
		if withdrawn, err = t.chooseAll(ctx, id, c); err != nil {
			return err
		}
		if who, err = personOf(ctx, t, id); err != nil {
			return err
		}
		return l.keepUnion(ctx, t, id, who, c)
	})
	if err != nil {
		return store.Recorded{}, err
	}
	return store.Recorded{Acknowledged: len(withdrawn) == 0 || l.quiet(patience, id, withdrawn), Guardian: shown(who, v)}, nil
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

// chooseAll records all answers, and returns what they withdraw.
func (t *tx) chooseAll(ctx context.Context, id []byte, c store.Choices) (withdrawn []item, err error) {
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
			withdrawn = append(withdrawn, item{i.Purpose, i.Recipient})
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
	e := consentEvent{purpose: i.Purpose, recipient: i.Recipient, account: c.Account, language: c.Language, Event: consent.Event{
		Action: consent.Answer(before.Action, i.Granted), NoticeRevision: c.Revision, Separate: true, Control: consent.Page,
	}}
	return e.Action == consent.Withdrawn, t.consent(ctx, id, before, e) // a second form waits as the first did
}

func (t *tx) state(ctx context.Context, id []byte, purpose, recipient string) (consent.State, error) {
	var r stateRow
	const q = "SELECT " + stateColumns + " FROM consent_state c WHERE subject_id = ? AND purpose = ? AND recipient = ?"
	err := t.QueryRowContext(ctx, q, id, purpose, recipient).Scan(r.into()...)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return consent.State{}, fmt.Errorf("read consent: %w", err)
	}
	return r.state(), nil
}

// consentEvent is an entry about one purpose and recipient of a person.
type consentEvent struct {
	purpose, recipient string
	account, language  string
	evidence           string // of an imported one, and when it was collected
	collected          int64
	consent.Event
}

// consent appends an event, moves what stands, and logs it: one transaction.
func (t *tx) consent(ctx context.Context, id []byte, before consent.State, e consentEvent) error {
	e.At = t.now
	const add = `INSERT INTO consent_events (subject_id, n, purpose, recipient, action, at_ms, revision, separate, control, ends_ms, account, language, evidence)
		VALUES (?1, (SELECT COALESCE(max(n), 0) + 1 FROM consent_events WHERE subject_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`
	if _, err := t.exec(ctx, add, id, e.purpose, e.recipient, string(e.Action), e.At.UnixMilli(), e.NoticeRevision, e.Separate, string(e.Control), milli(e.Ends), e.account, e.language, e.evidence); err != nil {
		return err
	}
	if now := before.After(e.Event); now != before {
		if err := t.stand(ctx, id, e.purpose, e.recipient, now); err != nil {
			return err
		}
	}
	body := map[string]any{
		"purpose": e.purpose, "recipient": e.recipient, "action": e.Action, "revision": e.NoticeRevision, "separate": e.Separate,
		"control": e.Control, "ends": milli(e.Ends), "account": e.account, "language": e.language,
	}
	if e.evidence != "" {
		body["evidence"], body["collected"] = e.evidence, e.collected
	}
	t.log("consent", id, t.withShown(e.Control, body))
	if e.Action == consent.Withdrawn && e.recipient != "" {
		return t.owe(ctx, id, id, e.recipient, duty.Withdrawn)
	}
	return nil
}

// stand writes what stands now.
func (t *tx) stand(ctx context.Context, id []byte, purpose, recipient string, s consent.State) error {
	const set = `INSERT INTO consent_state (subject_id, purpose, recipient, action, at_ms, revision, separate, control, ends_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (subject_id, purpose, recipient) DO UPDATE SET action = excluded.action, at_ms = excluded.at_ms, revision = excluded.revision,
		separate = excluded.separate, control = excluded.control, ends_ms = excluded.ends_ms`
	_, err := t.exec(ctx, set, id, purpose, recipient, string(s.Action), s.At.UnixMilli(), s.NoticeRevision, s.Separate, string(s.Control), milli(s.Ends))
	return err
}

// milli is a time as the ledger writes it; 0 where there is none.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// withdrawAll withdraws every consent that stands: a keyword names no purpose, and a doubt
// is not resolved in the person's disfavour.
func (t *tx) withdrawAll(ctx context.Context, id []byte, account string, control consent.Control) ([]string, error) {
	all, err := t.standing(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := t.dropUnion(id); err != nil {
		return nil, err
	}
	var purposes []string
	for _, s := range all {
		e := consentEvent{purpose: s.purpose, recipient: s.recipient, account: account, Event: consent.Event{
			Action: consent.Withdrawn, NoticeRevision: s.NoticeRevision, Separate: true, Control: control,
		}}
		if err := t.consent(ctx, id, s.Event, e); err != nil {
			return nil, err
		}
		purposes = append(purposes, s.purpose)
	}
	return purposes, nil
}

// standing returns the consents that stand.
func (t *tx) standing(ctx context.Context, id []byte) ([]consentEvent, error) {
	const q = "SELECT c.purpose, c.recipient, " + stateColumns + " FROM consent_state c WHERE c.subject_id = ? AND c.action = 'Given'"
	rows, err := t.QueryContext(ctx, q, id)
	if err != nil {
		return nil, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	var all []consentEvent
	for rows.Next() {
		var e consentEvent
		var r stateRow
		if err := rows.Scan(append([]any{&e.purpose, &e.recipient}, r.into()...)...); err != nil {
			return nil, fmt.Errorf("read consents: %w", err)
		}
		e.Event = r.state()
		all = append(all, e)
	}
	return all, rows.Err()
}
