// Package schedule tells at which times of a schedule something is due. It knows no format
// of schedules and no clock: both are given.
package schedule

import "time"

// Times is a schedule. Next returns its first time after t; zero means that there is none.
type Times interface {
	Next(t time.Time) time.Time
}

// Due is what a schedule asks for at a moment.
type Due struct {
	// At is the time that is due; zero means that none is.
	At time.Time
	// Missed tells that there were earlier times, or a time too long ago, for which nothing was
	// made: only the newest counts.
	Missed bool
	// Next is the first time after the moment; zero means that there is none.
	Next time.Time
}

// Look finds what is due now, after the time that was served last, and no longer ago than
// late. The newest of several times counts, as nobody wants the same records twice.
func Look(s Times, last, now time.Time, late time.Duration) Due {
	d := Due{Next: s.Next(now)}
	from := last
	if oldest := now.Add(-late); from.Before(oldest) {
		from = oldest.Add(-1) // a time exactly so long ago is not too late
	}
	first := s.Next(last)
	for t := s.Next(from); !t.IsZero() && !t.After(now); t = s.Next(t) {
		d.At = t
	}
	d.Missed = !first.IsZero() && !first.After(now) && !first.Equal(d.At)
	return d
}
