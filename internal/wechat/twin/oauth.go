package twin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// codeLife is how long a code of the web authorisation (网页授权) can be exchanged.
const codeLife = 5 * time.Minute

// userCookie names the virtual phone's owner at the authorisation page.
const userCookie = "twin_user"

// errAuthorize is what the authorisation page shows as an error page.
var errAuthorize = errors.New("authorisation request refused")

// webCode is a code that was given out.
type webCode struct {
	index    int
	expires  time.Time
	used     bool
	snapshot bool
}

// Authorize does what WeChat's browser and the authorisation page do together: it
// takes the page's address and returns the one that the browser is sent on to.
func (p *Platform) Authorize(index int, page *url.URL, snapshot bool) (*url.URL, error) {
	q := page.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case err != nil, back.Scheme != "https" && back.Scheme != "http", back.Host == "":
		return nil, fmt.Errorf("%w: redirect_uri", errAuthorize)
	case q.Get("appid") != p.settings.AppID:
		return nil, fmt.Errorf("%w: appid", errAuthorize)
	case q.Get("response_type") != "code":
		return nil, fmt.Errorf("%w: response_type", errAuthorize)
	case q.Get("scope") != "snsapi_base" && q.Get("scope") != "snsapi_userinfo":
		return nil, fmt.Errorf("%w: scope", errAuthorize)
	case !validState(q.Get("state")):
		return nil, fmt.Errorf("%w: state", errAuthorize)
	}
	params := back.Query()
	params.Set("code", p.issueCode(index, snapshot))
	params.Set("state", q.Get("state"))
	back.RawQuery = params.Encode()
	return back, nil
}

// validState: at most 128 letters and digits.
func validState(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return len(s) <= 128
}

func (p *Platform) issueCode(index int, snapshot bool) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for code, c := range p.codes {
		if now.Sub(c.expires) > codeLife {
			delete(p.codes, code)
		}
		if len(p.codes) < 10_000 {
			break // tidying a few at a time is enough
		}
	}
	p.tokens.issued++
	sum := sha256.Sum256(fmt.Appendf(nil, "code|%d|%d", p.settings.Seed, p.tokens.issued))
	code := hex.EncodeToString(sum[:16])
	p.codes[code] = &webCode{index: index, expires: now.Add(codeLife), snapshot: snapshot}
	return code
}

// authorizePage serves the page to a browser that carries the user cookie.
func (p *Platform) authorizePage(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(userCookie)
	if err != nil {
		http.Error(w, "open this page in WeChat", http.StatusForbidden)
		return
	}
	index, ok := p.person(cookie.Value)
	if !ok {
		http.Error(w, "open this page in WeChat", http.StatusForbidden)
		return
	}
	back, err := p.Authorize(index, r.URL, false)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// webToken exchanges a code.
func webToken(p *Platform, c *call) reply {
	q := c.query
	switch {
	case q.Get("appid") != p.settings.AppID:
		return refuse(40013)
	case q.Get("secret") != p.settings.Secret.Reveal():
		return refuse(40125)
	case q.Get("grant_type") != "authorization_code":
		return refuse(40002)
	case q.Get("code") == "":
		return refuse(41008)
	}
	code := p.codes[q.Get("code")]
	if code == nil || c.now.After(code.expires) {
		return refuse(40029)
	}
	if code.used {
		return refuse(40163)
	}
	code.used = true
	body := map[string]any{
		"access_token": p.mint("wt"), "expires_in": 7200, "refresh_token": p.mint("wr"),
		"openid": p.ids.encode(code.index), "scope": "snsapi_base",
	}
	if p.unions != nil {
		body["unionid"] = p.unions.encode(code.index)
	}
	if code.snapshot {
		delete(body, "unionid")
		// A snapshot page shows a virtual person, who is nobody's follower.
		body["openid"] = p.ids.encode(p.settings.MaxPeople + code.index)
		body["is_snapshotuser"] = 1
	}
	return reply{body: body}
}
