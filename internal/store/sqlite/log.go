package sqlite

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/maodian-dev/maodian/internal/store"
)

// entry is a fact for the log: it is committed with the fact itself.
type entry struct {
	at      time.Time
	kind    string
	subject []byte
	body    map[string]any
}

// log adds a fact about subject (nil: about nobody in particular). The body may hold
// pseudonyms, codes, times and numbers; never an identifier.
func (t *tx) log(kind string, subject []byte, body map[string]any) {
	*t.entries = append(*t.entries, entry{t.now, kind, subject, body})
}

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// appendLog extends the tree by the group's facts and stores its new head.
func appendLog(ctx context.Context, t *sql.Tx, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	r, err := loadRange(ctx, t)
	if err != nil {
		return err
	}
	st, err := t.PrepareContext(ctx, "INSERT INTO log (seq, at_ms, kind, subject_id, body, salt, leaf) VALUES (?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return fmt.Errorf("append log: %w", err)
	}
	defer st.Close()
	for _, e := range entries {
		body, err := json.Marshal(e.body)
		if err != nil {
			return fmt.Errorf("append log: %w", err)
		}
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return fmt.Errorf("draw salt: %w", err)
		}
		seq := r.End()
		leaf := commitment(salt, seq, e.at.UnixMilli(), e.kind, e.subject, body)
		if _, err := st.ExecContext(ctx, int64(seq), e.at.UnixMilli(), e.kind, e.subject, string(body), salt, leaf); err != nil {
			return fmt.Errorf("append log: %w", err)
		}
		if err := r.Append(rfc6962.DefaultHasher.HashLeaf(leaf), nil); err != nil {
			return fmt.Errorf("append log: %w", err)
		}
	}
	var hashes []byte
	for _, h := range r.Hashes() {
		hashes = append(hashes, h...)
	}
	if _, err := t.ExecContext(ctx, "UPDATE log_head SET size = ?, hashes = ? WHERE id = 1", int64(r.End()), hashes); err != nil {
		return fmt.Errorf("append log: %w", err)
	}
	return nil
}

// commitment is the leaf of one entry; without the salt it says nothing about the entry.
func commitment(salt []byte, seq uint64, atMS int64, kind string, subject, body []byte) []byte {
	h := hmac.New(sha256.New, salt)
	_, _ = fmt.Fprintf(h, "%d|%d|%d:%s|%d:%s|%d:%s", seq, atMS, len(kind), kind, len(subject), subject, len(body), body)
	return h.Sum(nil)
}

type rowQuerier interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func loadRange(ctx context.Context, q rowQuerier) (*compact.Range, error) {
	var size int64
	var flat []byte
	if err := q.QueryRowContext(ctx, "SELECT size, hashes FROM log_head WHERE id = 1").Scan(&size, &flat); err != nil {
		return nil, fmt.Errorf("read log head: %w", err)
	}
	if len(flat)%sha256.Size != 0 {
		return nil, store.ErrCorrupt
	}
	var hashes [][]byte
	for i := 0; i < len(flat); i += sha256.Size {
		hashes = append(hashes, flat[i:i+sha256.Size])
	}
	r, err := ranges.NewRange(0, uint64(size), hashes)
	if err != nil {
		return nil, store.ErrCorrupt
	}
	return r, nil
}

func root(r *compact.Range) ([]byte, error) {
	if r.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	h, err := r.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("compute root: %w", err)
	}
	return h, nil
}

// Verify recomputes every leaf that is not sealed, and the tree, from the rows.
func (l *Ledger) Verify(ctx context.Context) (store.Verified, error) {
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return store.Verified{}, fmt.Errorf("read log: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // read only
	head, err := loadRange(ctx, t)
	if err != nil {
		return store.Verified{}, err
	}
	built, sealed, err := rebuild(ctx, t)
	out := store.Verified{Sealed: sealed}
	if err != nil {
		return out, err
	}
	want, err := root(head)
	if err != nil {
		return out, err
	}
	out.Size = int64(built.End())
	if out.Root, err = root(built); err != nil {
		return out, err
	}
	if built.End() != head.End() || !hmac.Equal(want, out.Root) {
		return out, &store.Error{Word: "LogTampered", Message: fmt.Sprintf("the rows give another root than the head, which has %d entries", head.End())}
	}
	return out, nil
}

// rebuild makes the tree anew from the rows, checking each that is not sealed.
func rebuild(ctx context.Context, t *sql.Tx) (built *compact.Range, sealed int64, err error) {
	built = ranges.NewEmptyRange(0)
	rows, err := t.QueryContext(ctx, "SELECT seq, at_ms, kind, subject_id, body, salt, leaf FROM log ORDER BY seq")
	if err != nil {
		return built, 0, fmt.Errorf("read log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		erased, leaf, err := checkRow(rows, built.End())
		if err != nil {
			return built, sealed, err
		}
		if erased {
			sealed++
		}
		if err := built.Append(rfc6962.DefaultHasher.HashLeaf(leaf), nil); err != nil {
			return built, sealed, fmt.Errorf("recompute log: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return built, sealed, fmt.Errorf("read log: %w", err)
	}
	return built, sealed, nil
}

func checkRow(rows *sql.Rows, want uint64) (sealed bool, leaf []byte, err error) {
	var seq, at int64
	var kind string
	var subject, body, salt []byte
	if err := rows.Scan(&seq, &at, &kind, &subject, &body, &salt, &leaf); err != nil {
		return false, nil, fmt.Errorf("read log: %w", err)
	}
	if uint64(seq) != want {
		return false, nil, &store.Error{Word: "LogTampered", Message: fmt.Sprintf("entry %d is missing", want)}
	}
	if salt == nil && body == nil {
		return true, leaf, nil
	}
	if !hmac.Equal(leaf, commitment(salt, want, at, kind, subject, body)) {
		return false, nil, &store.Error{Word: "LogTampered", Message: fmt.Sprintf("entry %d was changed", seq)}
	}
	return false, leaf, nil
}

// Status reads the ledger's identity and size.
func (l *Ledger) Status(ctx context.Context) (store.Status, error) {
	s := store.Status{LedgerID: l.cfg.LedgerID, Year: year(l.cfg.Clock())}
	r, err := loadRange(ctx, l.read)
	if err != nil {
		return s, err
	}
	s.LogSize = int64(r.End())
	if s.LogRoot, err = root(r); err != nil {
		return s, err
	}
	if i := l.view.Load(); i != nil {
		s.ViewHash, s.ViewIssued = i.hash, i.view.IssuedAt
		if s.Counter, err = counter(ctx, l.read, i.view.Policy.Processor, s.Year, ""); err != nil {
			return s, err
		}
	}
	if s.Requests, err = requestCounts(ctx, l.read, l.cfg.Clock()); err != nil {
		return s, err
	}
	const q = "SELECT (SELECT count(*) FROM subjects WHERE wrapped IS NOT NULL), (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())"
	if err := l.read.QueryRowContext(ctx, q).Scan(&s.Subjects, &s.SizeBytes); err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, l.noticeStatus(ctx, &s)
}
