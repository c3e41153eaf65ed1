// Package lead scores people by what they did: points per event, halved every half-life,
// read as stages. A score explains itself: the rules that gave points are recorded.
package lead

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Stage is a name for a range of points, from MinPoints up to the next stage.
type Stage struct {
	Name      string
	MinPoints float64
}

// Model is a LeadModel as scoring needs it. Stages ascend.
type Model struct {
	HalfLifeDays int
	Stages       []Stage
}

// ErrModel says that a model makes no sense; the message names the field.
var ErrModel = errors.New("lead model invalid")

// Validate checks what the scoring relies on.
func (m Model) Validate() error {
	if m.HalfLifeDays < 1 {
		return fmt.Errorf("%w: `halfLifeDays` must be at least 1", ErrModel)
	}
	for i := 1; i < len(m.Stages); i++ {
		if m.Stages[i].MinPoints <= m.Stages[i-1].MinPoints {
			return fmt.Errorf("%w: `stages` must ascend by `minPoints`", ErrModel)
		}
	}
	return nil
}

// Score is a person's points as they stood at At.
type Score struct {
	Points float64
	At     time.Time
}

// Decay returns the points left at a later time. Points do not grow when the clock goes back.
func (m Model) Decay(s Score, at time.Time) float64 {
	age := at.Sub(s.At).Hours() / 24
	if age <= 0 || s.Points == 0 {
		return s.Points
	}
	return s.Points * math.Exp2(-age/float64(m.HalfLifeDays))
}

// Add brings s forward to at and adds points. An event older than the score counts as it
// has decayed since, so that the order of arrival does not matter.
func (m Model) Add(s Score, points float64, at time.Time) Score {
	if at.Before(s.At) {
		return Score{Points: s.Points + m.Decay(Score{points, at}, s.At), At: s.At}
	}
	return Score{Points: m.Decay(s, at) + points, At: at}
}

// StageOf names the stage of points; empty below the first.
func (m Model) StageOf(points float64) string {
	name := ""
	for _, s := range m.Stages {
		if points >= s.MinPoints {
			name = s.Name
		}
	}
	return name
}
