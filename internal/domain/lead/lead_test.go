package lead

import (
	"errors"
	"math"
	"testing"
	"testing/quick"
	"time"
)

var (
	t0    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	model = Model{HalfLifeDays: 30, Stages: []Stage{{"Lead", 1}, {"Engaged", 15}, {"Qualified", 30}}}
)

func TestDecay_HalvesEveryHalfLife(t *testing.T) {
	if got := model.Decay(Score{40, t0}, t0.AddDate(0, 0, 60)); math.Abs(got-10) > 1e-9 {
		t.Errorf("Decay = %v, want 10", got)
	}
	if got := model.Decay(Score{40, t0}, t0.AddDate(0, 0, -60)); got != 40 {
		t.Errorf("a clock that goes back gave %v, want 40", got)
	}
}

func TestAdd_OrderOfArrivalDoesNotMatter(t *testing.T) {
	f := func(a, b uint16, days uint8) bool {
		early, late := t0, t0.AddDate(0, 0, int(days))
		x := model.Add(model.Add(Score{At: early}, float64(a), early), float64(b), late)
		y := model.Add(model.Add(Score{At: late}, float64(b), late), float64(a), early)
		return math.Abs(model.Decay(x, late)-model.Decay(y, late)) < 1e-6
	}
	if err := quick.Check(f, nil); err != nil {
		t.Error(err)
	}
}

func TestStageOf(t *testing.T) {
	for points, want := range map[float64]string{0: "", 0.99: "", 1: "Lead", 14.999: "Lead", 15: "Engaged", 30: "Qualified", 1e9: "Qualified"} {
		if got := model.StageOf(points); got != want {
			t.Errorf("StageOf(%v) = %q, want %q", points, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, m := range map[string]Model{
		"no half-life":         {},
		"stages do not ascend": {HalfLifeDays: 1, Stages: []Stage{{"A", 5}, {"B", 5}}},
	} {
		if err := m.Validate(); !errors.Is(err, ErrModel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := model.Validate(); err != nil {
		t.Error(err)
	}
}
