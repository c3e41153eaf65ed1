package twin

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// Delivery rules of wechat.md 13.3.
const (
	attempts       = 3
	attemptSpacing = 5 * time.Second
	answerDeadline = 5 * time.Second
	outboxWorkers  = 8
	outboxRoom     = 1 << 16
)

// Delivery spoils callbacks on purpose.
type Delivery struct {
	// DuplicateShare of callbacks arrive twice.
	DuplicateShare float64 `json:"duplicateShare,omitempty"`
	// LateShare of queued callbacks arrive up to LateSeconds later than the others.
	LateShare   float64 `json:"lateShare,omitempty"`
	LateSeconds int     `json:"lateSeconds,omitempty"`
}

// message is a callback before encryption.
type message struct {
	openID string
	body   string
	due    time.Time
}

// outbox delivers callbacks.
type outbox struct {
	url      string
	account  string
	keys     callback.Keys
	client   http.RoundTripper
	clock    Clock
	delivery Delivery

	life   context.Context
	end    context.CancelFunc
	queue  chan message
	worker sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand

	sent, acknowledged, failed, dropped atomic.Int64
}

func newOutbox(s Settings, random *rand.Rand) *outbox {
	o := &outbox{
		url: s.CallbackURL, account: s.OriginalID, keys: s.Keys, client: s.Client, clock: s.Clock, delivery: s.Delivery,
		queue: make(chan message, outboxRoom), random: random,
	}
	o.life, o.end = context.WithCancel(context.Background())
	if o.url == "" {
		return o
	}
	for range outboxWorkers {
		o.worker.Go(o.work)
	}
	return o
}

func (o *outbox) close() {
	o.end()
	o.worker.Wait()
}

// enqueue hands a callback to the workers. When the queue is full it is lost, as it
// is with the platform after its retries.
func (o *outbox) enqueue(m message) {
	if o.url == "" {
		return
	}
	select {
	case o.queue <- m:
	default:
		o.dropped.Add(1)
	}
}

func (o *outbox) work() {
	for {
		select {
		case <-o.life.Done():
			return
		case m := <-o.queue:
			wait := m.due.Sub(o.clock.Now())
			if o.draw(o.delivery.LateShare) {
				wait = max(wait, 0) + time.Duration(o.delivery.LateSeconds)*time.Second
			}
			if wait > 0 && o.clock.Sleep(o.life, wait) != nil {
				return
			}
			o.deliver(o.life, m)
		}
	}
}

func (o *outbox) draw(share float64) bool {
	if share <= 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.random.Float64() < share
}

// deliver tries a callback three times and tells whether the receiver took it.
func (o *outbox) deliver(ctx context.Context, m message) bool {
	if o.url == "" {
		return true
	}
	o.sent.Add(1)
	times := 1
	if o.draw(o.delivery.DuplicateShare) {
		times = 2
	}
	taken := false
	for range times {
		taken = o.try(ctx, m) || taken
	}
	if taken {
		o.acknowledged.Add(1)
	} else {
		o.failed.Add(1)
	}
	return taken
}

func (o *outbox) try(ctx context.Context, m message) bool {
	for attempt := range attempts {
		if attempt > 0 && o.clock.Sleep(ctx, attemptSpacing) != nil {
			return false
		}
		if o.post(ctx, m) {
			return true
		}
	}
	return false
}

// post is one attempt: signed, encrypted, with the deadline.
func (o *outbox) post(ctx context.Context, m message) bool {
	sealed, err := o.seal(m.body)
	if err != nil {
		return false
	}
	query := o.keys.Query(sealed)
	query.Set("openid", m.openID) // as the platform does; no signature covers it
	ctx, cancel := context.WithTimeout(ctx, answerDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+"?"+query.Encode(), bytes.NewReader(sealed.Envelope(o.account)))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "text/xml")
	res, err := o.client.RoundTrip(req)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil || res.StatusCode != http.StatusOK {
		return false
	}
	word := strings.TrimSpace(string(answer))
	return word == "" || word == "success" || strings.HasPrefix(word, "<xml><Encrypt>")
}

func (o *outbox) seal(body string) (callback.Sealed, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	nonce := strconv.FormatUint(o.random.Uint64N(1e10), 10)
	return o.keys.Seal(o.keys.Current, []byte(body), nonce, o.clock.Now(), randomReader{o.random})
}

type randomReader struct{ *rand.Rand }

// Read fills p from the seeded source.
func (r randomReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// notify delivers a person's event and waits for the receiver.
func (p *Platform) notify(ctx context.Context, index int, body string) bool {
	return p.out.deliver(ctx, p.message(index, body, p.clock.Now()))
}

// message wraps an event's own fields with those that all have.
func (p *Platform) message(index int, body string, now time.Time) message {
	openID := p.ids.encode(index)
	return message{openID: openID, due: now, body: fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName>"+
		"<CreateTime>%d</CreateTime>%s</xml>", p.settings.OriginalID, openID, now.Unix(), body)}
}

func event(name, fields string) string {
	return "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[" + name + "]]></Event>" + fields
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
