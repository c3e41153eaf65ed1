package transfer

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

// Meter says how far a processor's year is.
type Meter struct {
	Tier string // that the year has reached
	Next string // the tier that comes; empty: there is none
	Left int64  // people until the first of its lines is reached
	// At is when that is at the rate of the year so far; zero: not within the year.
	At time.Time
}

// Read holds a year's counter against the pack's lines. The nearest line of either kind of
// data counts.
func (c Counter) Read(p *law.Pack, at time.Time) Meter {
	m := Meter{Tier: volume(p, c)}
	plain, sensitive := p.Plain, p.Sensitive
	var lines [2]struct{ have, line int64 }
	switch m.Tier {
	case TierNone:
		m.Next = TierContract
		lines[0].line, lines[1].line = plain.Mechanism, sensitive.Mechanism
	case TierContract:
		m.Next = TierAssessment
		lines[0].line, lines[1].line = plain.Assessment, sensitive.Assessment
	default:
		return m
	}
	lines[0].have, lines[1].have = c.NonSensitive, c.Sensitive
	for i, l := range lines {
		if left := l.line - l.have; i == 0 || (l.have > 0 && left < m.Left) {
			m.Left = left
		}
		if t := reach(l.have, l.line, p.Count.YearsBack, at); !t.IsZero() && (m.At.IsZero() || t.Before(m.At)) {
			m.At = t
		}
	}
	return m
}

// reach tells when a number that has grown evenly since the window began gets to a line,
// zero if not before the year ends.
func reach(have, line int64, yearsBack int, at time.Time) time.Time {
	year := law.Year(at)
	start, end := time.Date(year-yearsBack, 1, 1, 0, 0, 0, 0, law.Zone), time.Date(year+1, 1, 1, 0, 0, 0, 0, law.Zone)
	if have <= 0 {
		return time.Time{}
	}
	span := float64(at.Sub(start)) * float64(line) / float64(have)
	if span >= float64(end.Sub(start)) {
		return time.Time{}
	}
	return start.Add(time.Duration(span)).UTC().Truncate(24 * time.Hour)
}
