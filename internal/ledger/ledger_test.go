package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/ledger"
)

const origin = "maodian.dev/ledger/7b0c1f9e"

func signer(t testing.TB, b byte) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(origin, [32]byte{b})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifier(t testing.TB, s *ledger.Signer) *ledger.Verifier {
	t.Helper()
	v, err := ledger.NewVerifier(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// history is a made-up log with a checkpoint behind some entries, the last one always.
type history struct {
	t       testing.TB
	signer  *ledger.Signer
	entries []*ledger.Entry
	heads   map[int]string // by size
}

func entry(seq int, src *rand.Rand) *ledger.Entry {
	at := time.Date(2026, 11, 24, 4, 0, seq, 0, time.UTC)
	body := fmt.Appendf(nil, `{"action":"Given","n":%d}`, src.IntN(1000))
	salt := sha256.Sum256(fmt.Append(nil, src.Uint64()))
	var person []byte
	kind := "run"
	if src.IntN(2) == 0 {
		kind, person = "consent", ledger.Person(salt[:16], ledger.Principal(fmt.Append(nil, src.IntN(3))))
	}
	c := ledger.Commit(salt[:16], person, body)
	e := &ledger.Entry{Seq: uint64(seq), Time: at, Kind: kind, Commitment: c, Hash: ledger.LeafHash(uint64(seq), at.UnixMilli(), kind, c)}
	switch src.IntN(4) {
	case 0:
		e.Sealed = true
	case 1: // withheld
	default:
		e.Body, e.Salt, e.Principal = body, salt[:16], person
	}
	return e
}

func newHistory(t testing.TB, src *rand.Rand, n int) *history {
	t.Helper()
	h := &history{t: t, signer: signer(t, 1), heads: map[int]string{}}
	for i := range n {
		h.entries = append(h.entries, entry(i, src))
		if i+1 == n || src.IntN(5) == 0 {
			h.sign(i + 1)
		}
	}
	return h
}

// sign signs the first n entries as they are.
func (h *history) sign(n int) string {
	h.t.Helper()
	root, err := ledger.RootOf(tree(h.t, h.entries[:n]))
	if err != nil {
		h.t.Fatal(err)
	}
	if h.heads[n], err = h.signer.Checkpoint(uint64(n), root); err != nil {
		h.t.Fatal(err)
	}
	return h.heads[n]
}

func tree(t testing.TB, entries []*ledger.Entry) *compact.Range {
	t.Helper()
	r := ledger.Ranges.NewEmptyRange(0)
	for _, e := range entries {
		if err := r.Append(e.Hash, nil); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// lines writes the pack; line 0 is the header.
func (h *history) lines() []string {
	h.t.Helper()
	var b bytes.Buffer
	p, err := ledger.NewPackWriter(&b, h.signer.VerifierKey(), uint64(len(h.entries)))
	if err != nil {
		h.t.Fatal(err)
	}
	for i, e := range h.entries {
		if err := p.Entry(e); err != nil {
			h.t.Fatal(err)
		}
		if signed, ok := h.heads[i+1]; ok {
			if err := p.Checkpoint(signed); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	if err := p.Close(); err != nil {
		h.t.Fatal(err)
	}
	return slices.Collect(strings.Lines(b.String()))
}

func verify(t testing.TB, pack string, published ...string) (ledger.Report, *ledger.Fault) {
	t.Helper()
	r, err := ledger.VerifyPack(strings.NewReader(pack), verifier(t, signer(t, 1)), published, nil)
	var f *ledger.Fault
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("not a fault: %v", err)
	}
	return r, f
}

func TestVerifyPack_AcceptsWhatWasWritten(t *testing.T) {
	for seed := range uint64(50) {
		src := rand.New(rand.NewPCG(seed, 1))
		h := newHistory(t, src, 1+src.IntN(70))
		published := slices.Sorted(slices.Values(slices.Collect(func(yield func(string) bool) {
			for _, s := range h.heads {
				if !yield(s) {
					return
				}
			}
		})))
		r, f := verify(t, strings.Join(h.lines(), ""), published...)
		if f != nil {
			t.Fatalf("seed %d: %v", seed, f)
		}
		if r.Entries != uint64(len(h.entries)) || r.Checkpoints != len(h.heads) || r.Published != len(h.heads) || r.Shown+r.Sealed+r.Withheld != r.Entries {
			t.Errorf("seed %d: %+v", seed, r)
		}
	}
}

// TestVerifyPack_LocatesWhatWasDone does to a pack what a forger, a bad disk or a cut
// connection does. The pack has 8 entries, and checkpoints over 3 and 8 of them.
func TestVerifyPack_LocatesWhatWasDone(t *testing.T) {
	h := &history{t: t, signer: signer(t, 1), heads: map[int]string{}}
	src := rand.New(rand.NewPCG(7, 7))
	for i := range 8 {
		e := entry(i, src)
		for !e.Open() {
			e = entry(i, src)
		}
		h.entries = append(h.entries, e)
	}
	h.sign(3)
	h.sign(8)
	at := func(seq int) int { // line of an entry
		if seq >= 3 {
			return seq + 2
		}
		return seq + 1
	}
	forged := entry(5, src)
	for _, c := range []struct {
		name  string
		do    func(l []string) []string
		word  string
		entry int64
	}{
		{"a changed body", func(l []string) []string { l[at(4)] = strings.Replace(l[at(4)], "Given", "Taken", 1); return l }, ledger.EntryChanged, 4},
		{"a changed time", func(l []string) []string {
			l[at(6)] = strings.Replace(l[at(6)], "04:00:06Z", "04:00:05Z", 1)
			return l
		}, ledger.EntryChanged, 6},
		{"a body taken away, which is allowed, and its kind changed", func(l []string) []string {
			e := *h.entries[2]
			e.Body, e.Salt, e.Principal, e.Kind = nil, nil, nil, "grant"
			return rewritten(t, l, at(2), &e)
		}, ledger.EntryChanged, 2},
		{"a dropped entry", func(l []string) []string { return slices.Delete(l, at(5), at(5)+1) }, ledger.EntryMissing, 5},
		{"two entries exchanged", func(l []string) []string { l[at(4)], l[at(5)] = l[at(5)], l[at(4)]; return l }, ledger.EntryMissing, 4},
		{"an entry twice", func(l []string) []string { return slices.Insert(l, at(4), l[at(4)]) }, ledger.EntryOutOfPlace, 4},
		{"a forged entry that agrees with itself", func(l []string) []string { return rewritten(t, l, at(5), forged) }, ledger.CheckpointMismatch, -1},
		{"a cut tail", func(l []string) []string { return l[:at(7)] }, ledger.Truncated, 7},
		{"a torn tail", func(l []string) []string { l[at(6)] = l[at(6)][:20]; return l[:at(6)+1] }, ledger.Truncated, 6},
		{"the last checkpoint cut off", func(l []string) []string { return l[:len(l)-1] }, ledger.Truncated, 3},
		{"a checkpoint of the middle dropped, which is allowed, and one more entry", func(l []string) []string { return append(l, l[at(7)]) }, ledger.EntryOutOfPlace, 7},
		{"a checkpoint moved", func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }, ledger.EntryOutOfPlace, 3},
		{"a checkpoint signed by another key", func(l []string) []string {
			root, _ := ledger.RootOf(tree(t, h.entries))
			other, _ := signer(t, 2).Checkpoint(8, root)
			return append(l[:len(l)-1], strings.Replace(l[len(l)-1], lastSignature(h.heads[8]), lastSignature(other), 1))
		}, ledger.CheckpointForged, -1},
		{"an unknown field", func(l []string) []string {
			l[at(1)] = strings.Replace(l[at(1)], `{"seq"`, `{"note":1,"seq"`, 1)
			return l
		}, ledger.Malformed, 1},
		{"a blank", func(l []string) []string { l[at(1)] = " " + l[at(1)]; return l }, ledger.Malformed, 1},
		{"another size", func(l []string) []string { l[0] = strings.Replace(l[0], `"size":8`, `"size":7`, 1); return l }, ledger.EntryOutOfPlace, 7},
		{"nothing at all", func([]string) []string { return nil }, ledger.Malformed, -1},
		{"another format", func(l []string) []string { l[0] = strings.Replace(l[0], "pack/1", "pack/2", 1); return l }, ledger.Malformed, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, f := verify(t, strings.Join(c.do(h.lines()), ""))
			if f == nil || f.Word != c.word || f.Entry != c.entry {
				t.Errorf("got %+v, want %s at entry %d", f, c.word, c.entry)
			}
		})
	}
}

func rewritten(t *testing.T, l []string, line int, e *ledger.Entry) []string {
	t.Helper()
	e.Hash = ledger.LeafHash(e.Seq, e.Time.UnixMilli(), e.Kind, e.Commitment)
	if e.Kind == "grant" { // a forger who forgets the hash
		e.Hash = ledger.LeafHash(e.Seq, e.Time.UnixMilli(), "consent", e.Commitment)
	}
	var b bytes.Buffer
	p, err := ledger.NewPackWriter(&b, "", 0)
	if err == nil {
		err = errors.Join(p.Entry(e), p.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	l[line] = slices.Collect(strings.Lines(b.String()))[1]
	return l
}

func lastSignature(signed string) string {
	fields := strings.Fields(signed)
	return fields[len(fields)-1]
}

// TestVerifyPack_FindsEveryFlippedBit flips every bit of a pack, one after the other.
func TestVerifyPack_FindsEveryFlippedBit(t *testing.T) {
	src := rand.New(rand.NewPCG(3, 9))
	h := newHistory(t, src, 6)
	lines := h.lines()
	pack := []byte(strings.Join(lines, ""))
	line, within := 0, 0
	for i := range pack {
		if within == len(lines[line]) {
			line, within = line+1, 0
		}
		within++
		for bit := range 8 {
			pack[i] ^= 1 << bit
			_, f := verify(t, string(pack))
			switch {
			case f == nil:
				t.Fatalf("bit %d of byte %d (line %d) flipped, and not found", bit, i, line+1)
			case line > 0 && f.Line != line+1 && f.Word != ledger.Truncated && f.Line != line+2:
				t.Errorf("byte %d is in line %d; found in %d: %v", i, line+1, f.Line, f)
			}
			pack[i] ^= 1 << bit
		}
	}
}

// TestVerifyPack_AgainstWhatWasPublished: a whole, well-signed pack of a history that was
// rewritten, or ends too early, contradicts a checkpoint that somebody has kept.
func TestVerifyPack_AgainstWhatWasPublished(t *testing.T) {
	src := rand.New(rand.NewPCG(5, 5))
	h := newHistory(t, src, 20)
	published := h.heads[20]
	short := &history{t: t, signer: h.signer, entries: h.entries[:12], heads: map[int]string{}}
	short.sign(12)
	if _, f := verify(t, strings.Join(short.lines(), "")); f != nil {
		t.Fatal("alone it is a good pack", f)
	}
	if _, f := verify(t, strings.Join(short.lines(), ""), published); f == nil || f.Word != ledger.Truncated || f.Entry != 12 {
		t.Errorf("a history without its end: %+v", f)
	}
	other := &history{t: t, signer: h.signer, entries: slices.Clone(h.entries), heads: map[int]string{}}
	other.entries[4] = entry(4, src)
	other.sign(20)
	if _, f := verify(t, strings.Join(other.lines(), ""), published); f == nil || f.Word != ledger.CheckpointMismatch {
		t.Errorf("a history written anew: %+v", f)
	}
	if _, f := verify(t, strings.Join(h.lines(), ""), "garbage"); f == nil || f.Word != ledger.CheckpointForged {
		t.Errorf("a published checkpoint that is none: %+v", f)
	}
}

// TestProofs_AgreeWithTheTree compares proofs from nodes with the tree, at every size.
func TestProofs_AgreeWithTheTree(t *testing.T) {
	src := rand.New(rand.NewPCG(1, 2))
	h := newHistory(t, src, 40)
	nodes := map[compact.NodeID][]byte{}
	built := ledger.Ranges.NewEmptyRange(0)
	var heads []ledger.Checkpoint
	fetch := func(id compact.NodeID) ([]byte, error) { return nodes[id], nil }
	for n, e := range h.entries {
		if err := built.Append(e.Hash, func(id compact.NodeID, hash []byte) { nodes[id] = hash }); err != nil {
			t.Fatal(err)
		}
		root, err := ledger.Root(uint64(n+1), fetch)
		if want, _ := ledger.RootOf(built); err != nil || !bytes.Equal(root, want) {
			t.Fatal(n, err)
		}
		head := ledger.Checkpoint{Origin: origin, Size: uint64(n + 1), Root: root}
		for _, before := range heads {
			if err := ledger.Consistent(before, head, fetch); err != nil {
				t.Fatal(before.Size, head.Size, err)
			}
		}
		heads = append(heads, head)
		for _, x := range h.entries[:n+1] {
			proof, err := ledger.Inclusion(x.Seq, head.Size, fetch)
			if err != nil || ledger.Included(x, proof, head) != nil {
				t.Fatal(x.Seq, head.Size, err)
			}
			wrong := *x
			wrong.Hash = bytes.Repeat([]byte{1}, 32)
			if ledger.Included(&wrong, proof, head) == nil {
				t.Fatal("another entry is proved, too")
			}
		}
	}
	forked := heads[10]
	forked.Root = bytes.Repeat([]byte{7}, 32)
	if err := ledger.Consistent(forked, heads[30], fetch); err == nil {
		t.Error("a fork is called consistent")
	}
}

func TestVerifier_Refuses(t *testing.T) {
	for _, key := range []string{"", "x", "a+b+c", signer(t, 1).VerifierKey() + "x"} {
		if _, err := ledger.NewVerifier(key); !errors.Is(err, ledger.ErrKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
	good, err := signer(t, 1).Checkpoint(3, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, signer(t, 1))
	if c, err := v.Open(good); err != nil || c.Size != 3 || c.Origin != origin {
		t.Error(c, err)
	}
	for name, bad := range map[string]string{
		"cut": good[:len(good)-2], "twice signed": good + "— " + origin + " " + lastSignature(good) + "\n", "another size": strings.Replace(good, "\n3\n", "\n4\n", 1),
		"a size with a zero before it": strings.Replace(good, "\n3\n", "\n03\n", 1), "nothing": "",
	} {
		if _, err := v.Open(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzVerifyPack: whatever comes in, the verifier neither panics nor accepts what differs.
func FuzzVerifyPack(f *testing.F) {
	h := newHistory(f, rand.New(rand.NewPCG(3, 3)), 6)
	pack := strings.Join(h.lines(), "")
	v := verifier(f, h.signer)
	f.Add([]byte(pack))
	f.Add([]byte(strings.ReplaceAll(pack, "Given", "Taken")))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := ledger.VerifyPack(bytes.NewReader(in), v, nil, nil); err == nil && r.Entries > 6 {
			t.Errorf("accepted %d entries that nobody signed", r.Entries)
		}
	})
}
