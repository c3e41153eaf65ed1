// Package seal encrypts what identifies a person. Each person has a key of their own,
// wrapped by the store's key together with a secret of that person's, which is kept outside
// the database (package keyfile): destroying the secret erases the person, in old copies of
// the database too. Look-ups go through a keyed blind index, separate for each kind and account.
//
// Ciphertexts begin with one byte that names the suite. SM4 comes from a library that is
// not a certified module.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm4"
)

// Algorithm of new ciphertexts.
type Algorithm string

// Algorithms.
const (
	AES256GCM Algorithm = "AES256GCM"
	SM4GCM    Algorithm = "SM4GCM"
)

// KeySize of a store's key, in bytes.
const KeySize = 32

// Errors of this package.
var (
	ErrKey  = errors.New("key must be 32 bytes, and the algorithm AES256GCM or SM4GCM")
	ErrOpen = errors.New("ciphertext does not open")
)

// Ring holds the keys derived from a store's key.
type Ring struct {
	suite         byte
	wrap          cipher.AEAD
	kek           []byte
	index, commit []byte
	sign          []byte
}

// NewRing derives the keys.
func NewRing(root []byte, alg Algorithm) (*Ring, error) {
	r := &Ring{suite: suites[alg]}
	if len(root) != KeySize || r.suite == 0 {
		return nil, ErrKey
	}
	var err error
	if r.kek, err = hkdf.Key(sha256.New, root, nil, "maodian wrap v1", KeySize); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	if r.index, err = hkdf.Key(sha256.New, root, nil, "maodian blind index v1", KeySize); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	if r.commit, err = hkdf.Key(sha256.New, root, nil, "maodian commitment v1", KeySize); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	if r.sign, err = hkdf.Key(sha256.New, root, nil, "maodian checkpoint v1", KeySize); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	r.wrap, err = aead(r.suite, r.kek)
	return r, err
}

// Under returns the ring that wraps by the store's key and a secret together: without either,
// nothing that it wrapped opens.
func (r *Ring) Under(secret []byte) (*Ring, error) {
	both, out := mac(r.kek, "maodian person v1", string(secret)), *r
	var err error
	out.wrap, err = aead(r.suite, both)
	return &out, err
}

// Hide returns 32 bytes that stand for value and say nothing about it without the secret.
func Hide(secret []byte, use string, value []byte) []byte { return mac(secret, use, string(value)) }

// SigningSeed is the secret from which the key of a log's checkpoints is made. It stays in
// the process that holds the store's key.
func (r *Ring) SigningSeed(origin string) [32]byte { return [32]byte(mac(r.sign, origin)) }

var suites = map[Algorithm]byte{AES256GCM: 1, SM4GCM: 2}

func aead(suite byte, key []byte) (cipher.AEAD, error) {
	var block cipher.Block
	var err error
	if suite == suites[SM4GCM] {
		block, err = sm4.NewCipher(key[:16])
	} else {
		block, err = aes.NewCipher(key)
	}
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return a, nil
}

// Blind returns the 16 bytes under which an identifier is found.
func (r *Ring) Blind(kind, scope, value string) []byte {
	return mac(r.index, kind, scope, value)[:16]
}

// Commit names a person towards one context (a recipient, a year's counter), differently in each.
func (r *Ring) Commit(context string, subject []byte) [16]byte {
	return [16]byte(mac(r.commit, context, string(subject)))
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

// NewSubjectKey draws a person's key and returns it wrapped, bound to the person's id.
func (r *Ring) NewSubjectKey(subject []byte) (wrapped []byte, err error) {
	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	return seal(r.suite, r.wrap, key, subject)
}

// Seal encrypts a field of a person. Context is the field's place (table and column).
func (r *Ring) Seal(wrapped, subject []byte, context, plain string) ([]byte, error) {
	suite, a, err := r.unwrap(wrapped, subject)
	if err != nil {
		return nil, err
	}
	return seal(suite, a, []byte(plain), append([]byte(context+"|"), subject...))
}

// Open decrypts a field of a person.
func (r *Ring) Open(wrapped, subject []byte, context string, sealed []byte) (string, error) {
	suite, a, err := r.unwrap(wrapped, subject)
	if err != nil {
		return "", err
	}
	b, err := open(suite, a, sealed, append([]byte(context+"|"), subject...))
	return string(b), err
}

func (r *Ring) unwrap(wrapped, subject []byte) (byte, cipher.AEAD, error) {
	key, err := open(r.suite, r.wrap, wrapped, subject)
	if err != nil {
		return 0, nil, err
	}
	a, err := aead(r.suite, key)
	return r.suite, a, err
}

func seal(suite byte, a cipher.AEAD, plain, context []byte) ([]byte, error) {
	out := make([]byte, 1+a.NonceSize(), 1+a.NonceSize()+len(plain)+a.Overhead())
	out[0] = suite
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	return a.Seal(out, out[1:], plain, context), nil
}

func open(suite byte, a cipher.AEAD, sealed, context []byte) ([]byte, error) {
	n := 1 + a.NonceSize()
	if len(sealed) < n || sealed[0] != suite {
		return nil, ErrOpen
	}
	b, err := a.Open(nil, sealed[1:n], sealed[n:], context)
	if err != nil {
		return nil, ErrOpen
	}
	return b, nil
}
