package sqlite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/store"
)

// entry is a fact for the log: it is committed with the fact itself.
type entry struct {
	at      time.Time
	kind    string
	subject []byte
	body    any  // encoded as a JSON object
	sealed  bool // only the commitment is kept: the person was erased in the same commit
}

// log adds a fact about subject (nil: about nobody in particular). The body may hold
// pseudonyms, codes, times and numbers; never an identifier.
func (t *tx) log(kind string, subject []byte, body any) {
	*t.entries = append(*t.entries, entry{at: t.now, kind: kind, subject: subject, body: body})
}

// appendLog extends the tree by the group's facts and stores its new head, and the nodes
// that became complete.
func appendLog(ctx context.Context, t *sql.Tx, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	r, err := loadRange(ctx, t)
	if err != nil {
		return err
	}
	var done nodes
	rows := make([]any, 0, 8*len(entries))
	for _, e := range entries {
		body, err := json.Marshal(e.body)
		if err != nil {
			return fmt.Errorf("append log: %w", err)
		}
		salt := make([]byte, ledger.SaltSize)
		if _, err := rand.Read(salt); err != nil {
			return fmt.Errorf("draw salt: %w", err)
		}
		seq, at := r.End(), e.at.UnixMilli()
		commitment := ledger.Commit(salt, ledger.Person(salt, ledger.Principal(e.subject)), body)
		row := []any{int64(seq), at, e.kind, e.subject, string(body), salt, commitment, 2}
		if e.sealed {
			row[4], row[5] = nil, nil
		}
		rows = append(rows, row...)
		if err := r.Append(ledger.LeafHash(seq, at, e.kind, commitment), done.visit); err != nil {
			return fmt.Errorf("append log: %w", err)
		}
	}
	if _, err := insertAll(ctx, t, "INSERT INTO log (seq, at_ms, kind, subject_id, body, salt, leaf, form) VALUES %s", 8, rows); err != nil {
		return err
	}
	if err := done.write(ctx, t); err != nil {
		return err
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
	r, err := ledger.Ranges.NewRange(0, uint64(size), hashes)
	if err != nil {
		return nil, store.ErrCorrupt
	}
	return r, nil
}

// Status reads the ledger's identity and size.
func (l *Ledger) Status(ctx context.Context) (store.Status, error) {
	s := store.Status{LedgerID: l.cfg.LedgerID, Year: year(l.cfg.Clock())}
	signed, head, err := l.checkpoint(ctx, 0)
	if err != nil {
		return s, err
	}
	if l.cfg.Counting != nil {
		s.CountingKeyID = l.cfg.Counting.KeyID()
	}
	s.Checkpoint, s.VerifierKey, s.LogSize, s.LogRoot = signed, l.sign.VerifierKey(), int64(head.Size), head.Root
	if i := l.view.Load(); i != nil {
		s.ViewHash, s.ViewIssued = i.hash, i.view.IssuedAt
		if s.Counter, err = counter(ctx, l.read, i.view, l.cfg.Clock(), ""); err != nil {
			return s, err
		}
	}
	if s.Requests, err = requestCounts(ctx, l.read, l.cfg.Clock()); err != nil {
		return s, err
	}
	if s.Duties, err = recipientDuties(ctx, l.read, l.cfg.Clock()); err != nil {
		return s, err
	}
	const q = "SELECT (SELECT count(*) FROM subjects WHERE wrapped IS NOT NULL), (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())"
	if err := l.read.QueryRowContext(ctx, q).Scan(&s.Subjects, &s.SizeBytes); err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, l.noticeStatus(ctx, &s)
}
