// Package callback opens and reads what the WeChat platform pushes to an official
// account's server (公众号回调): signature, freshness, decryption, parsing. The
// gateway uses it to receive, the platform twin to send.
//
// It promises one generic refusal for whatever is wrong with a push, so that nobody
// can probe it, and events whose personal parts cannot print themselves. It accepts
// the platform's secure mode (安全模式) only: in the other modes the body is not signed.
package callback

import (
	"crypto/sha1" //nolint:gosec // the platform's signature is defined over SHA-1
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// MaxBody bounds a push, in bytes. Real ones are a few kilobytes.
const MaxBody = 1 << 20

// Freshness is how far a push's timestamp may be from our clock. A platform retry
// may reuse its timestamp, so this is wide; duplicates are the store's to drop.
const Freshness = 10 * time.Minute

// ErrRefused is the answer to every push that is not provably the platform's.
var ErrRefused = errors.New("callback refused")

// ErrAESKey says that a string is no EncodingAESKey.
var ErrAESKey = errors.New("EncodingAESKey must be 43 letters and digits")

// Cause tells operators why pushes are refused. It is a metric label and never
// reaches the sender, to whom all refusals look alike.
type Cause string

// The closed set of causes.
const (
	CauseConfig    Cause = "config"
	CauseMode      Cause = "mode"
	CauseStale     Cause = "stale"
	CauseSignature Cause = "signature"
	CauseSize      Cause = "size"
	CauseEnvelope  Cause = "envelope"
	CauseCipher    Cause = "cipher"
	CauseAppID     Cause = "appid"
	CauseNone      Cause = "none"
)

type refusal struct{ cause Cause }

func (refusal) Error() string        { return ErrRefused.Error() }
func (refusal) Is(target error) bool { return target == ErrRefused }

// CauseOf returns the cause inside a refusal, CauseNone for any other error.
func CauseOf(err error) Cause {
	var r refusal
	if errors.As(err, &r) {
		return r.cause
	}
	return CauseNone
}

// AESKey is a decoded EncodingAESKey. It prints masked.
type AESKey struct {
	key [32]byte
	set bool
}

// ParseAESKey decodes the 43 characters that the platform's console shows.
func ParseAESKey(s string) (AESKey, error) {
	if len(s) != 43 || strings.ContainsFunc(s, notAlphanumeric) {
		return AESKey{}, ErrAESKey
	}
	raw, err := base64.StdEncoding.DecodeString(s + "=")
	if err != nil || len(raw) != 32 {
		return AESKey{}, ErrAESKey
	}
	return AESKey{key: [32]byte(raw), set: true}, nil
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// IsZero tells whether no key is held.
func (k AESKey) IsZero() bool { return !k.set }

// Format prints a mask, whatever the verb.
func (AESKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// LogValue logs a mask.
func (AESKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText refuses.
func (AESKey) MarshalText() ([]byte, error) { return nil, subject.ErrNotSerialised }

// Keys are what an account shares with the platform for its callbacks.
type Keys struct {
	// Token is the callback token of the console, not an access token.
	Token subject.Secret
	// Current decrypts; Previous, if set, is tried after it, because the platform
	// goes on using the old key for a while after a change.
	Current, Previous AESKey
	// AppID must trail every decrypted push.
	AppID string
}

func (k Keys) complete() bool {
	return !k.Token.IsZero() && !k.Current.IsZero() && k.AppID != ""
}

// Signature is the platform's signature over parts, in any order.
func Signature(parts ...string) string {
	sorted := slices.Sorted(slices.Values(parts))
	sum := sha1.Sum([]byte(strings.Join(sorted, ""))) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// VerifyURL answers the console's check of the callback URL (a GET): it returns
// the echostr to write back as it is.
func (k Keys) VerifyURL(query url.Values, now time.Time) (string, error) {
	if err := k.verify(query, "signature", now); err != nil {
		return "", err
	}
	echo := query.Get("echostr")
	if echo == "" || len(echo) > 256 || strings.ContainsFunc(echo, notAlphanumeric) {
		return "", refusal{CauseEnvelope}
	}
	return echo, nil
}

// verify checks the signature parameter over token, timestamp, nonce and more,
// then freshness. The order keeps the clock out of an unsigned probe's reach.
func (k Keys) verify(query url.Values, parameter string, now time.Time, more ...string) error {
	if !k.complete() {
		return refusal{CauseConfig}
	}
	timestamp := query.Get("timestamp")
	parts := append([]string{k.Token.Reveal(), timestamp, query.Get("nonce")}, more...)
	want := Signature(parts...)
	if subtle.ConstantTimeCompare([]byte(want), []byte(query.Get(parameter))) != 1 {
		return refusal{CauseSignature}
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > Freshness {
		return refusal{CauseStale}
	}
	return nil
}
