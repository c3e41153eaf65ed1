package filelock

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("a free lock is busy") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want a cancelled wait", err)
	}
	second := make(chan error, 1)
	waiting := make(chan struct{})
	go func() {
		_, err := Lock(t.Context(), path, func() { close(waiting) })
		second <- err
	}()
	<-waiting
	unlock()
	if err := <-second; err != nil {
		t.Errorf("the lock is not passed on: %v", err)
	}
}

func TestLock_Folder(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(t.Context(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
