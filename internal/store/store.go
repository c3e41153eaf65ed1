// Package store is the ledger of a ConsentStore: who a person is (sealed), what they were
// told, agreed to, and did, what was sent to them and what left about them. It holds the
// records and the interface; the engines are one level below, and storetest is their
// contract. Whatever is acknowledged is on disk.
//
// The package knows no HTTP and no Kubernetes. Identifiers of people come in as subject
// types and leave only inside permits (to the dispatcher in the region) and export rows.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// Error is a refusal of the store with a stable word.
type Error struct {
	Word    string // LedgerMissing, PolicyStale, RunConflict, ...
	Message string
}

// Error gives "Word: message"; the message holds nothing about people.
func (e *Error) Error() string { return e.Word + ": " + e.Message }

// Is compares by word, so that errors.Is works against the values below.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Word == e.Word
}

// Refusals of the store.
var (
	ErrLedgerMissing    = &Error{"LedgerMissing", "no ledger is here although one is expected; restore the volume, an empty ledger would forget every withdrawal"}
	ErrLedgerForeign    = &Error{"LedgerForeign", "the ledger here has another id than the one expected"}
	ErrKeyWrong         = &Error{"KeyWrong", "the key does not open this ledger"}
	ErrCorrupt          = &Error{"LedgerCorrupt", "the database file cannot be read as a ledger"}
	ErrPolicyMissing    = &Error{"PolicyMissing", "no policy has been pushed yet"}
	ErrPolicyStale      = &Error{"PolicyStale", "the view of policy and holds is too old"}
	ErrNoticeIncomplete = &Error{"NoticeIncomplete", "the published notice does not tell people of this purpose"}
	ErrRunUnknown       = &Error{"RunUnknown", "no such run"}
	ErrRunConflict      = &Error{"RunConflict", "this run was planned with another content"}
	ErrTransferUnknown  = &Error{"TransferUnknown", "no such transfer"}
	ErrTransferConflict = &Error{"TransferConflict", "this transfer was declared with another content"}
	ErrTransferState    = &Error{"TransferState", "the transfer is not in a state that allows this"}
	ErrPartUnknown      = &Error{"PartUnknown", "no such part of the transfer was leased"}
	ErrPartConflict     = &Error{"PartConflict", "this part was reported with another content, or more of it than was leased"}
	ErrPartOpen         = &Error{"PartOpen", "a part of the transfer is leased and not reported"}
	ErrPartsLeft        = &Error{"PartsLeft", "there may be people of the transfer in no part; lease parts until the answer is that nobody is left"}
	ErrLeaseOver        = &Error{"LeaseOver", "the lease of this part is over; lease it again"}
	ErrAudience         = &Error{"AudienceInvalid", "the expression cannot be used"}
	ErrLogTampered      = &Error{"LogTampered", "the log is not what it was"}
	ErrNoConsents       = &Error{"NoConsents", "the log holds no answer of this person"}
	ErrNoticeRevision   = &Error{"NoticeRevision", "the revision answered is not the published one"}
	ErrGuardianLink     = &Error{"GuardianLink", "the link is unknown, over, or another guardian has answered by it"}
	ErrGuardianSelf     = &Error{"GuardianSelf", "the person's own account cannot speak as their guardian"}
	ErrGuardianMinor    = &Error{"GuardianMinor", "a guardian is an adult, and this account belongs to somebody younger"}
	ErrGuardianNeedless = &Error{"GuardianNeedless", "no guardian is needed at the age that the person told"}
	ErrInvalid          = &Error{"Invalid", "a value is malformed"}
)

// Ledger is what an engine implements. Every method is safe for concurrent use.
type Ledger interface {
	// View returns the current view, nil before the first push.
	View() *View
	// PutView replaces the view. A notice that does not follow on what the ledger has taken
	// is left out, as Status tells (NoticeRefused); the rest counts.
	PutView(ctx context.Context, ledgerID string, v *View) (hash string, err error)
	Status(ctx context.Context) (Status, error)

	RecordEvent(ctx context.Context, e Event) (Recorded, error)
	Preferences(ctx context.Context, account string, who subject.OpenID) (Preferences, error)
	// RecordLook notes that the notice is about to be shown, once a day for each viewer, text and
	// language. Who was not known before is from then on.
	RecordLook(ctx context.Context, k Look) error
	RecordChoices(ctx context.Context, c Choices) (Recorded, error)

	// AskGuardian makes the link by which a guardian may answer; an earlier one ends.
	AskGuardian(ctx context.Context, account string, who subject.OpenID, secret [32]byte) error
	GuardianCase(ctx context.Context, l GuardianLink) (GuardianCase, error)
	// AnswerGuardian records the answer. Taking it back withdraws whatever the person agreed
	// to, and is acknowledged as a withdrawal is.
	AnswerGuardian(ctx context.Context, a GuardianAnswer) (Recorded, error)

	SizeAudience(ctx context.Context, expression, leadModel string) (int64, error)
	PlanRun(ctx context.Context, s RunSpec) (Run, error)
	Run(ctx context.Context, id string) (Run, error)
	Lease(ctx context.Context, run string, shard, limit int) (Leased, error)
	Report(ctx context.Context, run string, outcomes []Outcome) error
	Reconcile(ctx context.Context, run string, received map[subject.OpenID]int) (Reconciled, error)

	TransferFacts(ctx context.Context, s TransferSpec) (TransferFacts, error)
	DeclareTransfer(ctx context.Context, s TransferSpec) (Transfer, error)
	Transfer(ctx context.Context, id string) (Transfer, error)
	StartTransfer(ctx context.Context, id string) (Transfer, error)
	// LeasePart permits to write the rows of the next people, at most so many. Without its
	// answer that nobody is left a transfer can be finished in part only.
	LeasePart(ctx context.Context, id string, limit int) (LeasedPart, error)
	// ReportPart says that a part is written under this lease. It is refused after the lease's
	// end: the part is leased again then, without those who have withdrawn.
	ReportPart(ctx context.Context, id string, lease int64, p Part) error
	// Parts lists what is written, in order.
	Parts(ctx context.Context, id string) ([]Part, error)
	// FinishTransfer records the manifest; its rows and bytes are those of the parts.
	FinishTransfer(ctx context.Context, id string, m Manifest) error
	// Counters returns how many people's records left, and to one recipient.
	Counters(ctx context.Context, recipient string) (Counters, error)

	Counted

	Aggregates

	// Import takes over people whom the processor knew before, and consents with evidence.
	Import(ctx context.Context, account string, people []ImportedPerson) (Imported, error)

	Rights
	Duties

	// Verify recomputes the log from its rows, and compares it with everything it signed.
	Verify(ctx context.Context) (Verified, error)
	// Checkpoint signs the head of the log, or returns what was signed for it before.
	Checkpoint(ctx context.Context) (string, error)
	// Receipt proves to a person what the log has of their consents.
	Receipt(ctx context.Context, account string, who subject.OpenID) ([]byte, error)
	Close() error
}

// Status of the ledger.
type Status struct {
	LedgerID   string
	Subjects   int64
	LogSize    int64
	LogRoot    []byte
	SizeBytes  int64
	ViewHash   string
	ViewIssued time.Time
	Year       int
	Counter    transfer.Counter
	Requests   Requests
	Duties     []RecipientDuties

	// Notice is the newest text that the ledger has taken; zero: none.
	Notice notice.Version
	// NoticeRefused: the notice of the present view goes back, is another text under a number
	// that people have agreed to, or is not what its hash says. The ledger goes on with what it
	// had. NoticeRefusal is why: RefusedRevision or RefusedHash.
	NoticeRefused bool
	NoticeRefusal string
	StaleConsents int64 // people who agreed to an older text, and not to this one
	// VerifierKey opens the log's checkpoints; Checkpoint is the newest one.
	VerifierKey, Checkpoint string
	// CountingKeyID tells which key people are counted by with other stores; empty: none.
	CountingKeyID string
}

// Event is one thing that a person did in WeChat.
type Event struct {
	Account       string
	Dedupe        []byte
	Kind          string // callback.Kind
	Who           subject.OpenID
	At            time.Time // platform clock
	Key           string    // menu key or scene
	Withdraw      bool
	Subscriptions []SubscriptionAnswer
}

// SubscriptionAnswer is an answer to a subscription pop-up.
type SubscriptionAnswer struct {
	TemplateID string
	Accepted   bool
}

// Recorded is the outcome of storing what a person did.
type Recorded struct {
	Duplicate bool
	// Acknowledged: nothing further is sent for what was withdrawn, if anything was.
	Acknowledged bool
	// MayAsk: an invitation to the consent page may be sent now, once.
	MayAsk bool
	// Guardian is how far a guardian's consent is; empty where none is needed.
	Guardian consent.GuardianState
}

// Choice is an answer to one item of the consent page.
type Choice struct {
	Purpose, Recipient string
	Granted            bool
}

// Choices are the answers of one visit.
type Choices struct {
	Account  string
	Who      subject.OpenID
	Union    subject.UnionID // zero: not known
	Revision int64
	Age      consent.AgeBand
	Items    []Choice
	Language string
}

// Preferences is what a person is asked and answered before.
type Preferences struct {
	Notice Notice
	Age    consent.AgeBand
	Items  []Choice
	// Guardian is empty where the age needs none under the policy.
	Guardian consent.GuardianState
}

// RunSpec is everything that decides who gets a campaign's message, and when.
type RunSpec struct {
	ID, Campaign, Account, Purpose string
	Expression, LeadModel          string
	Channel, TemplateID            string
	NotBefore, NotAfter            time.Time
	Zone, Start, End               string
	PerSecond                      int
	CapMessages, CapDays           int
	Shards                         int
}

// Run is a planned run in numbers.
type Run struct {
	ID                                      string
	Audience, Eligible                      int64
	Excluded                                map[reason.Code]int64
	Pending, Sent, Refused, Failed, Unknown int64
	Finished                                bool
}

// Permit allows one request to the platform, until its deadline.
type Permit struct {
	ID       string
	Who      subject.OpenID
	Deadline time.Time
	Key      string // idempotency key
}

// Lease states.
const (
	LeaseOpen     = "Open"
	LeaseHeld     = "Held"
	LeaseEarly    = "Early"
	LeaseFinished = "Finished"
)

// Leased is the answer to a request for permits.
type Leased struct {
	Permits []Permit
	State   string
	Wait    time.Duration
	Life    time.Duration // of the permits, from before the lease was asked for
}

// Outcome results.
const (
	Sent    = "Sent"
	Failed  = "Failed"
	Refused = "Refused"
	Unknown = "Unknown"
	Unused  = "Unused" // provably no request was started
)

// Outcome is what became of a permit.
type Outcome struct {
	Permit, Result string
	Code           int64
	GrantVoid      bool
}

// Reconciled compares an audit of what people received with the ledger, in numbers.
type Reconciled struct {
	SentOnce, SentNotOnce, UnknownOnce, UnknownNone, UnknownMore, OthersNone, OthersReceived, Unfinished int64
}

// TransferSpec is a request to send records out.
type TransferSpec struct {
	transfer.Request
	ID, Name string
	// Elsewhere is what the processor's other stores have counted or reserved. It is no part of
	// what was asked.
	Elsewhere  transfer.Counter `json:"-"`
	Mechanism  string           // name of the TransferMechanism; empty: none
	Assessment transfer.Assessment
	LeadModel  string
}

// TransferFacts is what the store contributes to a decision.
type TransferFacts struct {
	Year    int
	Counter transfer.Counter // of the rule pack's window
	Recent  transfer.Counter // to this recipient, in twelve months
	People  transfer.People
}

// Transfer states.
const (
	TransferDeclared = "Declared"
	TransferRefused  = "Refused"
	TransferStarted  = "Started"
	TransferComplete = "Complete"
	TransferStopped  = "Stopped"
)

// Transfer is a transfer in numbers.
type Transfer struct {
	ID, State string
	Refusals  []transfer.Refusal
	Started   time.Time // zero: it has not been
	// Persons are in a part that was leased so far: their records have left, or may have.
	// Newly is by how many of them the year's counter moved.
	Persons, Newly int64
	Excluded       map[reason.Code]int64 // as of the start
	Decision       transfer.Of           // of the start, or of the refusal; empty: there is none yet
	Released       []Released            // tables of counts
	Manifest       *Manifest
}

// LeasedPart permits to write one part, until its life is over.
type LeasedPart struct {
	Part    int64
	Lease   int64 // how often the part was leased: a Job that was slow cannot report for another
	Rows    [][]byte
	Life    time.Duration // from before the lease was asked for
	Wait    time.Duration // above zero: an earlier lease has to end first; nothing is leased
	Done    bool          // nobody is left; nothing is leased
	Stopped reason.Code   // nothing more may leave; empty: it may
}

// Part is a part of a transfer that is written. One whose people have all withdrawn has no
// object.
type Part struct {
	Number         int64
	Object, SHA256 string
	Rows, Bytes    int64
}

// Counters are the numbers of people of one store.
type Counters struct {
	Year    int
	Counted transfer.Counter // over the rule pack's window
	Recent  transfer.Counter // to the recipient in twelve months
}

// Manifest is what the transfer's Job says it wrote: the object that lists the parts.
type Manifest struct {
	Object, SHA256 string
	Rows, Bytes    int64 // of all parts
	Partial        bool
	StoppedBy      string
}

// Verified is the outcome of recomputing the log.
type Verified struct {
	Size, Sealed int64 // Sealed: leaves whose record was erased
	Root         []byte
}
