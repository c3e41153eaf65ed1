// Package twin is an offline twin of the WeChat platform for one official account
// (公众号): API, callbacks, the people at their phones, and an audit of what each of
// them received. Tests and the demo use it where the real platform cannot be.
//
// It promises to be deterministic from its seed and never to leave the machine but
// for the callback and consent addresses that it is given. Where it deviates from
// the platform, README.md says so. It must never see a real person's data.
package twin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// ErrSettings says that a twin cannot be made as asked.
var ErrSettings = errors.New("twin settings")

// DefaultTemplate is the subscription template that exists if none is named.
const DefaultTemplate = "TEMPLATE_SPRING_TEA"

// defaultMaxPeople bounds memory: an openid of a later index is not the account's.
const defaultMaxPeople = 1_000_000

// Settings make a Platform.
type Settings struct {
	// AppID, OriginalID (gh_…) and Secret are the account's.
	AppID, OriginalID string
	Secret            subject.Secret
	// Keys sign and encrypt callbacks; their AppID is set by New.
	Keys callback.Keys
	// CallbackURL receives the callbacks; empty means that none are sent.
	CallbackURL string
	// Client carries callbacks and the browsers' requests; nil means http.DefaultTransport.
	Client http.RoundTripper
	// OpenPlatform names what the account is bound to: accounts with the same name and seed give a
	// person the same unionid. Empty: it gives none.
	OpenPlatform string
	// Seed decides openids, tokens, faults and the population.
	Seed uint64
	// Clock is the twin's time; nil means RealClock.
	Clock Clock
	// MaxPeople bounds the population; 0 means a million.
	MaxPeople int
	// Templates exist at the account; empty means DefaultTemplate.
	Templates []string
	// Limits replaces the built-in limits of single API paths.
	Limits map[string]Limit
	// Delivery spoils the order of callbacks.
	Delivery Delivery
}

// Platform is the twin. It is safe for concurrent use.
type Platform struct {
	settings Settings
	clock    Clock
	ids      *codec
	unions   *codec // nil: the account is bound to nothing
	out      *outbox
	massBusy chan struct{}

	mu     sync.Mutex
	random *rand.Rand
	people *people
	tokens tokenState
	usage  map[string]*usage
	faults []*fault
	jobs   massState
	codes  map[string]*webCode
	msgID  int64
	stats  stats
	story  *story
}

// stats are the numbers of the summary.
type stats struct {
	hosts    map[string]int64
	codes    map[int64]int64
	accepted int64
	lost     int64
}

// New makes a twin. Close stops its deliveries.
func New(s Settings) (*Platform, error) {
	if s.AppID == "" || s.Secret.IsZero() {
		return nil, fmt.Errorf("%w: app id and secret must be set", ErrSettings)
	}
	if s.Clock == nil {
		s.Clock = RealClock()
	}
	if s.MaxPeople == 0 {
		s.MaxPeople = defaultMaxPeople
	}
	if len(s.Templates) == 0 {
		s.Templates = []string{DefaultTemplate}
	}
	if s.OriginalID == "" {
		s.OriginalID = "gh_000000000000"
	}
	if s.Client == nil {
		s.Client = http.DefaultTransport
	}
	s.Keys.AppID = s.AppID
	ids, err := newCodec(s.Seed, s.AppID)
	if err != nil {
		return nil, err
	}
	unions, err := newUnions(s.Seed, s.OpenPlatform)
	if err != nil {
		return nil, err
	}
	p := &Platform{
		settings: s, clock: s.Clock, ids: ids, unions: unions, massBusy: make(chan struct{}, 1),
		random: newRandom(s.Seed, "platform"),
		people: newPeople(s.Templates),
		usage:  map[string]*usage{},
		codes:  map[string]*webCode{},
		msgID:  1_700_000_000_000_000_000,
		jobs:   newMassState(),
		stats:  stats{hosts: map[string]int64{}, codes: map[int64]int64{}},
	}
	p.out = newOutbox(s, newRandom(s.Seed, "outbox"))
	return p, nil
}

// Close stops deliveries that are under way and waits for them.
func (p *Platform) Close() { p.out.close() }

// newRandom is a source of its own for each purpose, so that one's draws do not
// shift another's.
func newRandom(seed uint64, purpose string) *rand.Rand {
	var key [32]byte
	copy(key[:], fmt.Appendf(nil, "%020d%s", seed, purpose))
	return rand.New(rand.NewChaCha8(key)) //nolint:gosec // must be repeatable
}

// OpenID returns the openid of the person with the index.
func (p *Platform) OpenID(index int) (subject.OpenID, error) {
	return subject.NewOpenID(p.ids.encode(index))
}

// person finds the index of an openid of this account.
func (p *Platform) person(openID string) (int, bool) {
	index, ok := p.ids.decode(openID)
	return index, ok && index < p.settings.MaxPeople
}

// Follow makes the person a follower and sends the callback. It returns whether the
// receiver took it.
func (p *Platform) Follow(ctx context.Context, index int) bool {
	p.update(func(now time.Time) { p.people.follow(index, now) })
	return p.notify(ctx, index, event("subscribe", "<EventKey></EventKey>"))
}

// Unfollow is the opposite of Follow. Unused answers to pop-ups stay: the platform
// documents nothing else.
func (p *Platform) Unfollow(ctx context.Context, index int) bool {
	p.update(func(time.Time) { p.people.unfollow(index) })
	return p.notify(ctx, index, event("unsubscribe", "<EventKey></EventKey>"))
}

// Scan is a follower's scan of a QR code.
func (p *Platform) Scan(ctx context.Context, index int, scene string) bool {
	return p.notify(ctx, index, event("SCAN", "<EventKey>"+escape(scene)+"</EventKey><Ticket>TICKET</Ticket>"))
}

// Click is a pressed menu key.
func (p *Platform) Click(ctx context.Context, index int, key string) bool {
	return p.notify(ctx, index, event("CLICK", "<EventKey>"+escape(key)+"</EventKey>"))
}

// Write is a text message to the account.
func (p *Platform) Write(ctx context.Context, index int, text string) bool {
	id := p.nextMsgID()
	return p.notify(ctx, index, fmt.Sprintf("<MsgType><![CDATA[text]]></MsgType><Content>%s</Content><MsgId>%d</MsgId>", escape(text), id))
}

// Answer is the answer to a subscription pop-up: one more message of the template
// if it is yes.
func (p *Platform) Answer(ctx context.Context, index int, template string, accept bool) bool {
	status := "reject"
	if accept {
		status = "accept"
		p.update(func(time.Time) { p.people.addGrant(index, template, 1) })
	}
	return p.notify(ctx, index, event("subscribe_msg_popup_event", "<SubscribeMsgPopupEvent><List><TemplateId>"+escape(template)+
		"</TemplateId><SubscribeStatusString>"+status+"</SubscribeStatusString><PopupScene>1</PopupScene></List></SubscribeMsgPopupEvent>"))
}

// Reject withdraws all answers to a template in the account's settings.
func (p *Platform) Reject(ctx context.Context, index int, template string) bool {
	p.update(func(time.Time) { p.people.addGrant(index, template, -(1 << 16)) })
	return p.notify(ctx, index, event("subscribe_msg_change_event", "<SubscribeMsgChangeEvent><List><TemplateId>"+escape(template)+
		"</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgChangeEvent>"))
}

// Block makes the person refuse the account's messages; the platform tells nobody.
func (p *Platform) Block(index int) {
	p.update(func(time.Time) {
		p.people.grow(index)
		p.people.flags[index] |= blocked
	})
}

func (p *Platform) update(f func(now time.Time)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p.clock.Now())
}

func (p *Platform) nextMsgID() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.msgID++
	return p.msgID
}
