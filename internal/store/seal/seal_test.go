package seal

import (
	"bytes"
	"errors"
	"testing"
)

func ring(t *testing.T, b byte, alg Algorithm) *Ring {
	t.Helper()
	r, err := NewRing(bytes.Repeat([]byte{b}, KeySize), alg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealAndOpen(t *testing.T) {
	for _, alg := range []Algorithm{AES256GCM, SM4GCM} {
		r, who := ring(t, 1, alg), []byte("0123456789abcdef")
		wrapped, err := r.NewSubjectKey(who)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := r.Seal(wrapped, who, "identities.openid", "secret")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open(wrapped, who, "identities.openid", sealed); err != nil || got != "secret" {
			t.Errorf("%s: Open = %q, %v", alg, got, err)
		}
		for name, f := range map[string]func() (string, error){
			"another person": func() (string, error) {
				return r.Open(wrapped, []byte("another person.."), "identities.openid", sealed)
			},
			"another column":    func() (string, error) { return r.Open(wrapped, who, "profiles.phone", sealed) },
			"another store key": func() (string, error) { return ring(t, 2, alg).Open(wrapped, who, "identities.openid", sealed) },
			"the key erased":    func() (string, error) { return r.Open(nil, who, "identities.openid", sealed) },
			"a flipped bit": func() (string, error) {
				c := bytes.Clone(sealed)
				c[len(c)-1] ^= 1
				return r.Open(wrapped, who, "identities.openid", c)
			},
			"a cut ciphertext": func() (string, error) { return r.Open(wrapped, who, "identities.openid", sealed[:5]) },
		} {
			if _, err := f(); !errors.Is(err, ErrOpen) {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
	}
}

func TestBlindSeparatesKindsAndAccounts(t *testing.T) {
	r := ring(t, 1, AES256GCM)
	if bytes.Equal(r.Blind("openid", "a", "bc"), r.Blind("openid", "ab", "c")) {
		t.Error("parts run into each other")
	}
	if r.Commit("zurich", []byte("s")) == r.Commit("paris", []byte("s")) {
		t.Error("two recipients get the same commitment")
	}
}

func TestNewRing_BadInput(t *testing.T) {
	if _, err := NewRing([]byte("short"), AES256GCM); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if _, err := NewRing(make([]byte, KeySize), "DES"); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

// TestUnder: neither the store's key alone nor the secret alone opens anything.
func TestUnder(t *testing.T) {
	r, who := ring(t, 1, AES256GCM), []byte("0123456789abcdef")
	under := func(r *Ring, secret string) *Ring {
		t.Helper()
		u, err := r.Under([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	u := under(r, "s")
	wrapped, err := u.NewSubjectKey(who)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := u.Seal(wrapped, who, "identities.openid", "plain")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := under(r, "s").Open(wrapped, who, "identities.openid", sealed); err != nil || got != "plain" {
		t.Errorf("Open = %q, %v", got, err)
	}
	for name, other := range map[string]*Ring{"the store's key alone": r, "another secret": under(r, "t"), "another store's key": under(ring(t, 2, AES256GCM), "s")} {
		if _, err := other.Open(wrapped, who, "identities.openid", sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
