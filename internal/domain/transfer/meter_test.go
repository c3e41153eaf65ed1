package transfer_test

import (
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/law"
)

func TestCounter_Read(t *testing.T) {
	pack := law.Named("cn-2026-01")
	july := time.Date(2026, 7, 2, 4, 0, 0, 0, time.UTC) // half of the year is over
	for name, c := range map[string]struct {
		have transfer.Counter
		want transfer.Meter
		at   string
	}{
		"nobody":                           {transfer.Counter{}, transfer.Meter{Tier: "None", Next: "Contract", Left: 100_000}, ""},
		"40,000, which will not get there": {transfer.Counter{NonSensitive: 40_000}, transfer.Meter{Tier: "None", Next: "Contract", Left: 60_000}, ""},
		"80,000, which will":               {transfer.Counter{NonSensitive: 80_000}, transfer.Meter{Tier: "None", Next: "Contract", Left: 20_000}, "2026-08-16"},
		"99,999":                           {transfer.Counter{NonSensitive: 99_999}, transfer.Meter{Tier: "None", Next: "Contract", Left: 1}, "2026-07-02"},
		"100,000":                          {transfer.Counter{NonSensitive: 100_000}, transfer.Meter{Tier: "Contract", Next: "SecurityAssessment", Left: 900_000}, ""},
		"one with sensitive data":          {transfer.Counter{Sensitive: 1}, transfer.Meter{Tier: "Contract", Next: "SecurityAssessment", Left: 9_999}, ""},
		"the sensitive line is nearer":     {transfer.Counter{NonSensitive: 200_000, Sensitive: 9_000}, transfer.Meter{Tier: "Contract", Next: "SecurityAssessment", Left: 1_000}, "2026-07-22"},
		"nothing comes after":              {transfer.Counter{NonSensitive: 1_000_000}, transfer.Meter{Tier: "SecurityAssessment"}, ""},
	} {
		got := c.have.Read(pack, july)
		at := ""
		if !got.At.IsZero() {
			at = got.At.Format(time.DateOnly)
		}
		got.At = time.Time{}
		if got != c.want || at != c.at {
			t.Errorf("%s: %+v at %s, want %+v at %s", name, got, at, c.want, c.at)
		}
	}
}
