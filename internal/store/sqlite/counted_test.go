package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// openSharing opens a ledger with a counting key; 0 is none.
func openSharing(t *testing.T, dir string, clock *storetest.Clock, key byte) *Ledger {
	t.Helper()
	cfg := Config{Dir: dir, LedgerID: storetest.LedgerID, Create: true, Ring: testRing(t), Clock: clock.Now}
	if key != 0 {
		c, err := seal.NewCounting(bytes.Repeat([]byte{key}, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Counting = c
	}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func listed(t *testing.T, l *Ledger, since int, sensitive bool) []subject.Commitment {
	t.Helper()
	set, err := l.CountedOf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set.SinceYear = since
	list, err := l.ListCounted(t.Context(), set, sensitive)
	if err != nil {
		t.Fatal(err)
	}
	var out []subject.Commitment
	for c, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(out); n > 0 && bytes.Compare(out[n-1][:], c[:]) >= 0 {
			t.Fatal("the list does not ascend")
		}
		out = append(out, c)
	}
	return out
}

// TestListCounted_YearsAsOne: over a window of two years somebody who was sent out in both is
// listed once, and as many are listed as are counted, over several pages.
func TestListCounted_YearsAsOne(t *testing.T) {
	l := openSharing(t, t.TempDir(), storetest.NewClock(), 1)
	defer mustClose(t, l)
	w := &storetest.World{T: t, Ledger: l, Clock: storetest.NewClock()}
	w.Push(func(v *store.View) { v.Policy.RulePack = "cn-2022-09" })
	const people, both = 3 * countedPage, 1000
	err := l.write.do(t.Context(), func(tx *tx) error {
		for i := range people + both { // the last thousand of 2025 are the first of 2026
			year, n := 2025, i
			if i >= people/2 {
				year, n = 2026, i-both
			}
			c := l.cfg.Counting.Commit("acme-china", kindOpenID, fmt.Sprint(n))
			if _, err := tx.exec(t.Context(), "INSERT INTO transfer_persons VALUES ('acme-china', ?, 0, ?, 't')", year, c[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := l.CountedOf(t.Context())
	if err != nil || set.SinceYear != 2025 {
		t.Fatal(set, err)
	}
	n, err := l.CountedSince(t.Context(), set)
	if got := listed(t, l, 2025, false); err != nil || len(got) != people || n != (transfer.Counter{NonSensitive: people}) {
		t.Errorf("%d listed, %+v counted, want %d, %v", len(got), n, people, err)
	}
	if got := listed(t, l, 2025, true); len(got) != 0 {
		t.Errorf("%d listed as sensitive", len(got))
	}
}

// TestListCounted_NamesThePersonAsOthersDo: by the platform's identifier and the shared key, in
// every ledger; without the key nobody could tell. An erased person stays counted.
func TestListCounted_NamesThePersonAsOthersDo(t *testing.T) {
	clock := storetest.NewClock()
	l := openSharing(t, t.TempDir(), clock, 1)
	defer mustClose(t, l)
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	w.Fan("a")
	sendOut(w, "t")
	want := subject.Commitment(l.cfg.Counting.Commit("acme-china", kindOpenID, storetest.OpenID("a").Reveal()))
	if got := listed(t, l, 2026, false); len(got) != 1 || got[0] != want {
		t.Errorf("listed %v", got)
	}
	w.Erase("a")
	if got := listed(t, l, 2026, false); len(got) != 1 {
		t.Errorf("after the erasure %d are listed", len(got))
	}
}

// TestListCounted_KnowsThePersonBehindTwoAccounts: two openids with one unionid are one person.
func TestListCounted_KnowsThePersonBehindTwoAccounts(t *testing.T) {
	clock := storetest.NewClock()
	l := openSharing(t, t.TempDir(), clock, 1)
	defer mustClose(t, l)
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(storetest.NamesUnionID)
	w.Bound("follows-one", "same", consent.Adult, storetest.Reporting)
	w.Bound("follows-another", "same", consent.Adult, storetest.Reporting)
	w.Bound("somebody-else", "", consent.Adult, storetest.Reporting)
	sendOut(w, "t")
	want := []subject.Commitment{
		l.cfg.Counting.Commit("acme-china", kindUnionID, storetest.UnionID("same").Reveal()),
		l.cfg.Counting.Commit("acme-china", kindOpenID, storetest.OpenID("somebody-else").Reveal()),
	}
	got := listed(t, l, 2026, false)
	for _, c := range want {
		if len(got) != len(want) || !slices.Contains(got, c) {
			t.Errorf("listed %v, want %v", got, want)
		}
	}
}

// TestCounting_MayBeginWithinAYear: people who were counted before count once more, never less.
func TestCounting_MayBeginWithinAYear(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	for key, want := range []int64{2, 4} {
		l := openSharing(t, dir, clock, byte(key))
		w := &storetest.World{T: t, Ledger: l, Clock: clock}
		w.Push(nil)
		for _, name := range []string{"a", "b"} {
			w.Fan(name)
		}
		sendOut(w, fmt.Sprint("t", key))
		c, err := l.Counters(t.Context(), storetest.Recipient)
		if err != nil || c.Counted.NonSensitive != want || c.Recent.NonSensitive != 2 { // what one recipient got is no matter of the key
			t.Errorf("with key %d: %+v, %v; want %d", key, c, err, want)
		}
		mustClose(t, l)
	}
}

func TestCounted_RefusesWhatCannotBeCompared(t *testing.T) {
	clock := storetest.NewClock()
	l := openSharing(t, t.TempDir(), clock, 1)
	defer mustClose(t, l)
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	ours, err := l.CountedOf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*store.CountedSet){
		"another processor": func(s *store.CountedSet) { s.Processor = "other" },
		"another key":       func(s *store.CountedSet) { s.KeyID = "0011223344556677" },
		"no key":            func(s *store.CountedSet) { s.KeyID = "" },
	} {
		set := ours
		change(&set)
		_, list := l.ListCounted(t.Context(), set, false)
		_, count := l.CountedSince(t.Context(), set)
		if !errors.Is(list, store.ErrCountingDiffers) || !errors.Is(count, store.ErrCountingDiffers) {
			t.Errorf("%s: %v, %v", what, list, count)
		}
	}
}

// TestSweep_ForgetsWhomNoWindowReaches: the names go, in chunks; the totals stay, and so does
// whom a decision may still ask for.
func TestSweep_ForgetsWhomNoWindowReaches(t *testing.T) {
	clock := storetest.NewClock() // of 24 November 2026
	l := openSharing(t, t.TempDir(), clock, 1)
	defer mustClose(t, l)
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	err := l.write.do(t.Context(), func(tx *tx) error {
		for i := range forgetChunk + 10 {
			for _, year := range []int{2024, 2025, 2026} {
				if _, err := tx.exec(t.Context(), "INSERT INTO transfer_persons VALUES ('acme-china', ?, 0, ?, 't')", year, fmt.Appendf(nil, "%016d", i)); err != nil {
					return err
				}
			}
			for _, days := range []int{300, 367} {
				const q = "INSERT INTO recipient_persons VALUES ('r', 0, ?, ?)"
				if _, err := tx.exec(t.Context(), q, fmt.Appendf(nil, "%d-%d", days, i), clock.Now().AddDate(0, 0, -days).UnixMilli()); err != nil {
					return err
				}
			}
		}
		_, err := tx.exec(t.Context(), "INSERT INTO transfer_totals VALUES ('acme-china', 2024, 0, ?)", forgetChunk+10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		swept, err := l.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		more = swept.More
	}
	for q, want := range map[string]int64{
		"SELECT count(*) FROM transfer_persons WHERE year = 2024": 0, "SELECT count(*) FROM transfer_persons": 2 * (forgetChunk + 10),
		"SELECT count(*) FROM recipient_persons": forgetChunk + 10, "SELECT persons FROM transfer_totals WHERE year = 2024": forgetChunk + 10,
	} {
		var got int64
		if err := l.read.QueryRowContext(t.Context(), q).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d, want %d, %v", q, got, want, err)
		}
	}
}

// sendOut runs the sample transfer to its end.
func sendOut(w *storetest.World, id string) {
	w.Helper()
	w.Clock.Move(1e9)
	spec := w.Export(id)
	if _, err := w.Ledger.DeclareTransfer(context.Background(), spec); err != nil {
		w.Fatal(err)
	}
	if _, err := w.Ledger.StartTransfer(context.Background(), id); err != nil {
		w.Fatal(err)
	}
	w.Drain(id, 10)
}

// BenchmarkCountingTogether leases a part of 2,000 people who are named by the shared key, each by
// an identifier that must be opened; "ratio" is that of one named by this ledger alone.
func BenchmarkCountingTogether(b *testing.B) {
	const people = maxPart
	clock := storetest.NewClock()
	l, err := openIn(b, b.TempDir(), clock)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	push := func(n int) {
		v := storetest.View(clock.Now())
		v.Policy.Processor = fmt.Sprint("processor ", n) // whose counter begins at zero
		if _, err := l.PutView(b.Context(), storetest.LedgerID, v); err != nil {
			b.Fatal(err)
		}
	}
	push(0)
	for i := range people {
		_, err := l.RecordChoices(b.Context(), store.Choices{
			Account: storetest.Account, Who: storetest.OpenID(fmt.Sprint("p", i)), Revision: 3, Age: consent.Adult, Language: "en",
			Items: []store.Choice{{Purpose: storetest.Reporting, Recipient: storetest.Recipient, Granted: true}},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	shared, err := seal.NewCounting(make([]byte, seal.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	lease := func(key *seal.Counting) time.Duration {
		n++
		l.cfg.Counting = key
		push(n)
		id := fmt.Sprint("t", n)
		clock.Move(time.Second)
		if _, err := l.DeclareTransfer(b.Context(), (&storetest.World{Clock: clock}).Export(id)); err != nil {
			b.Fatal(err)
		}
		if _, err := l.StartTransfer(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if p, err := l.LeasePart(b.Context(), id, people); err != nil || len(p.Rows) != people {
			b.Fatal(len(p.Rows), err)
		}
		return time.Since(began)
	}
	var alone, together time.Duration
	for b.Loop() {
		alone += lease(nil)
		together += lease(shared)
	}
	b.ReportMetric(float64(n/2*people)/together.Seconds(), "people/s")
	b.ReportMetric(alone.Seconds()/together.Seconds(), "ratio")
}
