package consent

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Event is one entry in the history of a person's consent to one purpose and recipient.
type Event = State

// Answer is what a box of the page means after what stands: unticking what was granted is a
// withdrawal, and it stays one when the form is sent again.
func Answer(before Action, granted bool) Action {
	switch {
	case granted:
		return Given
	case before == Given || before == Withdrawn:
		return Withdrawn
	}
	return Refused
}

// After returns what stands after an event (law.md 3.5). What is not a clear act of the
// person does not change what the person said: time ends only what was given, a consent
// from elsewhere counts only where the person has said nothing here, and a control that
// cannot mean yes gives nothing.
func (s State) After(e Event) State {
	switch {
	case e.Action == Expired && s.Action != Given,
		e.Control == Import && s.Action != None,
		e.Action == Given && !e.Control.affirms():
		return s
	}
	return e
}

// Replay folds a history, oldest first.
func Replay(history []Event) State {
	var s State
	for _, e := range history {
		s = s.After(e)
	}
	return s
}

// AskAgain is how long a refusal or a withdrawal is left in peace by a rule pack that is not
// known. NDSMR 22(5) forbids to ask "frequently" and names no number.
const AskAgain = 30 * 24 * time.Hour

// MayAsk tells whether the person may be asked now about what stands: ReaskTooFrequent while
// a refusal or a withdrawal is younger than peace. Who opens the page by themselves is not asked.
func MayAsk(s State, at time.Time, peace time.Duration) reason.Code {
	if (s.Action == Refused || s.Action == Withdrawn) && at.Before(s.At.Add(peace)) {
		return reason.ReaskTooFrequent
	}
	return reason.AllChecksPassed
}
