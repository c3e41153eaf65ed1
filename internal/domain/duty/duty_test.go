package duty_test

import (
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/duty"
)

func TestDuty_State(t *testing.T) {
	since := time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("Asia/Shanghai", 8*3600))
	due := time.Date(2026, 12, 16, 0, 0, 0, 0, since.Location())
	later := due.AddDate(1, 0, 0)
	for name, c := range map[string]struct {
		told, acknowledged bool
		now                time.Time
		want               duty.State
	}{
		"at once":                   {false, false, since, duty.Open},
		"the last moment":           {false, false, due.Add(-1), duty.Open},
		"past it":                   {false, false, due, duty.Overdue},
		"told in time":              {true, false, since, duty.Told},
		"told, however long ago":    {true, false, later, duty.Told},
		"acknowledged":              {true, true, later, duty.Acknowledged},
		"acknowledged without that": {false, true, later, duty.Acknowledged},
	} {
		d := duty.Duty{Kind: duty.Withdrawn, Since: since, Due: due}
		if c.told {
			d.Told = since.Add(time.Hour)
		}
		if c.acknowledged {
			d.Acknowledged = since.Add(2 * time.Hour)
		}
		if got := d.State(c.now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
