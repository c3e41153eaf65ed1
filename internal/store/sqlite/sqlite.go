// Package sqlite is the embedded engine of the ledger: one file, one writer that commits
// groups, and readers beside it. Every acknowledged write has been synced (FULL). The SQL
// stands beside the function that uses it.
package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver

	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/keyfile"
	"github.com/maodian-dev/maodian/internal/store/seal"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config opens a ledger.
type Config struct {
	Dir      string // holds ledger.db
	KeysDir  string // holds the file of people's keys; default Dir
	LedgerID string // expected
	Create   bool   // an empty folder may become this ledger
	Ring     *seal.Ring
	Counting *seal.Counting // shared with other stores of the processor; nil: this one counts alone
	Clock    func() time.Time
	// PermitLife is how long a permit allows a request to start. Default 20 s.
	PermitLife time.Duration
}

const (
	file              = "ledger.db"
	defaultPermitLife = 20 * time.Second
	// skew is how far the clocks of store and dispatcher may differ.
	skew = 2 * time.Second
	// flight is how long a request that started in time may take to be reported.
	flight = 10 * time.Second
)

// Ledger is an open database file.
type Ledger struct {
	cfg   Config
	write *writer
	read  *sql.DB
	keys  *keyfile.File
	view  atomic.Pointer[installed]
	news  broadcast // fires after each report
	scrub scrubber  // removes erased bytes from the write-ahead log
	stale staleCount
	sign  *ledger.Signer
}

var _ store.Ledger = (*Ledger)(nil)

// installed is the current view with what is computed from it once.
type installed struct {
	view  *store.View
	hash  string
	rules []scored
}

// Open opens the ledger that is expected, or refuses: an empty folder where one was, a
// foreign or damaged file, a wrong key.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.PermitLife == 0 {
		cfg.PermitLife = defaultPermitLife
	}
	path := filepath.Join(cfg.Dir, file)
	if err := expected(ctx, path, cfg); err != nil {
		return nil, err
	}
	return openPrepared(ctx, path, cfg)
}

// openPrepared opens what may be opened: the database, and the file of people's keys.
func openPrepared(ctx context.Context, path string, cfg Config) (*Ledger, error) {
	db, err := open(path, 1)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, db, cfg); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	keys, err := openKeys(ctx, db, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	read, err := open(path, 4)
	if err != nil {
		return nil, errors.Join(err, keys.Close(), db.Close())
	}
	l := &Ledger{cfg: cfg, read: read, keys: keys}
	l.write = newWriter(db, cfg.Clock, func(at time.Time) time.Time { return request.Due(l.View().Pack(), at) }, keys.Sync)
	if err := l.ready(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// expected refuses a place that is empty although a ledger is expected there, and a file that
// is not that ledger.
func expected(ctx context.Context, path string, cfg Config) error {
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return examine(ctx, path, cfg)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open ledger: %w", err)
	case !cfg.Create:
		return store.ErrLedgerMissing
	}
	return nil
}

// ready loads what an open ledger keeps in memory.
func (l *Ledger) ready(ctx context.Context) (err error) {
	origin := ledger.Origin(l.cfg.LedgerID)
	if l.sign, err = ledger.NewSigner(origin, l.cfg.Ring.SigningSeed(origin)); err != nil {
		return err
	}
	const q = "INSERT INTO meta (key, value) VALUES ('verifier_key', ?) ON CONFLICT DO NOTHING" // for exports, which have no secret
	err = l.write.do(ctx, func(t *tx) error {
		_, err := t.exec(ctx, q, []byte(l.sign.VerifierKey()))
		return err
	})
	return errors.Join(err, l.loadView(ctx), l.resumeErasures(ctx))
}

func open(path string, conns int) (*sql.DB, error) {
	dsn := "file:" + path + "?_txlock=immediate" +
		"&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
		"&_pragma=trusted_schema(0)&_pragma=secure_delete(1)&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(4000)&_pragma=temp_store(MEMORY)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// prepare migrates the file and compares its identity. The identity of a new ledger is
// written in the same transaction as its first use, so a crash leaves a file without one,
// which may be taken over as long as creation is still allowed.
func prepare(ctx context.Context, db *sql.DB, cfg Config) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate ledger: %w", err)
	}
	if err := identify(ctx, db, cfg); err != nil {
		return err
	}
	return fillNodes(ctx, db)
}

// examine tells a ledger from a foreign or damaged file, and writes nothing: a file of
// somebody else stays as it is. A file without tables is one that was being created.
func examine(ctx context.Context, path string, cfg Config) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var check string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&check); err != nil || check != "ok" {
		return store.ErrCorrupt
	}
	var tables, ours int
	const q = "SELECT count(*), count(*) FILTER (WHERE name = 'meta') FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'"
	if err := db.QueryRowContext(ctx, q).Scan(&tables, &ours); err != nil {
		return store.ErrCorrupt
	}
	if tables == 0 {
		return nil
	}
	var id string
	err = store.ErrLedgerForeign
	if ours == 1 {
		err = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'ledger_id'").Scan(&id)
	}
	if errors.Is(err, sql.ErrNoRows) || (err == nil && id == cfg.LedgerID) {
		return nil
	}
	return store.ErrLedgerForeign
}

// keyCheck proves that the key is the one under which the ledger was made.
func keyCheck(cfg Config) []byte {
	c := cfg.Ring.Commit("ledger key check", []byte(cfg.LedgerID))
	return c[:]
}

func identify(ctx context.Context, db *sql.DB, cfg Config) error {
	var id string
	err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'ledger_id'").Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows) && !cfg.Create:
		return store.ErrLedgerMissing
	case errors.Is(err, sql.ErrNoRows):
		const q = "INSERT INTO meta (key, value) VALUES ('ledger_id', ?), ('key_check', ?)"
		if _, err := db.ExecContext(ctx, q, []byte(cfg.LedgerID), keyCheck(cfg)); err != nil {
			return fmt.Errorf("create ledger: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("read ledger id: %w", err)
	case id != cfg.LedgerID:
		return store.ErrLedgerForeign
	}
	var check []byte
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'key_check'").Scan(&check); err != nil {
		return fmt.Errorf("read key check: %w", err)
	}
	if !bytes.Equal(check, keyCheck(cfg)) {
		return store.ErrKeyWrong
	}
	return nil
}

// Close waits for the writer and closes the file.
func (l *Ledger) Close() error {
	return errors.Join(l.read.Close(), l.write.close(), l.keys.Close())
}

// View returns the view that decisions are made by.
func (l *Ledger) View() *store.View {
	if i := l.view.Load(); i != nil {
		return i.view
	}
	return nil
}

// PutView replaces the view. A view older than the present one is refused quietly: its
// push was overtaken. One that is dated after its arrival counts from its arrival: by a
// clock ahead it would stay fresh for too long, and keep later ones out. The notice in it
// has to follow on the ones before.
func (l *Ledger) PutView(ctx context.Context, ledgerID string, v *store.View) (string, error) {
	if ledgerID != l.cfg.LedgerID {
		return "", store.ErrLedgerForeign
	}
	var next *installed
	err := l.write.do(ctx, func(tx *tx) (err error) {
		dated, now := *v, l.view.Load()
		if dated.IssuedAt.After(tx.now) {
			dated.IssuedAt = tx.now
		}
		if now != nil && dated.IssuedAt.Before(now.view.IssuedAt) {
			next = now
			return nil
		}
		if err := l.settleNotice(ctx, tx, &dated); err != nil {
			return err
		}
		if next, err = tx.putView(ctx, now, &dated); err == nil {
			tx.after(func() { l.view.Store(next) })
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return next.hash, nil
}

// putView writes a view down, and logs it when it says something else than the one before.
func (t *tx) putView(ctx context.Context, now *installed, v *store.View) (*installed, error) {
	next, err := install(v)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode view: %w", err)
	}
	const q = "INSERT INTO view (id, body, hash) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body, hash = excluded.hash"
	if _, err := t.exec(ctx, q, string(body), next.hash); err != nil {
		return nil, err
	}
	if now == nil || now.hash != next.hash {
		t.log("view", nil, map[string]any{"hash": next.hash, "policy": v.Policy.Name, "notice": v.Notice.Revision, "noticeHash": v.Notice.Hash})
	}
	return next, nil
}

func (l *Ledger) loadView(ctx context.Context) error {
	var body string
	err := l.read.QueryRowContext(ctx, "SELECT body FROM view WHERE id = 1").Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read view: %w", err)
	}
	var v store.View
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return store.ErrCorrupt
	}
	i, err := install(&v)
	if err != nil {
		return err
	}
	l.view.Store(i)
	return nil
}

// policyView returns the view, or says that none was pushed yet.
func (l *Ledger) policyView() (*store.View, error) {
	v := l.View()
	if v == nil || v.Policy.Name == "" {
		return nil, store.ErrPolicyMissing
	}
	return v, nil
}
