package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

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
