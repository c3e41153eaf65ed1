package storeclient

import (
	"context"
	"time"

	"connectrpc.com/connect"
)

// Patience bounds how long a Job waits for a store that is away, a second each.
const Patience = 60

// Patiently calls again and again while the store is away.
func Patiently(ctx context.Context, wait func(context.Context, time.Duration) error, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		if connect.CodeOf(err) != connect.CodeUnavailable || try == Patience {
			return err
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

// Wait pauses, unless the context ends.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
