package sqlite

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// fresh opens an empty ledger.
func fresh(b *testing.B) *Ledger {
	b.Helper()
	return opened(b, storetest.NewClock())
}

func consentBody() map[string]any {
	return map[string]any{
		"purpose": storetest.Purpose, "recipient": "", "action": "Given", "revision": 3, "separate": true, "control": "page", "ends": 0, "account": storetest.Account, "language": "zh-CN",
	}
}

// bareWrites inserts rows of an entry's size one by one, each commit synced, past everything
// of ours: what the disk and the database cost by themselves. It returns how long one takes.
func bareWrites(b *testing.B, batch, commits int) time.Duration {
	b.Helper()
	db, err := open(filepath.Join(b.TempDir(), "bare.db"), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE bare (seq INTEGER PRIMARY KEY, at_ms INTEGER, kind TEXT, subject_id BLOB, body TEXT, salt BLOB, leaf BLOB) STRICT"); err != nil {
		b.Fatal(err)
	}
	body, id := fmt.Sprint(consentBody()), bytes.Repeat([]byte{3}, 16)
	begin := time.Now()
	for n := range commits {
		t, err := db.BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := range batch {
			const q = "INSERT INTO bare VALUES (?, ?, 'consent', ?, ?, ?, ?)"
			if _, err := t.ExecContext(b.Context(), q, n*batch+i, n, id, body, id, append(id, id...)); err != nil {
				b.Fatal(err)
			}
		}
		if err := t.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin) / time.Duration(batch*commits)
}

// ratio reports how many things were done per second, and how many bare inserts with their
// sync take as long as one of them, in the same run.
func ratio(b *testing.B, n int, what string, bare time.Duration) {
	b.Helper()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), what+"/s")
	b.ReportMetric(float64(b.Elapsed())/float64(n)/float64(bare), "x-bare")
}

// BenchmarkAppend appends entries of the log, each commit synced: one by one, and 100 to a
// commit. The same bytes inserted without a tree are the measure.
func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 100} {
		bare := bareWrites(b, batch, 200)
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { appendAll(b, batch, bare) })
	}
}

func appendAll(b *testing.B, batch int, bare time.Duration) {
	l := fresh(b)
	id, n := bytes.Repeat([]byte{3}, 16), 0
	for b.Loop() {
		err := l.write.do(b.Context(), func(t *tx) error {
			for range batch {
				n++
				t.log("consent", id, consentBody())
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	ratio(b, n, "entries", bare)
}

// BenchmarkChoices records the answers of a consent page with three boxes, of one person after
// the other, and of 64 at once: what is acknowledged is on disk. Decisions are the boxes.
func BenchmarkChoices(b *testing.B) {
	bare := bareWrites(b, 1, 200)
	choices := func(n int64) store.Choices {
		return store.Choices{
			Account: storetest.Account, Who: storetest.OpenID(fmt.Sprint(n)), Revision: 3, Age: consent.Adult, Language: "zh-CN",
			Items: []store.Choice{{Purpose: "DirectMarketing", Granted: true}, {Purpose: storetest.Purpose, Granted: true}, {Purpose: storetest.Reporting, Recipient: storetest.Recipient}},
		}
	}
	b.Run("one", func(b *testing.B) {
		l, n := fresh(b), int64(0)
		for b.Loop() {
			n++
			if _, err := l.RecordChoices(b.Context(), choices(n)); err != nil {
				b.Fatal(err)
			}
		}
		ratio(b, 3*int(n), "decisions", bare)
	})
	b.Run("crowd", func(b *testing.B) {
		l := fresh(b)
		var n atomic.Int64
		b.SetParallelism(64 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := l.RecordChoices(b.Context(), choices(n.Add(1))); err != nil {
					b.Error(err)
					return
				}
			}
		})
		ratio(b, 3*b.N, "decisions", bare)
	})
}

// BenchmarkLook opens the page again on the same day: that reads, and writes nothing.
func BenchmarkLook(b *testing.B) {
	bare, l, n := bareWrites(b, 1, 200), fresh(b), 0
	k := store.Look{Account: storetest.Account, Who: storetest.OpenID("a"), Revision: 3, Language: "zh-CN"}
	for b.Loop() {
		n++
		if err := l.RecordLook(b.Context(), k); err != nil {
			b.Fatal(err)
		}
	}
	ratio(b, n, "looks", bare)
}

// BenchmarkReceipts makes receipts with four proofs each, out of 100,000 entries; the goal
// is 200 per second. BenchmarkReceipts/verify checks them.
func BenchmarkReceipts(b *testing.B) {
	const entries, people = 100_000, 1000
	bare := bareWrites(b, 1, 200)
	l := fresh(b)
	err := l.write.do(b.Context(), func(t *tx) error {
		for i := range people {
			id, err := l.ensure(b.Context(), t, storetest.Account, storetest.OpenID(fmt.Sprint(i)))
			if err != nil {
				return err
			}
			if err := t.answering(b.Context(), l.View(), viewer{id: id, account: storetest.Account, language: "zh-CN"}); err != nil {
				return err
			}
			for range 3 {
				t.log("consent", id, t.withShown("page", consentBody()))
				for range entries/people/3 - 1 {
					t.log("filler", nil, consentBody())
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var raw []byte
	b.Run("make", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			if raw, err = l.Receipt(b.Context(), storetest.Account, storetest.OpenID(fmt.Sprint(n%people))); err != nil {
				b.Fatal(err)
			}
		}
		ratio(b, n, "receipts", bare)
	})
	b.Run("verify", func(b *testing.B) {
		key, err := verifierOf(l)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for b.Loop() {
			n++
			if _, err := receipt.Verify(bytes.NewReader(raw), key); err != nil {
				b.Fatal(err)
			}
		}
		ratio(b, n, "receipts", bare)
	})
}

// BenchmarkVerifyPack exports a log of 100,000 entries and verifies it.
func BenchmarkVerifyPack(b *testing.B) {
	const entries = 100_000
	l := fresh(b)
	err := l.write.do(b.Context(), func(t *tx) error {
		for range entries {
			t.log("filler", nil, consentBody())
		}
		return nil
	})
	if err == nil {
		_, err = l.Checkpoint(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	key, err := verifierOf(l)
	if err != nil {
		b.Fatal(err)
	}
	var pack bytes.Buffer
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			pack.Reset()
			if _, err := ExportPack(b.Context(), l.cfg.Dir, AllBodies, &pack, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := verifyPack(pack.Bytes(), key); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}

func verifierOf(l *Ledger) (*ledger.Verifier, error) { return ledger.NewVerifier(l.sign.VerifierKey()) }

func verifyPack(pack []byte, key *ledger.Verifier) (ledger.Report, error) {
	return ledger.VerifyPack(bytes.NewReader(pack), key, nil, nil)
}
