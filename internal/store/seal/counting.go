package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Counting commits to people under a key that several stores of one processor share: the
// same person has the same commitment in each, so that together they count everybody once.
// Whoever holds the key can tell whether somebody they know was counted; nobody else can.
type Counting struct {
	commit []byte
	id     string
}

// NewCounting derives what commits from a key of 32 bytes.
func NewCounting(key []byte) (*Counting, error) {
	if len(key) != KeySize {
		return nil, ErrKey
	}
	commit, err := hkdf.Key(sha256.New, key, nil, "maodian counting v1", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &Counting{commit: commit, id: hex.EncodeToString(mac(commit, "key id")[:8])}, nil
}

// KeyID tells keys apart, and says nothing about them: 16 hexadecimal digits.
func (c *Counting) KeyID() string { return c.id }

// Commit names a person towards the counters of a processor. Kind is that of the identifier.
func (c *Counting) Commit(processor, kind, identifier string) [16]byte {
	return [16]byte(mac(c.commit, "person", processor, kind, identifier))
}
