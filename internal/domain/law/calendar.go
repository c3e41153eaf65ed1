package law

import "time"

// Day is a calendar day in Zone, as 2006-01-02.
type Day string

// Calendar tells working days. Holidays are decided year by year: in a year that it does
// not know, every day counts as a working day, so that a deadline comes early, never late.
type Calendar struct {
	Years  map[int]bool // that it knows
	Off    map[Day]bool // days off, beside Saturdays and Sundays
	Worked map[Day]bool // Saturdays and Sundays that are worked
}

// Works tells whether the day of a moment is a working day.
func (c Calendar) Works(at time.Time) bool {
	at = at.In(Zone)
	if !c.Years[at.Year()] {
		return true
	}
	day := Day(at.Format(time.DateOnly))
	if w := at.Weekday(); w == time.Saturday || w == time.Sunday {
		return c.Worked[day]
	}
	return !c.Off[day]
}

// After returns the end of the n-th working day after the day of a moment: the first moment
// of the day that follows it (Civil Code 201, 203).
func (c Calendar) After(at time.Time, n int) time.Time {
	day := midnight(at)
	for n > 0 {
		day = day.AddDate(0, 0, 1)
		if c.Works(day) {
			n--
		}
	}
	return day.AddDate(0, 0, 1).UTC()
}

func midnight(at time.Time) time.Time {
	y, m, d := at.In(Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, Zone)
}
