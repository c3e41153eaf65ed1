package sqlite

import (
	"bytes"
	"context"
	"crypto/hmac"
	"database/sql"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/store"
)

// logRow is a row of the log.
type logRow struct {
	seq, at             int64
	kind                string
	subject, body, salt []byte
	leaf                []byte // the commitment
	form                int
}

func (r *logRow) into() []any {
	return []any{&r.seq, &r.at, &r.kind, &r.subject, &r.body, &r.salt, &r.leaf, &r.form}
}

const logColumns = "seq, at_ms, kind, subject_id, body, salt, leaf, form"

// hash is the leaf of the tree.
func (r *logRow) hash() []byte {
	if r.form == ledger.FormFirst {
		return ledger.FirstLeafHash(r.leaf)
	}
	return ledger.LeafHash(uint64(r.seq), r.at, r.kind, r.leaf)
}

// sealed tells whether the record was erased.
func (r *logRow) sealed() bool { return r.salt == nil && r.body == nil }

// check compares a row with what it commits to.
func (r *logRow) check() error {
	if r.sealed() {
		return nil
	}
	want := ledger.Commit(r.salt, ledger.Person(r.salt, ledger.Principal(r.subject)), r.body)
	if r.form == ledger.FormFirst {
		want = ledger.FirstCommit(r.salt, uint64(r.seq), r.at, r.kind, r.subject, r.body)
	}
	if !hmac.Equal(r.leaf, want) {
		return tampered("entry %d was changed", r.seq)
	}
	return nil
}

// entry is the row as an outsider may see it, with or without its record.
func (r *logRow) entry(show bool) *ledger.Entry {
	e := &ledger.Entry{Seq: uint64(r.seq), Commitment: r.leaf, Hash: r.hash(), Sealed: r.sealed()}
	if r.form == ledger.FormFirst {
		e.Form = ledger.FormFirst
		return e
	}
	e.Time, e.Kind = time.UnixMilli(r.at).UTC(), r.kind
	if show && !r.sealed() {
		e.Body, e.Salt, e.Principal = r.body, r.salt, ledger.Person(r.salt, ledger.Principal(r.subject))
	}
	return e
}

// walk makes the tree anew from the rows, in order, checking each. It tells visit every
// node, and each every row with the tree up to it.
func walk(ctx context.Context, q querier, visit compact.VisitFn, each func(*logRow, *compact.Range) error) (*compact.Range, error) {
	built := ledger.Ranges.NewEmptyRange(0)
	rows, err := q.QueryContext(ctx, "SELECT "+logColumns+" FROM log ORDER BY seq")
	if err != nil {
		return built, fmt.Errorf("read log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r logRow
		if err := rows.Scan(r.into()...); err != nil {
			return built, fmt.Errorf("read log: %w", err)
		}
		if uint64(r.seq) != built.End() {
			return built, tampered("entry %d is missing", built.End())
		}
		if err := r.check(); err != nil {
			return built, err
		}
		if err := built.Append(r.hash(), visit); err != nil {
			return built, fmt.Errorf("recompute log: %w", err)
		}
		if each != nil {
			if err := each(&r, built); err != nil {
				return built, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return built, fmt.Errorf("read log: %w", err)
	}
	return built, nil
}

// Verify recomputes every entry that is not sealed, the tree with its kept nodes, and the
// root of every checkpoint that was signed.
func (l *Ledger) Verify(ctx context.Context) (store.Verified, error) {
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return store.Verified{}, fmt.Errorf("read log: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // read only
	heads, err := signedHeads(ctx, t)
	if err != nil {
		return store.Verified{}, err
	}
	var out store.Verified
	var kept nodes
	built, err := walk(ctx, t, kept.visit, func(r *logRow, b *compact.Range) error {
		if r.sealed() {
			out.Sealed++
		}
		return heads.compare(b)
	})
	if err != nil {
		return out, err
	}
	out.Size = int64(built.End())
	if out.Root, err = ledger.RootOf(built); err != nil {
		return out, err
	}
	if err := heads.rest(); err != nil {
		return out, err
	}
	if err := kept.compare(ctx, t); err != nil {
		return out, err
	}
	return out, compareHead(ctx, t, built, out.Root)
}

func compareHead(ctx context.Context, t *sql.Tx, built *compact.Range, root []byte) error {
	head, err := loadRange(ctx, t)
	if err != nil {
		return err
	}
	want, err := ledger.RootOf(head)
	if err != nil {
		return err
	}
	if built.End() != head.End() || !hmac.Equal(want, root) {
		return tampered("the rows give another root than the head, which has %d entries", head.End())
	}
	return nil
}

// compare reads the kept nodes, which must be these and no others.
func (n nodes) compare(ctx context.Context, t *sql.Tx) error {
	want := make(map[compact.NodeID][]byte, len(n))
	for _, x := range n {
		want[x.id] = x.hash
	}
	rows, err := t.QueryContext(ctx, "SELECT level, n, hash FROM log_nodes")
	if err != nil {
		return fmt.Errorf("read nodes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id compact.NodeID
		var index int64
		var hash []byte
		if err := rows.Scan(&id.Level, &index, &hash); err != nil {
			return fmt.Errorf("read nodes: %w", err)
		}
		id.Index = uint64(index)
		begin, end := id.Coverage()
		if !bytes.Equal(want[id], hash) {
			return tampered("entries %d to %d give another node than the one kept", begin, end-1)
		}
		delete(want, id)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read nodes: %w", err)
	}
	for id := range want {
		begin, _ := id.Coverage()
		return tampered("a node of the tree over entry %d is missing", begin)
	}
	return nil
}

// heads are the checkpoints that were signed, by size.
type heads []struct {
	size   uint64
	root   []byte
	signed string
}

func signedHeads(ctx context.Context, q querier) (heads, error) {
	rows, err := q.QueryContext(ctx, "SELECT size, root, note FROM checkpoints ORDER BY size")
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer rows.Close()
	var out heads
	for rows.Next() {
		var size int64
		var root []byte
		var signed string
		if err := rows.Scan(&size, &root, &signed); err != nil {
			return nil, fmt.Errorf("read checkpoints: %w", err)
		}
		out = append(out, struct {
			size   uint64
			root   []byte
			signed string
		}{uint64(size), root, signed})
	}
	return out, rows.Err()
}

// compare looks at the checkpoints that cover exactly the entries so far.
func (h *heads) compare(built *compact.Range) error {
	for len(*h) > 0 && (*h)[0].size <= built.End() {
		next := (*h)[0]
		*h = (*h)[1:]
		if next.size != built.End() { // over nothing: before the first entry
			continue
		}
		root, err := ledger.RootOf(built)
		if err != nil {
			return err
		}
		if !hmac.Equal(root, next.root) {
			return tampered("the first %d entries are not those that were signed", next.size)
		}
	}
	return nil
}

// rest complains of checkpoints over more entries than there are.
func (h *heads) rest() error {
	if n := len(*h); n > 0 && (*h)[n-1].size > 0 {
		return tampered("a checkpoint was signed over %d entries, and not so many are there", (*h)[n-1].size)
	}
	return nil
}
