package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/maodian-dev/maodian/internal/audience"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/store"
)

// scored is a lead rule ready to run.
type scored struct {
	model store.LeadModel
	rule  store.LeadRule
	match audience.Matcher
}

// install computes a view's hash (without its time of issue) and compiles its lead rules.
func install(v *store.View) (*installed, error) {
	plain := *v
	plain.IssuedAt = time.Time{}
	body, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("encode view: %w", err)
	}
	sum := sha256.Sum256(body)
	i := &installed{view: v, hash: hex.EncodeToString(sum[:])}
	for _, m := range v.LeadModels {
		rules, err := compile(m)
		if err != nil { // a model that makes no sense must not keep holds and notices out
			continue
		}
		i.rules = append(i.rules, rules...)
	}
	return i, nil
}

// compile makes a model's rules ready to run.
func compile(m store.LeadModel) ([]scored, error) {
	if err := m.Model.Validate(); err != nil {
		return nil, err
	}
	var out []scored
	for _, r := range m.Rules {
		match, err := audience.CompileMatch(r.Match)
		if err != nil {
			return nil, err
		}
		out = append(out, scored{m, r, match})
	}
	return out, nil
}

var tagKey = regexp.MustCompile(`^tag:([a-z0-9-]{1,32})$`)

// RecordEvent stores what a person did, once. It is on disk when the call returns.
func (l *Ledger) RecordEvent(patience context.Context, e store.Event) (store.Recorded, error) {
	if !recordable(e) {
		return store.Recorded{}, store.ErrInvalid
	}
	if e.Kind == kindRevoke || e.Kind == kindCancel { // the platform asks to delete, and repeats it until we say so
		r, err := l.Erase(patience, e.Account, e.Who, consent.Setting)
		return store.Recorded{Acknowledged: r.Acknowledged}, err
	}
	var id []byte
	var out store.Recorded
	var withdrawn []string
	// Only the acknowledgement is bounded by the caller's patience: an event that waits its turn
	// may be a withdrawal, and the platform repeats it three times only.
	ctx := context.WithoutCancel(patience)
	err := l.write.do(ctx, func(t *tx) (err error) {
		out, withdrawn = store.Recorded{}, nil
		if id, err = l.ensure(ctx, t, e.Account, e.Who); err != nil {
			return err
		}
		if out.Duplicate, err = l.happened(ctx, t, id, e); out.Duplicate || err != nil {
			return err
		}
		if withdrawn, err = l.apply(ctx, t, id, e); err != nil {
			return err
		}
		out.MayAsk, err = l.mayAsk(ctx, t, id, e.Kind)
		return err
	})
	if err != nil {
		return store.Recorded{}, err
	}
	// A keyword withdraws everything, so every live permit is waited for; also when the event
	// is a duplicate, or the second keyword: an earlier answer may not have been acknowledged.
	out.Acknowledged = (len(withdrawn) > 0 || e.Withdraw) && l.quiet(patience, id, nil)
	return out, nil
}

func recordable(e store.Event) bool {
	return len(e.Dedupe) == sha256.Size && !e.Who.IsZero() && len(e.Key) <= 1024 && e.Account != ""
}

// happened stores an event, and tells whether it was there.
func (l *Ledger) happened(ctx context.Context, t *tx, id []byte, e store.Event) (before bool, err error) {
	dedupe, err := l.hideDedupe(e)
	if err != nil {
		return false, err
	}
	const q = `INSERT INTO events (dedupe, subject_id, account, kind, key, at_ms, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dedupe) DO NOTHING`
	n, err := t.exec(ctx, q, dedupe, id, e.Account, e.Kind, e.Key, e.At.UnixMilli(), t.now.UnixMilli())
	return n == 0, err
}

// apply makes an event's effects: relation, grants, tags, points, withdrawal.
func (l *Ledger) apply(ctx context.Context, t *tx, id []byte, e store.Event) ([]string, error) {
	if err := errors.Join(t.tag(ctx, id, e), l.score(ctx, t, id, e), t.answers(ctx, id, e)); err != nil {
		return nil, err
	}
	switch e.Kind {
	case "subscribe":
		return nil, t.relate(ctx, id, e, true)
	case "unsubscribe":
		if err := t.relate(ctx, id, e, false); err != nil {
			return nil, err
		}
		if err := t.voidGrants(ctx, id, e.Account, ""); err != nil {
			return nil, err
		}
		return t.withdrawAll(ctx, id, e.Account, consent.Unfollow) // the platform asks to delete; a doubt is not resolved against the person
	}
	switch {
	case e.Withdraw && e.Kind == "CLICK":
		return t.withdrawAll(ctx, id, e.Account, consent.Menu)
	case e.Withdraw:
		return t.withdrawAll(ctx, id, e.Account, consent.Keyword)
	}
	return nil, nil
}

// tag adds the interest that a menu key of the form tag:<name> stands for.
func (t *tx) tag(ctx context.Context, id []byte, e store.Event) error {
	m := tagKey.FindStringSubmatch(e.Key)
	if e.Kind != "CLICK" || m == nil {
		return nil
	}
	_, err := t.exec(ctx, "INSERT INTO tags (subject_id, tag) VALUES (?, ?) ON CONFLICT DO NOTHING", id, m[1])
	return err
}

func (t *tx) answers(ctx context.Context, id []byte, e store.Event) error {
	for _, s := range e.Subscriptions {
		if err := t.answer(ctx, id, e, s); err != nil {
			return err
		}
	}
	return nil
}

// relate records following or leaving. Events may arrive out of order: the newer platform
// time wins, and on a tie leaving wins. Leaving is an opt-out; following again ends it.
func (t *tx) relate(ctx context.Context, id []byte, e store.Event, following bool) error {
	const q = `INSERT INTO relations (subject_id, account, following, opted_out, platform_ms) VALUES (?1, ?2, ?3, NOT ?3, ?4)
		ON CONFLICT (subject_id, account) DO UPDATE SET following = ?3, opted_out = NOT ?3, platform_ms = ?4
		WHERE ?4 > platform_ms OR (?4 = platform_ms AND NOT ?3)`
	n, err := t.exec(ctx, q, id, e.Account, following, e.At.UnixMilli())
	if err == nil && n > 0 {
		t.log("relation", id, map[string]any{"account": e.Account, "following": following})
	}
	return err
}

// answer counts subscription grants: one message each.
func (t *tx) answer(ctx context.Context, id []byte, e store.Event, s store.SubscriptionAnswer) error {
	var err error
	switch {
	case e.Kind == "subscribe_msg_popup_event" && s.Accepted: // refusing a pop-up takes nothing that was given before
		const q = `INSERT INTO grants (subject_id, account, template, remaining) VALUES (?, ?, ?, 1)
			ON CONFLICT (subject_id, account, template) DO UPDATE SET remaining = remaining + 1`
		_, err = t.exec(ctx, q, id, e.Account, s.TemplateID)
	case e.Kind == "subscribe_msg_change_event" && !s.Accepted:
		err = t.voidGrants(ctx, id, e.Account, s.TemplateID)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	t.log("grant", id, map[string]any{"account": e.Account, "template": s.TemplateID, "accepted": s.Accepted})
	return nil
}

// score gives points for an event by every rule of every model.
func (l *Ledger) score(ctx context.Context, t *tx, id []byte, e store.Event) error {
	in := l.view.Load()
	if in == nil {
		return nil
	}
	scene, key := "", ""
	if e.Kind == "subscribe" || e.Kind == "SCAN" {
		scene = e.Key
	} else {
		key = e.Key
	}
	for _, s := range in.rules {
		if !hits(s.rule.Event, e.Kind) || !s.match(scene, key) {
			continue
		}
		if err := t.points(ctx, id, s, e.At); err != nil {
			return err
		}
	}
	return nil
}

// hits compares a rule's event with an event's kind; "message" is any message of a person.
func hits(rule, kind string) bool {
	return rule == kind || (rule == "message" && kind == "text")
}

func (t *tx) points(ctx context.Context, id []byte, s scored, at time.Time) error {
	if at.After(t.now) {
		at = t.now // a platform clock ahead of ours earns nothing
	}
	if s.rule.MaxPerDay > 0 {
		const q = `INSERT INTO lead_daily (subject_id, model, rule, day, n) VALUES (?, ?, ?, ?, 1)
			ON CONFLICT (subject_id, model, rule, day) DO UPDATE SET n = n + 1 WHERE n < ?`
		n, err := t.exec(ctx, q, id, s.model.Name, s.rule.Name, day(at), s.rule.MaxPerDay)
		if err != nil || n == 0 {
			return err
		}
	}
	var cur lead.Score
	var ms int64
	err := t.QueryRowContext(ctx, "SELECT points, at_ms FROM lead_state WHERE subject_id = ? AND model = ?", id, s.model.Name).Scan(&cur.Points, &ms)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read points: %w", err)
	}
	cur.At = at
	if err == nil {
		cur.At = time.UnixMilli(ms)
	}
	next := s.model.Model.Add(cur, s.rule.Points, at)
	const q = `INSERT INTO lead_state (subject_id, model, points, at_ms) VALUES (?, ?, ?, ?)
		ON CONFLICT (subject_id, model) DO UPDATE SET points = excluded.points, at_ms = excluded.at_ms`
	_, err = t.exec(ctx, q, id, s.model.Name, next.Points, next.At.UnixMilli())
	return err
}

// shanghai is the zone by which law and platform count days and years; it has no summer time.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

func day(t time.Time) int64 { return (t.Unix() + 8*60*60) / (24 * 60 * 60) }

func year(t time.Time) int { return t.In(shanghai).Year() }
