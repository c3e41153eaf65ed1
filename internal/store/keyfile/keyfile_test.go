package keyfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

const ledger = "7b0c1f9e-3b1e-4d5e-9a57-0f6f6c2d8a11"

func mustOpen(t *testing.T, dir string, create bool) *File {
	t.Helper()
	f, err := Open(dir, ledger, create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func fill(b byte) []byte { return bytes.Repeat([]byte{b}, IDSize) }

func TestDestroy_LeavesNothingButTheNumber(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir, true)
	a, secret, err := f.Add(fill(1), fill(11))
	if err != nil {
		t.Fatal(err)
	}
	b, other, err := f.Add(fill(2), fill(12))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Destroy(a, fill(11)), f.Destroy(a, fill(11)), f.Destroy(b, fill(11))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Secret(a, fill(11)); !errors.Is(err, ErrDestroyed) {
			t.Errorf("the destroyed: %v", err)
		}
		if got, err := f.Secret(b, fill(12)); err != nil || !bytes.Equal(got, other) {
			t.Errorf("the other: %v", err)
		}
		if _, _, ok := f.Find(fill(1)); ok {
			t.Error("the destroyed is found")
		}
		if at, id, ok := f.Find(fill(2)); !ok || at != b || !bytes.Equal(id, fill(12)) {
			t.Error("the other is not found")
		}
		f = mustOpen(t, dir, false)
	}
	if gone := f.Gone(); len(gone) != 1 || !bytes.Equal(gone[0][:], fill(11)) {
		t.Errorf("gone %v", gone)
	}
	raw, err := os.ReadFile(filepath.Join(dir, Name))
	if err != nil || bytes.Contains(raw, secret) || bytes.Contains(raw, fill(1)) || !bytes.Contains(raw, other) {
		t.Error("the file holds the destroyed, or lacks the other")
	}
}

func TestOpen_HalfAPlaceIsSkipped(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir, true)
	for i := range byte(2) {
		if _, _, err := f.Add(fill(i+1), fill(i+11)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, Name), offset(1)+30); err != nil {
		t.Fatal(err)
	}
	f = mustOpen(t, dir, false)
	if _, _, ok := f.Find(fill(2)); ok || f.Len() != 2 {
		t.Errorf("half a place is used; %d places", f.Len())
	}
	at, _, err := f.Add(fill(3), fill(13))
	if err != nil || at != 2 {
		t.Errorf("added at %d: %v", at, err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	if _, err := Open(t.TempDir(), ledger, false); !errors.Is(err, ErrMissing) {
		t.Errorf("none: %v", err)
	}
	dir := t.TempDir()
	mustOpen(t, dir, true)
	if _, err := Open(dir, "another", true); !errors.Is(err, ErrForeign) {
		t.Errorf("another ledger's: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, Name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, ledger, true); !errors.Is(err, ErrForeign) {
		t.Errorf("no key file: %v", err)
	}
}
