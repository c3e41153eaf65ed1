// Package request holds what people may ask about their own data, and until when it is
// answered (PIPL 44 to 50; law.md 3.6).
package request

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

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

// days is how long an answer may take by a rule pack that is not known, each day counted.
const days = 15

// Due is the end of the working day by which a request must be answered: the law says
// "promptly", and the rule pack a number by practice. The pack has the holidays; where it is not known, or does
// not know the year, every day counts, so that the date comes early and never late.
func Due(p *law.Pack, received time.Time) time.Time {
	if p == nil {
		return law.Calendar{}.After(received, days)
	}
	return p.Calendar.After(received, p.Terms.RequestWorkingDays)
}
