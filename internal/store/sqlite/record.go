package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// Record returns all that is held about a person, of one moment (PIPL 45).
func (l *Ledger) Record(ctx context.Context, account string, who subject.OpenID, as request.Kind) (store.Record, error) {
	if account == "" || who.IsZero() || (as != "" && as != request.Access && as != request.Copy) {
		return store.Record{}, store.ErrAsk
	}
	id, err := l.find(ctx, l.read, account, who)
	if err != nil {
		return store.Record{}, err
	}
	if id != nil && as != "" {
		if err := l.write.do(ctx, func(t *tx) error { return t.noteDaily(ctx, id, account, as) }); err != nil {
			return store.Record{}, err
		}
	}
	return l.record(ctx, id)
}

func (l *Ledger) record(ctx context.Context, id []byte) (store.Record, error) {
	v, err := l.policyView()
	if err != nil {
		return store.Record{}, err
	}
	r := store.Record{Notice: v.Notice}
	if id == nil {
		return r, nil
	}
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return r, fmt.Errorf("read record: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // read only
	var since, seen int64
	err = t.QueryRowContext(ctx, "SELECT created_ms, seen_ms, age_band, guardian FROM subjects WHERE id = ? AND wrapped IS NOT NULL", id).
		Scan(&since, &seen, &r.Age, &r.Guardian)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil // erased this moment
	}
	if err != nil {
		return r, fmt.Errorf("read record: %w", err)
	}
	r.Known, r.Since, r.Seen = true, at(since), at(seen)
	for _, part := range []func(context.Context, querier, []byte, *store.Record) error{
		readTags, readRelations, readGrants, readConsents, readLooks, readGuardians, readMessages, readRequests, readInteractions, readUnion,
	} {
		if err := part(ctx, t, id, &r); err != nil {
			return r, err
		}
	}
	if err := l.readStages(ctx, t, id, v, &r); err != nil {
		return r, err
	}
	return r, readPassed(ctx, t, id, v, &r)
}

// at is a time as the ledger wrote it; zero where there was none.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// each calls scan for every row.
func each(ctx context.Context, q querier, query string, id []byte, scan func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, id)
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read record: %w", err)
		}
	}
	return rows.Err()
}

func readTags(ctx context.Context, q querier, id []byte, r *store.Record) error {
	return each(ctx, q, "SELECT tag FROM tags WHERE subject_id = ? ORDER BY tag", id, func(rows *sql.Rows) error {
		var tag string
		err := rows.Scan(&tag)
		r.Tags = append(r.Tags, tag)
		return err
	})
}

func readRelations(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT account, following, opted_out FROM relations WHERE subject_id = ? ORDER BY account"
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.Following
		err := rows.Scan(&x.Account, &x.Following, &x.OptedOut)
		r.Relations = append(r.Relations, x)
		return err
	})
}

func readGrants(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT account, template, remaining FROM grants WHERE subject_id = ? ORDER BY account, template"
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.Grant
		err := rows.Scan(&x.Account, &x.Template, &x.Remaining)
		r.Grants = append(r.Grants, x)
		return err
	})
}

func readConsents(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT c.purpose, c.recipient, c.account, c.language, " + stateColumns + " FROM consent_events c WHERE c.subject_id = ? ORDER BY c.n"
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.ConsentEntry
		var row stateRow
		err := rows.Scan(append([]any{&x.Purpose, &x.Recipient, &x.Account, &x.Language}, row.into()...)...)
		x.Event = row.state()
		if code := r.Age.Scored(); x.Action == consent.Given && store.Automated(x.Purpose) && code != reason.AllChecksPassed {
			x.NotUsed = code
		}
		r.Consents = append(r.Consents, x)
		return err
	})
}

func readGuardians(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT state, at_ms, revision, relation, method, verifier, evidence, age_band FROM guardian_events WHERE subject_id = ? ORDER BY n"
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.GuardianEntry
		var ms int64
		var evidence []byte
		err := rows.Scan(&x.State, &ms, &x.Revision, &x.Relation, &x.Method, &x.VerifierRef, &evidence, &x.Age)
		x.At, x.Evidence = at(ms), hex.EncodeToString(evidence)
		r.Guardians = append(r.Guardians, x)
		return err
	})
}

// readMessages lists what was sent or may have been; what provably was not has no row in sends.
func readMessages(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = `SELECT json_extract(r.spec, '$.Campaign'), json_extract(r.spec, '$.Purpose'), x.at_ms, d.state
		FROM sends x JOIN runs r ON r.id = x.run_id JOIN deliveries d ON d.run_id = x.run_id AND d.subject_id = x.subject_id
		WHERE x.subject_id = ? ORDER BY x.at_ms`
	words := map[string]string{"sent": store.Sent, "unknown": store.Unknown, "leased": "Leased"}
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.Message
		var ms int64
		var state string
		if err := rows.Scan(&x.Campaign, &x.Purpose, &ms, &state); err != nil {
			return err
		}
		if x.At, x.Outcome = at(ms), words[state]; x.Outcome != "" {
			r.Messages = append(r.Messages, x)
		}
		return nil
	})
}

func readRequests(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT kind, received_ms, due_ms, done_ms, outcome FROM requests WHERE subject_id = ? ORDER BY n"
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		x, err := scanRequest(rows)
		r.Requests = append(r.Requests, x)
		return err
	})
}

// readInteractions lists what the person did, the newest 5000.
func readInteractions(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT kind, key, at_ms FROM events WHERE subject_id = ? ORDER BY at_ms DESC LIMIT 5000"
	err := each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.Interaction
		var ms int64
		err := rows.Scan(&x.Kind, &x.Key, &ms)
		x.At = at(ms)
		r.Interactions = append(r.Interactions, x)
		return err
	})
	slices.Reverse(r.Interactions)
	return err
}

func (l *Ledger) readStages(ctx context.Context, q querier, id []byte, v *store.View, r *store.Record) error {
	const sel = "SELECT model, points, at_ms FROM lead_state WHERE subject_id = ? ORDER BY model"
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.StageOf
		var score lead.Score
		var ms int64
		if err := rows.Scan(&x.Model, &score.Points, &ms); err != nil {
			return err
		}
		score.At, x.Points = at(ms), score.Points
		if m, ok := v.LeadModel(x.Model); ok && x.Model != "" {
			x.Points = m.Model.Decay(score, l.cfg.Clock())
			x.Stage = m.Model.StageOf(x.Points)
		}
		r.Stages = append(r.Stages, x)
		return nil
	})
}

// readPassed lists the transfers that the person was counted for. Whether the row of one who
// withdrew after the start still left is not known of each, so it is listed.
func readPassed(ctx context.Context, q querier, id []byte, v *store.View, r *store.Record) error {
	const sel = `SELECT t.spec, t.state, t.started_ms, x.consent_ms, x.revision,
		COALESCE(d.kind, ''), COALESCE(d.since_ms, 0), COALESCE(d.due_ms, 0), COALESCE(d.told_ms, 0), COALESCE(d.told_as, ''), COALESCE(d.acked_ms, 0), COALESCE(d.acked_as, '')
		FROM transfers t CROSS JOIN transfer_rows x ON x.transfer_id = t.id AND x.subject_id = ?1
		LEFT JOIN duties d ON d.subject_id = ?1 AND d.recipient = t.recipient AND (d.kind, d.since_ms) =
			(SELECT kind, since_ms FROM duties WHERE subject_id = ?1 AND recipient = t.recipient AND since_ms >= t.started_ms ORDER BY since_ms DESC, kind LIMIT 1)
		ORDER BY t.started_ms, t.id` // CROSS: rows are found by transfer
	return each(ctx, q, sel, id, func(rows *sql.Rows) error {
		var x store.Passed
		var s store.TransferSpec
		var body string
		var began, agreed, since, due, told, acknowledged int64
		d := &x.Duty
		if err := rows.Scan(&body, &x.State, &began, &agreed, &x.Revision, &d.Kind, &since, &due, &told, &d.ToldAs, &acknowledged, &d.AcknowledgedUnder); err != nil {
			return err
		}
		d.Since, d.Due, d.Told, d.Acknowledged = at(since), at(due), at(told), at(acknowledged)
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return store.ErrCorrupt
		}
		x.Recipient, x.Country, x.Purpose, x.LegalBasis, x.Mechanism, x.Fields = s.Recipient, s.Country, s.Purpose, s.LegalBasis, s.Mechanism, s.Fields
		x.At, x.ConsentAt = at(began), at(agreed)
		if i := slices.IndexFunc(v.Notice.Recipients, func(n store.Recipient) bool { return n.Name == s.Recipient }); i >= 0 {
			x.DisplayName = v.Notice.Recipients[i].DisplayName
		}
		r.Passed = append(r.Passed, x)
		return nil
	})
}

// Correct removes interests and changes the age band (PIPL 46). What was corrected is logged
// in numbers.
func (l *Ledger) Correct(ctx context.Context, c store.Correction) (store.Record, error) {
	if c.Account == "" || c.Who.IsZero() || !c.Age.Valid() || len(c.RemoveTags) > 256 || (c.Age == consent.AgeUnknown && len(c.RemoveTags) == 0) {
		return store.Record{}, store.ErrInvalid
	}
	var id []byte
	err := l.write.do(ctx, func(t *tx) (err error) {
		if id, err = l.find(ctx, t, c.Account, c.Who); id == nil || err != nil {
			return err
		}
		return t.correct(ctx, id, c)
	})
	if err != nil {
		return store.Record{}, err
	}
	l.scrub.want() // a wrong interest is not kept in the write-ahead log either
	return l.record(ctx, id)
}

func (t *tx) correct(ctx context.Context, id []byte, c store.Correction) error {
	var removed int64
	for _, tag := range c.RemoveTags {
		n, err := t.exec(ctx, "DELETE FROM tags WHERE subject_id = ? AND tag = ?", id, tag)
		if err != nil {
			return err
		}
		removed += n
	}
	const age = "UPDATE subjects SET age_band = ?1 WHERE id = ?2 AND age_band <> ?1 AND ?1 <> ''"
	aged, err := t.exec(ctx, age, string(c.Age), id)
	if err != nil || removed+aged == 0 {
		return err
	}
	body := map[string]any{"interests": removed}
	if aged > 0 {
		body["band"] = c.Age
	}
	t.log("correction", id, body)
	if err := t.owe(ctx, id, id, "", duty.Corrected); err != nil {
		return err
	}
	return t.note(ctx, id, c.Account, request.Correction, request.Done)
}
