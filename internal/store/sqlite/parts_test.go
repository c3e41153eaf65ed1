package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// TestLeasePart_LooksOn: one transaction looks at so many people only, and the search goes on
// behind those who may not be included.
func TestLeasePart_LooksOn(t *testing.T) {
	l, w, _ := peopled(t, "a")
	defer mustClose(t, l)
	err := l.write.do(t.Context(), func(tx *tx) error {
		for _, q := range []string{
			`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 20000)
				INSERT INTO subjects (id, created_ms, wrapped) SELECT CAST(x'00' || randomblob(15) AS BLOB), 1, x'00' FROM n`,
			`INSERT INTO consent_state SELECT 'GroupReporting', 'acme-group-crm', id, 'Given', 1, 2, 1, 'page', 0 FROM subjects WHERE wrapped = x'00'`, // to an older text
		} {
			if _, err := tx.exec(t.Context(), q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Second)
	if _, err := l.DeclareTransfer(t.Context(), w.Export("t")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.StartTransfer(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	p, err := l.LeasePart(t.Context(), "t", maxPart)
	if err != nil || len(p.Rows) != 1 || p.Done {
		t.Errorf("%d rows, done %v, %v", len(p.Rows), p.Done, err)
	}
	var parts int
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*) FROM transfer_parts").Scan(&parts); err != nil || parts != 1 {
		t.Errorf("%d parts, %v", parts, err)
	}
}

// TestLeasePart_WritesNothingAboutTheErased: that they were left out is noted, not who it was.
func TestLeasePart_WritesNothingAboutTheErased(t *testing.T) {
	l, w, _ := peopled(t, "a")
	defer mustClose(t, l)
	w.Clock.Move(time.Second)
	_, declared := l.DeclareTransfer(t.Context(), w.Export("t"))
	_, started := l.StartTransfer(t.Context(), "t")
	p, leased := l.LeasePart(t.Context(), "t", 1)
	w.Clock.Move(p.Life + time.Minute)
	w.Erase("a")
	p, again := l.LeasePart(t.Context(), "t", 1)
	if err := errors.Join(declared, started, leased, again); err != nil || len(p.Rows) != 0 {
		t.Fatal(len(p.Rows), err)
	}
	var about, left int
	const q = "SELECT count(*) FILTER (WHERE subject_id IS NOT NULL AND body IS NOT NULL AND kind LIKE 'transfer%'), count(*) FILTER (WHERE kind = 'transfer person left out') FROM log"
	if err := l.read.QueryRowContext(t.Context(), q).Scan(&about, &left); err != nil || about != 0 || left != 1 {
		t.Errorf("%d entries about the person, %d about who was left out, %v", about, left, err)
	}
}

// TestErase_SealsWhatItsCommitHolds: a lease and an erasure may share one commit, and what the
// one logs of the person is written after the other has sealed.
func TestErase_SealsWhatItsCommitHolds(t *testing.T) {
	l, w, _ := peopled(t, "a")
	defer mustClose(t, l)
	w.Clock.Move(time.Second)
	_, declared := l.DeclareTransfer(t.Context(), w.Export("t"))
	_, started := l.StartTransfer(t.Context(), "t")
	if err := errors.Join(declared, started); err != nil {
		t.Fatal(err)
	}
	busy, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 3)
	go func() { done <- l.write.do(t.Context(), func(*tx) error { close(busy); <-release; return nil }) }()
	<-busy
	for i, f := range []func() error{
		func() error { _, err := l.LeasePart(t.Context(), "t", 1); return err },
		func() error {
			patience, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := l.Erase(patience, storetest.Account, storetest.OpenID("a"), consent.Page)
			return err
		},
	} {
		go func() { done <- f() }()
		for len(l.write.jobs) <= i {
			runtime.Gosched()
		}
	}
	close(release)
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	var sealed, open int
	const q = "SELECT count(*) FILTER (WHERE body IS NULL AND salt IS NULL), count(*) FILTER (WHERE body IS NOT NULL OR salt IS NOT NULL) FROM log WHERE kind = 'transfer person'"
	if err := l.read.QueryRowContext(t.Context(), q).Scan(&sealed, &open); err != nil || sealed != 1 || open != 0 {
		t.Errorf("%d sealed, %d open, %v", sealed, open, err)
	}
	if _, err := l.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMigration_KeepsTheCounter: people who were counted before there was a total.
func TestMigration_KeepsTheCounter(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	db, err := sql.Open("sqlite", filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	const q = "INSERT INTO transfer_persons VALUES ('acme-china', 2026, 0, x'01', 't'), ('acme-china', 2026, 0, x'02', 't'), ('acme-china', 2026, 1, x'01', 'u'), ('acme-china', 2025, 0, x'01', 't'), ('x', 2026, 0, x'01', 't')"
	if _, err := db.ExecContext(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := openIn(t, dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, l)
	c, err := counter(t.Context(), l.read, &store.View{Policy: store.Policy{Processor: "acme-china", RulePack: "cn-2026-01"}}, clock.Now(), "")
	if want := (transfer.Counter{NonSensitive: 2, Sensitive: 1}); err != nil || c != want {
		t.Errorf("%+v, want %+v, %v", c, want, err)
	}
}

// TestMigration_LooksForPeopleOnceMore: whether anybody was left of a transfer under way was not
// noted before.
func TestMigration_LooksForPeopleOnceMore(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	db, err := sql.Open("sqlite", filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 11); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO transfers (id, spec, state, started_ms) VALUES ('t', '{}', 'Started', 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := openIn(t, dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, l)
	if err := l.FinishTransfer(t.Context(), "t", store.Manifest{Object: "o"}); !errors.Is(err, store.ErrPartsLeft) {
		t.Errorf("FinishTransfer: %v", err)
	}
	if err := l.FinishTransfer(t.Context(), "t", store.Manifest{Partial: true}); err != nil {
		t.Error(err)
	}
}
