package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store"
)

// viewer is who has the notice before their eyes, and whom the page is about.
type viewer struct {
	id       []byte
	guardian []byte // commitment; nil: the person themselves
	account  string
	language string
}

func (w viewer) control() consent.Control {
	if len(w.guardian) > 0 {
		return consent.Guardian
	}
	return consent.Page
}

// RecordLook notes that the notice is about to be shown. To look again on the same day writes
// nothing: reloading must not grow the ledger.
func (l *Ledger) RecordLook(ctx context.Context, k store.Look) error {
	v, err := l.policyView()
	if err != nil {
		return err
	}
	if k.Account == "" || k.Who.IsZero() || k.Language == "" {
		return store.ErrInvalid
	}
	hash, _, err := whatIsShown(v)
	if err != nil {
		return err
	}
	if w, err := l.viewer(ctx, l.read, k); err != nil {
		return err
	} else if n, err := looked(ctx, l.read, w, hash, day(l.cfg.Clock())); n > 0 || err != nil {
		return errors.Join(err, sameRevision(v, k))
	}
	return l.write.do(ctx, func(t *tx) error { return l.looks(ctx, t, k) })
}

// looks notes a look in a write.
func (l *Ledger) looks(ctx context.Context, t *tx, k store.Look) error {
	v := l.View()
	if err := sameRevision(v, k); err != nil {
		return err
	}
	w, err := l.viewer(ctx, t, k)
	if err != nil {
		return err
	}
	if k.Link == nil { // who opens the page is heard of
		if w.id, err = l.ensure(ctx, t, k.Account, k.Who); err != nil {
			return err
		}
	}
	return t.look(ctx, v, w, day(t.now))
}

func sameRevision(v *store.View, k store.Look) error {
	if v.Notice.Revision == 0 || v.Notice.Revision != k.Revision {
		return store.ErrNoticeRevision
	}
	return nil
}

// viewer finds who looks; the id is nil where nobody knows the person yet.
func (l *Ledger) viewer(ctx context.Context, q rowQuerier, k store.Look) (w viewer, err error) {
	w = viewer{account: k.Account, language: k.Language}
	if k.Link == nil {
		w.id, err = l.find(ctx, q, k.Account, k.Who)
		return w, err
	}
	x, err := l.follow(ctx, q, store.GuardianLink{Account: k.Account, Secret: *k.Link, Who: k.Who})
	w.id, w.guardian = x.id, x.guardian
	return w, err
}

// looked returns the number of the newest look of the viewer at this text since a day, or 0.
func looked(ctx context.Context, q rowQuerier, w viewer, hash []byte, since int64) (n int64, err error) {
	const sel = "SELECT n FROM looks WHERE subject_id = ? AND guardian = ? AND hash = ? AND language = ? AND day >= ? ORDER BY day DESC LIMIT 1"
	err = q.QueryRowContext(ctx, sel, w.id, blob(w.guardian), hash, w.language, since).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read looks: %w", err)
	}
	return n, nil
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// answering binds an answer to what was shown before it: to the newest look at this text. A
// form that nobody was seen to open, such as one of an old tab, was shown with its answer.
func (t *tx) answering(ctx context.Context, v *store.View, w viewer) error {
	return t.look(ctx, v, w, 0)
}

// look makes what this write records refer to a look since a day, and notes one where there is none.
func (t *tx) look(ctx context.Context, v *store.View, w viewer, since int64) error {
	hash, err := t.show(ctx, v)
	if err != nil {
		return err
	}
	n, err := looked(ctx, t, w, hash, since)
	if err != nil {
		return err
	}
	if n == 0 {
		if n, err = t.noteLook(ctx, v, w, hash, since > 0); err != nil {
			return err
		}
	}
	t.shown, t.looked, t.by = hex.EncodeToString(hash), n, w.control()
	return nil
}

// noteLook appends a look and logs it.
func (t *tx) noteLook(ctx context.Context, v *store.View, w viewer, hash []byte, opened bool) (n int64, err error) {
	const next = "SELECT COALESCE(max(n), 0) + 1 FROM looks WHERE subject_id = ?"
	if err := t.QueryRowContext(ctx, next, w.id).Scan(&n); err != nil {
		return 0, fmt.Errorf("read looks: %w", err)
	}
	const add = "INSERT INTO looks (subject_id, guardian, hash, language, day, n, at_ms, revision, account) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	if _, err := t.exec(ctx, add, w.id, blob(w.guardian), hash, w.language, day(t.now), n, t.now.UnixMilli(), v.Notice.Revision, w.account); err != nil {
		return 0, err
	}
	body := map[string]any{
		"look": n, "shown": hex.EncodeToString(hash), "notice": v.Notice.Hash, "revision": v.Notice.Revision, "language": w.language,
		"control": w.control(), "channel": "WeChatPage", "account": w.account, "opened": opened,
	}
	if len(w.guardian) > 0 {
		body["guardian"] = hex.EncodeToString(w.guardian)
	}
	t.log("shown", w.id, body)
	return n, nil
}

// withShown adds to an entry about an act on the page what was shown before it.
func (t *tx) withShown(c consent.Control, body map[string]any) map[string]any {
	if c == t.by && t.shown != "" {
		body["shown"], body["look"] = t.shown, t.looked
	}
	return body
}

// readLooks lists when the notice was shown, the newest 1000.
func readLooks(ctx context.Context, q querier, id []byte, r *store.Record) error {
	const sel = "SELECT at_ms, revision, hash, account, language, length(guardian) FROM looks WHERE subject_id = ? ORDER BY n DESC LIMIT 1000"
	err := each(ctx, q, sel, id, func(rows *sql.Rows) error {
		x := store.ShownEntry{Control: consent.Page}
		var ms, guardian int64
		var hash []byte
		err := rows.Scan(&ms, &x.Revision, &hash, &x.Account, &x.Language, &guardian)
		if guardian > 0 {
			x.Control = consent.Guardian
		}
		x.At, x.Hash = at(ms), hex.EncodeToString(hash)
		r.Shown = append(r.Shown, x)
		return err
	})
	slices.Reverse(r.Shown)
	return err
}
