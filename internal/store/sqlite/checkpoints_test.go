package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// keptLedger is a closed ledger with some people and two checkpoints.
type keptLedger struct {
	dir       string
	clock     *storetest.Clock
	key       *ledger.Verifier
	published []string
}

func keep(t *testing.T) keptLedger {
	t.Helper()
	k := keptLedger{dir: t.TempDir(), clock: storetest.NewClock()}
	l, err := open(t, k.dir, k.clock, true)
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: k.clock}
	w.Push(nil)
	k.key = w.Verifier()
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		w.Fan(n)
		signed, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k.published = append(k.published, signed)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k keptLedger) export(t *testing.T, show sqlite.Bodies) ([]byte, sqlite.Exported, error) {
	t.Helper()
	var b bytes.Buffer
	e, err := sqlite.ExportPack(t.Context(), k.dir, show, &b, nil)
	return b.Bytes(), e, err
}

const unlock = "DROP TRIGGER log_no_delete; DROP TRIGGER log_seal_only; DROP TRIGGER checkpoints_no_update; DROP TRIGGER checkpoints_no_delete; "

// TestVerify_AgainstWhatWasSigned rewrites history so that rows, nodes and head agree; the
// checkpoints do not.
func TestVerify_AgainstWhatWasSigned(t *testing.T) {
	for name, statement := range map[string]string{
		"a kept node changed":             "UPDATE log_nodes SET hash = randomblob(32) WHERE n = 0 AND level = 4",
		"a kept node removed":             "DELETE FROM log_nodes WHERE n = 0 AND level = 4",
		"a node that is none":             "INSERT INTO log_nodes VALUES (4, 100000, randomblob(32))",
		"a checkpoint over another root":  "UPDATE checkpoints SET root = randomblob(32) WHERE size = (SELECT max(size) FROM checkpoints)",
		"a checkpoint over more entries":  "UPDATE checkpoints SET size = size + 1000 WHERE size = (SELECT max(size) FROM checkpoints)",
		"the form of an entry":            "UPDATE log SET form = 1 WHERE seq = 3",
		"the person of an entry":          "UPDATE log SET subject_id = randomblob(16) WHERE kind = 'consent'",
		"kind of an entry that is sealed": "UPDATE log SET kind = 'age', body = NULL, salt = NULL WHERE kind = 'consent'",
		"time of an entry that is sealed": "UPDATE log SET at_ms = 1, body = NULL, salt = NULL WHERE kind = 'consent'",
	} {
		t.Run(name, func(t *testing.T) {
			k := keep(t)
			raw(t, k.dir, unlock+statement)
			l, err := open(t, k.dir, k.clock, false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := l.Verify(t.Context()); !errors.Is(err, store.ErrLogTampered) {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

// TestCheckpoint_SignsNoFork: a log that was rewritten below what it signed signs nothing more.
func TestCheckpoint_SignsNoFork(t *testing.T) {
	for name, statement := range map[string]string{
		"another head":  "UPDATE checkpoints SET root = randomblob(32) WHERE size = (SELECT max(size) FROM checkpoints)",
		"a shorter log": "UPDATE checkpoints SET size = size + 1000 WHERE size = (SELECT max(size) FROM checkpoints)",
	} {
		t.Run(name, func(t *testing.T) {
			k := keep(t)
			raw(t, k.dir, unlock+statement)
			l, err := open(t, k.dir, k.clock, false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			w := &storetest.World{T: t, Ledger: l, Clock: k.clock}
			w.Fan("z")
			signed, err := l.Checkpoint(t.Context())
			if !errors.Is(err, store.ErrLogTampered) {
				t.Errorf("Checkpoint: %q %v", signed, err)
			}
		})
	}
}

func TestExport_IsAPackThatVerifies(t *testing.T) {
	k := keep(t)
	l, err := open(t, k.dir, k.clock, false) // the store runs while the export reads
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: k.clock}
	w.Choose(t.Context(), "a", consent.Adult, storetest.Purpose) // three answers behind the last checkpoint
	defer l.Close()
	for show, want := range map[sqlite.Bodies]func(ledger.Report) bool{
		sqlite.NoBodies:   func(r ledger.Report) bool { return r.Shown == 0 && r.Withheld == r.Entries },
		sqlite.Impersonal: func(r ledger.Report) bool { return r.Shown == 2 && r.Withheld == r.Entries-2 }, // the notice and the view
		sqlite.AllBodies:  func(r ledger.Report) bool { return r.Shown == r.Entries },
	} {
		pack, e, err := k.export(t, show)
		if err != nil {
			t.Fatal(err)
		}
		if e.Unsigned != 3 || e.VerifierKey != k.key.Key() || e.Origin != k.key.Origin() {
			t.Errorf("%+v", e)
		}
		r, err := ledger.VerifyPack(bytes.NewReader(pack), k.key, k.published, nil)
		if err != nil || !want(r) || r.Published != 6 {
			t.Errorf("%s: %+v %v", show, r, err)
		}
		for _, n := range []string{"a", "b", "c", "d"} {
			if strings.Contains(string(pack), storetest.OpenID(n).Reveal()) {
				t.Error("the pack holds an identifier")
			}
		}
	}
}

// TestExport_CountsWhatIsSealed erases what two entries say: the pack is as good as before.
func TestExport_CountsWhatIsSealed(t *testing.T) {
	k := keep(t)
	raw(t, k.dir, "UPDATE log SET body = NULL, salt = NULL WHERE seq IN (2, 3)")
	pack, _, err := k.export(t, sqlite.AllBodies)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ledger.VerifyPack(bytes.NewReader(pack), k.key, k.published, nil); err != nil || r.Sealed != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestExport_Refuses(t *testing.T) {
	empty, fresh, k := t.TempDir(), keptLedger{dir: t.TempDir(), clock: storetest.NewClock()}, keep(t)
	if err := os.WriteFile(filepath.Join(empty, "ledger.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := open(t, fresh.dir, fresh.clock, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	changed := keep(t)
	raw(t, changed.dir, unlock+"UPDATE log SET body = replace(body, 'Given', 'Refused') WHERE kind = 'consent'")
	for name, c := range map[string]struct {
		k    keptLedger
		show sqlite.Bodies
		want error
	}{
		"an empty folder":              {keptLedger{dir: t.TempDir()}, sqlite.NoBodies, store.ErrLedgerMissing},
		"an empty file":                {keptLedger{dir: empty}, sqlite.NoBodies, store.ErrLedgerMissing},
		"a ledger that signed nothing": {fresh, sqlite.NoBodies, sqlite.ErrNoCheckpoint},
		"bodies that there are not":    {k, "some", sqlite.ErrBodies},
		"a ledger that was changed":    {changed, sqlite.NoBodies, store.ErrLogTampered},
	} {
		if _, _, err := c.k.export(t, c.show); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if info, err := os.Stat(filepath.Join(empty, "ledger.db")); err != nil || info.Size() != 0 {
		t.Error("the export wrote to the file that it should read")
	}
}

// TestOpen_RefusesAnEmptyFile: a file that was emptied is no new ledger.
func TestOpen_RefusesAnEmptyFile(t *testing.T) {
	k := keep(t)
	for _, f := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm"} {
		if err := os.Truncate(filepath.Join(k.dir, f), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := open(t, k.dir, k.clock, false); !errors.Is(err, store.ErrLedgerMissing) {
		t.Errorf("Open: %v", err)
	}
}

// TestReceipt_FindsEveryFlippedByte changes a receipt everywhere, one bit at a time.
func TestReceipt_FindsEveryFlippedByte(t *testing.T) {
	clock := storetest.NewClock()
	l, err := open(t, t.TempDir(), clock, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	w.Choose(t.Context(), "a", consent.Adult, storetest.Purpose)
	raw, _, _ := w.Receipt("a")
	key, src := w.Verifier(), rand.New(rand.NewPCG(4, 2))
	for i := range raw {
		bit := byte(1) << src.IntN(8)
		raw[i] ^= bit
		if _, err := receipt.Verify(bytes.NewReader(raw), key); err == nil {
			t.Fatalf("byte %d changed (%q), and not found", i, raw[max(0, i-20):min(len(raw), i+20)])
		}
		raw[i] ^= bit
	}
}

// TestMigration_KeepsAnOldLog makes a ledger as the first version did, and goes on with it.
func TestMigration_KeepsAnOldLog(t *testing.T) {
	k := keptLedger{dir: t.TempDir(), clock: storetest.NewClock()}
	oldLog(t, k.dir, 37)
	l, err := open(t, k.dir, k.clock, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &storetest.World{T: t, Ledger: l, Clock: k.clock}
	if v, err := l.Verify(t.Context()); err != nil || v.Size != 37 {
		t.Fatal(v, err)
	}
	w.Push(nil)
	w.Fan("a")
	k.key = w.Verifier()
	w.Receipt("a")
	if _, err := l.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	pack, _, err := k.export(t, sqlite.AllBodies)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ledger.VerifyPack(bytes.NewReader(pack), k.key, nil, nil); err != nil || r.Withheld != 37 {
		t.Errorf("%+v %v", r, err)
	}
}

// oldLog migrates to the first version only, and writes entries of the first form.
func oldLog(t *testing.T, dir string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	built := ledger.Ranges.NewEmptyRange(0)
	for i := range n {
		salt, body := bytes.Repeat([]byte{byte(i)}, 16), fmt.Appendf(nil, `{"n":%d}`, i)
		leaf := ledger.FirstCommit(salt, uint64(i), int64(i), "run", nil, body)
		if _, err := db.ExecContext(t.Context(), "INSERT INTO log (seq, at_ms, kind, subject_id, body, salt, leaf) VALUES (?, ?, 'run', NULL, ?, ?, ?)", i, i, string(body), salt, leaf); err != nil {
			t.Fatal(err)
		}
		if err := built.Append(ledger.FirstLeafHash(leaf), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE log_head SET size = ?, hashes = ?", n, bytes.Join(built.Hashes(), nil)); err != nil {
		t.Fatal(err)
	}
}

// TestExport_FindsEveryChangeOfTheFile: random histories, exported, with one random bit
// changed anywhere in the pack.
func TestExport_FindsEveryChangeOfTheFile(t *testing.T) {
	for seed := range uint64(4) {
		src := rand.New(rand.NewPCG(seed, 77))
		k := history(t, src)
		pack, _, err := k.export(t, []sqlite.Bodies{sqlite.NoBodies, sqlite.Impersonal, sqlite.AllBodies}[src.IntN(3)])
		if err != nil {
			t.Fatal(err)
		}
		for range 400 {
			i, bit := src.IntN(len(pack)), byte(1)<<src.IntN(8)
			pack[i] ^= bit
			if _, err := ledger.VerifyPack(bytes.NewReader(pack), k.key, k.published, nil); err == nil {
				t.Fatalf("seed %d: byte %d changed, and not found", seed, i)
			}
			pack[i] ^= bit
		}
		if _, err := ledger.VerifyPack(io.LimitReader(bytes.NewReader(pack), int64(src.IntN(len(pack)))), k.key, nil, nil); err == nil {
			t.Errorf("seed %d: a cut pack is accepted", seed)
		}
	}
}

// history does random things to a few people.
func history(t *testing.T, src *rand.Rand) keptLedger {
	t.Helper()
	k := keptLedger{dir: t.TempDir(), clock: storetest.NewClock()}
	l, err := open(t, k.dir, k.clock, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &storetest.World{T: t, Ledger: l, Clock: k.clock}
	w.Push(nil)
	k.key = w.Verifier()
	for range 10 + src.IntN(20) {
		name := string(rune('a' + src.IntN(4)))
		switch src.IntN(5) {
		case 0:
			w.Choose(t.Context(), name, consent.Adult, storetest.Purpose)
		case 1:
			w.Choose(t.Context(), name, consent.Adult)
		case 2:
			w.Event(name, "text", "", func(e *store.Event) { e.Withdraw = true })
		case 3:
			w.Grant(name)
		default:
			signed, err := l.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			k.published = append(k.published, signed)
		}
	}
	return k
}
