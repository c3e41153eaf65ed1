package law

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

// ParseCalendar reads public holidays.
func ParseCalendar(body []byte) (law.Calendar, error) {
	var f struct {
		Years map[string]struct {
			Holidays []string `json:"holidays"`
			Worked   []string `json:"worked"`
		} `json:"years"`
	}
	c := law.Calendar{Years: map[int]bool{}, Off: map[law.Day]bool{}, Worked: map[law.Day]bool{}}
	if err := yaml.UnmarshalStrict(body, &f); err != nil {
		return c, fmt.Errorf("%w: calendar: %w", ErrPack, err)
	}
	for year, y := range f.Years {
		err := errors.Join(mark(c.Off, year, y.Holidays), mark(c.Worked, year, y.Worked))
		for day := range c.Worked {
			if at, _ := time.ParseInLocation(time.DateOnly, string(day), law.Zone); at.Weekday() != time.Saturday && at.Weekday() != time.Sunday {
				err = errors.Join(err, fmt.Errorf("%s is no weekend", day))
			}
			if c.Off[day] {
				err = errors.Join(err, fmt.Errorf("%s is off and worked", day))
			}
		}
		if err != nil {
			return c, fmt.Errorf("%w: calendar: %w", ErrPack, err)
		}
		first, err := time.Parse("2006", year)
		if err != nil {
			return c, fmt.Errorf("%w: calendar: %s must be a year", ErrPack, year)
		}
		c.Years[first.Year()] = true
	}
	return c, nil
}

// mark notes days, given as 01-02 or 01-02..01-05.
func mark(days map[law.Day]bool, year string, spans []string) error {
	for _, s := range spans {
		first, last, ranged := strings.Cut(s, "..")
		if !ranged {
			last = first
		}
		a, errA := time.ParseInLocation(time.DateOnly, year+"-"+first, law.Zone)
		b, errB := time.ParseInLocation(time.DateOnly, year+"-"+last, law.Zone)
		if errA != nil || errB != nil || b.Before(a) {
			return fmt.Errorf("%s: `%s` must be a day such as 01-31, or two as 01-31..02-04", year, s)
		}
		for ; !a.After(b); a = a.AddDate(0, 0, 1) {
			days[law.Day(a.Format(time.DateOnly))] = true
		}
	}
	return nil
}
