package store

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// GuardianLinkLife is how long a link waits for its guardian. Who has answered may come back
// by it at any time, to take the answer back.
const GuardianLinkLife = 7 * 24 * time.Hour

// Relation is what a guardian declares to be (Civil Code 27).
type Relation string

// Relations.
const (
	Parent        Relation = "Parent"
	Grandparent   Relation = "Grandparent"
	Sibling       Relation = "Sibling" // an adult one
	OtherGuardian Relation = "Other"
)

// Valid tells whether r is one of the relations.
func (r Relation) Valid() bool {
	return r == Parent || r == Grandparent || r == Sibling || r == OtherGuardian
}

// GuardianLink is a way for a guardian to speak for a person: whoever opens it in their own
// WeChat. The secret stands in the link only.
type GuardianLink struct {
	Account string
	Secret  [32]byte
	Who     subject.OpenID // who opens it
}

// GuardianCase is what a guardian is shown: what the person agreed to under the published
// notice, and what the guardian answered before. It does not tell who the person is.
type GuardianCase struct {
	Notice Notice
	Age    consent.AgeBand
	Items  []Choice
	State  consent.GuardianState
}

// Verifier names who told us whose account it was that spoke: WeChat, towards this account.
func Verifier(account string) string { return "wechat-web-authorization:" + account }

// GuardianAnswer is what a guardian says by a link.
type GuardianAnswer struct {
	GuardianLink

	Revision int64
	State    consent.GuardianState // Verified, Refused or Withdrawn
	Relation Relation              // of who confirms
	Language string
}
