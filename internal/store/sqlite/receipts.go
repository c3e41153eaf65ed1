package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store"
)

// show keeps what the person had before their eyes, once, and binds what this write records
// to its hash: the processor has to prove what was shown (PIPL 69).
func (t *tx) show(ctx context.Context, v *store.View) error {
	body, err := json.Marshal(shownOf(v))
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	sum := sha256.Sum256(body)
	if _, err := t.exec(ctx, "INSERT INTO shown (hash, body) VALUES (?, ?) ON CONFLICT DO NOTHING", sum[:], string(body)); err != nil {
		return err
	}
	t.shown = hex.EncodeToString(sum[:])
	return nil
}

// withShown adds what was shown to an entry about an act on the page.
func (t *tx) withShown(c consent.Control, body map[string]any) map[string]any {
	if c == consent.Page && t.shown != "" {
		body["shown"] = t.shown
	}
	return body
}

func shownOf(v *store.View) receipt.Shown {
	n := v.Notice
	s := receipt.Shown{
		Notice: n.Name, Revision: n.Revision, Processor: n.ProcessorName, ProcessorContact: n.ProcessorContact, Jurisdiction: v.Policy.Jurisdiction,
		StoragePlace: n.StoragePlace, RetentionDays: n.RetentionDays, Rights: n.Rights, Refusal: n.Refusal,
	}
	for _, p := range n.Purposes {
		s.Purposes = append(s.Purposes, receipt.ShownPurpose{Name: p.Name, Description: p.Description, Categories: p.Categories})
	}
	for _, r := range n.Recipients {
		s.Recipients = append(s.Recipients, receipt.ShownRecipient{
			Name: r.Name, DisplayName: r.DisplayName, Country: r.Country, Contact: r.Contact, RightsChannel: r.RightsChannel, Purposes: r.Purposes, Categories: r.Categories,
		})
	}
	return s
}

// Receipt proves to a person what the log has of their consents: the newest entries, each
// with its inclusion proof under one checkpoint that covers them all.
func (l *Ledger) Receipt(ctx context.Context, account string, who subject.OpenID) ([]byte, error) {
	id, err := l.find(ctx, l.read, account, who)
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, store.ErrNoConsents
	}
	entries, err := consentsOf(ctx, l.read, id)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, store.ErrNoConsents
	}
	signed, head, err := l.checkpoint(ctx, entries[len(entries)-1].Seq+1)
	if err != nil {
		return nil, err
	}
	e := receipt.Evidence{VerifierKey: l.sign.VerifierKey(), Checkpoint: signed, Entries: entries}
	if err := l.proveAll(ctx, &e, head.Size); err != nil {
		return nil, err
	}
	r, err := receipt.Build(ledger.Principal(id), e)
	if err != nil {
		return nil, err
	}
	return receipt.Encode(r)
}

// proveAll adds the proofs under a checkpoint of that size, and what the entries say was
// shown. The entries do not change any more; a transaction keeps one connection for all.
func (l *Ledger) proveAll(ctx context.Context, e *receipt.Evidence, size uint64) error {
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("read receipt: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // read only
	nodes := remembering(fetch(ctx, t))
	for i := range e.Entries {
		if e.Entries[i].Proof, err = ledger.Inclusion(e.Entries[i].Seq, size, nodes); err != nil {
			return err
		}
	}
	e.Shown, err = shownIn(ctx, t, e.Entries)
	return err
}

// remembering reads each node once: the proofs of one receipt share most of theirs.
func remembering(read ledger.Fetch) ledger.Fetch {
	known := map[compact.NodeID][]byte{}
	return func(id compact.NodeID) ([]byte, error) {
		if hash, ok := known[id]; ok {
			return hash, nil
		}
		hash, err := read(id)
		known[id] = hash
		return hash, err
	}
}

// provable finds the newest entries about a person's consents.
const provable = "SELECT " + logColumns + " FROM log WHERE subject_id = ? AND kind = 'consent' AND form = 2 AND salt IS NOT NULL ORDER BY seq DESC LIMIT ?"

// consentsOf reads the newest entries about a person's consents, oldest first.
func consentsOf(ctx context.Context, q querier, id []byte) ([]receipt.Proven, error) {
	rows, err := q.QueryContext(ctx, provable, id, receipt.MaxEvents)
	if err != nil {
		return nil, fmt.Errorf("read consents: %w", err)
	}
	defer rows.Close()
	var out []receipt.Proven
	for rows.Next() {
		var r logRow
		if err := rows.Scan(r.into()...); err != nil {
			return nil, fmt.Errorf("read consents: %w", err)
		}
		out = append(out, receipt.Proven{Entry: *r.entry(true)})
	}
	slices.Reverse(out)
	return out, rows.Err()
}

// shownIn reads what the entries say was shown, each once, in their order.
func shownIn(ctx context.Context, q rowQuerier, entries []receipt.Proven) ([]json.RawMessage, error) {
	out := []json.RawMessage{}
	seen := map[string]bool{}
	for _, e := range entries {
		var body struct{ Shown string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return nil, tampered("entry %d holds no record", e.Seq)
		}
		if body.Shown == "" || seen[body.Shown] {
			continue
		}
		seen[body.Shown] = true
		hash, err := hex.DecodeString(body.Shown)
		if err != nil {
			return nil, tampered("entry %d names no hash of what was shown", e.Seq)
		}
		var shown string
		if err := q.QueryRowContext(ctx, "SELECT body FROM shown WHERE hash = ?", hash).Scan(&shown); err != nil {
			return nil, fmt.Errorf("read what was shown: %w", err)
		}
		out = append(out, json.RawMessage(shown))
	}
	return out, nil
}
