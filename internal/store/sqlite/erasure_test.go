package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/keyfile"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

func testRing(t testing.TB) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openIn(t testing.TB, dir string, clock *storetest.Clock) (*Ledger, error) {
	return Open(t.Context(), Config{Dir: dir, LedgerID: storetest.LedgerID, Create: true, Ring: testRing(t), Clock: clock.Now})
}

// peopled opens a ledger with people in it.
func peopled(t *testing.T, names ...string) (*Ledger, *storetest.World, string) {
	t.Helper()
	dir, clock := t.TempDir(), storetest.NewClock()
	l, err := openIn(t, dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	for _, n := range names {
		w.Fan(n)
	}
	return l, w, dir
}

func copyTo(t *testing.T, to, from string, names ...string) {
	t.Helper()
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n))
		if errors.Is(err, os.ErrNotExist) && n != file {
			_ = os.Remove(filepath.Join(to, n))
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mustClose(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// readable opens every identifier that a copy of the database holds, with the store's key and
// a key file, and tells whose could be read.
func readable(t *testing.T, dir, keysDir string) map[string]bool {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	keys, err := keyfile.Open(keysDir, storetest.LedgerID, false)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	l := &Ledger{cfg: Config{Ring: testRing(t)}, keys: keys}
	rows, err := db.QueryContext(t.Context(), "SELECT s.id, s.wrapped, i.sealed, i.blind FROM subjects s JOIN identities i ON i.subject_id = s.id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var id, wrapped, sealed, blind []byte
		if err := rows.Scan(&id, &wrapped, &sealed, &blind); err != nil {
			t.Fatal(err)
		}
		if who, err := l.openIDOf(id, wrapped, sealed); err == nil {
			out[who.Reveal()] = true
		}
		if _, key, err := place(wrapped); err == nil { // the store's key alone
			if _, err := l.cfg.Ring.Open(key, id, sealedOpenID, sealed); err == nil {
				t.Error("the store's key alone opens an identifier")
			}
		}
		for _, name := range []string{"a", "b"} {
			if bytes.Equal(blind, l.cfg.Ring.Blind(kindOpenID, storetest.Account, storetest.OpenID(name).Reveal())) {
				t.Error("the store's key alone finds a person in the copy")
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	return out
}

// TestErase_OldCopyIsUnreadable: a copy of the database from before the erasure, with the
// store's key and the key file of today, tells of the others only.
func TestErase_OldCopyIsUnreadable(t *testing.T) {
	l, w, dir := peopled(t, "a", "b")
	backup, keysBefore := t.TempDir(), t.TempDir()
	copyTo(t, backup, dir, file, file+"-wal")
	copyTo(t, keysBefore, dir, file, keyfile.Name)
	before := readable(t, backup, dir)
	w.Erase("a")
	mustClose(t, l)
	a, b := storetest.OpenID("a").Reveal(), storetest.OpenID("b").Reveal()
	if !before[a] || !before[b] {
		t.Fatalf("before: %d readable", len(before))
	}
	if after := readable(t, backup, dir); after[a] || !after[b] {
		t.Errorf("after: %v", slices.Collect(maps.Values(after)))
	}
	t.Run("the limit: a kept copy of the key file keeps the erased readable", func(t *testing.T) {
		if kept := readable(t, backup, keysBefore); !kept[a] {
			t.Error("docs/erasure.md says otherwise")
		}
	})
	t.Run("put back, the old copy is erased of the same people again", func(t *testing.T) {
		copyTo(t, dir, backup, file, file+"-wal")
		l, err := openIn(t, dir, w.Clock)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, l)
		w.Ledger = l
		if w.All("a").Known || !w.All("b").Known {
			t.Error("the erased came back, or the other did not")
		}
		if left := grep(t, dir, "tag:tea"); left != 1 {
			t.Errorf("the interest is there %d times, want the other's once", left)
		}
		if _, err := l.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestErase_OldKeyFilePutBack: the ledger knows who was erased, and destroys their keys again.
func TestErase_OldKeyFilePutBack(t *testing.T) {
	l, w, dir := peopled(t, "a", "b")
	keysBefore := t.TempDir()
	copyTo(t, keysBefore, dir, file, keyfile.Name)
	id, err := l.find(t.Context(), l.read, storetest.Account, storetest.OpenID("a"))
	if err != nil {
		t.Fatal(err)
	}
	w.Erase("a")
	mustClose(t, l)
	copyTo(t, dir, keysBefore, keyfile.Name)
	if l, err = openIn(t, dir, w.Clock); err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, l)
	if _, err := l.keys.Secret(0, id); !errors.Is(err, keyfile.ErrDestroyed) {
		t.Errorf("the key is back: %v", err)
	}
}

// grep counts a text in everything on disk.
func grep(t *testing.T, dir, text string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal("no files", err)
	}
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(b, []byte(text))
	}
	return n
}

// TestErase_LeavesNothingOnDisk looks into every file while the ledger is open, the
// write-ahead log included, for what the person was and did.
func TestErase_LeavesNothingOnDisk(t *testing.T) {
	l, w, dir := peopled(t, "others")
	defer mustClose(t, l)
	w.Fan("canary")
	for i := range 200 { // enough to split pages
		w.Event("canary", "CLICK", fmt.Sprintf("tag:canaryinterest-%d", i))
	}
	w.Plan("run")
	w.Report("run", store.Sent, w.Lease("run", 9).Permits...)
	id, err := l.find(t.Context(), l.read, storetest.Account, storetest.OpenID("canary"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := l.keys.Secret(1, id)
	if err != nil {
		t.Fatal(err)
	}
	blind := string(testRing(t).Blind(kindOpenID, storetest.Account, storetest.OpenID("canary").Reveal()))
	for text, want := range map[string]bool{"canaryinterest": true, blind: true, string(secret): true, "oTEST": false} {
		if (grep(t, dir, text) > 0) != want {
			t.Fatalf("before the erasure: %q found is not %v", text[:5], want)
		}
	}
	for n := range 9 { // the platform's key of an event is a hash over the openid
		if sum := sha256.Sum256(fmt.Append(nil, n)); grep(t, dir, string(sum[:])) != 0 {
			t.Fatal("an event can be found by the openid and what is known of it")
		}
	}
	w.Erase("canary")
	for what, text := range map[string]string{"the interest": "canaryinterest", "the openid": "oTEST", "the index": blind, "the secret": string(secret)} {
		if n := grep(t, dir, text); n != 0 {
			t.Errorf("%s is still there %d times", what, n)
		}
	}
	for _, table := range personal {
		var n int
		if err := l.read.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table+" WHERE subject_id = ?", id).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", table, n, err)
		}
	}
	var kept int
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*) FROM deliveries WHERE subject_id = ? AND state = 'sent'", id).Scan(&kept); err != nil || kept != 1 {
		t.Errorf("deliveries: %d, %v", kept, err)
	}
}

// TestErase_EveryTableIsDecidedOn: a new table with people's rows must be emptied, or be
// named here as one that may stay.
func TestErase_EveryTableIsDecidedOn(t *testing.T) {
	l, _, _ := peopled(t)
	defer mustClose(t, l)
	stay := []string{"deliveries", "transfer_rows", "duties", "requests", "erasures", "log"}
	rows, err := l.read.QueryContext(t.Context(), "SELECT DISTINCT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'subject_id'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(personal, name) == slices.Contains(stay, name) {
			t.Errorf("%s is neither emptied nor allowed to stay", name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

// TestErase_InterruptedIsCompleted stops between any two steps, and opens again.
func TestErase_InterruptedIsCompleted(t *testing.T) {
	for name, steps := range map[string]int{"before the key": 1, "before it is noted": 2} {
		t.Run(name, func(t *testing.T) {
			l, w, dir := peopled(t, "a", "b")
			id, err := l.find(t.Context(), l.read, storetest.Account, storetest.OpenID("a"))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.write.do(t.Context(), func(x *tx) error { return x.erase(t.Context(), id, consent.Page) }); err != nil {
				t.Fatal(err)
			}
			if steps == 2 {
				if err := l.keys.Destroy(0, id); err != nil {
					t.Fatal(err)
				}
			}
			mustClose(t, l)
			if l, err = openIn(t, dir, w.Clock); err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, l)
			completed(t, l)
			if _, err := l.keys.Secret(0, id); !errors.Is(err, keyfile.ErrDestroyed) {
				t.Errorf("the key: %v", err)
			}
		})
	}
}

// TestErase_NextContactIsSomebodyNew: also while the key of who they were is still there.
func TestErase_NextContactIsSomebodyNew(t *testing.T) {
	l, w, dir := peopled(t, "a")
	id, err := l.find(t.Context(), l.read, storetest.Account, storetest.OpenID("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.write.do(t.Context(), func(x *tx) error { return x.erase(t.Context(), id, consent.Page) }); err != nil {
		t.Fatal(err)
	}
	if r, err := l.record(t.Context(), id); err != nil || r.Known { // looked up a moment before
		t.Errorf("the erased: known %v, %v", r.Known, err)
	}
	w.Event("a", "CLICK", "tag:milk")
	if err := l.destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := w.All("a"); !r.Known || len(r.Tags) != 1 || len(r.Consents) != 0 {
			t.Errorf("known %v, %d interests, %d answers", r.Known, len(r.Tags), len(r.Consents))
		}
		mustClose(t, l)
		if l, err = openIn(t, dir, w.Clock); err != nil {
			t.Fatal(err)
		}
		w.Ledger = l
	}
	mustClose(t, l)
}

// TestCommit_NotBeforeTheKeyIsOnDisk: a person whose secret may be lost must not be in the ledger.
func TestCommit_NotBeforeTheKeyIsOnDisk(t *testing.T) {
	l, w, _ := peopled(t)
	defer mustClose(t, l)
	lost := errors.New("disk full")
	l.write.sync = func() error { return lost }
	e := store.Event{Account: storetest.Account, Dedupe: make([]byte, 32), Kind: "subscribe", Who: storetest.OpenID("a"), At: w.Clock.Now()}
	if _, err := l.RecordEvent(t.Context(), e); !errors.Is(err, lost) {
		t.Errorf("RecordEvent: %v", err)
	}
	l.write.sync = l.keys.Sync
	if w.All("a").Known {
		t.Error("the ledger has a person whose secret was not on disk")
	}
	if _, err := l.RecordEvent(t.Context(), e); err != nil || !w.All("a").Known {
		t.Errorf("tried again: %v", err)
	}
}

// TestErase_GuardianIsHidden: with the store's key and the openid of a guardian, an old copy
// of the database does not tell whom they spoke for.
func TestErase_GuardianIsHidden(t *testing.T) {
	l, w, _ := peopled(t, "child")
	defer mustClose(t, l)
	id, err := l.find(t.Context(), l.read, storetest.Account, storetest.OpenID("child"))
	if err != nil {
		t.Fatal(err)
	}
	said, err := l.guardianOf(t.Context(), l.read, id, storetest.OpenID("mother"))
	if err != nil {
		t.Fatal(err)
	}
	if c := l.cfg.Ring.Commit("guardian of "+hex.EncodeToString(id), []byte(storetest.OpenID("mother").Reveal())); bytes.Equal(said, c[:]) {
		t.Error("the store's key alone is enough")
	}
	w.Erase("child")
	if _, err := l.guardianOf(t.Context(), l.read, id, storetest.OpenID("mother")); err == nil {
		t.Error("it can be made again")
	}
}

// completed fails where an erasure is unfinished.
func completed(t *testing.T, l *Ledger) {
	t.Helper()
	open, err := l.erasures(t.Context(), "SELECT subject_id, place FROM erasures WHERE finished_ms = 0")
	if err != nil || len(open) != 0 {
		t.Errorf("%d erasures are unfinished: %v", len(open), err)
	}
	all, err := l.erasures(t.Context(), "SELECT subject_id, place FROM erasures")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if _, err := l.keys.Secret(e.at, e.id); !errors.Is(err, keyfile.ErrDestroyed) {
			t.Errorf("a finished erasure left its key: %v", err)
		}
	}
}

const (
	killEnv    = "MAODIAN_TEST_ERASE_IN"
	killPeople = 40
)

// TestErase_Killed erases in another process, which is killed again and again (kill -9), and
// looks at what it left.
func TestErase_Killed(t *testing.T) {
	if dir := os.Getenv(killEnv); dir != "" {
		eraseUntilKilled(t, dir)
		return
	}
	names := make([]string, killPeople)
	for i := range names {
		names[i] = fmt.Sprint("fan", i)
	}
	l, w, dir := peopled(t, names...)
	mustClose(t, l)
	gone := map[string]bool{}
	for round := 0; len(gone) < killPeople && round < 12; round++ {
		for _, n := range killAfter(t, dir, 1+round%4) {
			gone[n] = true
		}
		l, err := openIn(t, dir, w.Clock)
		if err != nil {
			t.Fatal(err)
		}
		w.Ledger = l
		completed(t, l)
		if _, err := l.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		for _, n := range names {
			r := w.All(n)
			if gone[n] && r.Known || r.Known && (len(r.Tags) != 1 || len(r.Consents) != 3) {
				t.Errorf("round %d: %s is half erased", round, n)
			}
		}
		mustClose(t, l)
	}
	if len(gone) == 0 {
		t.Error("nobody was erased")
	}
}

// killAfter runs the erasing process until it has said so many names, and kills it.
func killAfter(t *testing.T, dir string, names int) (said []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestErase_Killed$")
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for len(said) < names && lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "erased "); ok {
			said = append(said, n)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	return said
}

func eraseUntilKilled(t *testing.T, dir string) {
	l, err := openIn(t, dir, storetest.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	for i := range killPeople {
		n := fmt.Sprint("fan", i)
		if e, err := l.Erase(context.Background(), storetest.Account, storetest.OpenID(n), consent.Page); err != nil || !e.Found {
			continue
		}
		fmt.Println("erased", n)
	}
}

func TestOpen_WithoutThePeoplesKeys(t *testing.T) {
	l, w, dir := peopled(t, "a")
	old := t.TempDir()
	copyTo(t, old, dir, file, keyfile.Name)
	w.Fan("b")
	mustClose(t, l)
	for name, c := range map[string]func(string){
		"older than the ledger": func(path string) { copyTo(t, dir, old, keyfile.Name) },
		"gone":                  func(path string) { _ = os.Remove(path) },
		"another ledger's": func(path string) {
			k, err := keyfile.Open(dir, "another", true)
			if err != nil {
				t.Fatal(err)
			}
			_ = k.Close()
		},
	} {
		path := filepath.Join(dir, keyfile.Name)
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name == "another ledger's" {
			_ = os.Remove(path)
		}
		c(path)
		if l, err := openIn(t, dir, w.Clock); !errors.Is(err, store.ErrKeysMissing) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				mustClose(t, l)
			}
		}
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestErase_ReadsNoWholeTable: with many people an erasure must not read them all.
func TestErase_ReadsNoWholeTable(t *testing.T) {
	l, _, _ := peopled(t)
	defer mustClose(t, l)
	statements := []string{
		"UPDATE deliveries SET state = 'refused', reason = ?2 WHERE subject_id = ?1 AND state = 'pending' AND run_id IN (SELECT id FROM runs)",
		"UPDATE log SET body = NULL, salt = NULL WHERE subject_id = ?1 AND body IS NOT NULL",
		"SELECT id FROM subjects WHERE wrapped IS NOT NULL AND seen_ms < ?1 ORDER BY seen_ms LIMIT 50",
		livePermits,
		"SELECT t.spec FROM transfers t CROSS JOIN transfer_rows x ON x.transfer_id = t.id AND x.subject_id = ?1",
	}
	for _, table := range personal {
		statements = append(statements, "DELETE FROM "+table+" WHERE subject_id = ?1")
	}
	for _, q := range statements {
		readsNoWholeTable(t, l, q)
	}
}

func readsNoWholeTable(t *testing.T, l *Ledger, q string) {
	t.Helper()
	rows, err := l.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+q, []byte("x"), "y")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c int
		var plan string
		if err := rows.Scan(&a, &b, &c, &plan); err != nil {
			t.Fatal(err)
		}
		few := plan == "SCAN t" || plan == "SCAN p USING INDEX transfer_parts_open" // transfers, and parts that are out
		if strings.HasPrefix(plan, "SCAN") && !few {
			t.Errorf("%s: %s", q, plan)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}
