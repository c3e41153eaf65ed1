package seal

import (
	"bytes"
	"errors"
	"testing"
)

func counting(t *testing.T, b byte) *Counting {
	t.Helper()
	c, err := NewCounting(bytes.Repeat([]byte{b}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCounting_IsTheSameUnderTheSameKeyAlone(t *testing.T) {
	a, same, other := counting(t, 1), counting(t, 1), counting(t, 2)
	if a.KeyID() != same.KeyID() || a.KeyID() == other.KeyID() || len(a.KeyID()) != 16 {
		t.Errorf("key ids %q, %q, %q", a.KeyID(), same.KeyID(), other.KeyID())
	}
	c := a.Commit("acme", "unionid", "u")
	if c != same.Commit("acme", "unionid", "u") {
		t.Error("two stores that share a key name the same person differently")
	}
	for what, d := range map[string][16]byte{
		"another key": other.Commit("acme", "unionid", "u"), "another processor": a.Commit("acm", "eunionid", "u"),
		"another kind": a.Commit("acme", "openid", "u"), "another person": a.Commit("acme", "unionid", "v"),
	} {
		if c == d {
			t.Errorf("%s has the same commitment", what)
		}
	}
}

func TestCounting_RefusesAKeyOfAnotherLength(t *testing.T) {
	if _, err := NewCounting(make([]byte, KeySize-1)); !errors.Is(err, ErrKey) {
		t.Errorf("err = %v", err)
	}
}
