// Package consent decides whether one person's consent allows one processing, at one
// moment. It implements the tests of law.md 3.2: informed, voluntary, explicit, separate,
// prior, current, not expired, by the right person. It sees dates, codes and revisions;
// never who it is about.
package consent

import (
	"iter"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Action is what the person did last about one purpose and recipient, or what time did.
type Action string

// Actions. Asked and refused is not the same as never asked.
const (
	None      Action = ""
	Given     Action = "Given"
	Refused   Action = "Refused"
	Withdrawn Action = "Withdrawn"
	Expired   Action = "Expired"
)

// Control is what the person acted upon.
type Control string

// Controls. By the first three consent can be given: each is an act that says yes to one
// thing. The others can only end it: a keyword names no purpose, and silence, following or
// scrolling say nothing (PIPL 14).
const (
	Page     Control = "page"
	Guardian Control = "guardian" // on the guardian's own page
	Import   Control = "import"   // collected elsewhere, with evidence
	Keyword  Control = "keyword"
	Menu     Control = "menu"
	Unfollow Control = "unfollow"
	Setting  Control = "setting" // in WeChat itself
	Request  Control = "request" // a subject's request that an operator carries out
	Clock    Control = "clock"   // the time that was agreed to is over
)

// affirms tells whether an act upon the control can mean yes.
func (c Control) affirms() bool { return c == Page || c == Guardian || c == Import }

// State is the current consent of one person for one purpose and recipient.
type State struct {
	Action         Action
	At             time.Time // store clock
	NoticeRevision int64
	Separate       bool // given with a control of its own
	Control        Control
	Ends           time.Time // the last moment that was agreed to; zero: none was named
}

// Person is what else about the person decides.
type Person struct {
	Age              AgeBand
	Guardian         GuardianState
	GuardianRevision int64 // of the notice that the guardian confirmed
	OptedOut         bool  // left the account, or opted out of marketing
}

// Rules is what the policy and the published notice ask.
type Rules struct {
	Revision      int64 // the published revision that covers purpose and recipient; 0: none does
	GuardianAge   int   // below it a guardian must consent; 14 to 18
	NeedsSeparate bool  // export, scoring, sensitive data
	Marketing     bool
	Automated     bool // scored or personalised
}

// Facts is everything that decides whether a consent allows one act.
type Facts struct {
	State  State
	Person Person
	Rules  Rules
	At     time.Time // when the act begins, store clock
}

// Valid tells whether the consent allows the act, and every reason why not, the gravest first.
func Valid(f Facts) (ok bool, codes []reason.Code) {
	codes = slices.Collect(f.reasons())
	return len(codes) == 0, codes
}

// Decide returns AllChecksPassed, or the gravest reason that stands in the way: what people
// said comes before what can never be cured, and that before what was omitted.
func Decide(f Facts) reason.Code {
	for code := range f.reasons() {
		return code
	}
	return reason.AllChecksPassed
}

func (f Facts) reasons() iter.Seq[reason.Code] {
	return func(yield func(reason.Code) bool) {
		_ = f.said(yield) && f.byAge(yield) && f.bound(yield)
	}
}

// said is what the person did, or did not do.
func (f Facts) said(yield func(reason.Code) bool) bool {
	if f.Rules.Marketing && f.Person.OptedOut && !yield(reason.OptOutRecorded) {
		return false
	}
	switch {
	case f.State.Action == Withdrawn:
		return yield(reason.ConsentWithdrawn)
	case f.State.Action == Refused:
		return yield(reason.ConsentRefused)
	case f.State.Action == Expired:
		return yield(reason.RetentionExpired)
	case f.given():
		return true
	case f.Rules.Marketing:
		return yield(reason.MarketingConsentMissing)
	}
	return yield(reason.ConsentMissing)
}

// given tells whether there is a yes at all: an act that can mean it.
func (f Facts) given() bool { return f.State.Action == Given && f.State.Control.affirms() }

// byAge applies PIPL 31 and Minors Network Regulations 24. The guardian cannot allow what
// the latter forbids.
func (f Facts) byAge(yield func(reason.Code) bool) bool {
	if f.Rules.Automated {
		if code := f.Person.Age.Scored(); code != reason.AllChecksPassed && !yield(code) {
			return false
		}
	}
	need := f.Person.GuardianNeeded(f.Rules.GuardianAge, f.Rules.Revision)
	if need == GuardianPending {
		return yield(reason.GuardianUnverified)
	}
	return need == GuardianNone || yield(reason.GuardianConsentMissing)
}

// bound is what the yes was bound to. Without a yes there is nothing to compare.
func (f Facts) bound(yield func(reason.Code) bool) bool {
	if f.Rules.Revision == 0 && !yield(reason.NoticeNotPublished) {
		return false
	}
	if !f.given() {
		return true
	}
	for _, x := range [...]struct {
		wrong bool
		code  reason.Code
	}{
		{f.Rules.Revision != 0 && f.State.NoticeRevision != f.Rules.Revision, reason.ConsentStaleNotice},
		{f.Rules.NeedsSeparate && !f.State.Separate, reason.ConsentNotSeparate},
		{!f.State.At.Before(f.At), reason.ConsentNotPrior},
		{!f.State.Ends.IsZero() && f.At.After(f.State.Ends), reason.RetentionExpired},
	} {
		if x.wrong && !yield(x.code) {
			return false
		}
	}
	return true
}
