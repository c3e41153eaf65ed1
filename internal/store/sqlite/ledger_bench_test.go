package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
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

// BenchmarkAppend appends entries of the log, each commit synced: one by one, and 100 to a
// commit. "plain" inserts the same bytes into a table, so that the tree's cost is the ratio.
func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 100} {
		for name, one := range map[string]func(context.Context, *tx, []byte, int) error{
			"log": func(_ context.Context, t *tx, id []byte, _ int) error {
				t.log("consent", id, consentBody())
				return nil
			},
			"plain": func(ctx context.Context, t *tx, id []byte, n int) error {
				const q = "INSERT INTO plain VALUES (?, ?, 'consent', ?, ?, ?, ?)"
				_, err := t.exec(ctx, q, n, t.now.UnixMilli(), id, fmt.Sprint(consentBody()), id, append(id, id...))
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, batch), func(b *testing.B) { appendAll(b, batch, one) })
		}
	}
}

func appendAll(b *testing.B, batch int, one func(context.Context, *tx, []byte, int) error) {
	l := fresh(b)
	err := l.write.do(b.Context(), func(t *tx) error {
		_, err := t.exec(b.Context(), "CREATE TABLE plain (seq INTEGER PRIMARY KEY, at_ms INTEGER, kind TEXT, subject_id BLOB, body TEXT, salt BLOB, leaf BLOB) STRICT")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	id, n := bytes.Repeat([]byte{3}, 16), 0
	for b.Loop() {
		err := l.write.do(b.Context(), func(t *tx) error {
			for range batch {
				n++
				if err := one(b.Context(), t, id, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkReceipt makes receipts with three proofs each, out of 100,000 entries; the goal
// is 200 per second. BenchmarkReceipt/verify checks them.
func BenchmarkReceipt(b *testing.B) {
	const entries, people = 100_000, 1000
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
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "receipts/s")
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
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "receipts/s")
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
