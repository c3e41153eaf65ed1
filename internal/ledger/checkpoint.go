package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is the head of a log: so many entries have this root.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   []byte
}

// Origin is the stable name of a ledger's log, and of the key that signs its checkpoints.
func Origin(ledgerID string) string { return "maodian.dev/ledger/" + ledgerID }

// ErrKey says that a verifier key cannot be used.
var ErrKey = errors.New("KeyInvalid: a verifier key looks like <name>+<8 digits>+<base64>; it stands in the ConsentStore's status.ledger.verifierKey")

// text is the body of the signed note (C2SP tlog-checkpoint).
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root))
}

// Signer signs the checkpoints of one log. Whoever calls it makes sure that the log never
// signs two checkpoints that contradict each other.
type Signer struct {
	key      ed25519.PrivateKey
	verifier string
	known    note.Verifier
}

// NewSigner makes the signer of a log from 32 secret bytes.
func NewSigner(origin string, seed [ed25519.SeedSize]byte) (*Signer, error) {
	s := &Signer{key: ed25519.NewKeyFromSeed(seed[:])}
	var err error
	if s.verifier, err = note.NewEd25519VerifierKey(origin, s.key.Public().(ed25519.PublicKey)); err != nil { //nolint:errcheck // that is its type
		return nil, fmt.Errorf("make signer: %w", err)
	}
	if s.known, err = note.NewVerifier(s.verifier); err != nil {
		return nil, fmt.Errorf("make signer: %w", err)
	}
	return s, nil
}

// Name of the key, as note.Signer wants it.
func (s *Signer) Name() string { return s.known.Name() }

// KeyHash of the key, as note.Signer wants it.
func (s *Signer) KeyHash() uint32 { return s.known.KeyHash() }

// Sign signs the text of a note, as note.Signer wants it.
func (s *Signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// VerifierKey is the public half.
func (s *Signer) VerifierKey() string { return s.verifier }

// Checkpoint signs a head.
func (s *Signer) Checkpoint(size uint64, root []byte) (string, error) {
	signed, err := note.Sign(&note.Note{Text: Checkpoint{s.Name(), size, root}.text()}, s)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(signed), nil
}

// Verifier opens the checkpoints of one log.
type Verifier struct {
	key   string
	known note.Verifier
}

// NewVerifier reads a verifier key.
func NewVerifier(key string) (*Verifier, error) {
	known, err := note.NewVerifier(key)
	if err != nil {
		return nil, ErrKey
	}
	return &Verifier{key, known}, nil
}

// Key is the verifier key.
func (v *Verifier) Key() string { return v.key }

// Origin is the name of the log whose checkpoints the key opens.
func (v *Verifier) Origin() string { return v.known.Name() }

// Open returns a checkpoint that is signed by the log's key, and by nobody else.
func (v *Verifier) Open(signed string) (Checkpoint, error) {
	forged := func(why string) (Checkpoint, error) {
		return Checkpoint{}, &Fault{Word: CheckpointForged, Entry: -1, Message: "a checkpoint " + why}
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v.known))
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return forged("is not signed by the key of " + v.Origin())
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || signed != fmt.Sprintf("%s\n— %s %s\n", n.Text, v.Origin(), base64.StdEncoding.EncodeToString(raw)) {
		return forged("is written in another way than it was signed")
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != v.Origin() {
		return forged("is not one of " + v.Origin())
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	root, bad := base64.StdEncoding.Strict().DecodeString(lines[2])
	c := Checkpoint{lines[0], size, root}
	if err != nil || bad != nil || len(root) != sha256.Size || size > math.MaxInt64 || c.text() != n.Text {
		return forged("holds no size and root")
	}
	return c, nil
}
