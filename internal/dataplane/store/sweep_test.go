package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maodian-dev/maodian/internal/store"
)

// swept answers with what is next in line, and notes when it was asked.
type swept struct {
	answers []store.Swept
	errs    []error
	at      []time.Duration
	began   time.Time
}

func (s *swept) Sweep(context.Context) (store.Swept, error) {
	n := len(s.at)
	s.at = append(s.at, time.Since(s.began))
	return s.answers[n%len(s.answers)], s.errs[n%len(s.errs)]
}

func TestSweep_GoesOnUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &swept{
			answers: []store.Swept{{More: true}, {More: true}, {}, {}, {}},
			errs:    []error{nil, nil, nil, errors.New("disk"), nil}, began: time.Now(),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour+time.Minute)
		defer cancel()
		sweep(ctx, s, slog.New(slog.DiscardHandler))
		want := []time.Duration{0, sweepMore, 2 * sweepMore, 2*sweepMore + sweepEvery, 2*sweepMore + 2*sweepEvery}
		if !slices.Equal(s.at, want) {
			t.Errorf("swept at %v, want %v", s.at, want)
		}
	})
}
