package twin

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// Token times of wechat.md 3.
const (
	tokenLife    = 2 * time.Hour
	tokenOverlap = 5 * time.Minute
	forcePause   = 30 * time.Second
	forcesPerDay = 20
)

// tokenKind is the state of one kind of token. The two kinds do not retire each other.
type tokenKind struct {
	value   string
	expires time.Time
	// previous lives on for the overlap.
	previous      string
	previousUntil time.Time
	// retired are values that were good once, for telling 40001 from 40014.
	retired map[string]time.Time
}

func (k *tokenKind) issue(value string, now time.Time, overlap bool) {
	k.retire(k.previous)
	if k.value != "" && overlap {
		k.previous, k.previousUntil = k.value, now.Add(tokenOverlap)
	} else {
		k.retire(k.value)
		k.previous = ""
	}
	k.value, k.expires = value, now.Add(tokenLife)
}

func (k *tokenKind) retire(value string) {
	if value == "" {
		return
	}
	if k.retired == nil || len(k.retired) > 1000 {
		k.retired = map[string]time.Time{}
	}
	k.retired[value] = k.expires
}

// check returns 0 or the code for a token of this kind; known is false for others.
func (k *tokenKind) check(token string, now time.Time) (code int64, known bool) {
	switch token {
	case k.value:
		if now.After(k.expires) {
			return 42001, true
		}
		return 0, true
	case k.previous:
		if now.After(k.previousUntil) {
			return 40001, true
		}
		return 0, true
	}
	_, known = k.retired[token]
	return 40001, known
}

// tokenState is the account's tokens.
type tokenState struct {
	plain, stable tokenKind
	issued        int64
	fetches       int64
	forced        int
	forcedDay     int64
	forcedAt      time.Time
	// stuckUntil makes stable_token hand out the revoked token, as the platform has
	// been seen to do.
	stuckUntil time.Time
	stuck      string
}

func (s *tokenState) check(token string, now time.Time) int64 {
	if token == "" {
		return 41001
	}
	for _, k := range []*tokenKind{&s.stable, &s.plain} {
		if code, known := k.check(token, now); known {
			return code
		}
	}
	return 40014
}

// mint makes a token that can be told from others by its number only.
func (p *Platform) mint(kind string) string {
	p.tokens.issued++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%d", kind, p.settings.Seed, p.tokens.issued))
	return kind + "_" + base64.RawURLEncoding.EncodeToString(append(sum[:], sum[:]...))
}

// RevokeTokens kills the current tokens at once, as a reset at the console does. For
// the given time stable_token goes on handing out the dead one.
func (p *Platform) RevokeTokens(stuck time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revokeTokens(stuck)
}

func (p *Platform) revokeTokens(stuck time.Duration) {
	s := &p.tokens
	s.stuck, s.stuckUntil = s.stable.value, p.clock.Now().Add(stuck)
	for _, k := range []*tokenKind{&s.stable, &s.plain} {
		k.retire(k.value)
		k.retire(k.previous)
		k.value, k.previous = "", ""
	}
}

type tokenRequest struct {
	GrantType string `json:"grant_type"`
	AppID     string `json:"appid"`
	Secret    string `json:"secret"`
	Force     bool   `json:"force_refresh"`
}

func (p *Platform) checkTokenRequest(in tokenRequest) int64 {
	switch {
	case in.GrantType != "client_credential":
		return 40002
	case in.AppID == "":
		return 41002
	case in.AppID != p.settings.AppID:
		return 40013
	case in.Secret == "":
		return 41004
	case in.Secret != p.settings.Secret.Reveal():
		return 40125
	}
	return 0
}

func stableToken(p *Platform, c *call) reply {
	var in tokenRequest
	if code := c.decode(&in); code != 0 {
		return refuse(code)
	}
	if code := p.checkTokenRequest(in); code != 0 {
		return refuse(code)
	}
	s := &p.tokens
	s.fetches++
	if c.now.Before(s.stuckUntil) && s.stuck != "" {
		return tokenReply(s.stuck, tokenLife)
	}
	if in.Force {
		if code := s.force(c.now); code != 0 {
			return refuse(code)
		}
		s.stable.issue(p.mint("st"), c.now, false)
	}
	if s.stable.value == "" || s.stable.expires.Sub(c.now) <= tokenOverlap {
		s.stable.issue(p.mint("st"), c.now, true)
	}
	return tokenReply(s.stable.value, s.stable.expires.Sub(c.now))
}

// force counts a forced refresh. Calls that come too close do not refresh, here
// simply by a minute-limit answer.
func (s *tokenState) force(now time.Time) int64 {
	if day := dayOf(now); day != s.forcedDay {
		s.forcedDay, s.forced = day, 0
	}
	if s.forced >= forcesPerDay {
		return 45009
	}
	if now.Sub(s.forcedAt) < forcePause {
		return 45011
	}
	s.forced++
	s.forcedAt = now
	return 0
}

func plainToken(p *Platform, c *call) reply {
	q := c.query
	in := tokenRequest{GrantType: q.Get("grant_type"), AppID: q.Get("appid"), Secret: q.Get("secret")}
	if code := p.checkTokenRequest(in); code != 0 {
		return refuse(code)
	}
	p.tokens.fetches++
	p.tokens.plain.issue(p.mint("pt"), c.now, true)
	return tokenReply(p.tokens.plain.value, tokenLife)
}

func tokenReply(value string, left time.Duration) reply {
	return reply{body: map[string]any{"access_token": value, "expires_in": int64(left / time.Second)}}
}
