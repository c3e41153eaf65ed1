package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store"
)

// shown is how far a guardian's consent is under the view; empty where none is needed.
func shown(p consent.Person, v *store.View) consent.GuardianState {
	if !p.Guarded(v.Policy.GuardianAge) {
		return consent.GuardianNone
	}
	if need := p.GuardianNeeded(v.Policy.GuardianAge, v.Notice.Revision); need != consent.GuardianNone {
		return need
	}
	return consent.GuardianVerified
}

// AskGuardian makes a link. The last link that nobody has answered ends with it; those that
// were answered stay, since their guardians may take the answer back.
func (l *Ledger) AskGuardian(ctx context.Context, account string, who subject.OpenID, secret [32]byte) error {
	v, err := l.policyView()
	if err != nil {
		return err
	}
	return l.write.do(ctx, func(t *tx) error {
		id, err := l.find(ctx, t, account, who)
		if err != nil {
			return err
		}
		if id == nil {
			return store.ErrGuardianNeedless // who never answered has told no age
		}
		p, err := personOf(ctx, t, id)
		if err != nil {
			return err
		}
		if !p.Guarded(v.Policy.GuardianAge) {
			return store.ErrGuardianNeedless
		}
		if _, err := t.exec(ctx, "DELETE FROM guardians WHERE subject_id = ? AND guardian IS NULL", id); err != nil {
			return err
		}
		hash := sha256.Sum256(secret[:])
		const q = "INSERT INTO guardians (subject_id, account, secret, ends_ms) VALUES (?, ?, ?, ?)"
		if _, err := t.exec(ctx, q, id, account, hash[:], t.now.Add(store.GuardianLinkLife).UnixMilli()); err != nil {
			return err
		}
		if p.GuardianNeeded(v.Policy.GuardianAge, v.Notice.Revision) == consent.GuardianNone {
			return nil // a second guardian may speak too; until then the first one's word stands
		}
		return t.guard(ctx, id, guardianEvent{state: consent.GuardianPending, revision: v.Notice.Revision, account: account})
	})
}

// guardianEvent is an entry about a guardian's consent.
type guardianEvent struct {
	state             consent.GuardianState
	revision          int64
	guardian, link    []byte // commitment; hash of the link's secret
	relation          store.Relation
	account, language string
}

// verifier names who verified an answer; nobody did of a question.
func (e guardianEvent) verifier() string {
	if e.guardian == nil {
		return ""
	}
	return store.Verifier(e.account)
}

// evidence commits to who answered, by which link, and what they declared. It is made again
// from what the ledger keeps of them; nobody else can tell from it who it was.
func (e guardianEvent) evidence() []byte {
	if e.guardian == nil {
		return nil
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "guardian evidence %x %x %s %s %d", e.guardian, e.link, e.state, e.relation, e.revision))
	return sum[:]
}

// guard appends an event and moves the state, in one transaction.
func (t *tx) guard(ctx context.Context, id []byte, e guardianEvent) error {
	p, err := personOf(ctx, t, id)
	if err != nil {
		return err
	}
	const add = `INSERT INTO guardian_events (subject_id, n, state, at_ms, revision, guardian, relation, account, language, method, verifier, evidence, age_band)
		VALUES (?1, (SELECT COALESCE(max(n), 0) + 1 FROM guardian_events WHERE subject_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`
	if _, err := t.exec(ctx, add, id, string(e.state), t.now.UnixMilli(), e.revision, e.guardian, string(e.relation), e.account, e.language,
		string(consent.OwnAccountLink), e.verifier(), e.evidence(), string(p.Age)); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "UPDATE subjects SET guardian = ?, guardian_revision = ? WHERE id = ?", string(e.state), e.revision, id); err != nil {
		return err
	}
	t.log("guardian", id, t.withShown(consent.Guardian, e.body(t.now, p.Age)))
	return nil
}

// body is the entry of the log, with the fields of law.md 3.7 and the terms of TS 27560.
func (e guardianEvent) body(at time.Time, age consent.AgeBand) map[string]any {
	typ, state := receipt.GuardianTerms(e.state)
	body := map[string]any{
		"state": e.state, "revision": e.revision, "guardian": hex.EncodeToString(e.guardian), "relation": e.relation, "account": e.account, "language": e.language,
		"event_type": typ, "event_state": state, "entity_id": "guardian",
		"guardianState": e.state, "method": consent.OwnAccountLink, "subjectAgeBand": cmp.Or(string(age), "Unknown"),
	}
	if e.guardian != nil {
		body["verifierRef"], body["evidenceCommitment"] = e.verifier(), hex.EncodeToString(e.evidence())
	}
	if e.state == consent.GuardianVerified {
		body["verifiedAt"] = at.UnixMilli()
	}
	return body
}

// link is a row of guardians that who opened it may use.
type link struct {
	id, hash []byte
	guardian []byte // commitment of who opened it
	answered bool
}

// follow finds whom a link is about, and refuses who may not speak for them.
func (l *Ledger) follow(ctx context.Context, q rowQuerier, g store.GuardianLink) (link, error) {
	hash := sha256.Sum256(g.Secret[:])
	x := link{hash: hash[:]}
	var before []byte
	var ends int64
	err := q.QueryRowContext(ctx, "SELECT subject_id, guardian, ends_ms FROM guardians WHERE secret = ? AND account = ?", x.hash, g.Account).Scan(&x.id, &before, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return x, store.ErrGuardianLink
	}
	if err != nil {
		return x, fmt.Errorf("read guardian: %w", err)
	}
	if x.guardian, err = l.guardianOf(ctx, q, x.id, g.Who); err != nil {
		return x, err
	}
	x.answered = before != nil
	if x.answered && subtle.ConstantTimeCompare(before, x.guardian) != 1 {
		return x, store.ErrGuardianLink
	}
	if !x.answered && l.cfg.Clock().UnixMilli() > ends {
		return x, store.ErrGuardianLink
	}
	return x, l.mayGuard(ctx, q, g, x.id)
}

// mayGuard refuses the person themselves, and who is known to be no adult.
func (l *Ledger) mayGuard(ctx context.Context, q rowQuerier, g store.GuardianLink, ward []byte) error {
	id, err := l.find(ctx, q, g.Account, g.Who)
	if id == nil || err != nil {
		return err
	}
	if string(id) == string(ward) {
		return store.ErrGuardianSelf
	}
	p, err := personOf(ctx, q, id)
	if err == nil && p.Age != consent.AgeUnknown && p.Age != consent.Adult {
		err = store.ErrGuardianMinor
	}
	return err
}

// GuardianCase returns what a guardian is shown.
func (l *Ledger) GuardianCase(ctx context.Context, g store.GuardianLink) (store.GuardianCase, error) {
	v, err := l.policyView()
	if err != nil {
		return store.GuardianCase{}, err
	}
	x, err := l.follow(ctx, l.read, g)
	if err != nil {
		return store.GuardianCase{}, err
	}
	p, err := personOf(ctx, l.read, x.id)
	if err != nil {
		return store.GuardianCase{}, err
	}
	out := store.GuardianCase{Notice: v.Notice, Age: p.Age, State: shown(p, v)}
	if !x.answered && out.State == consent.GuardianVerified {
		out.State = consent.GuardianPending // another guardian's word is not told
	}
	out.Items, err = choices(ctx, l.read, x.id, v.Notice.Revision)
	return out, err
}

// AnswerGuardian records what a guardian says. A no of any guardian counts: it withdraws what
// the person agreed to, and is acknowledged when no permit is live any more.
func (l *Ledger) AnswerGuardian(patience context.Context, a store.GuardianAnswer) (store.Recorded, error) {
	if err := sayable(a); err != nil {
		return store.Recorded{}, err
	}
	if _, err := l.policyView(); err != nil {
		return store.Recorded{}, err
	}
	var x link
	ctx := context.WithoutCancel(patience) // as with an event
	err := l.write.do(ctx, func(t *tx) (err error) {
		if x, err = l.follow(ctx, t, a.GuardianLink); err != nil {
			return err
		}
		revision := l.View().Notice.Revision
		if a.State == consent.GuardianVerified && revision != a.Revision {
			return store.ErrNoticeRevision // a no needs no text
		}
		if _, err := t.exec(ctx, "UPDATE guardians SET guardian = ? WHERE secret = ?", x.guardian, x.hash); err != nil {
			return err
		}
		if err := t.answering(ctx, l.View(), viewer{x.id, x.guardian, a.Account, a.Language}); err != nil {
			return err
		}
		e := guardianEvent{
			state: a.State, revision: revision, guardian: x.guardian, link: x.hash, relation: a.Relation, account: a.Account, language: a.Language,
		}
		if err := t.guard(ctx, x.id, e); err != nil || a.State == consent.GuardianVerified {
			return err
		}
		_, err = t.withdrawAll(ctx, x.id, a.Account, consent.Guardian)
		return err
	})
	if err != nil {
		return store.Recorded{}, err
	}
	return store.Recorded{Acknowledged: a.State == consent.GuardianVerified || l.quiet(patience, x.id, nil)}, nil
}

// sayable refuses what is no answer.
func sayable(a store.GuardianAnswer) error {
	no := a.State == consent.GuardianRefused || a.State == consent.GuardianWithdrawn
	if (a.State == consent.GuardianVerified && a.Relation.Valid()) || (no && (a.Relation == "" || a.Relation.Valid())) {
		return nil
	}
	return store.ErrInvalid
}
