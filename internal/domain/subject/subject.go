// Package subject holds the identifiers of people as types that cannot print
// themselves. The rest of the code can compare and pass them on; only the
// WeChat adapter and the store may look inside, through Reveal, which reviewers
// can grep for. Logging, formatting, and encoding a value of these types yields
// a mask or an error, also when it is nested in a struct that is printed with %+v.
package subject

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"unique"
)

// Errors of this package. None carries the value that it is about.
var (
	ErrMalformed     = errors.New("identifier malformed")
	ErrNotSerialised = errors.New("identifiers of people are not serialised")
)

const mask = "[redacted]"

// hidden is a text that does not print itself.
type hidden struct{ h unique.Handle[string] }

// IsZero tells whether nothing is held.
func (x hidden) IsZero() bool { return x == hidden{} }

// Reveal returns the text. Of an identifier, only the WeChat adapter and the store call it.
func (x hidden) Reveal() string {
	if x.IsZero() {
		return ""
	}
	return x.h.Value()
}

// Format prints a mask, whatever the verb.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, mask) }

// LogValue logs a mask.
func (hidden) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText refuses: an identifier has no business in JSON, YAML or a URL.
func (hidden) MarshalText() ([]byte, error) { return nil, ErrNotSerialised }

// identifierForm is the shape seen in the field (wechat.md 16.1); the platform specifies none.
var identifierForm = regexp.MustCompile(`^[A-Za-z0-9_-]{20,64}$`)

// OpenID is a person's identifier within one WeChat account. It is case-sensitive.
type OpenID struct{ hidden }

// NewOpenID checks the shape and wraps raw. The error does not repeat the value.
func NewOpenID(raw string) (OpenID, error) {
	if !identifierForm.MatchString(raw) {
		return OpenID{}, fmt.Errorf("openid: %w", ErrMalformed)
	}
	return OpenID{hidden{unique.Make(raw)}}, nil
}

// UnionID is a person's identifier within all accounts that one company has bound to an Open
// Platform account (https://developers.weixin.qq.com/doc/offiaccount/User_Management/Get_users_basic_information_UnionID.html).
type UnionID struct{ hidden }

// NewUnionID checks the shape and wraps raw. The error does not repeat the value.
func NewUnionID(raw string) (UnionID, error) {
	if !identifierForm.MatchString(raw) {
		return UnionID{}, fmt.Errorf("unionid: %w", ErrMalformed)
	}
	return UnionID{hidden{unique.Make(raw)}}, nil
}

// ID is the random identifier that a store gives a person. It says nothing about
// them outside the store, but still singles them out: it prints masked as well.
type ID struct{ h unique.Handle[[16]byte] }

// NewID draws an ID from r (crypto/rand.Reader in production).
func NewID(r io.Reader) (ID, error) {
	if r == nil {
		r = rand.Reader
	}
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return ID{}, fmt.Errorf("draw subject id: %w", err)
	}
	return ID{unique.Make(b)}, nil
}

// IDFromBytes wraps the 16 bytes that a store keeps.
func IDFromBytes(b []byte) (ID, error) {
	if len(b) != 16 {
		return ID{}, fmt.Errorf("subject id: %w", ErrMalformed)
	}
	return ID{unique.Make([16]byte(b))}, nil
}

// Bytes returns the 16 bytes for the store's key columns.
func (i ID) Bytes() []byte {
	if (i == ID{}) {
		return nil
	}
	b := i.h.Value()
	return b[:]
}

// Format prints a mask, whatever the verb.
func (ID) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, mask) }

// LogValue logs a mask.
func (ID) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText refuses.
func (ID) MarshalText() ([]byte, error) { return nil, ErrNotSerialised }

// Secret is a credential: an AppSecret, a callback token, a key. It prints masked.
type Secret struct{ hidden }

// NewSecret wraps raw.
func NewSecret(raw string) Secret { return Secret{hidden{unique.Make(raw)}} }

// IsZero tells whether nothing, or the empty string, is held.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Text is something a person wrote. It may hold anything, so it prints masked.
type Text struct{ hidden }

// NewText wraps raw.
func NewText(raw string) Text { return Text{hidden{unique.Make(raw)}} }

// Few is the count below which a number of people singles people out (promise P2).
const Few = 20

// People is a number of people as it may leave the data plane.
func People(n int64) string {
	if n < Few {
		return "<20"
	}
	return fmt.Sprint(n)
}

// Commitment names a person in an export, differently for each recipient, so that
// two recipients cannot join what they hold.
type Commitment [16]byte

// String gives the hexadecimal form that appears in an exported row.
func (c Commitment) String() string { return hex.EncodeToString(c[:]) }
