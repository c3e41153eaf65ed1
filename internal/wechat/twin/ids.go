package twin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// codec turns a person's index into an openid and back, so that the twin needs no
// table for millions of people. Another seed or account gives other openids.
type codec struct {
	block cipher.Block
	check []byte
}

// Lengths of an openid's parts: a cipher block and four check bytes make 27
// characters, the letter o the 28th.
const (
	checkLen  = 4
	openIDLen = 28
)

func newCodec(seed uint64, appID string) (*codec, error) { return codecOf("openid", seed, appID) }

// newUnions makes unionids in the same form; no name makes none.
func newUnions(seed uint64, openPlatform string) (*codec, error) {
	if openPlatform == "" {
		return nil, nil
	}
	return codecOf("unionid", seed, openPlatform)
}

func codecOf(kind string, seed uint64, scope string) (*codec, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%s", kind, seed, scope))
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, fmt.Errorf("set up openid cipher: %w", err)
	}
	return &codec{block: block, check: key[16:]}, nil
}

func (c *codec) sum(block []byte) []byte {
	mac := hmac.New(sha256.New, c.check)
	_, _ = mac.Write(block) // a hash does not fail
	return mac.Sum(nil)[:checkLen]
}

// encode returns the openid of a person.
func (c *codec) encode(index int) string {
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[8:], uint64(index))
	c.block.Encrypt(b[:], b[:])
	return "o" + base64.RawURLEncoding.EncodeToString(append(b[:], c.sum(b[:])...))
}

// decode returns the person of an openid; ok is false if this account has never
// given it out.
func (c *codec) decode(openID string) (index int, ok bool) {
	if len(openID) != openIDLen || openID[0] != 'o' {
		return 0, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(openID[1:])
	if err != nil || len(raw) != aes.BlockSize+checkLen {
		return 0, false
	}
	b := raw[:aes.BlockSize]
	if !hmac.Equal(raw[aes.BlockSize:], c.sum(b)) {
		return 0, false
	}
	c.block.Decrypt(b, b)
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if high != 0 || low > 1<<40 {
		return 0, false
	}
	return int(low), true
}
