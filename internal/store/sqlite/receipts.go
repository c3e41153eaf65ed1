package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store"
)

// whatIsShown is what people have before their eyes under a view, and its hash.
func whatIsShown(v *store.View) (hash, body []byte, err error) {
	if body, err = json.Marshal(shownOf(v)); err != nil {
		return nil, nil, fmt.Errorf("encode notice: %w", err)
	}
	sum := sha256.Sum256(body)
	return sum[:], body, nil
}

// show keeps what the person had before their eyes, once: the processor has to prove what was
// shown (PIPL 69).
func (t *tx) show(ctx context.Context, v *store.View) (hash []byte, err error) {
	hash, body, err := whatIsShown(v)
	if err != nil {
		return nil, err
	}
	_, err = t.exec(ctx, "INSERT INTO shown (hash, body) VALUES (?, ?) ON CONFLICT DO NOTHING", hash, string(body))
	return hash, err
}

func shownOf(v *store.View) receipt.Shown {
	n := v.Notice
	s := receipt.Shown{
		Notice: n.Name, Revision: n.Revision, Processor: n.ProcessorName, ProcessorContact: n.ProcessorContact, Jurisdiction: v.Policy.Jurisdiction,
		Hash: n.Hash, StoragePlace: n.StoragePlace, StoragePlaceText: n.StoragePlaceText, RetentionDays: n.RetentionDays, Rights: n.Rights, Refusal: n.Refusal,
		Method: n.Method, Safeguards: n.Safeguards, AutomatedDecision: n.AutomatedDecision, Complaints: n.Complaints,
	}
	for _, p := range n.Purposes {
		s.Purposes = append(s.Purposes, receipt.ShownPurpose{
			Name: p.Name, Description: p.Description, Categories: p.Categories, Necessity: p.Necessity, Impact: p.Impact,
		})
	}
	for _, r := range n.Recipients {
		s.Recipients = append(s.Recipients, receipt.ShownRecipient{
			Name: r.Name, DisplayName: r.DisplayName, Country: r.Country, Contact: r.Contact, RightsChannel: r.RightsChannel, Purposes: r.Purposes, Categories: r.Categories,
			Method: r.Method,
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

// provable finds the newest entries of a kind about a person.
const provable = "SELECT " + logColumns + " FROM log WHERE subject_id = ? AND kind = ? AND form = 2 AND salt IS NOT NULL ORDER BY seq DESC LIMIT ?"

func entriesOf(ctx context.Context, q querier, id []byte, kind string, limit int, keep func(receipt.Proven) (bool, error)) ([]receipt.Proven, error) {
	rows, err := q.QueryContext(ctx, provable, id, kind, limit)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	defer rows.Close()
	var out []receipt.Proven
	for rows.Next() {
		var r logRow
		if err := rows.Scan(r.into()...); err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		x := receipt.Proven{Entry: *r.entry(true)}
		wanted, err := keep(x)
		if err != nil {
			return nil, err
		}
		if wanted {
			out = append(out, x)
		}
	}
	return out, rows.Err()
}

// lookIn reads which look an entry names, or is.
func lookIn(x receipt.Proven) (int64, error) {
	var body struct{ Look int64 }
	if err := json.Unmarshal(x.Body, &body); err != nil {
		return 0, tampered("entry %d holds no record", x.Seq)
	}
	return body.Look, nil
}

// consentsOf reads the newest entries about a person's consents, what guardians said beside
// them, and the looks that both name, oldest first. Nothing said is nothing to prove.
func consentsOf(ctx context.Context, q querier, id []byte) ([]receipt.Proven, error) {
	named := map[int64]bool{}
	name := func(x receipt.Proven) (bool, error) {
		n, err := lookIn(x)
		named[n] = true
		return true, err
	}
	out, err := entriesOf(ctx, q, id, receipt.Kind, receipt.MaxEvents, name)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	guardians, err := entriesOf(ctx, q, id, receipt.KindGuardian, receipt.MaxEvents, name)
	if err != nil {
		return nil, err
	}
	delete(named, 0)
	var looks []receipt.Proven
	if len(named) > 0 {
		looks, err = entriesOf(ctx, q, id, receipt.KindShown, -1, func(x receipt.Proven) (bool, error) {
			n, err := lookIn(x)
			return named[n], err
		})
	}
	out = slices.Concat(out, guardians, looks)
	slices.SortFunc(out, func(a, b receipt.Proven) int { return cmp.Compare(a.Seq, b.Seq) })
	return out, err
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
