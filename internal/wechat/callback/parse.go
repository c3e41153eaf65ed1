package callback

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Bounds of single fields, in bytes. Longer values are cut: the event still counts.
const (
	maxKey    = 1024
	maxStatus = 64
	maxWrites = 8192
)

// maxCreateTime is the year 2286, the last second with ten digits.
const maxCreateTime = 9_999_999_999

// eventKinds are the values of the field Event that we know.
var eventKinds = map[string]Kind{
	"subscribe":                       KindSubscribe,
	"unsubscribe":                     KindUnsubscribe,
	"SCAN":                            KindScan,
	"CLICK":                           KindClick,
	"VIEW":                            KindView,
	"subscribe_msg_popup_event":       KindPopup,
	"subscribe_msg_change_event":      KindChange,
	"subscribe_msg_sent_event":        KindSent,
	"user_info_modified":              KindInfoModified,
	"user_authorization_revoke":       KindRevoke,
	"user_authorization_cancellation": KindCancellation,
	"MASSSENDJOBFINISH":               KindMassFinished,
	"TEMPLATESENDJOBFINISH":           KindTemplateFinished,
}

// messageTypes are the values of MsgType with which a person sends something.
var messageTypes = map[string]Kind{
	"text":       KindText,
	"image":      KindOtherMessage,
	"voice":      KindOtherMessage,
	"video":      KindOtherMessage,
	"shortvideo": KindOtherMessage,
	"location":   KindOtherMessage,
	"link":       KindOtherMessage,
}

// Parse reads an opened message, XML or JSON. It keeps what Maodian acts on and
// drops the rest: positions, pictures and the like never enter the program.
func Parse(plain []byte) (Event, error) {
	n, err := parseTree(plain)
	if err != nil {
		return Event{}, err
	}
	created := n.number("CreateTime")
	if created <= 0 || created > maxCreateTime {
		return Event{}, fmt.Errorf("%w: CreateTime", ErrMalformed)
	}
	e := Event{
		Kind:       kindOf(n),
		Account:    cut(n.text("ToUserName"), maxStatus),
		CreateTime: time.Unix(created, 0),
		MsgID:      n.number("MsgId"),
		from:       n.text("FromUserName"),
	}
	if err := e.readPerson(n); err != nil {
		return Event{}, err
	}
	e.readDetails(n)
	return e, nil
}

func kindOf(n *node) Kind {
	msgType := n.text("MsgType")
	if k, ok := messageTypes[msgType]; ok {
		return k
	}
	if k, ok := eventKinds[n.text("Event")]; ok && msgType == "event" {
		return k
	}
	return KindUnknown
}

// readPerson finds whom the event is about. Only the signed body counts.
func (e *Event) readPerson(n *node) error {
	switch {
	case e.Kind == KindMassFinished:
		return nil // FromUserName has no meaning there
	case e.Kind.isAuthorisation():
		person, err := subject.NewOpenID(n.text("OpenID"))
		e.OpenID, e.Attention = person, err != nil
		return nil
	}
	person, err := subject.NewOpenID(e.from)
	if err != nil && e.Kind != KindUnknown {
		return fmt.Errorf("%w: FromUserName", ErrMalformed)
	}
	e.OpenID = person
	return nil
}

func (e *Event) readDetails(n *node) {
	key := cut(n.text("EventKey"), maxKey)
	switch {
	case e.Kind == KindSubscribe:
		e.Scene = strings.TrimPrefix(key, "qrscene_")
	case e.Kind == KindScan:
		e.Scene = key
	case e.Kind == KindClick:
		e.EventKey = key
	case e.Kind == KindView:
		// A query may identify a person.
		e.EventKey, _, _ = strings.Cut(key, "?")
		e.EventKey, _, _ = strings.Cut(e.EventKey, "#")
	case e.Kind == KindText:
		e.Content = subject.NewText(cut(n.text("Content"), maxWrites))
	case e.Kind.isSubscription():
		e.readSubscriptions(n)
	case e.Kind.isAuthorisation():
		e.readRevokeInfo(n.text("RevokeInfo"))
	case e.Kind == KindMassFinished:
		e.Mass = &MassResult{n.number("TotalCount"), n.number("FilterCount"), n.number("SentCount"), n.number("ErrorCount")}
		fallthrough
	case e.Kind == KindTemplateFinished:
		e.Status = cut(n.text("Status"), maxStatus)
		if id := n.number("MsgID"); id != 0 {
			e.MsgID = id
		}
	}
}

// readSubscriptions accepts the list under any wrapper the platform has used, or
// under none; one entry or several.
func (e *Event) readSubscriptions(n *node) {
	wrapper := n
	for _, name := range []string{"SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent", "SubscribeMsgSentEvent"} {
		if n.has(name) {
			wrapper = n.child(name)
			break
		}
	}
	for _, entry := range wrapper.kids {
		if entry.name != "List" {
			continue
		}
		s := Subscription{
			TemplateID:  cut(entry.text("TemplateId"), 128),
			Accepted:    entry.text("SubscribeStatusString") == "accept",
			MsgID:       entry.number("MsgID"),
			ErrorCode:   entry.number("ErrorCode"),
			ErrorStatus: cut(entry.text("ErrorStatus"), maxStatus),
		}
		if e.Kind == KindSent {
			s.Accepted = entry.text("ErrorCode") == "0"
		}
		if s.TemplateID != "" {
			e.Subscriptions = append(e.Subscriptions, s)
		}
	}
	e.Attention = len(e.Subscriptions) == 0
}

func (e *Event) readRevokeInfo(list string) {
	for word := range strings.SplitSeq(cut(list, maxStatus), ",") {
		if v, err := strconv.Atoi(strings.TrimSpace(word)); err == nil {
			e.RevokeInfo = append(e.RevokeInfo, v)
		}
	}
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
