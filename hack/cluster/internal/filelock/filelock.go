// Package filelock keeps two runs of one program out of each other's way. The lock goes with its process, however
// that ends.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

const poll = 200 * time.Millisecond

// Lock takes the lock on path, a folder or a file that is created when missing, and waits for it until ctx ends;
// busy is called once if it has to wait. The lock is released by the returned function.
func Lock(ctx context.Context, path string, busy func()) (func(), error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	told := false
	err = wait.PollUntilContextCancel(ctx, poll, true, func(context.Context) (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			if !told {
				told = true
				busy()
			}
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take lock: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
