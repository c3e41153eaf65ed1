package consent

import "github.com/maodian-dev/maodian/internal/domain/reason"

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

// Scored tells why nobody of this age gets scored marketing, whatever they agree to:
// AllChecksPassed for adults alone (Minors Network Regulations 24).
func (b AgeBand) Scored() reason.Code {
	switch b {
	case Adult:
		return reason.AllChecksPassed
	case AgeUnknown:
		return reason.AgeUnknown
	case Under8, From8, From14:
	}
	return reason.MinorAutomatedMarketing
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

// Child tells whether the person may be below 14, so that everything about them is sensitive
// (PIPL 28). A person who told no age is held for what nearly everybody in WeChat is.
func (b AgeBand) Child() bool { return b != AgeUnknown && b.youngest() < floor }

// GuardianState is how far a guardian's consent is (law.md 3.7).
type GuardianState string

// Guardian states. What is not known is not needed only as long as the age is not known.
const (
	GuardianNone      GuardianState = "" // nobody has been asked
	GuardianRequired  GuardianState = "Required"
	GuardianPending   GuardianState = "Pending" // a link was made and not yet answered
	GuardianVerified  GuardianState = "Verified"
	GuardianRefused   GuardianState = "Refused"
	GuardianWithdrawn GuardianState = "Withdrawn"
)

// GuardianMethod is how a guardian's consent is had (law.md 3.7). No statute fixes one.
type GuardianMethod string

// OwnAccountLink is the one method that is built: the guardian opens a link in their own
// WeChat, and declares the relation. Others need a provider who checks identities.
const OwnAccountLink GuardianMethod = "OwnAccountLink"

// Valid tells whether s is one that is kept of a person.
func (s GuardianState) Valid() bool {
	switch s {
	case GuardianNone, GuardianPending, GuardianVerified, GuardianRefused, GuardianWithdrawn:
		return true
	case GuardianRequired: // what is needed is not what is
	}
	return false
}

// Guarded tells whether a policy that asks for a guardian below age years asks for one here.
func (p Person) Guarded(age int) bool {
	return p.Age != AgeUnknown && p.Age.youngest() < max(floor, age)
}

// floor is the age below which the law itself asks for a guardian (PIPL 31).
const floor = 14

// GuardianNeeded returns GuardianNone where no guardian's consent stands in the way of an act
// that the notice's revision covers, under a policy that asks for one below age years;
// GuardianPending while it is awaited; and GuardianRequired where it is missing, refused,
// withdrawn, or was given to another revision.
func (p Person) GuardianNeeded(age int, revision int64) GuardianState {
	switch {
	case !p.Guarded(age):
		return GuardianNone
	case p.Guardian == GuardianVerified && p.GuardianRevision == revision:
		return GuardianNone
	case p.Guardian == GuardianPending:
		return GuardianPending
	}
	return GuardianRequired
}
