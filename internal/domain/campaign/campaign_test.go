package campaign

import (
	"errors"
	"testing"
	"testing/quick"
	"time"
)

func TestSchedule_At(t *testing.T) {
	day := func(h, m int) time.Time { return time.Date(2026, 11, 24, h, m, 0, 0, time.UTC) }
	s, err := NewSchedule(day(1, 0), day(12, 0), "Asia/Shanghai", "09:30", "18:00")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at   time.Time
		want Phase
	}{
		"before notBeforeTime":              {day(0, 59), Early},
		"after it, but the window is shut":  {day(1, 29), Early},
		"the window opens (09:30 Shanghai)": {day(1, 30), Open},
		"its last minute":                   {day(9, 59), Open},
		"the window closes (18:00)":         {day(10, 0), Early},
		"notAfterTime":                      {day(12, 0), Closed},
	} {
		if got := s.At(c.at); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSchedule_Ends(t *testing.T) {
	day := func(h, m int) time.Time { return time.Date(2026, 11, 24, h, m, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		notAfter   time.Time
		start, end string
		want       time.Time
	}{
		"without bounds":          {time.Time{}, "", "", time.Time{}},
		"at notAfterTime":         {day(12, 0), "", "", day(12, 0)},
		"with the window":         {day(12, 0), "09:30", "18:00", day(10, 0)},
		"before the window does":  {day(9, 0), "09:30", "18:00", day(9, 0)},
		"at midnight in the zone": {time.Time{}, "09:30", "24:00", day(16, 0)},
	} {
		s, err := NewSchedule(time.Time{}, c.notAfter, "Asia/Shanghai", c.start, c.end)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Ends(day(2, 0)); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestNewSchedule_BadInput(t *testing.T) {
	for _, w := range [][3]string{{"Mars/Olympus", "", ""}, {"UTC", "10:00", "10:00"}, {"UTC", "25:00", "26:00"}, {"UTC", "x", "24:00"}, {"UTC", "24:00", "24:00"}} {
		if _, err := NewSchedule(time.Time{}, time.Time{}, w[0], w[1], w[2]); !errors.Is(err, ErrSchedule) {
			t.Errorf("%v: %v", w, err)
		}
	}
}

// TestBudget_NeverExceedsRate: over any series of takes, no more leaves than one bucket and the rate allow.
func TestBudget_NeverExceedsRate(t *testing.T) {
	f := func(steps []uint16, rate8 uint8) bool {
		rate, at := float64(rate8)+1, time.Unix(0, 0)
		var b Budget
		taken, first := 0, at
		for _, ms := range steps {
			at = at.Add(time.Duration(ms) * time.Millisecond)
			var n int
			b, n = b.Take(rate, 1000, at)
			taken += n
		}
		return float64(taken) <= rate*(at.Sub(first).Seconds()+1)+1e-6
	}
	if err := quick.Check(f, nil); err != nil {
		t.Error(err)
	}
}

func TestBudget_ClockGoingBackGivesNothing(t *testing.T) {
	at := time.Unix(1000, 0)
	b, n := Budget{}.Take(10, 10, at)
	if n != 10 {
		t.Fatalf("first take = %d", n)
	}
	if b, n = b.Take(10, 10, at.Add(-time.Hour)); n != 0 {
		t.Errorf("a clock that goes back gave %d", n)
	}
	if _, n = b.Take(10, 10, at.Add(-time.Hour+time.Second)); n != 10 {
		t.Errorf("a second after it went back there were %d", n)
	}
}
