// Package consent decides whether one person's consent allows one processing, at one
// moment. It implements the tests of law.md 3.2: informed, explicit, separate, prior,
// current, by the right person. It sees dates, codes and revisions; never who it is about.
package consent

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Action is what the person did.
type Action string

// Actions. Asked and refused is not the same as never asked.
const (
	None      Action = ""
	Given     Action = "Given"
	Refused   Action = "Refused"
	Withdrawn Action = "Withdrawn"
)

// AgeBand is what the person said about their age; there is no such field in WeChat.
type AgeBand string

// Age bands (law.md 3.7).
const (
	AgeUnknown AgeBand = ""
	Under8     AgeBand = "Under8"
	From8      AgeBand = "8to13"
	From14     AgeBand = "14to17"
	Adult      AgeBand = "Adult"
)

// Valid tells whether b is one of the bands.
func (b AgeBand) Valid() bool {
	switch b {
	case AgeUnknown, Under8, From8, From14, Adult:
		return true
	}
	return false
}

// youngest is the least age in years that a person of the band may have.
func (b AgeBand) youngest() int {
	switch b {
	case Adult:
		return 18
	case From14:
		return 14
	case From8:
		return 8
	default:
		return 0
	}
}

// State is the current consent of one person for one purpose and recipient.
type State struct {
	Action         Action
	At             time.Time // store clock
	NoticeRevision int64
	Separate       bool // given with a control of its own
}

// Person is what else about the person decides.
type Person struct {
	Age      AgeBand
	Guardian bool // a guardian's verified consent is on record
	OptedOut bool // left the account, or opted out of marketing
}

// Rules is what the policy and the published notice ask.
type Rules struct {
	Revision      int64 // the published revision that covers purpose and recipient
	GuardianAge   int   // below it a guardian must consent; 14 to 18
	NeedsSeparate bool  // export, scoring, sensitive data
	Marketing     bool
	Automated     bool // scored or personalised
}

// Decide returns AllChecksPassed, or the one reason that stands in the way, the gravest
// first: what can never be cured, then what the person said, then what was omitted.
func Decide(s State, p Person, r Rules, at time.Time) reason.Code {
	if c := said(s, p, r); c != reason.AllChecksPassed {
		return c
	}
	if c := byAge(p, r); c != reason.AllChecksPassed {
		return c
	}
	switch {
	case s.NoticeRevision != r.Revision:
		return reason.ConsentStaleNotice
	case r.NeedsSeparate && !s.Separate:
		return reason.ConsentNotSeparate
	case !s.At.Before(at):
		return reason.ConsentNotPrior
	}
	return reason.AllChecksPassed
}

// said is what the person did, or did not do.
func said(s State, p Person, r Rules) reason.Code {
	switch {
	case r.Marketing && p.OptedOut:
		return reason.OptOutRecorded
	case s.Action == Withdrawn:
		return reason.ConsentWithdrawn
	case s.Action == Refused:
		return reason.ConsentRefused
	case s.Action != Given && r.Marketing:
		return reason.MarketingConsentMissing
	case s.Action != Given:
		return reason.ConsentMissing
	}
	return reason.AllChecksPassed
}

// byAge applies PIPL 31 and Minors Network Regulations 24. The guardian cannot allow what
// the latter forbids.
func byAge(p Person, r Rules) reason.Code {
	switch {
	case r.Automated && p.Age == AgeUnknown:
		return reason.AgeUnknown
	case r.Automated && p.Age != Adult:
		return reason.MinorAutomatedMarketing
	case p.Age != AgeUnknown && p.Age.youngest() < max(14, r.GuardianAge) && !p.Guardian:
		return reason.GuardianConsentMissing
	}
	return reason.AllChecksPassed
}
