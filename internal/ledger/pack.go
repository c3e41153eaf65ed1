package ledger

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/transparency-dev/merkle/compact"
)

// PackFormat is the first word of a pack.
const PackFormat = "maodian-ledger-pack/1"

// maxLine bounds a line of a pack.
const maxLine = 4 << 20

// header is the first line of a pack; the entries, with the checkpoints between them, follow.
type header struct {
	Format      string `json:"format"`
	VerifierKey string `json:"verifierKey"`
	Size        uint64 `json:"size"` // entries, all of them covered by the last checkpoint
}

// signedHead is a line with a checkpoint. It stands where its entries end.
type signedHead struct {
	Checkpoint string `json:"checkpoint"`
}

// PackWriter writes a pack: JSON lines.
type PackWriter struct{ out *bufio.Writer }

// NewPackWriter begins a pack of so many entries.
func NewPackWriter(out io.Writer, verifierKey string, size uint64) (*PackWriter, error) {
	p := &PackWriter{bufio.NewWriterSize(out, 1<<16)}
	return p, p.line(header{PackFormat, verifierKey, size})
}

// Entry writes an entry.
func (p *PackWriter) Entry(e *Entry) error { return p.line(e) }

// Checkpoint writes a checkpoint over the entries so far.
func (p *PackWriter) Checkpoint(signed string) error { return p.line(signedHead{signed}) }

// Close writes what is left.
func (p *PackWriter) Close() error {
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	return nil
}

func (p *PackWriter) line(v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	if _, err := p.out.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	return nil
}

// Report is what a verified pack holds.
type Report struct {
	Origin      string `json:"origin"`
	Entries     uint64 `json:"entries"`
	Shown       uint64 `json:"shown"`    // with body and salt, both checked
	Sealed      uint64 `json:"sealed"`   // body and salt were erased
	Withheld    uint64 `json:"withheld"` // body and salt are not shown
	Checkpoints int    `json:"checkpoints"`
	Published   int    `json:"published"` // checkpoints published elsewhere that the pack continues
	Root        []byte `json:"root"`
}

// Published are checkpoints that the auditor has from elsewhere: from a ConsentStore's
// status, from Git, from a witness. A pack must contain all that they cover.
type Published []string

// VerifyPack checks a whole pack, with nothing but the key and what was published. The
// error is a *Fault for the first thing that is wrong. progress is told how many entries
// were checked so far; it may be nil.
func VerifyPack(in io.Reader, key *Verifier, published Published, progress func(entries uint64)) (Report, error) {
	v := &packVerifier{key: key, in: bufio.NewReaderSize(in, 1<<16), built: Ranges.NewEmptyRange(0), report: Report{Origin: key.Origin()}}
	for _, signed := range published {
		c, err := key.Open(signed)
		if err != nil {
			return v.report, err
		}
		v.published = append(v.published, c)
	}
	slices.SortFunc(v.published, func(a, b Checkpoint) int { return compareSizes(a.Size, b.Size) })
	err := v.run(progress)
	var f *Fault
	if errors.As(err, &f) && f.Line == 0 {
		f.Line = v.line
	}
	return v.report, err
}

func compareSizes(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

type packVerifier struct {
	key       *Verifier
	in        *bufio.Reader
	line      int
	head      header
	built     *compact.Range
	published []Checkpoint // not reached yet
	signed    uint64       // size of the newest checkpoint in the pack
	covered   bool         // there was one
	report    Report
}

func (v *packVerifier) run(progress func(uint64)) error {
	if err := v.begin(); err != nil {
		return err
	}
	for {
		if err := v.compare(); err != nil {
			return err
		}
		raw, err := v.next()
		if errors.Is(err, io.EOF) {
			return v.end()
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(raw, []byte(`{"checkpoint"`)) {
			err = v.checkpoint(raw)
		} else {
			err = v.entry(raw)
		}
		if err != nil {
			return err
		}
		if progress != nil && v.report.Entries%4096 == 0 {
			progress(v.report.Entries)
		}
	}
}

func (v *packVerifier) begin() error {
	raw, err := v.next()
	if errors.Is(err, io.EOF) {
		return &Fault{Word: Malformed, Entry: -1, Message: "the pack is empty"}
	}
	if err != nil {
		return err
	}
	if err := v.decode(raw, &v.head); err != nil {
		return err
	}
	switch {
	case v.head.Format != PackFormat:
		return &Fault{Word: Malformed, Entry: -1, Message: "this is no pack of the format " + PackFormat}
	case v.head.VerifierKey != v.key.Key():
		return &Fault{Word: KeyMismatch, Entry: -1, Message: "the pack is of another ledger than the key"}
	}
	return nil
}

// next returns a line. One without an end is torn.
func (v *packVerifier) next() ([]byte, error) {
	var whole []byte
	for {
		part, err := v.in.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case err == nil:
			v.line++
			return whole[:len(whole)-1], nil
		case errors.Is(err, io.EOF) && len(whole) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			v.line++
			return nil, &Fault{Word: Truncated, Entry: int64(v.built.End()), Message: fmt.Sprintf("the pack is torn in what follows entry %d", int64(v.built.End())-1)}
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read pack: %w", err)
		case len(whole) > maxLine:
			v.line++
			return nil, &Fault{Word: Malformed, Entry: int64(v.built.End()), Message: "a line is too long"}
		}
	}
}

// decode reads a line, and refuses one that is not written exactly as we write it.
func (v *packVerifier) decode(raw []byte, to any) error {
	bad := &Fault{Word: Malformed, Entry: int64(v.built.End()), Message: fmt.Sprintf("what should be entry %d is not written as a pack is", v.built.End())}
	if json.Unmarshal(raw, to) != nil {
		return bad
	}
	again, err := encode(to)
	if err != nil || !bytes.Equal(again, raw) {
		return bad
	}
	return nil
}

func (v *packVerifier) entry(raw []byte) error {
	var e Entry
	if err := v.decode(raw, &e); err != nil {
		return err
	}
	want := v.built.End()
	switch {
	case e.Seq > want:
		return &Fault{Word: EntryMissing, Entry: int64(want), Message: fmt.Sprintf("entry %d is missing", want)}
	case e.Seq < want:
		return &Fault{Word: EntryOutOfPlace, Entry: int64(e.Seq), Message: fmt.Sprintf("entry %d stands where entry %d should", e.Seq, want)}
	case want >= v.head.Size:
		return &Fault{Word: EntryOutOfPlace, Entry: int64(e.Seq), Message: "there are more entries than the pack says"}
	}
	if err := e.Check(); err != nil {
		return err
	}
	v.report.Entries++
	switch {
	case e.Open():
		v.report.Shown++
	case e.Sealed:
		v.report.Sealed++
	default:
		v.report.Withheld++
	}
	if err := v.built.Append(e.Hash, nil); err != nil {
		return fmt.Errorf("recompute tree: %w", err)
	}
	return nil
}

func (v *packVerifier) checkpoint(raw []byte) error {
	var h signedHead
	if err := v.decode(raw, &h); err != nil {
		return err
	}
	c, err := v.key.Open(h.Checkpoint)
	if err != nil {
		return err
	}
	switch at := v.built.End(); {
	case c.Size < at || (v.covered && c.Size <= v.signed):
		return &Fault{Word: EntryOutOfPlace, Entry: int64(c.Size), Message: fmt.Sprintf("the checkpoint over %d entries stands behind entry %d", c.Size, int64(at)-1)}
	case c.Size > at:
		return &Fault{Word: EntryMissing, Entry: int64(at), Message: fmt.Sprintf("entry %d is missing: a checkpoint covers %d entries", at, c.Size)}
	}
	if err := v.same(c); err != nil {
		return err
	}
	v.signed, v.covered = c.Size, true
	v.report.Checkpoints++
	return nil
}

// same compares a checkpoint with the entries so far.
func (v *packVerifier) same(c Checkpoint) error {
	root, err := RootOf(v.built)
	if err != nil {
		return err
	}
	if !hmac.Equal(root, c.Root) {
		return mismatch(v.signed, c.Size)
	}
	return nil
}

// compare looks at the checkpoints from elsewhere that cover exactly the entries so far.
func (v *packVerifier) compare() error {
	for len(v.published) > 0 && v.published[0].Size == v.built.End() {
		if err := v.same(v.published[0]); err != nil {
			return err
		}
		v.published = v.published[1:]
		v.report.Published++
	}
	return nil
}

func (v *packVerifier) end() error {
	at := v.built.End()
	switch {
	case at < v.head.Size:
		return &Fault{Word: Truncated, Entry: int64(at), Message: fmt.Sprintf("the pack ends before entry %d of %d", at, v.head.Size)}
	case !v.covered || v.signed != at:
		return &Fault{Word: Truncated, Entry: int64(v.signed), Message: fmt.Sprintf("no checkpoint covers the entries from %d", v.signed)}
	case len(v.published) > 0:
		return &Fault{Word: Truncated, Entry: int64(at), Message: fmt.Sprintf("entry %d is missing: a published checkpoint covers %d entries", at, v.published[len(v.published)-1].Size)}
	}
	root, err := RootOf(v.built)
	v.report.Root = root
	return err
}
