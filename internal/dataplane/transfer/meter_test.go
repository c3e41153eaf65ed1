package transfer

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestJob_SizeLimit: a part fits as a whole, or the transfer ends before it.
func TestJob_SizeLimit(t *testing.T) {
	part := int64(len(lined(0)))
	for name, c := range map[string]struct {
		limit   int64
		parts   int
		partial bool
	}{
		"room for all of it":         {3 * part, 3, false},
		"a byte too little":          {3*part - 1, 2, true},
		"room for nothing":           {part - 1, 0, true},
		"no limit":                   {0, 3, false},
		"room for one, and for some": {2*part - 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configured(t)
			cfg.Limits.Bytes = c.limit
			l := &ledger{pages: 3, page: rows}
			j, log := job(t, cfg, l)
			err := j.Run(t.Context())
			silent(t, log, err)
			if err != nil || len(l.finished) != 1 {
				t.Fatalf("%v, finished %v", err, l.finished)
			}
			m, stopped := l.finished[0], ""
			if c.partial {
				stopped = "SizeLimitReached"
			}
			if m.GetPartial() != c.partial || m.GetStoppedBy() != stopped || len(l.parts) != c.parts {
				t.Errorf("manifest %v, %d parts", m, len(l.parts))
			}
			written := 0
			for name := range objects(t, cfg) {
				if strings.Contains(name, "/part-") {
					written++
				}
			}
			if written != c.parts {
				t.Errorf("%d objects, want %d", written, c.parts)
			}
		})
	}
}

// TestJob_SizeLimitCountsWhatAnotherJobWrote: a killed Job does not begin anew.
func TestJob_SizeLimitCountsWhatAnotherJobWrote(t *testing.T) {
	cfg := configured(t)
	cfg.Limits.Bytes = 2 * int64(len(lined(0)))
	l := &ledger{pages: 1, page: rows}
	first, _ := job(t, cfg, l)
	l.broken = context.DeadlineExceeded
	if err := first.Run(t.Context()); err == nil || len(l.parts) != 1 {
		t.Fatalf("%v, %d parts", err, len(l.parts))
	}
	l.broken, l.pages = nil, 3
	second, _ := job(t, cfg, l)
	if err := second.Run(t.Context()); err != nil || len(l.parts) != 2 || l.finished[0].GetStoppedBy() != "SizeLimitReached" {
		t.Errorf("%v, %d parts, %v", err, len(l.parts), l.finished)
	}
}

func TestMeter_Pause(t *testing.T) {
	for name, c := range map[string]struct {
		rate int64
		size int
		took time.Duration
		want time.Duration
	}{
		"no rate":            {0, 1000, 0, 0},
		"at once":            {1000, 3000, 0, 3 * time.Second},
		"half of the time":   {1000, 3000, 1500 * time.Millisecond, 1500 * time.Millisecond},
		"slow by itself":     {1000, 3000, time.Minute, 0},
		"a part of nobody":   {1000, 0, 0, 0},
		"faster than a line": {1 << 40, 1 << 20, 0, 953 * time.Nanosecond},
	} {
		m := meter{limits: Limits{BytesPerSecond: c.rate}}
		if got := m.pause(c.size, c.took); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestJob_RateWaitsBetweenParts: while nothing is leased, so that nobody's withdrawal waits.
func TestJob_RateWaitsBetweenParts(t *testing.T) {
	cfg := configured(t)
	cfg.Limits.BytesPerSecond = 1
	l := &ledger{pages: 3, page: rows}
	j, _ := job(t, cfg, l)
	j.Clock = func() time.Time { return began }
	var waits []time.Duration
	j.Wait = func(_ context.Context, d time.Duration) error {
		if len(l.parts) != l.leased {
			t.Errorf("waits while a part is out: %d of %d", len(l.parts), l.leased)
		}
		waits = append(waits, d)
		return nil
	}
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := time.Duration(len(lined(0))) * time.Second
	if len(waits) != 3 || waits[0] != want {
		t.Errorf("%v, want %v thrice", waits, want)
	}
}
