package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/audience"
	"github.com/maodian-dev/maodian/internal/domain/campaign"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/store"
)

// planChunk is how many people one transaction of a plan decides on; between two, others
// write. A crash goes on after the last chunk.
const planChunk = 2000

// factColumns is what a candidate's decision needs, in scanCandidate's order. Its joins
// take the arguments of factArgs.
const (
	factColumns = `s.id, ` + personColumns + `, ` + stateColumns + `,
		COALESCE(r.following, 0), COALESCE(r.opted_out, 0), COALESCE(g.remaining, 0),
		(SELECT count(*) FROM sends x WHERE x.subject_id = s.id AND x.at_ms > ?)`
	factJoins = `JOIN identities i ON i.subject_id = s.id AND i.kind = 'openid' AND i.scope = ?
		LEFT JOIN consent_state c ON c.subject_id = s.id AND c.purpose = ? AND c.recipient = ''
		LEFT JOIN relations r ON r.subject_id = s.id AND r.account = ?
		LEFT JOIN grants g ON g.subject_id = s.id AND g.account = ? AND g.template = ?`
)

// capSince is the beginning of the days that count towards the frequency cap.
func capSince(s store.RunSpec, now time.Time) int64 { return now.AddDate(0, 0, -s.CapDays).UnixMilli() }

func joinArgs(s store.RunSpec) []any {
	return []any{s.Account, s.Purpose, s.Account, s.Account, s.TemplateID}
}

func scanCandidate(rows *sql.Rows, id *[]byte, c *store.Candidate, more ...any) error {
	var st stateRow
	dst := append([]any{id, &c.Person.Age, &c.Person.Guardian, &c.Person.GuardianRevision}, st.into()...)
	dst = append(dst, &c.Following, &c.Person.OptedOut, &c.Grants, &c.Recent)
	if err := rows.Scan(append(dst, more...)...); err != nil {
		return fmt.Errorf("read candidate: %w", err)
	}
	c.State = st.state()
	return nil
}

// SizeAudience counts the people whom the expression matches.
func (l *Ledger) SizeAudience(ctx context.Context, expression, leadModel string) (int64, error) {
	cond, model, err := l.condition(expression, leadModel, l.cfg.Clock())
	if err != nil {
		return 0, err
	}
	q := "SELECT count(*) FROM subjects s LEFT JOIN lead_state l ON l.subject_id = s.id AND l.model = ? WHERE s.wrapped IS NOT NULL AND (" + cond.SQL + ")"
	var n int64
	if err := l.read.QueryRowContext(ctx, q, append([]any{model}, cond.Args...)...).Scan(&n); err != nil {
		return 0, fmt.Errorf("size audience: %w", err)
	}
	return n, nil
}

func (l *Ledger) condition(expression, leadModel string, now time.Time) (audience.Condition, string, error) {
	v, err := l.policyView()
	if err != nil {
		return audience.Condition{}, "", err
	}
	m, ok := v.LeadModel(leadModel)
	if !ok && leadModel != "" {
		return audience.Condition{}, "", &store.Error{Word: store.ErrAudience.Word, Message: "the lead model is not known to the store"}
	}
	if _, err := compile(m); ok && err != nil {
		return audience.Condition{}, "", &store.Error{Word: store.ErrAudience.Word, Message: "the lead model cannot be used: " + err.Error()}
	}
	cond, err := audience.Compile(expression, m.Model, now)
	if err != nil {
		return cond, "", &store.Error{Word: store.ErrAudience.Word, Message: err.Error()}
	}
	return cond, m.Name, nil
}

// PlanRun decides for everyone in the account whether the run sends to them, and keeps one
// reason for everyone it does not. Called again, it goes on where it was, or returns the plan.
func (l *Ledger) PlanRun(ctx context.Context, s store.RunSpec) (store.Run, error) {
	if s.ID == "" || s.Shards < 1 || s.Account == "" {
		return store.Run{}, store.ErrInvalid
	}
	if _, err := campaign.NewSchedule(s.NotBefore, s.NotAfter, s.Zone, s.Start, s.End); err != nil {
		return store.Run{}, &store.Error{Word: "ScheduleInvalid", Message: err.Error()}
	}
	// What cannot be planned leaves no trace: its spec may still be corrected.
	if _, _, err := l.condition(s.Expression, s.LeadModel, l.cfg.Clock()); err != nil {
		return store.Run{}, err
	}
	if _, told := l.View().Rules(s.Purpose, ""); !told {
		return store.Run{}, store.ErrNoticeIncomplete
	}
	began, err := l.beginPlan(ctx, s)
	if err != nil {
		return store.Run{}, err
	}
	cond, model, err := l.condition(s.Expression, s.LeadModel, began)
	if err != nil {
		return store.Run{}, err
	}
	for done := false; !done; {
		err := l.write.do(ctx, func(t *tx) (err error) {
			done, err = l.planChunk(ctx, t, s, cond, model)
			return err
		})
		if err != nil {
			return store.Run{}, err
		}
	}
	return l.Run(ctx, s.ID)
}

// beginPlan records the run before anything is decided, and returns when planning began.
func (l *Ledger) beginPlan(ctx context.Context, s store.RunSpec) (time.Time, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("encode run: %w", err)
	}
	var began int64
	err = l.write.do(ctx, func(t *tx) error {
		var had string
		err := t.QueryRowContext(ctx, "SELECT spec, planned_ms FROM runs WHERE id = ?", s.ID).Scan(&had, &began)
		switch {
		case err == nil && had != string(body):
			return store.ErrRunConflict
		case err == nil:
			return nil
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("read run: %w", err)
		}
		began = t.now.UnixMilli()
		t.log("run", nil, map[string]any{"run": s.ID, "campaign": s.Campaign, "purpose": s.Purpose, "spec": string(body)})
		_, err = t.exec(ctx, "INSERT INTO runs (id, spec, state, planned_ms) VALUES (?, ?, 'Planning', ?)", s.ID, string(body), began)
		return err
	})
	return time.UnixMilli(began), err
}

type planned struct {
	id    []byte
	state string
	code  reason.Code
	in    bool
}

func (l *Ledger) planChunk(ctx context.Context, t *tx, s store.RunSpec, cond audience.Condition, model string) (done bool, err error) {
	rules, ok := l.View().Rules(s.Purpose, "")
	if !ok {
		return false, store.ErrNoticeIncomplete
	}
	var cursor []byte
	var state string
	if err := t.QueryRowContext(ctx, "SELECT COALESCE(cursor, x'00'), state FROM runs WHERE id = ?", s.ID).Scan(&cursor, &state); err != nil {
		return false, fmt.Errorf("read run: %w", err)
	}
	if state == "Planned" {
		return true, nil
	}
	people, err := l.decidePage(ctx, t, s, rules, cond, model, cursor)
	if err != nil {
		return false, err
	}
	members, err := t.plan(ctx, s, people)
	if err != nil {
		return false, err
	}
	next := "Planning"
	if len(people) < planChunk {
		next = "Planned"
		t.log("planned", nil, map[string]any{"run": s.ID})
	} else {
		cursor = people[len(people)-1].id
	}
	_, err = t.exec(ctx, "UPDATE runs SET state = ?, cursor = ?, audience = audience + ? WHERE id = ?", next, cursor, members, s.ID)
	return next == "Planned", err
}

func (l *Ledger) decidePage(ctx context.Context, t *tx, s store.RunSpec, rules consent.Rules, cond audience.Condition, model string, cursor []byte) ([]planned, error) {
	q := "SELECT " + factColumns + ", (" + cond.SQL + ") FROM subjects s " + factJoins +
		" LEFT JOIN lead_state l ON l.subject_id = s.id AND l.model = ? WHERE s.id > ? AND s.wrapped IS NOT NULL ORDER BY s.id LIMIT ?"
	args := append([]any{capSince(s, t.now)}, cond.Args...)
	args = append(args, joinArgs(s)...)
	rows, err := t.QueryContext(ctx, q, append(args, model, cursor, planChunk)...)
	if err != nil {
		return nil, fmt.Errorf("plan run: %w", err)
	}
	defer rows.Close()
	var out []planned
	for rows.Next() {
		var p planned
		var c store.Candidate
		if err := scanCandidate(rows, &p.id, &c, &c.InAudience); err != nil {
			return nil, err
		}
		p.in, p.state = c.InAudience, "excluded"
		if p.code = s.Admit(c, rules, t.now); p.code == reason.AllChecksPassed {
			p.state, p.code = "pending", ""
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

func (t *tx) plan(ctx context.Context, s store.RunSpec, people []planned) (members int64, err error) {
	st, err := t.PrepareContext(ctx, "INSERT INTO deliveries (run_id, subject_id, shard, state, reason) VALUES (?, ?, ?, ?, ?)")
	if err != nil {
		return 0, fmt.Errorf("plan run: %w", err)
	}
	defer st.Close()
	for _, p := range people {
		if p.in {
			members++
		}
		shard := int(binary.BigEndian.Uint32(p.id)) % s.Shards
		if _, err := st.ExecContext(ctx, s.ID, p.id, shard, p.state, string(p.code)); err != nil {
			return 0, fmt.Errorf("plan run: %w", err)
		}
	}
	return members, nil
}

// Run counts a run's people by outcome. Permits that ran out unreported become unknown here too.
func (l *Ledger) Run(ctx context.Context, id string) (store.Run, error) {
	var overdue int
	limit := l.cfg.Clock().Add(-flight).UnixMilli()
	const q = "SELECT count(*) FROM deliveries WHERE run_id = ? AND state = 'leased' AND deadline_ms < ?"
	if err := l.read.QueryRowContext(ctx, q, id, limit).Scan(&overdue); err != nil {
		return store.Run{}, fmt.Errorf("read run: %w", err)
	}
	if overdue > 0 {
		if err := l.write.do(ctx, func(t *tx) error { return t.expire(ctx, id) }); err != nil {
			return store.Run{}, err
		}
	}
	r := store.Run{ID: id, Excluded: map[reason.Code]int64{}}
	var state string
	err := l.read.QueryRowContext(ctx, "SELECT audience, state FROM runs WHERE id = ?", id).Scan(&r.Audience, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return r, store.ErrRunUnknown
	}
	if err != nil {
		return r, fmt.Errorf("read run: %w", err)
	}
	if err := l.count(ctx, &r); err != nil {
		return r, err
	}
	r.Finished = state == "Planned" && r.Pending == 0
	return r, nil
}

func (l *Ledger) count(ctx context.Context, r *store.Run) error {
	rows, err := l.read.QueryContext(ctx, "SELECT state, reason, count(*) FROM deliveries WHERE run_id = ? GROUP BY state, reason", r.ID)
	if err != nil {
		return fmt.Errorf("count run: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var state string
		var code reason.Code
		var n int64
		if err := rows.Scan(&state, &code, &n); err != nil {
			return fmt.Errorf("count run: %w", err)
		}
		if state == "excluded" {
			r.Excluded[code] += n
			continue
		}
		r.Eligible += n
		switch state {
		case "sent":
			r.Sent += n
		case "refused":
			r.Refused += n
		case "failed":
			r.Failed += n
		case "unknown":
			r.Unknown += n
		default:
			r.Pending += n
		}
	}
	return rows.Err()
}
