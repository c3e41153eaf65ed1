package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

type querier interface {
	rowQuerier
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// person may be included in a transfer.
type person struct {
	id       []byte
	at       time.Time
	revision int64
	young    bool // all about them is sensitive (PIPL 28)
}

// consider decides for everyone whether they may be included, and counts them, with one
// reason for each who may not.
func consider(ctx context.Context, q querier, v *store.View, s store.TransferSpec, now time.Time) (transfer.People, error) {
	out := transfer.People{Excluded: map[reason.Code]int64{}}
	var never int64
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM subjects WHERE wrapped IS NOT NULL").Scan(&never); err != nil {
		return out, fmt.Errorf("count subjects: %w", err)
	}
	rules, told := v.Rules(s.Purpose, s.Recipient)
	if !told {
		out.Excluded[reason.ConsentMissing] = never
		return out, nil
	}
	const sel = `SELECT s.id, ` + personColumns + `, ` + stateColumns + `
		FROM consent_state c JOIN subjects s ON s.id = c.subject_id
		WHERE c.purpose = ? AND c.recipient = ? AND s.wrapped IS NOT NULL`
	rows, err := q.QueryContext(ctx, sel, s.Purpose, s.Recipient)
	if err != nil {
		return out, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		never--
		p, code, err := decidePerson(rows, rules, now)
		switch {
		case err != nil:
			return out, err
		case code != reason.AllChecksPassed:
			out.Excluded[code]++
		case out.Included >= s.MaxPersons:
			out.Excluded[reason.MaxPersonsReached]++
		default:
			out.Included++
			if p.young {
				out.Young++
			}
		}
	}
	if never > 0 {
		out.Excluded[reason.ConsentMissing] += never
	}
	return out, rows.Err()
}

func decidePerson(rows *sql.Rows, rules consent.Rules, now time.Time, more ...any) (person, reason.Code, error) {
	var p person
	var row stateRow
	var who consent.Person
	dst := append([]any{&p.id, &who.Age, &who.Guardian, &who.GuardianRevision}, row.into()...)
	if err := rows.Scan(append(dst, more...)...); err != nil {
		return p, "", fmt.Errorf("read consent: %w", err)
	}
	st := row.state()
	p.at, p.revision, p.young = st.At, st.NoticeRevision, who.Age.Child()
	return p, consent.Decide(consent.Facts{State: st, Person: who, Rules: rules, At: now}), nil
}

// TransferFacts returns the year's counter and how many people could be included.
func (l *Ledger) TransferFacts(ctx context.Context, s store.TransferSpec) (store.TransferFacts, error) {
	v, err := l.policyView()
	if err != nil {
		return store.TransferFacts{}, err
	}
	now := l.cfg.Clock()
	f := store.TransferFacts{Year: year(now)}
	if f.Counter, err = counter(ctx, l.read, v, now, ""); err != nil {
		return f, err
	}
	if f.Recent, err = recent(ctx, l.read, s.Recipient, now); err != nil {
		return f, err
	}
	if len(s.Aggregates) == 0 { // counts leave, and nobody is asked
		f.People, err = consider(ctx, l.read, v, s, now)
	}
	return f, err
}

// DeclareTransfer makes a transfer known. A refused one may be declared again.
func (l *Ledger) DeclareTransfer(ctx context.Context, s store.TransferSpec) (store.Transfer, error) {
	body, err := json.Marshal(s)
	if err != nil || s.ID == "" || !knownAggregates(s.Aggregates) {
		return store.Transfer{}, store.ErrInvalid
	}
	elsewhere, err := json.Marshal(s.Elsewhere)
	if err != nil {
		return store.Transfer{}, store.ErrInvalid
	}
	err = l.write.do(ctx, func(t *tx) error {
		var had, state string
		err := t.QueryRowContext(ctx, "SELECT spec, state FROM transfers WHERE id = ?", s.ID).Scan(&had, &state)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			t.log("transfer declared", nil, map[string]any{"transfer": s.ID, "spec": string(body)})
			_, err = t.exec(ctx, "INSERT INTO transfers (id, spec, state, elsewhere) VALUES (?, ?, 'Declared', ?)", s.ID, string(body), string(elsewhere))
			return err
		case err != nil:
			return fmt.Errorf("read transfer: %w", err)
		case state == store.TransferRefused:
			t.log("transfer declared", nil, map[string]any{"transfer": s.ID, "spec": string(body)})
			_, err = t.exec(ctx, "UPDATE transfers SET spec = ?, state = 'Declared', refusals = '[]', elsewhere = ? WHERE id = ?", string(body), string(elsewhere), s.ID)
			return err
		case had != string(body):
			return store.ErrTransferConflict
		case state == store.TransferDeclared: // the other stores went on counting
			_, err = t.exec(ctx, "UPDATE transfers SET elsewhere = ? WHERE id = ?", string(elsewhere), s.ID)
			return err
		}
		return nil
	})
	if err != nil {
		return store.Transfer{}, err
	}
	return l.Transfer(ctx, s.ID)
}

// Transfer returns a transfer in numbers.
func (l *Ledger) Transfer(ctx context.Context, id string) (store.Transfer, error) {
	_, t, err := loadTransfer(ctx, l.read, id)
	if err != nil {
		return t, err
	}
	t.Released, err = released(ctx, l.read, id)
	return t, err
}

func loadTransfer(ctx context.Context, q querier, id string) (store.TransferSpec, store.Transfer, error) {
	var s store.TransferSpec
	out := store.Transfer{ID: id}
	var spec, refusals, excluded, elsewhere, decision string
	var manifest sql.NullString
	var started int64
	const sel = "SELECT spec, state, refusals, excluded, persons, newly, manifest, started_ms, elsewhere, decision FROM transfers WHERE id = ?"
	err := q.QueryRowContext(ctx, sel, id).Scan(&spec, &out.State, &refusals, &excluded, &out.Persons, &out.Newly, &manifest, &started, &elsewhere, &decision)
	if errors.Is(err, sql.ErrNoRows) {
		return s, out, store.ErrTransferUnknown
	}
	if err != nil {
		return s, out, fmt.Errorf("read transfer: %w", err)
	}
	if started != 0 {
		out.Started = time.UnixMilli(started).UTC()
	}
	err = errors.Join(json.Unmarshal([]byte(spec), &s), json.Unmarshal([]byte(elsewhere), &s.Elsewhere), json.Unmarshal([]byte(refusals), &out.Refusals), json.Unmarshal([]byte(excluded), &out.Excluded), json.Unmarshal([]byte(decision), &out.Decision))
	if manifest.Valid {
		err = errors.Join(err, json.Unmarshal([]byte(manifest.String), &out.Manifest))
	}
	if err != nil {
		return s, out, store.ErrCorrupt
	}
	return s, out, nil
}

// StartTransfer decides once more with exact numbers. Nobody is counted yet: that is done
// part by part, before the part leaves.
func (l *Ledger) StartTransfer(ctx context.Context, id string) (store.Transfer, error) {
	people, err := l.considerNow(ctx, id)
	if err != nil {
		return store.Transfer{}, err
	}
	err = l.write.do(ctx, func(t *tx) error {
		v, err := l.policyView() // of this very moment: a hold may have come while the call waited
		if err != nil {
			return err
		}
		s, cur, err := loadTransfer(ctx, t, id)
		if err != nil {
			return err
		}
		if cur.State != store.TransferDeclared && cur.State != store.TransferStarted {
			return store.ErrTransferState
		}
		if !v.Fresh(t.now) {
			return store.ErrPolicyStale
		}
		facts, err := t.facts(ctx, v, s)
		if err != nil {
			return err
		}
		if facts.Recent, err = recent(ctx, t, s.Recipient, t.now); err != nil {
			return err
		}
		facts.People = &people
		d := transfer.Decide(facts)
		if cur.State == store.TransferStarted {
			return t.resume(ctx, id, d)
		}
		return t.begin(ctx, s.ID, d, d.Of(facts), people.Excluded)
	})
	if err != nil {
		return store.Transfer{}, err
	}
	return l.Transfer(ctx, id)
}

// facts is what the decision looks at: the year without this transfer's own people, whom it
// adds by its declared maximum, and with what the processor's other stores have counted.
func (t *tx) facts(ctx context.Context, v *store.View, s store.TransferSpec) (transfer.Facts, error) {
	f := v.Facts(s, t.now)
	c, err := counter(ctx, t, v, t.now, s.ID)
	c = c.Plus(s.Elsewhere)
	f.Year = &c
	return f, err
}

// considerNow looks at everyone before the transaction that decides: it takes long, and
// other writers would wait for it. Each person is decided on anew when their part is leased.
func (l *Ledger) considerNow(ctx context.Context, id string) (transfer.People, error) {
	v, err := l.policyView()
	if err != nil {
		return transfer.People{}, err
	}
	s, cur, err := loadTransfer(ctx, l.read, id)
	if err != nil {
		return transfer.People{}, err
	}
	if len(s.Aggregates) > 0 {
		return transfer.People{}, store.ErrTransferKind
	}
	if cur.State != store.TransferDeclared && cur.State != store.TransferStarted {
		return transfer.People{}, store.ErrTransferState
	}
	return consider(ctx, l.read, v, s, l.cfg.Clock())
}

// resume goes on with a transfer that a crash interrupted, if it would be allowed today. It
// is then Stopped and not Refused, since the attempt before may have sent something.
func (t *tx) resume(ctx context.Context, id string, d transfer.Decision) error {
	if d.Allowed() {
		return nil
	}
	m := store.Manifest{Partial: true, StoppedBy: string(d.Public()[0].Code)}
	const sum = "SELECT COALESCE(sum(rows), 0), COALESCE(sum(bytes), 0) FROM transfer_parts WHERE transfer_id = ?"
	if err := t.QueryRowContext(ctx, sum, id).Scan(&m.Rows, &m.Bytes); err != nil {
		return fmt.Errorf("read parts: %w", err)
	}
	return t.finish(ctx, id, store.TransferStopped, m)
}

func (t *tx) refuse(ctx context.Context, id string, refusals []transfer.Refusal, of transfer.Of) error {
	body, err := json.Marshal(refusals)
	decision, err2 := json.Marshal(of)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("encode refusals: %w", err)
	}
	t.log("transfer refused", nil, map[string]any{"transfer": id, "refusals": refusals, "decision": of.ID, "rules": of.Rules})
	_, err = t.exec(ctx, "UPDATE transfers SET state = 'Refused', refusals = ?, decision = ? WHERE id = ?", string(body), string(decision), id)
	return err
}

func (t *tx) begin(ctx context.Context, id string, d transfer.Decision, of transfer.Of, excluded map[reason.Code]int64) error {
	if !d.Allowed() {
		return t.refuse(ctx, id, d.Public(), of)
	}
	body, err := json.Marshal(excluded)
	decision, err2 := json.Marshal(of)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("encode excluded: %w", err)
	}
	t.log("transfer started", nil, map[string]any{"transfer": id, "tier": of.Tier, "decision": of.ID, "rules": of.Rules})
	_, err = t.exec(ctx, "UPDATE transfers SET state = 'Started', excluded = ?, started_ms = ?, decision = ? WHERE id = ?", string(body), t.now.UnixMilli(), string(decision), id)
	return err
}

// row renders one person with only the named fields, in the order of the request.
func (l *Ledger) row(s store.TransferSpec, m store.LeadModel, id []byte, points float64, tags string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range s.Fields {
		if i > 0 {
			b.WriteByte(',')
		}
		var value any
		switch f {
		case "id":
			value = l.known(s.Recipient, id)
		case "tags":
			value = json.RawMessage(tags)
		case "lead.score":
			value = math.Round(points*100) / 100
		case "lead.stage":
			value = m.Model.StageOf(points)
		default:
			return nil, store.ErrInvalid
		}
		v, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode row: %w", err)
		}
		k, err := json.Marshal(f)
		if err != nil {
			return nil, fmt.Errorf("encode row: %w", err)
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// FinishTransfer records what was written; how much that is, the parts tell. It is everything
// only where the last look for people found nobody left. A second call of the same changes
// nothing.
func (l *Ledger) FinishTransfer(ctx context.Context, id string, m store.Manifest) error {
	return l.write.do(ctx, func(t *tx) error {
		s, cur, err := loadTransfer(ctx, t, id)
		if err != nil {
			return err
		}
		if len(s.Aggregates) > 0 {
			return store.ErrTransferKind
		}
		var open int64
		var done bool
		const sum = `SELECT COALESCE(sum(rows), 0), COALESCE(sum(bytes), 0), count(*) FILTER (WHERE state = 'Leased'),
			(SELECT done FROM transfers WHERE id = ?1) FROM transfer_parts WHERE transfer_id = ?1`
		if err := t.QueryRowContext(ctx, sum, id).Scan(&m.Rows, &m.Bytes, &open, &done); err != nil {
			return fmt.Errorf("read parts: %w", err)
		}
		switch {
		case cur.Manifest != nil && *cur.Manifest == m:
			return nil
		case cur.State != store.TransferStarted:
			return store.ErrTransferState
		case open > 0 && !m.Partial:
			return store.ErrPartOpen
		case !done && !m.Partial:
			return store.ErrPartsLeft
		}
		state := store.TransferComplete
		if m.Partial {
			state = store.TransferStopped
		}
		return t.finish(ctx, id, state, m)
	})
}

func (t *tx) finish(ctx context.Context, id, state string, m store.Manifest) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	t.log("transfer finished", nil, map[string]any{"transfer": id, "state": state, "manifest": string(body)})
	_, err = t.exec(ctx, "UPDATE transfers SET state = ?, manifest = ? WHERE id = ?", state, string(body), id)
	return err
}
