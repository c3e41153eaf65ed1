package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/maodian-dev/maodian/internal/store"
)

// sweepEvery is how often people are erased whose retention period is over, and sweepMore how
// soon a sweep goes on that did not get through: others write in between.
const (
	sweepEvery = time.Hour
	sweepMore  = 10 * time.Second
)

// sweeper is the part of a ledger that is swept.
type sweeper interface {
	Sweep(ctx context.Context) (store.Swept, error)
}

// sweep does so until ctx ends. A sweep that fails is tried again: nothing is lost by that.
func sweep(ctx context.Context, l sweeper, log *slog.Logger) {
	for ctx.Err() == nil {
		next := sweepEvery
		switch swept, err := l.Sweep(ctx); {
		case err != nil && !errors.Is(err, context.Canceled):
			log.ErrorContext(ctx, "Retention not swept", "error", err.Error())
		case swept.More:
			next = sweepMore
		}
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}
