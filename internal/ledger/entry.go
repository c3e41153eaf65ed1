// Package ledger is what an outsider needs to check a ledger: what an entry commits to, how
// the Merkle tree over the entries is hashed (RFC 6962), what a signed checkpoint is (C2SP
// tlog-checkpoint, a signed note), and the pack in which a ledger is handed to an auditor.
//
// It reads no database and no network. Every engine writes its log by these rules, and
// `maodian ledger verify` checks by them, offline, with the public key alone.
package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
)

// SaltSize is the size of an entry's salt, in bytes.
const SaltSize = 16

// Forms of an entry. The first one committed to person, time and kind in one hash: nothing
// of it can be shown to an outsider without showing everything. It is read, never written.
const (
	FormFirst   = 1
	FormCurrent = 2
)

// Entry is one entry of a log. Body and Salt are missing where they were erased, or are
// withheld from the reader; time and kind can be proved all the same.
type Entry struct {
	Seq  uint64    `json:"seq"`
	Form int       `json:"form,omitempty"` // FormFirst, or 0 for the current one
	Time time.Time `json:"time,omitzero"`  // UTC, in milliseconds
	Kind string    `json:"kind,omitempty"`
	// Principal is the person under this entry's salt (Person); empty where an entry is
	// about nobody in particular.
	Principal []byte          `json:"principal,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
	Salt      []byte          `json:"salt,omitempty"`
	Sealed    bool            `json:"sealed,omitempty"` // body and salt were erased
	// Commitment binds salt, person and body: without the salt it says nothing about them.
	Commitment []byte `json:"commitment"`
	// Hash is the leaf of the tree. It follows from the rest; it is there to tell which
	// entry was changed.
	Hash []byte `json:"hash"`
}

// Principal names a person in receipts, by 16 bytes that cannot be traced back to the
// store's random id.
func Principal(subject []byte) []byte {
	if len(subject) == 0 {
		return nil
	}
	h := sha256.New()
	_, _ = h.Write([]byte("maodian principal v1|"))
	_, _ = h.Write(subject)
	return h.Sum(nil)[:16]
}

// Person hides a principal under an entry's salt, so that two entries about the same person
// cannot be joined without their salts and a receipt.
func Person(salt, principal []byte) []byte {
	if len(principal) == 0 {
		return nil
	}
	return mac(salt, "principal|%x", principal)
}

// Commit returns what an entry says about person and body.
func Commit(salt, person []byte, body []byte) []byte {
	return mac(salt, "commitment|%d:%s|%d:%s", len(person), person, len(body), body)
}

func mac(key []byte, format string, args ...any) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, format, args...) // a hash does not fail
	return h.Sum(nil)
}

// LeafHash returns the leaf of an entry of the current form.
func LeafHash(seq uint64, atMS int64, kind string, commitment []byte) []byte {
	return rfc6962.DefaultHasher.HashLeaf(fmt.Appendf(nil, "maodian entry v2|%d|%d|%d:%s|%x", seq, atMS, len(kind), kind, commitment))
}

// FirstLeafHash returns the leaf of an entry of the first form.
func FirstLeafHash(commitment []byte) []byte { return rfc6962.DefaultHasher.HashLeaf(commitment) }

// FirstCommit is the commitment of the first form.
func FirstCommit(salt []byte, seq uint64, atMS int64, kind string, subject, body []byte) []byte {
	return mac(salt, "%d|%d|%d:%s|%d:%s|%d:%s", seq, atMS, len(kind), kind, len(subject), subject, len(body), body)
}

// Open tells whether body and salt are shown.
func (e *Entry) Open() bool { return len(e.Salt) > 0 }

// leaf recomputes the leaf's hash.
func (e *Entry) leaf() []byte {
	if e.Form == FormFirst {
		return FirstLeafHash(e.Commitment)
	}
	return LeafHash(e.Seq, e.Time.UnixMilli(), e.Kind, e.Commitment)
}

// Check compares everything that an entry shows with what it commits to.
func (e *Entry) Check() error {
	changed := func(what string) error {
		return &Fault{Word: EntryChanged, Entry: int64(e.Seq), Message: "entry " + fmt.Sprint(e.Seq) + " was changed: " + what}
	}
	if len(e.Commitment) != sha256.Size || len(e.Hash) != sha256.Size {
		return changed("commitment and hash have 32 bytes")
	}
	if what := e.odd(); what != "" {
		return changed(what)
	}
	if e.Open() && !hmac.Equal(e.Commitment, Commit(e.Salt, e.Principal, e.Body)) {
		return changed("body, salt and person do not give the commitment")
	}
	if !hmac.Equal(e.Hash, e.leaf()) {
		return changed("time, kind and commitment do not give the hash")
	}
	return nil
}

// odd names what cannot stand together in an entry.
func (e *Entry) odd() string {
	first := e.Form == FormFirst
	switch {
	case e.Form != 0 && !first:
		return "its form is unknown"
	case first && (e.Kind != "" || !e.Time.IsZero() || e.Open()):
		return "the first form shows nothing that could be proved"
	case !first && (e.Kind == "" || !e.Time.Equal(e.Time.Truncate(time.Millisecond))):
		return "kind and time in milliseconds must be there"
	case e.Open() == (len(e.Body) == 0):
		return "body and salt are shown together or not at all"
	case !e.Open() && len(e.Principal) > 0:
		return "the person is shown with the body only"
	case e.Open() && e.Sealed:
		return "it is called sealed and shows its body"
	}
	return ""
}

// encode writes v as one line of JSON, without the line's end. There is one way only to
// write a value, so that not a byte can change unnoticed.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
