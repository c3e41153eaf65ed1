package store

import (
	"context"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/duty"
)

// Refusals about recipients who must be told.
var (
	ErrReference = &Error{"ReferenceInvalid", "a reference must be letters, digits, dashes, dots and slashes, at most 64, and name no person"}
	ErrLetter    = &Error{"LetterUnknown", "no letter of this reference went to this recipient"}
)

// MaxLetter is how many people one letter tells of. The rest stays open for another.
const MaxLetter = 20_000

// Duties are what a processor owes the people whose records it gave to others (PIPL 15, 46,
// 47): that these are told what changed.
type Duties interface {
	// RecipientDuties counts them by recipient.
	RecipientDuties(ctx context.Context) ([]RecipientDuties, error)
	// Tell returns what a letter to a recipient has to say, and notes that it was told under
	// this reference. The same reference again returns the same letter.
	Tell(ctx context.Context, recipient, reference string) ([]Notification, error)
	// Acknowledge notes that the recipient has answered a letter, and returns how many people it
	// told of. Again it changes nothing.
	Acknowledge(ctx context.Context, recipient, letter, reference string) (int64, error)
}

// RecipientDuties are the numbers of people of one recipient.
type RecipientDuties struct {
	Recipient                         string
	Open, Overdue, Told, Acknowledged int64     // overdue ones are open, too
	NextDue                           time.Time // of the oldest open one; zero: none
}

// Notification is one line of a letter: a person, by the identifier that this recipient was
// given.
type Notification struct {
	ID    string
	Kind  duty.Kind
	Since time.Time // records that were sent later are not meant
}
