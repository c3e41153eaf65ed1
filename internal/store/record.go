package store

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/duty"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/request"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Refusals about people's own requests.
var (
	ErrKeysMissing = &Error{"KeysMissing", "the file of people's keys is missing, foreign, or older than the ledger; put the newest copy back beside it"}
	ErrAsk         = &Error{"RequestInvalid", "there is no such request"}
)

// Rights are what people may ask of a ledger about themselves (PIPL 44 to 50), and what it
// does of its own motion (PIPL 19, 47).
type Rights interface {
	// Record returns all that is held about a person. Kinds Access and Copy are noted, once a
	// day; another kind is not.
	Record(ctx context.Context, account string, who subject.OpenID, as request.Kind) (Record, error)
	// Correct changes what a person says is wrong, and notes it.
	Correct(ctx context.Context, c Correction) (Record, error)
	// Ask notes a request that somebody must answer, or stops all use at once (Restriction).
	// As long as one of a kind is open, it is the same one.
	Ask(ctx context.Context, account string, who subject.OpenID, kind request.Kind) (Asked, error)
	// Erase removes a person for good. It is acknowledged when nothing is on its way to them.
	Erase(ctx context.Context, account string, who subject.OpenID, by consent.Control) (Erased, error)
	// OpenRequests lists what somebody must answer, the oldest first, at most 1,000.
	OpenRequests(ctx context.Context) ([]OpenRequest, error)
	// Answer closes an open request, Done or Refused.
	Answer(ctx context.Context, reference string, outcome request.Outcome) error
	// RecordFor returns all that is held about who made an open request.
	RecordFor(ctx context.Context, reference string) (Record, error)
	// Sweep expires and erases whom the retention period of the notice is over for, and
	// completes what was interrupted. It is called from time to time.
	Sweep(ctx context.Context) (Swept, error)
}

// Record is all that is held about a person. It prints masked.
type Record struct {
	Known        bool // false: nothing is held
	Notice       Notice
	Since, Seen  time.Time // first contact, and last, to the day
	Age          consent.AgeBand
	Guardian     consent.GuardianState
	Tags         []string
	Stages       []StageOf
	Relations    []Following
	Guardians    []GuardianEntry
	Grants       []Grant
	Consents     []ConsentEntry
	Shown        []ShownEntry // when the notice was shown, the newest, oldest first
	Messages     []Message
	Passed       []Passed
	Requests     []Request
	Interactions []Interaction // the newest, oldest first
	UnionID      bool          // it is kept, so that the person counts once
}

// Format prints a mask, whatever the verb.
func (Record) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// LogValue logs a mask.
func (Record) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// StageOf is how far a person is by one lead model.
type StageOf struct {
	Model, Stage string
	Points       float64
}

// Following is a person's relation to an account.
type Following struct {
	Account             string
	Following, OptedOut bool
}

// Grant is what is left of a person's permissions for a template.
type Grant struct {
	Account, Template string
	Remaining         int64
}

// ConsentEntry is one answer or withdrawal, and what it was bound to.
type ConsentEntry struct {
	Purpose, Recipient, Account, Language string
	// NotUsed is why a yes is kept as it was told and not used: the present age forbids it.
	NotUsed reason.Code
	consent.Event
}

// GuardianEntry is what a guardian said, or was asked. Who it was is not told.
type GuardianEntry struct {
	State    consent.GuardianState
	At       time.Time
	Revision int64
	Relation Relation

	Method      consent.GuardianMethod
	VerifierRef string          // who verified it; empty: nobody has answered
	Evidence    string          // commitment to who answered, by which link, and what they declared
	Age         consent.AgeBand // of the person, by then
}

// Message is one that was sent, or may have been.
type Message struct {
	Campaign, Purpose string
	At                time.Time
	Outcome           string // Sent, Unknown, Leased
}

// Passed is one transfer that the person was part of.
type Passed struct {
	Recipient, DisplayName, Country, Purpose, LegalBasis, Mechanism string
	Fields                                                          []string
	At                                                              time.Time // when it began; zero: before that was kept
	State                                                           string    // Started, Complete, Stopped
	ConsentAt                                                       time.Time
	Revision                                                        int64
	Duty                                                            duty.Duty // the newest since; its kind is empty where the recipient need not be told of anything
}

// Request is one that the person made.
type Request struct {
	Kind                request.Kind
	Received, Due, Done time.Time // Done is zero while it is open
	Outcome             request.Outcome
}

// OpenRequest is one that somebody must answer. The reference says nothing outside the store.
type OpenRequest struct {
	Reference, Account string
	Request
}

// Interaction is one thing that the person did.
type Interaction struct {
	Kind, Key string
	At        time.Time // platform clock
}

// Correction is what a person says is wrong.
type Correction struct {
	Account    string
	Who        subject.OpenID
	Age        consent.AgeBand // AgeUnknown: as it is
	RemoveTags []string
}

// Asked is the outcome of a request.
type Asked struct {
	Request
	Acknowledged bool // of a restriction: nothing further is sent
}

// Erased is the outcome of an erasure.
type Erased struct {
	Found        bool // false: nothing was held
	Acknowledged bool
}

// Swept counts what a sweep did.
type Swept struct {
	Expired, Erased int64 // people
	More            bool  // there is more to do than one sweep does
}

// Requests counts the open requests of all people.
type Requests struct {
	Open, Overdue int64
	NextDue       time.Time // of the oldest open one; zero: none
}
