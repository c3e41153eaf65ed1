package receipt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/maodian-dev/maodian/internal/ledger"
)

// MaxSize bounds a receipt, in bytes.
const MaxSize = 4 << 20

// Encode writes a receipt. There is one way only to write it.
func Encode(r Receipt) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads a receipt without checking it: for showing one's own.
func Decode(raw []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return Receipt{}, &ledger.Fault{Word: ledger.Malformed, Entry: -1, Message: "this is no receipt"}
	}
	for i := range r.Evidence.Entries {
		var body bytes.Buffer
		if err := json.Compact(&body, r.Evidence.Entries[i].Body); err != nil {
			return Receipt{}, &ledger.Fault{Word: ledger.Malformed, Entry: int64(r.Evidence.Entries[i].Seq), Message: "an entry has no body"}
		}
		r.Evidence.Entries[i].Body = body.Bytes() // as it was committed to
	}
	return r, nil
}

// Report is what a verified receipt proves.
type Report struct {
	Origin  string `json:"origin"`
	Size    uint64 `json:"size"` // of the log, when the receipt was made
	Records int    `json:"records"`
	Events  int    `json:"events"`
}

// Verify checks a receipt with nothing but the key: every entry is in the signed log, all are
// about the same person, and the receipt says what follows from them and nothing else.
func Verify(in io.Reader, key *ledger.Verifier) (Report, error) {
	raw, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return Report{}, fmt.Errorf("read receipt: %w", err)
	}
	if len(raw) > MaxSize {
		return Report{}, &ledger.Fault{Word: ledger.Malformed, Entry: -1, Message: "the receipt is too large"}
	}
	r, err := Decode(raw)
	if err != nil {
		return Report{}, err
	}
	out, err := r.prove(key)
	if err != nil {
		return out, err
	}
	principal, err := hex.DecodeString(r.PIIPrincipalID)
	if err != nil {
		return out, unproved("pii_principal_id is malformed")
	}
	again, err := Build(principal, r.Evidence)
	if err != nil {
		return out, err
	}
	same, err := Encode(again)
	if err != nil {
		return out, err
	}
	if !bytes.Equal(same, raw) {
		return out, unproved("the receipt says something else than its entries, at line %d", firstDifference(same, raw))
	}
	out.Records = len(r.Records)
	for _, x := range r.Records {
		out.Events += len(x.Events)
	}
	return out, nil
}

// prove checks the checkpoint, and each entry's commitment, proof and person.
func (r *Receipt) prove(key *ledger.Verifier) (Report, error) {
	out := Report{Origin: key.Origin()}
	if r.Evidence.VerifierKey != key.Key() {
		return out, &ledger.Fault{Word: ledger.KeyMismatch, Entry: -1, Message: "the receipt is of another ledger than the key"}
	}
	head, err := key.Open(r.Evidence.Checkpoint)
	if err != nil {
		return out, err
	}
	out.Size = head.Size
	principal, err := hex.DecodeString(r.PIIPrincipalID)
	if err != nil || len(principal) == 0 {
		return out, unproved("pii_principal_id is malformed")
	}
	for i := range r.Evidence.Entries {
		e := &r.Evidence.Entries[i]
		if err := e.Check(); err != nil {
			return out, err
		}
		if err := ledger.Included(&e.Entry, e.Proof, head); err != nil {
			return out, err
		}
		if !e.Open() || !slices.Contains([]string{Kind, KindShown, KindGuardian}, e.Kind) || !bytes.Equal(e.Principal, ledger.Person(e.Salt, principal)) {
			return out, &ledger.Fault{Word: ledger.NotProved, Entry: int64(e.Seq), Message: fmt.Sprintf("entry %d is not a consent of this person", e.Seq)}
		}
	}
	return out, nil
}

func firstDifference(a, b []byte) int {
	line := 1
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '\n' {
			line++
		}
	}
	return line
}

func unproved(format string, args ...any) error {
	return &ledger.Fault{Word: ledger.NotProved, Entry: -1, Message: fmt.Sprintf(format, args...)}
}
