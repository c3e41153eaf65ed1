package request

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	for name, c := range map[string]struct{ received, want string }{
		"on a Tuesday":  {"2026-11-24T12:00:00+08:00", "2026-12-16T00:00:00+08:00"},
		"on a Friday":   {"2026-11-27T23:59:59+08:00", "2026-12-19T00:00:00+08:00"},
		"on a Saturday": {"2026-11-28T00:00:00+08:00", "2026-12-19T00:00:00+08:00"},
		"on a Sunday":   {"2026-11-29T09:00:00+08:00", "2026-12-19T00:00:00+08:00"},
		"in the evening of UTC, Monday in Shanghai": {"2026-11-29T17:00:00Z", "2026-12-22T00:00:00+08:00"},
	} {
		received, err := time.Parse(time.RFC3339, c.received)
		if err != nil {
			t.Fatal(err)
		}
		if got := Due(received).In(china).Format(time.RFC3339); got != c.want {
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
