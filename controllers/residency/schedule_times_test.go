package residency

import (
	"strings"
	"testing"
	"time"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

func TestTimesOf(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) // a Tuesday, eight in the evening in Shanghai
	for text, c := range map[string]struct {
		zone string
		next string // in UTC; empty: refused
		says string
	}{
		"0 9 * * 1":             {"", "2026-11-30T01:00:00Z", ""},
		"0 9 * * MON":           {"UTC", "2026-11-30T09:00:00Z", ""},
		"5 * * * *":             {"", "2026-11-24T12:05:00Z", ""},
		"0 0 1 1 *":             {"", "2026-12-31T16:00:00Z", ""},
		"30 2 29 3 *":           {"Europe/Berlin", "2027-03-29T00:30:00Z", ""},
		"30 2 28 3 *":           {"Europe/Berlin", "2028-03-28T00:30:00Z", ""}, // in 2027 summer time begins over it
		"0 0 30 2 *":            {"", "0001-01-01T00:00:00Z", ""},              // never
		"every monday":          {"", "", "the five fields of cron"},
		"0 9 * * 1 2026":        {"", "", "the five fields of cron"},
		"@every 24h":            {"", "", "the five fields of cron"},
		"@daily":                {"", "", "the five fields of cron"},
		"61 9 * * *":            {"", "", "the five fields of cron"},
		"CRON_TZ=UTC 0 9 * * *": {"", "", "put it into `spec.timeZone`"},
		"* 9 * * *":             {"", "", "at most once an hour"},
		"*/30 * * * *":          {"", "", "at most once an hour"},
		"0,30 9 * * *":          {"", "", "at most once an hour"},
		"0 9 * * 2":             {"Mars/Olympus", "", "`spec.timeZone` Mars/Olympus is not known"},
		"0 9 * * 3":             {"Local", "", "`spec.timeZone` Local is not known"},
	} {
		times, err := timesOf(residencyv1.TransferScheduleSpec{Schedule: text, TimeZone: c.zone})
		switch {
		case c.next == "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", text, err, c.says)
		case c.next != "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case c.next != "" && times.Next(now).UTC().Format(time.RFC3339) != c.next:
			t.Errorf("%s: next is %v, want %s", text, times.Next(now).UTC(), c.next)
		}
	}
}
