package sqlite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// BenchmarkExport exports everybody part by part, each person decided on, counted and logged,
// each part on disk before its rows are handed out. "ratio" compares with a plain dump of the
// same columns from the same database in the same run; the goal is 0.5.
func BenchmarkExport(b *testing.B) {
	l := crowded(b)
	err := l.write.do(b.Context(), func(t *tx) error {
		_, err := t.exec(b.Context(), `INSERT INTO consent_state SELECT ?, ?, subject_id, action, at_ms, revision, separate, control, ends_ms FROM consent_state WHERE recipient = ''`,
			storetest.Reporting, storetest.Recipient)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	var export, dump, longest time.Duration
	n := 0
	for b.Loop() {
		n++
		began := time.Now()
		longest = max(longest, exportAll(b, l, n))
		export += time.Since(began)
		began = time.Now()
		dumpAll(b, l)
		dump += time.Since(began)
	}
	rows := float64(n * benchPeople)
	b.ReportMetric(rows/export.Seconds(), "rows/s")
	b.ReportMetric(rows/dump.Seconds(), "dumped/s")
	b.ReportMetric(dump.Seconds()/export.Seconds(), "ratio")
	b.ReportMetric(float64(longest.Microseconds())/1000, "part-ms")
}

// exportAll is the whole way of a transfer but for the destination. It returns how long the
// longest lease took: as long do other writers wait.
func exportAll(b *testing.B, l *Ledger, n int) (longest time.Duration) {
	b.Helper()
	v := storetest.View(l.cfg.Clock())
	v.Policy.Processor = fmt.Sprint("processor ", n) // whose counter begins at zero
	if _, err := l.PutView(b.Context(), storetest.LedgerID, v); err != nil {
		b.Fatal(err)
	}
	w := &storetest.World{Clock: storetest.NewClock()}
	s := w.Export(fmt.Sprint("t", n))
	s.MaxPersons = benchPeople
	if _, err := l.DeclareTransfer(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	if t, err := l.StartTransfer(b.Context(), s.ID); err != nil || t.State != store.TransferStarted {
		b.Fatal(t, err)
	}
	var out bytes.Buffer
	for {
		began := time.Now()
		p, err := l.LeasePart(b.Context(), s.ID, maxPart)
		longest = max(longest, time.Since(began))
		switch {
		case err != nil || p.Stopped != "":
			b.Fatal(p.Stopped, err)
		case p.Done:
			if got := bytes.Count(out.Bytes(), []byte("\n")); got != benchPeople {
				b.Fatal(got)
			}
			return longest
		}
		from := out.Len()
		for _, r := range p.Rows {
			out.Write(r)
			out.WriteByte('\n')
		}
		sum := sha256.Sum256(out.Bytes()[from:])
		done := store.Part{Number: p.Part, Object: "o", SHA256: hex.EncodeToString(sum[:]), Rows: int64(len(p.Rows)), Bytes: int64(out.Len() - from)}
		if err := l.ReportPart(b.Context(), s.ID, p.Lease, done); err != nil {
			b.Fatal(err)
		}
	}
}

func dumpAll(b *testing.B, l *Ledger) {
	b.Helper()
	const q = `SELECT hex(s.id), (SELECT json_group_array(tag) FROM (SELECT tag FROM tags g WHERE g.subject_id = s.id ORDER BY tag)), l.points, l.at_ms
		FROM consent_state c JOIN subjects s ON s.id = c.subject_id JOIN lead_state l ON l.subject_id = s.id AND l.model = 'brand-leads'
		WHERE c.purpose = ? AND c.recipient = ? AND c.action = 'Given' ORDER BY s.id`
	rows, err := l.read.QueryContext(b.Context(), q, storetest.Reporting, storetest.Recipient)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	var out bytes.Buffer
	for rows.Next() {
		var id, tags string
		var points float64
		var at int64
		if err := rows.Scan(&id, &tags, &points, &at); err != nil {
			b.Fatal(err)
		}
		_, _ = fmt.Fprintf(&out, `{"id":"%s","tags":%s,"lead.score":%g,"lead.at":%d}`+"\n", id, tags, points, at)
	}
	if got := bytes.Count(out.Bytes(), []byte("\n")); got != benchPeople || rows.Err() != nil {
		b.Fatal(got, rows.Err())
	}
}
