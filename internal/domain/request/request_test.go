package request

import (
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

// autumn knows 2026 with a week of holidays in October, before which a Sunday is worked.
func autumn(workingDays int) *law.Pack {
	c := law.Calendar{Years: map[int]bool{2026: true}, Off: map[law.Day]bool{}, Worked: map[law.Day]bool{"2026-09-20": true}}
	for _, d := range []law.Day{"2026-10-01", "2026-10-02", "2026-10-03", "2026-10-04", "2026-10-05", "2026-10-06", "2026-10-07"} {
		c.Off[d] = true
	}
	return &law.Pack{Calendar: c, Terms: law.Terms{RequestWorkingDays: workingDays}}
}

func TestDue(t *testing.T) {
	for name, c := range map[string]struct {
		pack           *law.Pack
		received, want string
	}{
		"on a Tuesday":  {autumn(15), "2026-11-24T12:00:00+08:00", "2026-12-16T00:00:00+08:00"},
		"on a Friday":   {autumn(15), "2026-11-27T23:59:59+08:00", "2026-12-19T00:00:00+08:00"},
		"on a Saturday": {autumn(15), "2026-11-28T00:00:00+08:00", "2026-12-19T00:00:00+08:00"},
		"on a Sunday":   {autumn(15), "2026-11-29T09:00:00+08:00", "2026-12-19T00:00:00+08:00"},
		"in the evening of UTC, Monday in Shanghai": {autumn(15), "2026-11-29T17:00:00Z", "2026-12-22T00:00:00+08:00"},
		"before the holidays of October":            {autumn(15), "2026-09-28T09:00:00+08:00", "2026-10-27T00:00:00+08:00"},
		"before a Sunday that is worked":            {autumn(2), "2026-09-18T09:00:00+08:00", "2026-09-22T00:00:00+08:00"},
		"by a pack with another number":             {autumn(1), "2026-11-24T12:00:00+08:00", "2026-11-26T00:00:00+08:00"},
		"into a year whose holidays are not known":  {autumn(15), "2026-12-30T09:00:00+08:00", "2027-01-15T00:00:00+08:00"},
		"by a pack that is not known":               {nil, "2026-11-24T12:00:00+08:00", "2026-12-10T00:00:00+08:00"},
	} {
		received, err := time.Parse(time.RFC3339, c.received)
		if err != nil {
			t.Fatal(err)
		}
		if got := Due(c.pack, received).In(law.Zone).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestKinds(t *testing.T) {
	for k, byHand := range map[Kind]bool{Access: false, Copy: false, Correction: true, Erasure: false, Restriction: false, Explanation: true} {
		if !k.Valid() || k.ByHand() != byHand {
			t.Errorf("%s: valid %v, by hand %v", k, k.Valid(), k.ByHand())
		}
	}
	if Kind("Other").Valid() || Kind("").Valid() {
		t.Error("a kind that there is not is valid")
	}
}
