package transfer_test

import (
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// TestDecision_Next: with one person fewer than are left the tier stays, with all of them
// it is the next one.
func TestDecision_Next(t *testing.T) {
	told := 0
	every(t, func(t *testing.T, seed uint64, f transfer.Facts, d transfer.Decision) {
		t.Helper()
		next, ok := d.Next(f.Pack)
		if !ok {
			return
		}
		told++
		year := *f.Year
		for name, add := range map[string]transfer.Counter{
			"plain": {NonSensitive: next.Left.NonSensitive}, "sensitive": {Sensitive: next.Left.Sensitive},
		} {
			g := f
			more := year.Plus(add)
			g.Year = &more
			if got := transfer.Decide(g).Mechanism; got != next.Tier {
				t.Errorf("seed %d, %s: %s with everybody who is left, want %s", seed, name, got, next.Tier)
			}
			if name == "plain" {
				more.NonSensitive--
			} else {
				more.Sensitive--
			}
			if got := transfer.Decide(g).Mechanism; got != d.Mechanism {
				t.Errorf("seed %d, %s: %s with one fewer, want %s", seed, name, got, d.Mechanism)
			}
		}
	})
	if told < seeds/20 {
		t.Errorf("%d of %d seeds have a next tier: the test tries too little", told, seeds)
	}
}
