package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// exportParts is a child that leases and writes parts until it is killed, and says what was
// acknowledged.
func exportParts(dir, attempt string) error {
	n, err := strconv.Atoi(attempt)
	if err != nil {
		return err
	}
	clock, ctx := storetest.NewClock(), context.Background()
	clock.Move(time.Duration(1+n) * time.Minute)
	l, err := openChild(dir, clock)
	if err != nil {
		return err
	}
	for {
		p, err := l.LeasePart(ctx, "t", 3)
		switch {
		case err != nil:
			return err
		case p.Done:
			say("done")
			select {} // until it is killed
		case p.Wait > 0:
			clock.Move(p.Wait)
			say("waited")
			continue
		}
		say("leased %d", p.Part)
		body := fmt.Sprintf("%064x", p.Part*100+int64(n))
		if err := l.ReportPart(ctx, "t", p.Lease, store.Part{Number: p.Part, Object: "o", SHA256: body, Rows: int64(len(p.Rows)), Bytes: 1}); err != nil {
			return err
		}
		say("wrote %d %s", p.Part, body)
	}
}

// killExport starts a child, lets it say so many things, and kills it.
func killExport(t *testing.T, dir string, attempt, after int, wrote map[int64]string) (done bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashFrom+"="+fmt.Sprint(attempt), crashParts+"=yes")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		switch f := strings.Fields(lines.Text()); {
		case f[0] == "done":
			done = true
			_ = cmd.Process.Kill()
		case f[0] == "wrote" && len(f) == 3 && len(f[2]) == 64: // or it died while it spoke
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			wrote[n] = f[2]
		case f[0] == "end":
			t.Errorf("the child says: %s", lines.Text())
		}
		if after--; after == 0 {
			_ = cmd.Process.Kill() // what was said before it died is still read
		}
	}
	_ = cmd.Wait() // it was killed
	return done
}

// TestCrash_ExportGoesOn kills a store between any two of its writes while a transfer runs:
// what was acknowledged as written stays, nobody is in two parts, and everybody who is in
// one is counted and logged, once.
func TestCrash_ExportGoesOn(t *testing.T) {
	const people = 40
	dir, src, clock := t.TempDir(), rand.New(rand.NewPCG(3, 14)), storetest.NewClock()
	l, err := open(t, dir, clock, true)
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	for i := range people {
		w.Fan(fmt.Sprint(i))
	}
	clock.Move(time.Second)
	if _, err := l.DeclareTransfer(t.Context(), w.Export("t")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.StartTransfer(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wrote, attempts := map[int64]string{}, 0
	for done := false; !done; attempts++ {
		done = killExport(t, dir, attempts, 1+src.IntN(7), wrote)
		agrees(t, dir, wrote)
		if t.Failed() || attempts > 100 {
			t.Fatalf("attempt %d", attempts)
		}
	}
	if attempts < 3 {
		t.Errorf("killed %d times only: this test shows nothing", attempts)
	}
	db := plainly(t, dir)
	var rows, persons, newly int64
	const q = "SELECT (SELECT sum(rows) FROM transfer_parts), persons, newly FROM transfers"
	if err := db.QueryRowContext(t.Context(), q).Scan(&rows, &persons, &newly); err != nil || rows != people || persons != people || newly != people {
		t.Errorf("%d rows, %d people, %d of them new, %v", rows, persons, newly, err)
	}
}

func plainly(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// agrees compares a ledger with what it acknowledged, and its tables with one another.
func agrees(t *testing.T, dir string, wrote map[int64]string) {
	t.Helper()
	l, err := open(t, dir, storetest.NewClock(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	list, err := l.Parts(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	has := map[int64]string{}
	for _, p := range list {
		has[p.Number] = p.SHA256
	}
	for n, sum := range wrote {
		if has[n] != sum {
			t.Errorf("part %d was acknowledged as %s, and is %q", n, sum, has[n])
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	db := plainly(t, dir)
	for what, q := range map[string]string{
		"the counter is the number of people":        "SELECT (SELECT COALESCE(sum(persons), 0) FROM transfer_totals) = (SELECT count(*) FROM transfer_persons)",
		"the parts hold the people of the transfer":  "SELECT (SELECT COALESCE(sum(people), 0) FROM transfer_parts) = (SELECT count(*) FROM transfer_rows)",
		"the transfer has counted them":              "SELECT persons = (SELECT count(*) FROM transfer_rows) AND newly = (SELECT count(*) FROM transfer_persons) FROM transfers",
		"the log has an entry about each":            "SELECT (SELECT count(*) FROM log WHERE kind = 'transfer person') = (SELECT count(*) FROM transfer_rows)",
		"the log has an entry about each part":       "SELECT (SELECT count(*) FROM log WHERE kind = 'transfer part written') = (SELECT count(*) FROM transfer_parts WHERE state = 'Written')",
		"nobody is in a part that does not exist":    "SELECT NOT EXISTS (SELECT 1 FROM transfer_rows x WHERE NOT EXISTS (SELECT 1 FROM transfer_parts p WHERE p.part = x.part))",
		"no more than one part is leased at a time":  "SELECT count(*) <= 1 FROM transfer_parts WHERE state = 'Leased'",
		"the cursor is at the last person of a part": "SELECT cursor = COALESCE((SELECT max(subject_id) FROM transfer_rows), x'00') FROM transfers",
	} {
		var yes bool
		if err := db.QueryRowContext(t.Context(), q).Scan(&yes); err != nil || !yes {
			t.Errorf("%s: %v, %v", what, yes, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
