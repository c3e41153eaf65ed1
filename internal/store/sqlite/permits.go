package sqlite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/campaign"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

const (
	maxLease = 2000
	// heldWait is how soon a worker asks again while a hold or the schedule keeps it back; a
	// SendHold must bite, and end, within 2 s.
	heldWait = time.Second
	// shortest is the least life of a permit: a worker with less left does not begin a request.
	shortest = 5 * time.Second
)

// Lease hands out permits of one shard. Consent, age, caps, window, holds and the
// account's budget are checked in the transaction that claims the delivery, so that no
// permit exists that a fact on disk forbids (promises P4, P5).
func (l *Ledger) Lease(ctx context.Context, run string, shard, limit int) (store.Leased, error) {
	var out store.Leased
	err := l.write.do(ctx, func(t *tx) error {
		v, err := l.policyView() // of this very moment: a hold may have come while the call waited
		if err != nil {
			return err
		}
		s, err := t.spec(ctx, run)
		if err != nil {
			return err
		}
		rules, ok := v.Rules(s.Purpose, "")
		if !ok {
			return store.ErrNoticeIncomplete
		}
		if err := t.expire(ctx, run); err != nil {
			return err
		}
		out = store.Leased{}
		sched, err := campaign.NewSchedule(s.NotBefore, s.NotAfter, s.Zone, s.Start, s.End)
		if err != nil {
			return err
		}
		life, late := permitLife(l.cfg.PermitLife, sched.Ends(t.now), t.now)
		switch phase := sched.At(t.now); {
		case phase == campaign.Closed:
			if err := t.closeRun(ctx, run); err != nil {
				return err
			}
		case v.Held(s.Campaign, s.Account):
			out.State, out.Wait = store.LeaseHeld, heldWait
			return nil
		case phase == campaign.Early || (phase == campaign.Open && late):
			out.State, out.Wait = store.LeaseEarly, heldWait
			return nil
		}
		out, err = l.claim(ctx, t, offer{s, rules, shard, life}, max(1, min(limit, maxLease)))
		return err
	})
	return out, err
}

// permitLife bounds a permit's life by the end of the schedule (zero: none), after which
// nothing is sent, and tells whether it is too late to begin a request before it.
func permitLife(most time.Duration, end, now time.Time) (life time.Duration, late bool) {
	if end.IsZero() {
		return most, false
	}
	return min(most, end.Sub(now)), end.Sub(now) < shortest
}

// offer is what permits are made of.
type offer struct {
	store.RunSpec
	rules consent.Rules
	shard int
	life  time.Duration
}

func (t *tx) spec(ctx context.Context, run string) (store.RunSpec, error) {
	var s store.RunSpec
	var body, state string
	err := t.QueryRowContext(ctx, "SELECT spec, state FROM runs WHERE id = ?", run).Scan(&body, &state)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && state != "Planned") {
		return s, store.ErrRunUnknown
	}
	if err != nil {
		return s, fmt.Errorf("read run: %w", err)
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return s, store.ErrCorrupt
	}
	return s, nil
}

// expire turns permits that ran out unreported into unknown: whether a message left cannot
// be told, so it is not sent again.
func (t *tx) expire(ctx context.Context, run string) error {
	const q = "UPDATE deliveries SET state = 'unknown' WHERE run_id = ? AND state = 'leased' AND deadline_ms < ?"
	n, err := t.exec(ctx, q, run, t.now.Add(-flight).UnixMilli())
	if err == nil && n > 0 {
		t.log("expired", nil, map[string]any{"run": run, "permits": n})
	}
	return err
}

// closeRun ends what the schedule no longer allows.
func (t *tx) closeRun(ctx context.Context, run string) error {
	n, err := t.exec(ctx, "UPDATE deliveries SET state = 'refused', reason = ? WHERE run_id = ? AND state = 'pending'", string(reason.OutsideWindow), run)
	if err == nil && n > 0 {
		t.log("closed", nil, map[string]any{"run": run, "deliveries": n})
	}
	return err
}

// claim takes from the budget, leases what still passes, and gives back what was not used.
func (l *Ledger) claim(ctx context.Context, t *tx, o offer, limit int) (store.Leased, error) {
	budget, err := t.budget(ctx, o.Account)
	if err != nil {
		return store.Leased{}, err
	}
	budget, allowed := budget.Take(float64(o.PerSecond), limit, t.now)
	out := store.Leased{State: store.LeaseOpen, Life: o.life}
	if allowed > 0 {
		if out.Permits, err = l.grant(ctx, t, o, allowed); err != nil {
			return out, err
		}
		budget.Tokens += float64(allowed - len(out.Permits))
	} else {
		out.Wait = max(20*time.Millisecond, time.Second/time.Duration(max(1, o.PerSecond)))
	}
	if err := t.keepBudget(ctx, o.Account, budget); err != nil {
		return out, err
	}
	if len(out.Permits) > 0 || allowed == 0 {
		return out, nil
	}
	return t.idle(ctx, o.ID, o.shard)
}

// idle tells a worker that found nothing whether the shard is done, or others are still out.
func (t *tx) idle(ctx context.Context, run string, shard int) (store.Leased, error) {
	var open int
	const q = "SELECT count(*) FROM deliveries WHERE run_id = ? AND shard = ? AND state IN ('pending', 'leased')"
	if err := t.QueryRowContext(ctx, q, run, shard).Scan(&open); err != nil {
		return store.Leased{}, fmt.Errorf("read deliveries: %w", err)
	}
	if open == 0 {
		return store.Leased{State: store.LeaseFinished}, nil
	}
	return store.Leased{State: store.LeaseOpen, Wait: heldWait / 2}, nil
}

type waiting struct {
	id, sealed, wrapped []byte
	cand                store.Candidate
}

// grant leases up to n deliveries; those that no longer pass are refused with the reason.
func (l *Ledger) grant(ctx context.Context, t *tx, o offer, n int) ([]store.Permit, error) {
	var permits []store.Permit
	digest := sha256.New()
	for len(permits) < n {
		page, err := t.waiting(ctx, o.RunSpec, o.shard, n-len(permits))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, w := range page {
			code := o.Admit(w.cand, o.rules, t.now)
			if code != reason.AllChecksPassed {
				const q = "UPDATE deliveries SET state = 'refused', reason = ? WHERE run_id = ? AND subject_id = ?"
				if _, err := t.exec(ctx, q, string(code), o.ID, w.id); err != nil {
					return nil, err
				}
				continue
			}
			p, err := l.lease(ctx, t, o, w)
			if err != nil {
				return nil, err
			}
			permits = append(permits, p)
			_, _ = fmt.Fprintf(digest, "%x|%s\n", w.id, p.ID)
		}
	}
	if len(permits) > 0 {
		t.log("lease", nil, map[string]any{"run": o.ID, "shard": o.shard, "permits": len(permits), "digest": hex.EncodeToString(digest.Sum(nil))})
	}
	return permits, nil
}

func (t *tx) waiting(ctx context.Context, s store.RunSpec, shard, n int) ([]waiting, error) {
	q := "SELECT " + factColumns + ", i.sealed, s.wrapped FROM deliveries d JOIN subjects s ON s.id = d.subject_id " + factJoins +
		" WHERE d.run_id = ? AND d.shard = ? AND d.state = 'pending' AND s.wrapped IS NOT NULL ORDER BY d.subject_id LIMIT ?"
	args := append([]any{capSince(s, t.now)}, joinArgs(s)...)
	rows, err := t.QueryContext(ctx, q, append(args, s.ID, shard, n)...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	var out []waiting
	for rows.Next() {
		w := waiting{cand: store.Candidate{InAudience: true}}
		if err := scanCandidate(rows, &w.id, &w.cand, &w.sealed, &w.wrapped); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// lease makes one permit: intent on disk before the request.
func (l *Ledger) lease(ctx context.Context, t *tx, o offer, w waiting) (store.Permit, error) {
	who, err := l.openIDOf(w.id, w.wrapped, w.sealed)
	if err != nil {
		return store.Permit{}, err
	}
	permit := make([]byte, 16)
	if _, err := rand.Read(permit); err != nil {
		return store.Permit{}, fmt.Errorf("draw permit: %w", err)
	}
	deadline := t.now.Add(o.life)
	const q = "UPDATE deliveries SET state = 'leased', permit = ?, deadline_ms = ? WHERE run_id = ? AND subject_id = ?"
	if _, err := t.exec(ctx, q, permit, deadline.UnixMilli(), o.ID, w.id); err != nil {
		return store.Permit{}, err
	}
	const counted = "INSERT INTO sends (subject_id, run_id, at_ms) VALUES (?, ?, ?) ON CONFLICT (subject_id, run_id) DO UPDATE SET at_ms = excluded.at_ms"
	if _, err := t.exec(ctx, counted, w.id, o.ID, t.now.UnixMilli()); err != nil {
		return store.Permit{}, err
	}
	if o.Channel == "Subscription" {
		if err := t.useGrant(ctx, o.RunSpec, w.id); err != nil {
			return store.Permit{}, err
		}
	}
	key := l.cfg.Ring.Commit("idempotency "+o.ID, w.id)
	return store.Permit{ID: hex.EncodeToString(permit), Who: who, Deadline: deadline, Key: hex.EncodeToString(key[:])}, nil
}

// useGrant takes one of a person's subscription grants.
func (t *tx) useGrant(ctx context.Context, s store.RunSpec, id []byte) error {
	const q = "UPDATE grants SET remaining = max(0, remaining - 1) WHERE subject_id = ? AND account = ? AND template = ?"
	_, err := t.exec(ctx, q, id, s.Account, s.TemplateID)
	return err
}

// returnGrant gives the grant of an unsent message back, unless the person, or the platform,
// has voided it since the lease.
func (t *tx) returnGrant(ctx context.Context, s store.RunSpec, id []byte) error {
	const q = `UPDATE grants SET remaining = remaining + 1 WHERE subject_id = ?1 AND account = ?2 AND template = ?3
		AND voided_ms < (SELECT at_ms FROM sends WHERE subject_id = ?1 AND run_id = ?4)`
	_, err := t.exec(ctx, q, id, s.Account, s.TemplateID, s.ID)
	return err
}

// voidGrants ends a person's grants for a template, or for all with an empty one.
func (t *tx) voidGrants(ctx context.Context, id []byte, account, template string) error {
	const q = "UPDATE grants SET remaining = 0, voided_ms = ?1 WHERE subject_id = ?2 AND account = ?3 AND ?4 IN ('', template)"
	_, err := t.exec(ctx, q, t.now.UnixMilli(), id, account, template)
	return err
}

func (t *tx) budget(ctx context.Context, account string) (campaign.Budget, error) {
	var b campaign.Budget
	var ms int64
	err := t.QueryRowContext(ctx, "SELECT tokens, at_ms FROM budgets WHERE account = ?", account).Scan(&b.Tokens, &ms)
	if errors.Is(err, sql.ErrNoRows) {
		return b, nil
	}
	b.At = time.UnixMilli(ms)
	if err != nil {
		return b, fmt.Errorf("read budget: %w", err)
	}
	return b, nil
}

func (t *tx) keepBudget(ctx context.Context, account string, b campaign.Budget) error {
	const q = "INSERT INTO budgets (account, tokens, at_ms) VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET tokens = excluded.tokens, at_ms = excluded.at_ms"
	_, err := t.exec(ctx, q, account, b.Tokens, b.At.UnixMilli())
	return err
}

// Report records what became of permits. A report for a permit that ran out meanwhile
// still counts, since it brings knowledge; a second report changes nothing.
func (l *Ledger) Report(ctx context.Context, run string, outcomes []store.Outcome) error {
	err := l.write.do(ctx, func(t *tx) error {
		s, err := t.spec(ctx, run)
		if err != nil {
			return err
		}
		digest := sha256.New()
		for _, o := range outcomes {
			if err := t.report(ctx, s, o); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(digest, "%s|%s|%d\n", o.Permit, o.Result, o.Code)
		}
		t.log("report", nil, map[string]any{"run": run, "outcomes": len(outcomes), "digest": hex.EncodeToString(digest.Sum(nil))})
		return nil
	})
	if err == nil {
		l.news.fire()
	}
	return err
}

// after maps a result to a delivery's next state.
var after = map[string]string{store.Sent: "sent", store.Failed: "failed", store.Refused: "refused", store.Unknown: "unknown", store.Unused: "pending"}

// settled returns the next state of a delivery, and why it is refused.
func settled(next, state string, gone bool) (string, reason.Code) {
	switch {
	case next == "refused":
		return next, reason.RefusedByPlatform
	case next == "pending" && state == "unknown":
		return "failed", "" // known not to have been sent, but its shard may be over already
	case next == "pending" && gone:
		return "refused", reason.ConsentWithdrawn // erased meanwhile: nobody is there to send to
	}
	return next, ""
}

func (t *tx) report(ctx context.Context, s store.RunSpec, o store.Outcome) error {
	next, ok := after[o.Result]
	permit, err := hex.DecodeString(o.Permit)
	if !ok || err != nil {
		return store.ErrInvalid
	}
	var id []byte
	var state string
	var gone bool
	const sel = "SELECT d.subject_id, d.state, s.wrapped IS NULL FROM deliveries d JOIN subjects s ON s.id = d.subject_id WHERE d.permit = ? AND d.run_id = ?"
	err = t.QueryRowContext(ctx, sel, permit, s.ID).Scan(&id, &state, &gone)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // given back before: an earlier report of the same
	}
	if err != nil {
		return fmt.Errorf("read delivery: %w", err)
	}
	if state != "leased" && state != "unknown" {
		return nil
	}
	next, why := settled(next, state, gone)
	const q = "UPDATE deliveries SET state = ?1, reason = ?2, code = ?3, permit = CASE ?1 WHEN 'pending' THEN NULL ELSE permit END WHERE run_id = ?4 AND subject_id = ?5"
	if _, err := t.exec(ctx, q, next, string(why), o.Code, s.ID, id); err != nil {
		return err
	}
	return t.settle(ctx, s, id, o)
}

// settle corrects caps and grants: what provably did not leave counts for nothing.
func (t *tx) settle(ctx context.Context, s store.RunSpec, id []byte, o store.Outcome) error {
	if o.Result == store.Sent || o.Result == store.Unknown {
		return nil
	}
	var err error
	switch {
	case s.Channel != "Subscription":
	case o.GrantVoid:
		err = t.voidGrants(ctx, id, s.Account, s.TemplateID)
	default:
		err = t.returnGrant(ctx, s, id)
	}
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "DELETE FROM sends WHERE subject_id = ? AND run_id = ?", id, s.ID)
	return err
}

// Reconcile compares what people received, by the platform's audit, with the ledger.
func (l *Ledger) Reconcile(ctx context.Context, run string, received map[subject.OpenID]int) (store.Reconciled, error) {
	var body string
	err := l.read.QueryRowContext(ctx, "SELECT spec FROM runs WHERE id = ?", run).Scan(&body)
	if err != nil {
		return store.Reconciled{}, store.ErrRunUnknown
	}
	var s store.RunSpec
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return store.Reconciled{}, store.ErrCorrupt
	}
	got := map[string]int{} // those whom the ledger does not know stay under their blind index
	for who, n := range received {
		blind := l.cfg.Ring.Blind(kindOpenID, s.Account, who.Reveal())
		_, id, ok := l.keys.Find(blind)
		if !ok {
			id = blind
		}
		got[string(id)] = n
	}
	const q = `SELECT d.subject_id, d.state, s.wrapped IS NULL FROM deliveries d JOIN subjects s ON s.id = d.subject_id
		LEFT JOIN identities i ON i.subject_id = d.subject_id AND i.kind = 'openid' AND i.scope = ? WHERE d.run_id = ? AND (i.sealed IS NOT NULL OR s.wrapped IS NULL)`
	rows, err := l.read.QueryContext(ctx, q, s.Account, run)
	if err != nil {
		return store.Reconciled{}, fmt.Errorf("reconcile: %w", err)
	}
	defer rows.Close()
	var out store.Reconciled
	erased := map[string]int{} // by state: nobody can tell any more who they were
	for rows.Next() {
		var id []byte
		var state string
		var gone bool
		if err := rows.Scan(&id, &state, &gone); err != nil {
			return out, fmt.Errorf("reconcile: %w", err)
		}
		if gone {
			erased[state]++
			continue
		}
		tally(&out, state, got[string(id)])
		delete(got, string(id))
	}
	for _, n := range got {
		tally(&out, takeErased(erased, n), n)
	}
	return out, rows.Err()
}

// takeErased returns the state that explains n messages to somebody whom the ledger does not
// know: one message may be that of a person who was erased since.
func takeErased(erased map[string]int, n int) string {
	for _, state := range []string{"sent", "unknown"} {
		if n == 1 && erased[state] > 0 {
			erased[state]--
			return state
		}
	}
	return "excluded"
}

func tally(r *store.Reconciled, state string, n int) {
	count := func(none, once, more *int64) {
		switch n {
		case 0:
			*none++
		case 1:
			*once++
		default:
			*more++
		}
	}
	switch state {
	case "pending", "leased":
		r.Unfinished++
	case "sent":
		count(&r.SentNotOnce, &r.SentOnce, &r.SentNotOnce)
	case "unknown":
		count(&r.UnknownNone, &r.UnknownOnce, &r.UnknownMore)
	default:
		count(&r.OthersNone, &r.OthersReceived, &r.OthersReceived)
	}
}
