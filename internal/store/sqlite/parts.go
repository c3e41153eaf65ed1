package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

const (
	// maxPart bounds the people of a part: what a Job holds in memory, and how long other
	// writers wait for the transaction that counts them.
	maxPart = 2000
	// lookMost bounds how many people one transaction looks at to find those of a part.
	lookMost = 10 * maxPart
)

// LeasePart leases the next part of a started transfer, or once more the one whose lease has
// run out unreported. Everything is decided anew in the transaction that counts the people:
// no part exists that a fact on disk forbids, and nobody leaves who is not counted and
// logged (promises P3, P4).
func (l *Ledger) LeasePart(ctx context.Context, id string, limit int) (store.LeasedPart, error) {
	for {
		var p parting
		err := l.write.do(ctx, func(t *tx) (err error) {
			p, err = l.leasePart(ctx, t, id, max(1, min(limit, maxPart)))
			return err
		})
		if err != nil {
			return store.LeasedPart{}, err
		}
		if !p.more {
			return l.render(p)
		}
	}
}

// parting is a transfer at the point of leaving, as one transaction sees it.
type parting struct {
	spec      store.TransferSpec
	model     store.LeadModel
	started   time.Time
	persons   int64 // leased so far
	young     int64 // of them and of those picked, children
	cursor    []byte
	tier      string
	processor string
	at        time.Time

	people []candidate
	more   bool // nobody was found among those looked at, and there are others
	store.LeasedPart
}

// candidate is a person of a part with what a row is made of.
type candidate struct {
	person
	score lead.Score
	tags  string
	why   reason.Code // stands in the way; AllChecksPassed: nothing
	gone  bool        // erased
}

func (l *Ledger) leasePart(ctx context.Context, t *tx, id string, limit int) (p parting, err error) {
	if p, err = t.parting(ctx, id); err != nil {
		return p, err
	}
	v, err := l.policyView() // of this very moment: a hold may have come while the call waited
	if err != nil {
		return p, err
	}
	if p.Stopped, err = t.decideAgain(ctx, v, &p); p.Stopped != "" || err != nil {
		return p, err
	}
	p.model, _ = v.LeadModel(p.spec.LeadModel)
	p.Life = l.cfg.PermitLife
	var deadline int64
	const q = "SELECT part, lease, deadline_ms FROM transfer_parts WHERE transfer_id = ? AND state = 'Leased'"
	err = t.QueryRowContext(ctx, q, id).Scan(&p.Part, &p.Lease, &deadline)
	// Who holds a lease may still be writing, and would write over what comes after.
	wait := time.UnixMilli(deadline).Add(skew).Sub(t.now)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = l.leaseNext(ctx, t, v, &p, limit)
	case err != nil:
		err = fmt.Errorf("read part: %w", err)
	case wait > 0:
		p.Wait, p.Lease = wait, 0
	default:
		p.Lease++
		err = l.leaseAgain(ctx, t, v, &p)
	}
	return p, err
}

// parting reads a started transfer.
func (t *tx) parting(ctx context.Context, id string) (parting, error) {
	p := parting{at: t.now}
	s, cur, err := loadTransfer(ctx, t, id)
	if err != nil {
		return p, err
	}
	if len(s.Aggregates) > 0 { // counts leave; nobody's row does
		return p, store.ErrTransferKind
	}
	if cur.State != store.TransferStarted {
		return p, store.ErrTransferState
	}
	p.spec, p.persons, p.started = s, cur.Persons, cur.Started
	if err := t.QueryRowContext(ctx, "SELECT cursor, young FROM transfers WHERE id = ?", id).Scan(&p.cursor, &p.young); err != nil {
		return p, fmt.Errorf("read transfer: %w", err)
	}
	return p, nil
}

// decideAgain names the reason for which nothing more may leave, if any.
func (t *tx) decideAgain(ctx context.Context, v *store.View, p *parting) (reason.Code, error) {
	if !v.Fresh(t.now) {
		return reason.PolicyStale, nil
	}
	p.processor = v.Policy.Processor
	facts, err := t.facts(ctx, v, p.spec)
	if err != nil {
		return "", err
	}
	facts.People = &transfer.People{Included: max(1, p.young), Young: p.young}
	d := transfer.Decide(facts)
	if !d.Allowed() {
		return d.Public()[0].Code, nil
	}
	p.tier = d.Mechanism
	return "", nil
}

// leaseNext leases the people who come after those of the parts before.
func (l *Ledger) leaseNext(ctx context.Context, t *tx, v *store.View, p *parting, limit int) error {
	room := min(int64(limit), p.spec.MaxPersons-p.persons)
	if room <= 0 {
		p.Done = true
		return t.advance(ctx, p, 0)
	}
	after := p.cursor
	p.Lease = 1
	looked, err := l.pick(ctx, t, v, p, int(room))
	if err != nil {
		return err
	}
	before := p.young
	for _, x := range p.people {
		if x.young {
			p.young++
		}
	}
	if p.young > before { // children among them may change what is asked for
		if p.Stopped, err = t.decideAgain(ctx, v, p); p.Stopped != "" || err != nil {
			p.people = nil
			return err
		}
	}
	if len(p.people) == 0 {
		p.more, p.Done = looked == lookMost, looked < lookMost
		return t.advance(ctx, p, 0)
	}
	if err := t.QueryRowContext(ctx, "SELECT count(*) FROM transfer_parts WHERE transfer_id = ?", p.spec.ID).Scan(&p.Part); err != nil {
		return fmt.Errorf("read parts: %w", err)
	}
	newly, moved, err := l.enroll(ctx, t, v, p)
	if err != nil {
		return err
	}
	const q = `INSERT INTO transfer_parts (transfer_id, part, state, deadline_ms, after, people, processor, year, newly_plain, newly_sensitive) VALUES (?, ?, 'Leased', ?, ?, ?, ?, ?, ?, ?)`
	_, err = t.exec(ctx, q, p.spec.ID, p.Part, t.now.Add(p.Life).UnixMilli(), after, len(p.people), p.processor, year(t.now), moved[0], moved[1])
	if err != nil {
		return err
	}
	t.log("transfer part", nil, map[string]any{"transfer": p.spec.ID, "part": p.Part, "people": len(p.people)})
	return t.advance(ctx, p, newly)
}

// advance moves the cursor past those who were looked at, adds up, and notes whether anybody
// is left.
func (t *tx) advance(ctx context.Context, p *parting, newly int64) error {
	const q = "UPDATE transfers SET cursor = ?, persons = persons + ?, newly = newly + ?, young = ?, done = ? WHERE id = ?"
	_, err := t.exec(ctx, q, p.cursor, len(p.people), newly, p.young, p.Done, p.spec.ID)
	return err
}

// rowColumns are what a row is made of beside the person.
const rowColumns = `COALESCE(l.points, 0), COALESCE(l.at_ms, 0), (SELECT json_group_array(tag) FROM (SELECT tag FROM tags g WHERE g.subject_id = s.id ORDER BY tag))`

// pick takes the next people who may be included, and tells at how many it has looked.
func (l *Ledger) pick(ctx context.Context, t *tx, v *store.View, p *parting, room int) (looked int, err error) {
	const q = `SELECT s.id, ` + personColumns + `, ` + stateColumns + `, ` + rowColumns + `, s.wrapped IS NULL
		FROM consent_state c INDEXED BY consent_state_by_purpose CROSS JOIN subjects s ON s.id = c.subject_id
		LEFT JOIN lead_state l ON l.subject_id = s.id AND l.model = ?
		WHERE c.purpose = ? AND c.recipient = ? AND c.action = 'Given' AND c.subject_id > ? ORDER BY c.subject_id LIMIT ?`
	rows, err := t.QueryContext(ctx, q, p.model.Name, p.spec.Purpose, p.spec.Recipient, p.cursor, lookMost)
	if err != nil {
		return 0, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	for len(p.people) < room && rows.Next() {
		c, err := p.candidate(rows, v)
		if err != nil {
			return looked, err
		}
		looked, p.cursor = looked+1, c.id
		if c.why == reason.AllChecksPassed && !c.gone {
			p.people = append(p.people, c)
		}
	}
	return looked, rows.Err()
}

// candidate reads a person, and decides: the consent stands now, and is older than the
// transfer.
func (p *parting) candidate(rows *sql.Rows, v *store.View) (candidate, error) {
	rules, told := v.Rules(p.spec.Purpose, p.spec.Recipient)
	if !told {
		return candidate{}, store.ErrNoticeIncomplete
	}
	var c candidate
	var ms int64
	var err error
	c.person, c.why, err = decidePerson(rows, rules, p.at, &c.score.Points, &ms, &c.tags, &c.gone)
	c.score.At = time.UnixMilli(ms)
	if c.why == reason.AllChecksPassed && !c.at.Before(p.started) {
		c.why = reason.ConsentNotPrior
	}
	return c, err
}

// enroll notes everybody of a new part: in the transfer, in the year's counters, once, and in
// the log. It returns how many people the year had not counted before, and by how much each
// counter moved.
func (l *Ledger) enroll(ctx context.Context, t *tx, v *store.View, p *parting) (newly int64, moved [2]int64, err error) {
	rows := make([]any, 0, 5*len(p.people))
	for _, x := range p.people {
		rows = append(rows, p.spec.ID, x.id, x.at.UnixMilli(), x.revision, p.Part)
		t.log("transfer person", x.id, personEntry{
			Consent: x.at.UnixMilli(), Mechanism: p.spec.Mechanism, Part: p.Part, Purpose: p.spec.Purpose, Recipient: p.spec.Recipient,
			Revision: x.revision, Rules: v.Policy.RulePack, Tier: p.tier, Transfer: p.spec.ID,
		})
	}
	const row = "INSERT INTO transfer_rows (transfer_id, subject_id, consent_ms, revision, part) VALUES %s ON CONFLICT DO UPDATE SET consent_ms = excluded.consent_ms, revision = excluded.revision, part = excluded.part"
	if _, err := insertAll(ctx, t.Tx, row, 5, rows); err != nil {
		return 0, moved, err
	}
	return l.countPart(ctx, t, v, p)
}

// personEntry is the log's entry about a person in a part.
type personEntry struct {
	Consent   int64  `json:"consent"`
	Mechanism string `json:"mechanism"`
	Part      int64  `json:"part"`
	Purpose   string `json:"purpose"`
	Recipient string `json:"recipient"`
	Revision  int64  `json:"revision"`
	Rules     string `json:"rules"`
	Tier      string `json:"tier"`
	Transfer  string `json:"transfer"`
}

// leaseAgain leases a part whose lease has run out: the same people, without those who may
// no longer be included. What was counted stays counted, since it may have left.
func (l *Ledger) leaseAgain(ctx context.Context, t *tx, v *store.View, p *parting) error {
	const q = `SELECT s.id, ` + personColumns + `, ` + stateColumns + `, ` + rowColumns + `, s.wrapped IS NULL
		FROM transfer_rows x CROSS JOIN subjects s ON s.id = x.subject_id
		LEFT JOIN consent_state c ON c.subject_id = s.id AND c.purpose = ?1 AND c.recipient = ?2
		LEFT JOIN lead_state l ON l.subject_id = s.id AND l.model = ?3
		WHERE x.transfer_id = ?4 AND x.part = ?5 AND x.dropped = 0
		AND x.subject_id > (SELECT after FROM transfer_parts WHERE transfer_id = ?4 AND part = ?5) ORDER BY x.subject_id`
	rows, err := t.QueryContext(ctx, q, p.spec.Purpose, p.spec.Recipient, p.model.Name, p.spec.ID, p.Part)
	if err != nil {
		return fmt.Errorf("read part: %w", err)
	}
	defer rows.Close()
	var out []candidate
	for rows.Next() {
		c, err := p.candidate(rows, v)
		if err != nil {
			return err
		}
		if c.why == reason.AllChecksPassed && !c.gone {
			p.people = append(p.people, c)
			continue
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read part: %w", err)
	}
	for _, c := range out {
		if err := t.drop(ctx, p, c); err != nil {
			return err
		}
	}
	t.log("transfer part", nil, map[string]any{"transfer": p.spec.ID, "part": p.Part, "people": len(p.people), "again": true})
	const lease = "UPDATE transfer_parts SET lease = ?, deadline_ms = ?, people = ? WHERE transfer_id = ? AND part = ?"
	_, err = t.exec(ctx, lease, p.Lease, t.now.Add(p.Life).UnixMilli(), len(p.people), p.spec.ID, p.Part)
	return err
}

// drop leaves a person out of a part.
func (t *tx) drop(ctx context.Context, p *parting, c candidate) error {
	about := c.id
	if c.gone {
		about = nil // nothing is written any more about somebody who was erased
	}
	t.log("transfer person left out", about, map[string]any{"transfer": p.spec.ID, "part": p.Part, "reason": c.why})
	_, err := t.exec(ctx, "UPDATE transfer_rows SET dropped = 1 WHERE transfer_id = ? AND subject_id = ?", p.spec.ID, c.id)
	return err
}

// render makes the rows of a part. It needs no transaction.
func (l *Ledger) render(p parting) (store.LeasedPart, error) {
	for _, c := range p.people {
		row, err := l.row(p.spec, p.model, c.id, p.model.Model.Decay(c.score, p.at), c.tags)
		if err != nil {
			return store.LeasedPart{}, err
		}
		p.Rows = append(p.Rows, row)
	}
	return p.LeasedPart, nil
}

// ReportPart notes that a part is written. A second report of the same changes nothing.
func (l *Ledger) ReportPart(ctx context.Context, id string, lease int64, p store.Part) error {
	if err := reportable(p); err != nil {
		return err
	}
	err := l.write.do(ctx, func(t *tx) error {
		var had store.Part
		var state, transferState string
		var now, deadline, people int64
		const q = `SELECT p.part, p.state, p.lease, p.deadline_ms, p.people, p.object, p.sha256, p.rows, p.bytes, t.state
			FROM transfer_parts p JOIN transfers t ON t.id = p.transfer_id WHERE p.transfer_id = ? AND p.part = ?`
		err := t.QueryRowContext(ctx, q, id, p.Number).Scan(&had.Number, &state, &now, &deadline, &people, &had.Object, &had.SHA256, &had.Rows, &had.Bytes, &transferState)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return store.ErrPartUnknown
		case err != nil:
			return fmt.Errorf("read part: %w", err)
		case state == "Written" && had == p:
			return nil
		case lease != now:
			return store.ErrLeaseOver
		case state == "Written" || p.Rows != people:
			return store.ErrPartConflict
		case transferState != store.TransferStarted:
			return store.ErrTransferState
		case t.now.UnixMilli() > deadline:
			return store.ErrLeaseOver
		}
		t.log("transfer part written", nil, map[string]any{"transfer": id, "part": p.Number, "object": p.Object, "sha256": p.SHA256, "rows": p.Rows, "bytes": p.Bytes})
		const set = "UPDATE transfer_parts SET state = 'Written', object = ?, sha256 = ?, rows = ?, bytes = ? WHERE transfer_id = ? AND part = ?"
		_, err = t.exec(ctx, set, p.Object, p.SHA256, p.Rows, p.Bytes, id, p.Number)
		return err
	})
	if err == nil {
		l.news.fire()
	}
	return err
}

// maxObject bounds the name of an object.
const maxObject = 1024

func reportable(p store.Part) error {
	written := p.Object != "" && len(p.Object) <= maxObject && len(p.SHA256) == 64 && p.Bytes > 0
	if (p.Rows > 0 && written) || (p.Rows == 0 && p == store.Part{Number: p.Number}) {
		return nil
	}
	return store.ErrInvalid
}

// Parts lists what is written.
func (l *Ledger) Parts(ctx context.Context, id string) ([]store.Part, error) {
	rows, err := l.read.QueryContext(ctx, "SELECT part, object, sha256, rows, bytes FROM transfer_parts WHERE transfer_id = ? AND state = 'Written' ORDER BY part", id)
	if err != nil {
		return nil, fmt.Errorf("read parts: %w", err)
	}
	defer rows.Close()
	var out []store.Part
	for rows.Next() {
		var p store.Part
		if err := rows.Scan(&p.Number, &p.Object, &p.SHA256, &p.Rows, &p.Bytes); err != nil {
			return nil, fmt.Errorf("read parts: %w", err)
		}
		out = append(out, p)
	}
	return out, rows.Err()
}
