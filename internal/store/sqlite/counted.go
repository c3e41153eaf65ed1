package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/census"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// CountedOf describes the year's counter of this ledger.
func (l *Ledger) CountedOf(context.Context) (store.CountedSet, error) {
	v, err := l.policyView()
	if err != nil {
		return store.CountedSet{}, err
	}
	if l.cfg.Counting == nil {
		return store.CountedSet{}, store.ErrCountingDiffers
	}
	return store.CountedSet{Processor: v.Policy.Processor, SinceYear: since(v, l.cfg.Clock()), KeyID: l.cfg.Counting.KeyID()}, nil
}

// shares refuses to compare what is not the same.
func (l *Ledger) shares(ctx context.Context, s store.CountedSet) error {
	own, err := l.CountedOf(ctx)
	if err == nil && (own.Processor != s.Processor || own.KeyID != s.KeyID) {
		err = store.ErrCountingDiffers
	}
	return err
}

// CountedSince tells how many people ListCounted lists. Both only ever grow within a window.
func (l *Ledger) CountedSince(ctx context.Context, s store.CountedSet) (transfer.Counter, error) {
	if err := l.shares(ctx, s); err != nil {
		return transfer.Counter{}, err
	}
	return countedSince(ctx, l.read, s.Processor, s.SinceYear, year(l.cfg.Clock()))
}

// countedPage is how many people are read at a time: other readers go on in between.
const countedPage = 4096

// ListCounted lists the commitments of one counter, each once, in ascending order.
func (l *Ledger) ListCounted(ctx context.Context, s store.CountedSet, sensitive bool) (census.List, error) {
	if err := l.shares(ctx, s); err != nil {
		return nil, err
	}
	until := year(l.cfg.Clock())
	return func(yield func(subject.Commitment, error) bool) {
		var after []byte
		for {
			page, err := l.listPage(ctx, s, until, sensitive, after)
			if err != nil {
				yield(subject.Commitment{}, err)
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if len(page) < countedPage {
				return
			}
			after = page[len(page)-1][:]
		}
	}, nil
}

// listPage reads the next commitments; the key of each year is in order, and the years are merged.
func (l *Ledger) listPage(ctx context.Context, s store.CountedSet, until int, sensitive bool, after []byte) ([]subject.Commitment, error) {
	const one = "SELECT commitment FROM transfer_persons WHERE processor = ? AND year = ? AND sensitive = ? AND commitment > ?"
	var selects []string
	var args []any
	if after == nil {
		after = []byte{}
	}
	for y := s.SinceYear; y <= until; y++ {
		selects, args = append(selects, one), append(args, s.Processor, y, sensitive, after)
	}
	if len(selects) == 0 {
		return nil, nil
	}
	rows, err := l.read.QueryContext(ctx, strings.Join(selects, " UNION ")+" ORDER BY commitment LIMIT ?", append(args, countedPage)...)
	if err != nil {
		return nil, fmt.Errorf("read counted people: %w", err)
	}
	defer rows.Close()
	page := make([]subject.Commitment, 0, countedPage)
	for rows.Next() {
		var raw sql.RawBytes
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("read counted people: %w", err)
		}
		if len(raw) != len(subject.Commitment{}) {
			return nil, store.ErrCorrupt
		}
		page = append(page, subject.Commitment(raw))
	}
	return page, rows.Err()
}

// sharedNames names the people of a part as every store that holds the counting key does: by
// the identifier that the platform has for them. Nobody is named without a key.
func (l *Ledger) sharedNames(ctx context.Context, t *tx, p *parting) (map[[16]byte]subject.Commitment, error) {
	if l.cfg.Counting == nil || len(p.people) == 0 {
		return nil, nil
	}
	out := make(map[[16]byte]subject.Commitment, len(p.people))
	for chunk := range slices.Chunk(p.people, insertChunk) {
		ids := make([]any, 0, len(chunk))
		for _, x := range chunk {
			ids = append(ids, x.id)
		}
		if err := l.nameShared(ctx, t, p.processor, ids, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *Ledger) nameShared(ctx context.Context, t *tx, processor string, ids []any, out map[[16]byte]subject.Commitment) error {
	q := `SELECT s.id, s.wrapped, i.kind, i.sealed FROM subjects s JOIN identities i ON i.subject_id = s.id AND i.kind IN ('` + kindOpenID + `', '` + kindUnionID + `')
		WHERE s.wrapped IS NOT NULL AND s.id IN (?` + strings.Repeat(", ?", len(ids)-1) + `) ORDER BY i.kind = '` + kindUnionID + `'` // who has both is named by the unionid
	rows, err := t.QueryContext(ctx, q, ids...)
	if err != nil {
		return fmt.Errorf("read identities: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, wrapped, sealed []byte
		var kind string
		if err := rows.Scan(&id, &wrapped, &kind, &sealed); err != nil {
			return fmt.Errorf("read identities: %w", err)
		}
		name, err := l.openIdentity(id, wrapped, "identities."+kind, sealed)
		if err != nil {
			return err
		}
		out[[16]byte(id)] = l.cfg.Counting.Commit(processor, kind, name)
	}
	return rows.Err()
}

// Names in counters are kept as long as any rule pack looks at them: windows reach back one year,
// and what a recipient got twelve months.
const (
	countedYears   = 2
	recipientYears = 1
	forgetChunk    = 5000
)

// forgetCounted deletes names that no window reaches any more. The totals of a year stay: they
// name nobody. A reader looks whether there are any, so that no write waits for that.
func (l *Ledger) forgetCounted(ctx context.Context, out *store.Swept) error {
	now := l.cfg.Clock()
	for _, x := range []struct {
		table, key, where string
		before            int64
	}{
		{"transfer_persons", "processor, year, sensitive, commitment", "processor IN (SELECT processor FROM transfer_totals) AND year < ?", int64(year(now) - countedYears + 1)},
		{"recipient_persons", "recipient, sensitive, commitment", "last_ms < ?", now.AddDate(-recipientYears, 0, -1).UnixMilli()},
	} {
		var old bool
		if err := l.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+x.table+" WHERE "+x.where+")", x.before).Scan(&old); err != nil {
			return fmt.Errorf("read counted people: %w", err)
		}
		if !old {
			continue
		}
		q := "DELETE FROM " + x.table + " WHERE (" + x.key + ") IN (SELECT " + x.key + " FROM " + x.table + " WHERE " + x.where + " LIMIT ?)"
		err := l.write.do(ctx, func(t *tx) error {
			gone, err := t.exec(ctx, q, x.before, forgetChunk)
			out.More = out.More || gone == forgetChunk
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
