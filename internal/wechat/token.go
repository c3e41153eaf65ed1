package wechat

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// The token policy of wechat.md 3.4.
const (
	earlyRefresh  = 5 * time.Minute // the platform renews about then; old and new overlap
	refreshJitter = 30 * time.Second
	refreshRetry  = 10 * time.Second // after a failed early refresh, while the old one lives
	stuckPause    = 5 * time.Second  // doubles up to stuckLongest
	stuckLongest  = 2 * time.Minute
	stormLimit    = 60 // fetches an hour
)

// tokens holds the account's stable token (稳定版接口调用凭据). All workers share
// it; one of them fetches when it is due, the others wait for that one. Forced
// refresh is never used: it would kill the token of other replicas.
type tokens struct {
	account *Account
	flight  singleflight.Group

	mu      sync.Mutex
	random  *rand.Rand
	value   string
	last    string // the value before it was dropped
	expires time.Time
	refresh time.Time
	// dead is the last token that the platform refused. If a fetch yields it again,
	// everybody waits until pause is over; then it gets another chance, because the
	// refusal may have been the mistake. stuck counts such pauses in a row.
	dead  string
	pause time.Time
	stuck int
	// hour and fetches count towards stormLimit.
	hour    time.Time
	fetches int
}

// get returns a token that is good as far as we know.
func (t *tokens) get(ctx context.Context) (string, error) {
	if v, ok := t.cached(); ok {
		return v, nil
	}
	// The fetch outlives a caller that gives up: the others wait for it.
	fetched := t.flight.DoChan("", func() (any, error) {
		if v, ok := t.cached(); ok {
			return v, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.account.timeout)
		defer cancel()
		return t.fetch(ctx)
	})
	select {
	case r := <-fetched:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		reason, cause := reasonOf(ctx, ctx.Err(), ReasonTimeout)
		return "", &Error{Call: callOf(pathStableToken), Class: Retry, Reason: reason, cause: cause}
	}
}

func (t *tokens) cached() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.value, t.value != "" && t.account.clock().Before(t.refresh)
}

// expire drops the token that failed, unless another worker has replaced it already.
func (t *tokens) expire(failed string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == failed {
		t.value = ""
		t.dead = failed
	}
}

// fetch asks the platform. While the old token lives, a failure only delays.
func (t *tokens) fetch(ctx context.Context) (string, error) {
	var value string
	var life time.Duration
	err := t.admit()
	if err == nil {
		value, life, err = t.account.fetchToken(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.account.clock()
	if err != nil {
		if t.value != "" && now.Before(t.expires) {
			t.refresh = now.Add(refreshRetry)
			return t.value, nil
		}
		return "", err
	}
	if value == t.dead {
		pause := min(stuckPause<<min(t.stuck, 10), stuckLongest)
		t.pause = now.Add(pause + t.jitter(pause/4))
		t.dead = ""
		t.stuck++
		return "", &Error{Call: callOf(pathStableToken), Class: Token, Reason: ReasonStuck}
	}
	if value != t.last {
		t.last, t.stuck = value, 0
	}
	t.value, t.expires = value, now.Add(life)
	early := min(max(earlyRefresh, life/10), life/2)
	t.refresh = t.expires.Add(-early + t.jitter(min(refreshJitter, early/4)))
	return value, nil
}

// jitter keeps replicas from acting at the same moment.
func (t *tokens) jitter(up time.Duration) time.Duration {
	return time.Duration(t.random.Int64N(int64(up) + 1))
}

// admit refuses a fetch that would make a storm or is known to be useless.
func (t *tokens) admit() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.account.clock()
	if now.Before(t.pause) {
		return &Error{Call: callOf(pathStableToken), Class: Token, Reason: ReasonStuck}
	}
	if now.Sub(t.hour) >= time.Hour {
		t.hour, t.fetches = now, 0
	}
	if t.fetches++; t.fetches > stormLimit {
		return &Error{Call: callOf(pathStableToken), Class: Retry, Reason: ReasonStorm}
	}
	return nil
}

// fetchToken is the HTTP call. The secret goes in the body, never in a URL.
func (a *Account) fetchToken(ctx context.Context) (string, time.Duration, error) {
	body, err := json.Marshal(map[string]any{
		"grant_type": "client_credential", "appid": a.appID, "secret": a.secret.Reveal(), "force_refresh": false,
	})
	r := request{method: http.MethodPost, path: pathStableToken, body: body}
	if err != nil {
		return "", 0, r.fail(Program, ReasonRequest)
	}
	ans, err := a.exchange(ctx, r)
	if err != nil {
		return "", 0, err
	}
	if ans.code != 0 {
		return "", 0, refusal(pathStableToken, ans)
	}
	var token struct {
		Value string     `json:"access_token"`
		Life  lenientInt `json:"expires_in"`
	}
	if json.Unmarshal(ans.body, &token) != nil || token.Value == "" || token.Life.value <= 0 {
		return "", 0, r.fail(Retry, ReasonBody)
	}
	return token.Value, time.Duration(min(token.Life.value, 7200)) * time.Second, nil
}

// refusal is the error of a call that takes the AppSecret. What means a stale token
// elsewhere means a wrong secret here, and a person has to put it right.
func refusal(path string, ans *answer) *Error {
	e := &Error{Call: callOf(path), Code: ans.code, Class: classOf(ans.code), RID: ans.rid}
	switch ans.code {
	case codeBadSecret:
		e.Class = Human
	case codeInvalidCode, codeUsedCode:
		e.Class = User
	}
	return e
}
