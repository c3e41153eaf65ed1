package schedule_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/schedule"
)

// every is a schedule of times that lie so far apart, up to an end.
type every struct {
	step time.Duration
	end  time.Time
}

func (e every) Next(t time.Time) time.Time {
	n := t.Truncate(e.step).Add(e.step)
	if !e.end.IsZero() && n.After(e.end) {
		return time.Time{}
	}
	return n
}

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestLook(t *testing.T) {
	hourly := every{step: time.Hour}
	for name, c := range map[string]struct {
		times     schedule.Times
		last, now string
		late      time.Duration
		due, next string // empty: none
		missed    bool
	}{
		"before the time":               {hourly, "2026-11-24 12:00", "2026-11-24 12:59", time.Hour, "", "2026-11-24 13:00", false},
		"at the time":                   {hourly, "2026-11-24 12:00", "2026-11-24 13:00", time.Hour, "2026-11-24 13:00", "2026-11-24 14:00", false},
		"a little late":                 {hourly, "2026-11-24 12:00", "2026-11-24 13:05", time.Hour, "2026-11-24 13:00", "2026-11-24 14:00", false},
		"as late as may be":             {hourly, "2026-11-24 12:00", "2026-11-24 13:10", 10 * time.Minute, "2026-11-24 13:00", "2026-11-24 14:00", false},
		"too late":                      {hourly, "2026-11-24 12:00", "2026-11-24 13:11", 10 * time.Minute, "", "2026-11-24 14:00", true},
		"served already":                {hourly, "2026-11-24 13:00", "2026-11-24 13:05", time.Hour, "", "2026-11-24 14:00", false},
		"several, of which one counts":  {hourly, "2026-11-24 12:00", "2026-11-24 15:30", 8 * time.Hour, "2026-11-24 15:00", "2026-11-24 16:00", true},
		"several, and the last in time": {hourly, "2026-11-24 02:00", "2026-11-24 15:01", 10 * time.Minute, "2026-11-24 15:00", "2026-11-24 16:00", true},
		"over the end of a year":        {every{step: 24 * time.Hour}, "2026-12-31 00:00", "2027-01-01 00:00", time.Hour, "2027-01-01 00:00", "2027-01-02 00:00", false},
		"never":                         {every{time.Hour, at("2026-01-01 00:00")}, "2026-11-24 12:00", "2026-11-24 13:00", time.Hour, "", "", false},
		"the last time of all":          {every{time.Hour, at("2026-11-24 13:00")}, "2026-11-24 12:00", "2026-11-24 13:01", time.Hour, "2026-11-24 13:00", "", false},
		"a clock that went back":        {hourly, "2026-11-24 15:00", "2026-11-24 13:30", time.Hour, "", "2026-11-24 14:00", false},
	} {
		d := schedule.Look(c.times, at(c.last), at(c.now), c.late)
		var due, next time.Time
		if c.due != "" {
			due = at(c.due)
		}
		if c.next != "" {
			next = at(c.next)
		}
		if !d.At.Equal(due) || !d.Next.Equal(next) || d.Missed != c.missed {
			t.Errorf("%s: %+v, want %s, then %s, missed %v", name, d, c.due, c.next, c.missed)
		}
	}
}

// TestLook_NobodyIsServedTwice: however often and irregularly somebody looks, each time is
// served at most once, in order, and never before it came or too long after.
func TestLook_NobodyIsServedTwice(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		s := every{step: time.Duration(1+r.IntN(48)) * time.Hour}
		late := time.Duration(1+r.IntN(3000)) * time.Minute
		now := at("2026-11-24 12:00")
		last := now
		for range 200 {
			now = now.Add(time.Duration(r.IntN(4000)) * time.Minute)
			d := schedule.Look(s, last, now, late)
			if !d.Next.After(now) {
				t.Fatalf("seed %d: the next time %v is not after %v", seed, d.Next, now)
			}
			if d.At.IsZero() {
				if newest := now.Truncate(s.step); newest.After(last) && now.Sub(newest) <= late {
					t.Fatalf("seed %d: %v is not served at %v", seed, newest, now)
				}
				continue
			}
			if !d.At.After(last) || d.At.After(now) || now.Sub(d.At) > late || d.At != d.At.Truncate(s.step) {
				t.Fatalf("seed %d: %v is served at %v after %v", seed, d.At, now, last)
			}
			last = d.At
		}
	}
}
