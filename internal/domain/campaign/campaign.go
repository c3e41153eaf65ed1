// Package campaign holds the arithmetic of sending: when a campaign may send, how fast,
// and when it is over. Times come in as arguments.
package campaign

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // an image FROM scratch has no time zones of its own
)

// ErrSchedule says that a schedule makes no sense; the message names the field.
var ErrSchedule = errors.New("schedule invalid")

// Schedule bounds the sending in time. Zero times mean no bound.
type Schedule struct {
	NotBefore, NotAfter time.Time
	Zone                *time.Location // of the daily window; nil is UTC
	StartMinute         int            // of the day, inclusive
	EndMinute           int            // of the day, exclusive; 1440 is midnight
}

// NewSchedule parses a daily window of the form HH:MM, with 24:00 as an end.
func NewSchedule(notBefore, notAfter time.Time, zone, start, end string) (Schedule, error) {
	s := Schedule{NotBefore: notBefore, NotAfter: notAfter, Zone: time.UTC, EndMinute: 24 * 60}
	if zone != "" {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			return s, fmt.Errorf("%w: `window.timeZone` is not known", ErrSchedule)
		}
		s.Zone = loc
	}
	if start == "" && end == "" {
		return s, nil
	}
	var err1, err2 error
	s.StartMinute, err1 = minute(start)
	s.EndMinute, err2 = minute(end)
	if err1 != nil || err2 != nil || s.StartMinute >= s.EndMinute {
		return s, fmt.Errorf("%w: `window` must run from an earlier to a later HH:MM of one day", ErrSchedule)
	}
	return s, nil
}

func minute(s string) (int, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, err
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Phase says where a moment lies.
type Phase string

// Phases.
const (
	Early  Phase = "Early"  // before NotBefore, or outside the daily window
	Open   Phase = "Open"   // may send
	Closed Phase = "Closed" // past NotAfter: what is left is not sent any more
)

// At tells the phase of t.
func (s Schedule) At(t time.Time) Phase {
	switch {
	case !s.NotAfter.IsZero() && !t.Before(s.NotAfter):
		return Closed
	case t.Before(s.NotBefore):
		return Early
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	l := t.In(zone)
	m := l.Hour()*60 + l.Minute()
	if m < s.StartMinute || m >= s.EndMinute {
		return Early
	}
	return Open
}

// Ends tells when the open phase that t lies in is over; zero means never.
func (s Schedule) Ends(t time.Time) time.Time {
	end := s.NotAfter
	if s.StartMinute > 0 || s.EndMinute < 24*60 {
		zone := s.Zone
		if zone == nil {
			zone = time.UTC
		}
		y, m, d := t.In(zone).Date()
		if w := time.Date(y, m, d, 0, s.EndMinute, 0, 0, zone); end.IsZero() || w.Before(end) {
			end = w
		}
	}
	return end
}

// Budget is an account's allowance to send: a bucket of tokens that fills at Rate per
// second up to one second's worth. The store keeps it on disk, so that it is one for all
// workers, and a restart gives nothing away.
type Budget struct {
	Tokens float64
	At     time.Time
}

// Take brings the bucket forward to at, and takes up to want tokens.
func (b Budget) Take(rate float64, want int, at time.Time) (Budget, int) {
	if rate <= 0 {
		return b, 0
	}
	if b.At.IsZero() {
		b = Budget{Tokens: rate, At: at}
	}
	if d := at.Sub(b.At).Seconds(); d > 0 {
		b.Tokens = min(b.Tokens+d*rate, max(rate, 1))
	}
	b.At = at // also where the clock went back: the time until it is there again must count
	n := min(want, int(b.Tokens))
	if n < 0 {
		n = 0
	}
	b.Tokens -= float64(n)
	return b, n
}
