package sqlite

import (
	"bytes"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// opened is an empty ledger with a notice.
func opened(t testing.TB, clock *storetest.Clock) *Ledger {
	t.Helper()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), Config{Dir: t.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := l.PutView(t.Context(), storetest.LedgerID, storetest.View(clock.Now())); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLogOfAPerson_IsFoundByOneIndex: to erase a person or to make their receipt the log is
// never read as a whole, sorted, or written to a second index.
func TestLogOfAPerson_IsFoundByOneIndex(t *testing.T) {
	l := opened(t, storetest.NewClock())
	for name, q := range map[string]string{"erase": sealAll, "receipt": provable} {
		plan := planOf(t, l, q)
		if len(plan) != 1 || !strings.HasPrefix(plan[0], "SEARCH log USING INDEX log_by_subject (subject_id=?") {
			t.Errorf("%s: %q", name, plan)
		}
	}
	var n int
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*) FROM pragma_index_list('log')").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d indexes of the log, %v", n, err)
	}
}

// planOf is how the database runs a statement.
func planOf(t *testing.T, l *Ledger, q string) (plan []string) {
	t.Helper()
	rows, err := l.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+q, make([]any, strings.Count(q, "?"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
