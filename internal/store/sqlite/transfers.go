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
	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

const streamPage = 500

type querier interface {
	rowQuerier
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// counter reads the year's distinct people sent out by a processor.
//
// Those whom the transfer named except has counted are left out: a decision adds them itself.
func counter(ctx context.Context, q querier, processor string, year int, except string) (transfer.Counter, error) {
	var c transfer.Counter
	const s = "SELECT COALESCE(sum(sensitive = 0), 0), COALESCE(sum(sensitive = 1), 0) FROM transfer_persons WHERE processor = ? AND year = ? AND transfer_id <> ?"
	if err := q.QueryRowContext(ctx, s, processor, year, except).Scan(&c.NonSensitive, &c.Sensitive); err != nil {
		return c, fmt.Errorf("read transfer counter: %w", err)
	}
	return c, nil
}

// person may be included in a transfer.
type person struct {
	id       []byte
	at       time.Time
	revision int64
	young    bool // all about them is sensitive (PIPL 28)
}

// peopleOf counts for a decision.
func peopleOf(in []person, excluded map[reason.Code]int64) transfer.People {
	out := transfer.People{Included: int64(len(in)), Excluded: excluded}
	for _, p := range in {
		if p.young {
			out.Young++
		}
	}
	return out
}

// consider decides for everyone whether they may be included, with one reason for each who may not.
func consider(ctx context.Context, q querier, v *store.View, s store.TransferSpec, now time.Time) ([]person, map[reason.Code]int64, error) {
	excluded := map[reason.Code]int64{}
	var total int64
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM subjects WHERE wrapped IS NOT NULL").Scan(&total); err != nil {
		return nil, nil, fmt.Errorf("count subjects: %w", err)
	}
	rules, told := v.Rules(s.Purpose, s.Recipient)
	if !told {
		excluded[reason.ConsentMissing] = total
		return nil, excluded, nil
	}
	const sel = `SELECT s.id, ` + personColumns + `, ` + stateColumns + `
		FROM consent_state c JOIN subjects s ON s.id = c.subject_id
		WHERE c.purpose = ? AND c.recipient = ? AND s.wrapped IS NOT NULL ORDER BY s.id`
	rows, err := q.QueryContext(ctx, sel, s.Purpose, s.Recipient)
	if err != nil {
		return nil, nil, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	var out []person
	for rows.Next() {
		total--
		p, code, err := decidePerson(rows, rules, now)
		switch {
		case err != nil:
			return nil, nil, err
		case code != reason.AllChecksPassed:
			excluded[code]++
		case int64(len(out)) >= s.MaxPersons:
			excluded[reason.MaxPersonsReached]++
		default:
			out = append(out, p)
		}
	}
	if total > 0 {
		excluded[reason.ConsentMissing] += total
	}
	return out, excluded, rows.Err()
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
	if f.Counter, err = counter(ctx, l.read, v.Policy.Processor, f.Year, ""); err != nil {
		return f, err
	}
	people, excluded, err := consider(ctx, l.read, v, s, now)
	f.People = peopleOf(people, excluded)
	return f, err
}

// DeclareTransfer makes a transfer known. A refused one may be declared again.
func (l *Ledger) DeclareTransfer(ctx context.Context, s store.TransferSpec) (store.Transfer, error) {
	body, err := json.Marshal(s)
	if err != nil || s.ID == "" {
		return store.Transfer{}, store.ErrInvalid
	}
	err = l.write.do(ctx, func(t *tx) error {
		var had, state string
		err := t.QueryRowContext(ctx, "SELECT spec, state FROM transfers WHERE id = ?", s.ID).Scan(&had, &state)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			t.log("transfer declared", nil, map[string]any{"transfer": s.ID, "spec": string(body)})
			_, err = t.exec(ctx, "INSERT INTO transfers (id, spec, state) VALUES (?, ?, 'Declared')", s.ID, string(body))
			return err
		case err != nil:
			return fmt.Errorf("read transfer: %w", err)
		case state == store.TransferRefused:
			t.log("transfer declared", nil, map[string]any{"transfer": s.ID, "spec": string(body)})
			_, err = t.exec(ctx, "UPDATE transfers SET spec = ?, state = 'Declared', refusals = '[]' WHERE id = ?", string(body), s.ID)
			return err
		case had != string(body):
			return store.ErrTransferConflict
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
	return t, err
}

func loadTransfer(ctx context.Context, q querier, id string) (store.TransferSpec, store.Transfer, error) {
	var s store.TransferSpec
	out := store.Transfer{ID: id}
	var spec, refusals, excluded string
	var manifest sql.NullString
	const sel = "SELECT spec, state, refusals, excluded, persons, newly, manifest FROM transfers WHERE id = ?"
	err := q.QueryRowContext(ctx, sel, id).Scan(&spec, &out.State, &refusals, &excluded, &out.Persons, &out.Newly, &manifest)
	if errors.Is(err, sql.ErrNoRows) {
		return s, out, store.ErrTransferUnknown
	}
	if err != nil {
		return s, out, fmt.Errorf("read transfer: %w", err)
	}
	err = errors.Join(json.Unmarshal([]byte(spec), &s), json.Unmarshal([]byte(refusals), &out.Refusals), json.Unmarshal([]byte(excluded), &out.Excluded))
	if manifest.Valid {
		err = errors.Join(err, json.Unmarshal([]byte(manifest.String), &out.Manifest))
	}
	if err != nil {
		return s, out, store.ErrCorrupt
	}
	return s, out, nil
}

// StartTransfer decides once more with exact numbers, and counts the people of the
// transfer before the first byte leaves. A transfer that was started is not counted twice.
func (l *Ledger) StartTransfer(ctx context.Context, id string) (store.Transfer, error) {
	err := l.write.do(ctx, func(t *tx) error {
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
		people, excluded, err := consider(ctx, t, v, s, t.now)
		if err != nil {
			return err
		}
		year, some := year(t.now), peopleOf(people, excluded)
		facts := v.Facts(s, t.now)
		c, err := counter(ctx, t, v.Policy.Processor, year, id)
		if err != nil {
			return err
		}
		facts.Year, facts.People = &c, &some
		d := transfer.Decide(facts)
		if cur.State == store.TransferStarted {
			return t.resume(ctx, id, d)
		}
		return l.begin(ctx, t, v, s, d, people, excluded)
	})
	if err != nil {
		return store.Transfer{}, err
	}
	return l.Transfer(ctx, id)
}

// resume goes on with a transfer that a crash interrupted, if it would be allowed today. It
// is then Stopped and not Refused, since the attempt before may have sent something.
func (t *tx) resume(ctx context.Context, id string, d transfer.Decision) error {
	if d.Allowed() {
		return nil
	}
	code := d.Refusals[0].Code // terminal ones come first
	body, err := json.Marshal(store.Manifest{Partial: true, StoppedBy: string(code)})
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	t.log("transfer finished", nil, map[string]any{"transfer": id, "state": store.TransferStopped, "manifest": string(body)})
	_, err = t.exec(ctx, "UPDATE transfers SET state = ?, manifest = ? WHERE id = ?", store.TransferStopped, string(body), id)
	return err
}

func (t *tx) refuse(ctx context.Context, id string, refusals []transfer.Refusal) error {
	body, err := json.Marshal(refusals)
	if err != nil {
		return fmt.Errorf("encode refusals: %w", err)
	}
	t.log("transfer refused", nil, map[string]any{"transfer": id, "refusals": refusals})
	_, err = t.exec(ctx, "UPDATE transfers SET state = 'Refused', refusals = ? WHERE id = ?", string(body), id)
	return err
}

func (l *Ledger) begin(ctx context.Context, t *tx, v *store.View, s store.TransferSpec, d transfer.Decision, people []person, excluded map[reason.Code]int64) error {
	if !d.Allowed() {
		return t.refuse(ctx, s.ID, d.Refusals)
	}
	sensitive := v.Pack().AnySensitive(s.Categories)
	var newly int64
	for _, p := range people {
		if _, err := t.exec(ctx, "INSERT INTO transfer_rows (transfer_id, subject_id, consent_ms, revision) VALUES (?, ?, ?, ?)", s.ID, p.id, p.at.UnixMilli(), p.revision); err != nil {
			return err
		}
		c := l.cfg.Ring.Commit("transfer counter "+v.Policy.Processor, p.id)
		const q = "INSERT INTO transfer_persons (processor, year, sensitive, commitment, transfer_id) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
		n, err := t.exec(ctx, q, v.Policy.Processor, year(t.now), sensitive, c[:], s.ID)
		if err != nil {
			return err
		}
		newly += n
		t.log("transfer person", p.id, map[string]any{
			"transfer": s.ID, "recipient": s.Recipient, "purpose": s.Purpose, "consent": p.at.UnixMilli(), "revision": p.revision, "mechanism": s.Mechanism, "tier": d.Mechanism,
		})
	}
	body, err := json.Marshal(excluded)
	if err != nil {
		return fmt.Errorf("encode excluded: %w", err)
	}
	const q = "UPDATE transfers SET state = 'Started', persons = ?, newly = ?, excluded = ?, started_ms = ? WHERE id = ?"
	_, err = t.exec(ctx, q, len(people), newly, string(body), t.now.UnixMilli(), s.ID)
	return err
}

// StreamRows emits the rows of a started transfer. Before each page it asks whether a hold
// or a stale view stops it, and of each person whether the consent still stands.
func (l *Ledger) StreamRows(ctx context.Context, id string, emit func([][]byte) error) (reason.Code, error) {
	s, cur, err := loadTransfer(ctx, l.read, id)
	if err != nil {
		return "", err
	}
	if cur.State != store.TransferStarted {
		return "", store.ErrTransferState
	}
	cursor, at := []byte{0}, l.cfg.Clock()
	for {
		v, err := l.policyView()
		if err != nil {
			return "", err
		}
		if code := v.Stop(s, l.cfg.Clock()); code != reason.AllChecksPassed {
			return code, nil
		}
		last, n, err := l.handOver(ctx, v, s, cursor, at, emit)
		if err != nil {
			return "", err
		}
		if n < streamPage {
			return reason.AllChecksPassed, nil
		}
		cursor = last
	}
}

// handOver reads one page and emits it. A withdrawal that comes meanwhile is acknowledged
// afterwards.
func (l *Ledger) handOver(ctx context.Context, v *store.View, s store.TransferSpec, cursor []byte, at time.Time, emit func([][]byte) error) (last []byte, n int, err error) {
	done := l.pages.begin()
	defer func() {
		done()
		l.news.fire()
	}()
	rows, last, n, err := l.page(ctx, v, s, cursor, at)
	if err == nil && len(rows) > 0 {
		err = emit(rows)
	}
	return last, n, err
}

func (l *Ledger) page(ctx context.Context, v *store.View, s store.TransferSpec, cursor []byte, at time.Time) (out [][]byte, last []byte, n int, err error) {
	rules, told := v.Rules(s.Purpose, s.Recipient)
	if !told {
		return nil, nil, 0, store.ErrNoticeIncomplete
	}
	m, _ := v.LeadModel(s.LeadModel)
	const q = `SELECT s.id, ` + personColumns + `, ` + stateColumns + `,
			COALESCE(l.points, 0), COALESCE(l.at_ms, 0),
			(SELECT json_group_array(tag) FROM (SELECT tag FROM tags g WHERE g.subject_id = s.id ORDER BY tag))
		FROM transfer_rows x JOIN subjects s ON s.id = x.subject_id
		LEFT JOIN consent_state c ON c.subject_id = s.id AND c.purpose = ? AND c.recipient = ?
		LEFT JOIN lead_state l ON l.subject_id = s.id AND l.model = ?
		WHERE x.transfer_id = ? AND x.subject_id > ? AND s.wrapped IS NOT NULL ORDER BY x.subject_id LIMIT ?`
	rows, err := l.read.QueryContext(ctx, q, s.Purpose, s.Recipient, m.Name, s.ID, cursor, streamPage)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("read rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var score lead.Score
		var ms int64
		var tags string
		p, code, err := decidePerson(rows, rules, at, &score.Points, &ms, &tags)
		if err != nil {
			return nil, nil, 0, err
		}
		n, last = n+1, p.id
		if code != reason.AllChecksPassed {
			continue
		}
		score.At = time.UnixMilli(ms)
		row, err := l.row(s, m, p.id, m.Model.Decay(score, at), tags)
		if err != nil {
			return nil, nil, 0, err
		}
		out = append(out, row)
	}
	return out, last, n, rows.Err()
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
			value = subject.Commitment(l.cfg.Ring.Commit("recipient "+s.Recipient, id)).String()
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

// FinishTransfer records what was sent. A second call of the same changes nothing.
func (l *Ledger) FinishTransfer(ctx context.Context, id string, m store.Manifest) error {
	body, err := json.Marshal(m)
	if err != nil {
		return store.ErrInvalid
	}
	return l.write.do(ctx, func(t *tx) error {
		_, cur, err := loadTransfer(ctx, t, id)
		if err != nil {
			return err
		}
		if cur.Manifest != nil && *cur.Manifest == m {
			return nil
		}
		if cur.State != store.TransferStarted {
			return store.ErrTransferState
		}
		state := store.TransferComplete
		if m.Partial {
			state = store.TransferStopped
		}
		t.log("transfer finished", nil, map[string]any{"transfer": id, "state": state, "manifest": string(body)})
		_, err = t.exec(ctx, "UPDATE transfers SET state = ?, manifest = ? WHERE id = ?", state, string(body), id)
		return err
	})
}
