package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

func ring(t testing.TB, b byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(bytes.Repeat([]byte{b}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func config(t testing.TB, dir string, clock *storetest.Clock, create bool) sqlite.Config {
	return sqlite.Config{Dir: dir, LedgerID: storetest.LedgerID, Create: create, Ring: ring(t, 7), Clock: clock.Now}
}

func open(t *testing.T, dir string, clock *storetest.Clock, create bool) (store.Ledger, error) {
	l, err := sqlite.Open(t.Context(), config(t, dir, clock, create))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func TestContract(t *testing.T) { storetest.Run(t, storetest.Engine{Open: open}) }

func TestNothingIsSentAfterAnAcknowledgedWithdrawal(t *testing.T) {
	histories := 10_000
	if testing.Short() {
		histories = 500
	}
	storetest.Races(t, storetest.Engine{Open: open}, histories)
}

func TestNothingIsWrittenAfterAnAcknowledgedWithdrawal(t *testing.T) {
	histories := 3_000
	if testing.Short() {
		histories = 300
	}
	storetest.PartRaces(t, storetest.Engine{Open: open}, histories)
}

func TestOpen_Refuses(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	l, err := open(t, dir, clock, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	foreign, wrongKey := config(t, dir, clock, true), config(t, dir, clock, true)
	foreign.LedgerID = "another"
	wrongKey.Ring = ring(t, 8)
	junk := t.TempDir()
	noise := make([]byte, 8192)
	_, _ = rand.Read(noise)
	if err := os.WriteFile(filepath.Join(junk, "ledger.db"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	notes := somebodyElses(t, filepath.Join(other, "ledger.db"))
	for name, c := range map[string]struct {
		cfg  sqlite.Config
		want error
	}{
		"somebody else's database":      {config(t, other, clock, true), store.ErrLedgerForeign},
		"a ledger with another id":      {foreign, store.ErrLedgerForeign},
		"a key of another store":        {wrongKey, store.ErrKeyWrong},
		"a file that is no database":    {config(t, junk, clock, true), store.ErrCorrupt},
		"an empty folder, once created": {config(t, t.TempDir(), clock, false), store.ErrLedgerMissing},
	} {
		if _, err := sqlite.Open(t.Context(), c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if after, err := os.ReadFile(filepath.Join(junk, "ledger.db")); err != nil || !bytes.Equal(after, noise) {
		t.Error("a foreign file was changed")
	}
	if after, err := os.ReadFile(filepath.Join(other, "ledger.db")); err != nil || !bytes.Equal(after, notes) {
		t.Error("somebody else's database was changed")
	}
}

// somebodyElses makes a database of another program, and returns its bytes.
func somebodyElses(t *testing.T, path string) []byte {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('kept')"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVerify_NamesWhatWasChanged changes the file behind the ledger's back.
func TestVerify_NamesWhatWasChanged(t *testing.T) {
	for name, statement := range map[string]string{
		"a changed record":                 "UPDATE log SET body = replace(body, 'Given', 'Refused') WHERE kind = 'consent'",
		"a changed time":                   "UPDATE log SET at_ms = at_ms + 1 WHERE seq = 1",
		"a removed entry":                  "DELETE FROM log WHERE seq = 1",
		"a cut tail":                       "DELETE FROM log WHERE seq = (SELECT max(seq) FROM log)",
		"a replaced leaf":                  "UPDATE log SET leaf = randomblob(32), body = NULL, salt = NULL WHERE seq = 1",
		"a record replaced, its salt gone": "UPDATE log SET body = 'x', salt = NULL WHERE seq = 1",
		"a head set back":                  "UPDATE log_head SET size = 0, hashes = x''",
	} {
		t.Run(name, func(t *testing.T) {
			dir, clock := t.TempDir(), storetest.NewClock()
			l, err := open(t, dir, clock, true)
			if err != nil {
				t.Fatal(err)
			}
			w := &storetest.World{T: t, Ledger: l, Clock: clock}
			w.Push(nil)
			w.Fan("a")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			raw(t, dir, "DROP TRIGGER log_no_delete; DROP TRIGGER log_seal_only; "+statement)
			if l, err = open(t, dir, clock, false); err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var e *store.Error
			if _, err := l.Verify(t.Context()); !errors.As(err, &e) || e.Word != "LogTampered" {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

func TestTriggers_KeepHistory(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	l, err := open(t, dir, clock, true)
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	w.Fan("a")
	w.Tell("t", aggregate.LeadsByStage)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		"DELETE FROM log", "UPDATE log SET body = 'x'", "UPDATE log SET body = NULL, salt = NULL, subject_id = x'00'",
		"UPDATE consent_events SET action = 'Refused'", "DELETE FROM consent_events",
		"UPDATE meta SET value = x'7B7D' WHERE key LIKE 'notice/%'", "UPDATE meta SET key = 'x' WHERE key LIKE 'notice/%'",
		"DELETE FROM meta", "REPLACE INTO meta SELECT key, x'7B7D' FROM meta", "UPDATE meta SET key = 'notice/0000000009' WHERE key = 'key_check'",
		"UPDATE shown SET body = 'x'", "DELETE FROM shown", "UPDATE looks SET at_ms = 1", "DELETE FROM looks",
		"UPDATE releases SET counted_ms = 1", "DELETE FROM releases", "REPLACE INTO releases SELECT * FROM releases",
		"UPDATE release_cells SET counted = 0", "DELETE FROM release_cells", "REPLACE INTO release_cells SELECT * FROM release_cells",
	} {
		if _, err := db.ExecContext(t.Context(), q); err == nil || !strings.Contains(err.Error(), "append-only") && !strings.Contains(err.Error(), "sealed") {
			t.Errorf("%s: %v", q, err)
		}
	}
	const few = "INSERT INTO release_cells SELECT id, 'few', 'x', 10, 20 FROM releases"
	if _, err := db.ExecContext(t.Context(), few); err == nil || !strings.Contains(err.Error(), "CHECK") {
		t.Errorf("a number about few: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE log SET body = NULL, salt = NULL WHERE seq = 1"); err != nil {
		t.Errorf("sealing an entry: %v", err)
	}
}

// TestTriggers_NameATextOnce: a text that was kept before there were hashes gets its own, and
// is then as fixed as the others.
func TestTriggers_NameATextOnce(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	l, err := open(t, dir, clock, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, dir, `INSERT INTO meta VALUES ('notice/0000000003', CAST('{"Name":"brand-notice","Revision":3,"Hash":""}' AS BLOB))`)
	if l, err = open(t, dir, clock, false); err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	if got, err := l.Status(t.Context()); err != nil || got.NoticeRefused || got.Notice.Hash == "" {
		t.Errorf("the text did not get its hash: %v, %v", got.Notice, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE meta SET value = x'7B7D' WHERE key = 'notice/0000000003'"); err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("changed once more: %v", err)
	}
}

// TestFile_HoldsNoIdentifier greps everything on disk for the people of the ledger.
func TestFile_HoldsNoIdentifier(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	l, err := open(t, dir, clock, true)
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	w.Fan("canary")
	w.Plan("run")
	w.Report("run", store.Sent, w.Lease("run", 1).Permits...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds the identifier", filepath.Base(f))
		}
	}
}

// TestConcurrentLeases_NeverShareAPerson runs workers against each other.
func TestConcurrentLeases_NeverShareAPerson(t *testing.T) {
	clock := storetest.NewClock()
	l, err := open(t, t.TempDir(), clock, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	const people = 60
	for i := range people {
		w.Fan(fmt.Sprint("fan", i))
	}
	w.Plan("run")
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			for {
				got, err := l.Lease(context.Background(), "run", 0, 3)
				if err != nil || len(got.Permits) == 0 {
					return
				}
				mu.Lock()
				for _, p := range got.Permits {
					if seen[p.Key] {
						t.Error("a person was leased twice")
					}
					seen[p.Key] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != people {
		t.Errorf("%d people leased, want %d", len(seen), people)
	}
}

func raw(t *testing.T, dir, q string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}
