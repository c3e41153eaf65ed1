// Package duty holds when a recipient of people's records must be told that something about
// a person has changed, and whether that was done. Who withdraws, is erased or corrected
// here would otherwise live on there (PIPL 15, 46, 47: the processor deletes and corrects,
// and so do those whom it gave the data to).
package duty

import "time"

// Kind is what the recipient must be told.
type Kind string

// Kinds.
const (
	Withdrawn Kind = "Withdrawn" // the consent that the records left on
	Erased    Kind = "Erased"
	Corrected Kind = "Corrected"
)

// State is how far a duty is.
type State string

// States.
const (
	Open         State = "Open"
	Overdue      State = "Overdue"
	Told         State = "Told"
	Acknowledged State = "Acknowledged"
)

// Duty is one, about one person and one recipient.
type Duty struct {
	Kind                      Kind
	Since                     time.Time
	Due                       time.Time // until then the recipient must be told: as people's own requests, since the law names no number of days
	Told, Acknowledged        time.Time // zero: not yet
	ToldAs, AcknowledgedUnder string    // references of both letters
}

// State is how far the duty is at a moment.
func (d Duty) State(now time.Time) State {
	switch {
	case !d.Acknowledged.IsZero():
		return Acknowledged
	case !d.Told.IsZero():
		return Told
	case !now.Before(d.Due):
		return Overdue
	}
	return Open
}
