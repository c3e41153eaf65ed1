package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/store"
)

// Every text that was ever taken stays under `meta`, by its revision: the processor has to
// prove what people were told (PIPL 69), and the ledger outlives the PrivacyNotice.
const noticePrefix = "notice/"

func noticeKey(revision int64) string { return fmt.Sprintf("%s%010d", noticePrefix, revision) }

// settleNotice decides which notice a pushed view brings into force: its own when it is what
// its hash says and follows on what the ledger knows, otherwise the one before it, and says
// that it refused. The rest of the view counts all the same: a hold is not kept out by a notice.
func (l *Ledger) settleNotice(ctx context.Context, t *tx, v *store.View) error {
	v.NoticeRefused, v.NoticeRefusal = false, ""
	var before store.Notice
	if now := l.view.Load(); now != nil {
		before = now.view.Notice
	}
	told := v.Notice
	if told.Revision == 0 {
		return nil // withdrawn: nobody is told anything, so nothing is consented to
	}
	newest, err := newestNotice(ctx, t, before)
	if err != nil {
		return err
	}
	told.Hash = named(told)
	switch known := newest != nil; {
	case !told.TextKept && told.Hash != told.Text().Hash():
		v.Notice, v.NoticeRefused, v.NoticeRefusal = before, true, store.RefusedHash
	case known && !told.Version().Follows(newest.Version()):
		v.Notice, v.NoticeRefused, v.NoticeRefusal = before, true, store.RefusedRevision
	case known && newest.Version() == told.Version(): // as it was taken, whatever comes under its hash
		v.Notice, v.Notice.Name = *newest, told.Name
	case told.TextKept: // of a text that never came here
		v.Notice = before
	default:
		v.Notice = told
		return t.keepNotice(ctx, told)
	}
	return nil
}

// named is the hash that a notice comes with. A text that comes without one is named here.
func named(n store.Notice) string {
	if n.Hash == "" && !n.TextKept {
		return n.Text().Hash()
	}
	return n.Hash
}

// newestNotice returns the text of the highest revision that the ledger has taken. A ledger
// from before texts were kept knows the one in force.
func newestNotice(ctx context.Context, q rowQuerier, inForce store.Notice) (*store.Notice, error) {
	var body []byte
	const query = "SELECT value FROM meta WHERE key >= ?1 AND key < ?1 || '~' ORDER BY key DESC LIMIT 1"
	err := q.QueryRowContext(ctx, query, noticePrefix).Scan(&body)
	switch {
	case errors.Is(err, sql.ErrNoRows) && inForce.Revision == 0:
		return nil, nil
	case errors.Is(err, sql.ErrNoRows):
		return &inForce, nil
	case err != nil:
		return nil, fmt.Errorf("read notice: %w", err)
	}
	var n store.Notice
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, store.ErrCorrupt
	}
	return &n, nil
}

// keepNotice writes down what people are told from now on.
func (t *tx) keepNotice(ctx context.Context, n store.Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	// Only a text from before there were hashes is there already: the database keeps all others.
	renamed, err := t.exec(ctx, "UPDATE meta SET value = ? WHERE key = ?", body, noticeKey(n.Revision))
	if err != nil {
		return err
	}
	if renamed == 0 {
		if _, err := t.exec(ctx, "INSERT INTO meta (key, value) VALUES (?, ?)", noticeKey(n.Revision), body); err != nil {
			return err
		}
	}
	t.log("notice", nil, map[string]any{"name": n.Name, "revision": n.Revision, "hash": n.Hash})
	return nil
}

// noticeStatus tells which text the ledger knows as its newest, and how many people's
// consents are to an older one.
func (l *Ledger) noticeStatus(ctx context.Context, s *store.Status) error {
	i := l.view.Load()
	if i == nil {
		return nil
	}
	s.NoticeRefused, s.NoticeRefusal = i.view.NoticeRefused, i.view.NoticeRefusal
	newest, err := newestNotice(ctx, l.read, i.view.Notice)
	if err != nil || newest == nil {
		return err
	}
	s.Notice = newest.Version()
	s.StaleConsents, err = l.stale.count(ctx, l, s.Notice, s.LogSize)
	return err
}

// staleFor is how long a count of stale consents may be shown although consents came in:
// it looks at everybody.
const staleFor = time.Minute

// staleCount remembers the last count.
type staleCount struct {
	mu     sync.Mutex
	notice notice.Version
	log    int64 // its size then: nothing new, nothing to count
	at     time.Time
	people int64
}

// count counts the people who agreed to a revision before the newest one, and not since.
func (c *staleCount) count(ctx context.Context, l *Ledger, newest notice.Version, logSize int64) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := l.cfg.Clock()
	if c.notice == newest && (c.log == logSize || now.Sub(c.at) < staleFor && !now.Before(c.at)) {
		return c.people, nil
	}
	const q = `SELECT count(*) FROM subjects s WHERE s.wrapped IS NOT NULL AND EXISTS (
		SELECT 1 FROM consent_state c WHERE c.subject_id = s.id AND c.action = 'Given' AND c.revision < ?)`
	var people int64
	if err := l.read.QueryRowContext(ctx, q, newest.Revision).Scan(&people); err != nil {
		return 0, fmt.Errorf("count stale consents: %w", err)
	}
	c.notice, c.log, c.at, c.people = newest, logSize, now, people
	return people, nil
}
