package callback

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Kind says what happened. The values are the platform's own event names.
type Kind string

// The kinds that Maodian acts on. All others are KindUnknown.
const (
	KindSubscribe        Kind = "subscribe"
	KindUnsubscribe      Kind = "unsubscribe"
	KindScan             Kind = "SCAN"
	KindClick            Kind = "CLICK"
	KindView             Kind = "VIEW"
	KindText             Kind = "text"
	KindOtherMessage     Kind = "message"
	KindPopup            Kind = "subscribe_msg_popup_event"
	KindChange           Kind = "subscribe_msg_change_event"
	KindSent             Kind = "subscribe_msg_sent_event"
	KindInfoModified     Kind = "user_info_modified"
	KindRevoke           Kind = "user_authorization_revoke"
	KindCancellation     Kind = "user_authorization_cancellation"
	KindMassFinished     Kind = "MASSSENDJOBFINISH"
	KindTemplateFinished Kind = "TEMPLATESENDJOBFINISH"
	KindUnknown          Kind = "unknown"
)

// IsMessage tells whether a person wrote or sent something, as opposed to an event.
func (k Kind) IsMessage() bool { return k == KindText || k == KindOtherMessage }

// isAuthorisation tells whether the person is in the field OpenID. FromUserName
// is the platform's own pusher then.
func (k Kind) isAuthorisation() bool {
	return k == KindInfoModified || k == KindRevoke || k == KindCancellation
}

func (k Kind) isSubscription() bool {
	return k == KindPopup || k == KindChange || k == KindSent
}

// Event is one message or event of the platform.
type Event struct {
	Kind Kind
	// Account is the original id (原始ID, gh_…) of the receiving account.
	Account string
	// OpenID is the person concerned; zero if the event is about nobody.
	OpenID subject.OpenID
	// CreateTime has a resolution of one second. Order of arrival means nothing.
	CreateTime time.Time
	// MsgID identifies a message, or the sent message that a result is about.
	MsgID int64
	// EventKey is the key of a pressed menu button, or the address of an opened
	// page without its query.
	EventKey string
	// Scene is the value in the QR code that a person followed or scanned.
	Scene string
	// Content is what the person wrote.
	Content subject.Text
	// Subscriptions are answers to a subscription pop-up, changes of an answer, or
	// results of sends, one per template.
	Subscriptions []Subscription
	// Mass has the counts of a finished mass send (群发).
	Mass *MassResult
	// Status is the platform's word on a finished send.
	Status string
	// RevokeInfo lists the data categories of a withdrawn authorisation.
	RevokeInfo []int
	// Attention says that the event concerns a person but does not tell whom, or
	// tells it in a form we do not know: alert, do not guess.
	Attention bool

	// from is FromUserName, person or pusher, for the dedupe key.
	from string
}

// Subscription is one entry of a subscription event.
type Subscription struct {
	TemplateID string
	// Accepted: the person said yes, or the send succeeded.
	Accepted bool
	// MsgID, ErrorCode and ErrorStatus are set in results of sends.
	MsgID       int64
	ErrorCode   int64
	ErrorStatus string
}

// MassResult has the approximate counts of a mass send.
type MassResult struct {
	Total, Filtered, Sent, Errors int64
}

// DedupeKey is equal for two deliveries of the same event. It is derived from an
// openid, so it is personal data and prints masked.
type DedupeKey [sha256.Size]byte

// Bytes returns the key for the store's index.
func (k DedupeKey) Bytes() []byte { return k[:] }

// Format prints a mask, whatever the verb.
func (DedupeKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// LogValue logs a mask.
func (DedupeKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText refuses.
func (DedupeKey) MarshalText() ([]byte, error) { return nil, subject.ErrNotSerialised }

// DedupeKey follows the platform's rule: messages by MsgId, events by sender and
// second. We add what a retry repeats and a second event of the same second does
// not: the kind, the key, the templates, the message id of a result.
func (e Event) DedupeKey() DedupeKey {
	h := sha256.New()
	put := func(parts ...string) {
		for _, p := range parts {
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(p)))
			_, _ = h.Write(n[:]) // a hash does not fail
			_, _ = io.WriteString(h, p)
		}
	}
	if e.Kind.IsMessage() && e.MsgID != 0 {
		put("message", e.Account, fmt.Sprint(e.MsgID))
		return DedupeKey(h.Sum(nil))
	}
	put("event", e.Account, string(e.Kind), e.from, e.OpenID.Reveal(), fmt.Sprint(e.CreateTime.Unix()), fmt.Sprint(e.MsgID),
		e.EventKey, e.Scene, e.Content.Reveal(), fmt.Sprint(e.RevokeInfo))
	for _, s := range e.Subscriptions {
		put(s.TemplateID, fmt.Sprint(s.Accepted), fmt.Sprint(s.MsgID))
	}
	return DedupeKey(h.Sum(nil))
}
