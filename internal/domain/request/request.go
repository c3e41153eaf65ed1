// Package request holds what people may ask about their own data, and until when it is
// answered (PIPL 44 to 50; law.md 3.6).
package request

import "time"

// Kind of request.
type Kind string

// Kinds.
const (
	Access      Kind = "Access"      // to see it (PIPL 45)
	Copy        Kind = "Copy"        // to take it along (PIPL 45)
	Correction  Kind = "Correction"  // PIPL 46
	Erasure     Kind = "Erasure"     // PIPL 47
	Restriction Kind = "Restriction" // to stop using it (PIPL 44)
	Explanation Kind = "Explanation" // of the rules, or of an automated decision (PIPL 48, 24)
)

// Valid tells whether k is one of the kinds.
func (k Kind) Valid() bool {
	switch k {
	case Access, Copy, Correction, Erasure, Restriction, Explanation:
		return true
	}
	return false
}

// ByHand tells whether somebody has to answer; the page fulfils the others at once.
func (k Kind) ByHand() bool { return k == Explanation || k == Correction }

// Outcome of a request.
type Outcome string

// Outcomes. A refusal names its reason in the answer (PIPL 50).
const (
	Open    Outcome = ""
	Done    Outcome = "Done"
	Refused Outcome = "Refused"
	Moot    Outcome = "Moot" // the person was erased before it was answered
)

// days is the project's default: the law says "promptly", and practice 15 working days.
const days = 15

// china is the zone by which days are counted; it has no summer time.
var china = time.FixedZone("Asia/Shanghai", 8*60*60)

// Due is the end of the 15th working day after a request was received. Working days are
// Monday to Friday: the public holidays, which are decided year by year, would only move it
// later.
func Due(received time.Time) time.Time {
	y, m, d := received.In(china).Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, china)
	for left := days; left > 0; {
		day = day.AddDate(0, 0, 1)
		if w := day.Weekday(); w != time.Saturday && w != time.Sunday {
			left--
		}
	}
	return day.AddDate(0, 0, 1).UTC()
}
