package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRequest bounds a request's body: a mass send to 10,000 people has about 330 kB.
const maxRequest = 4 << 20

// Limit is how often a path may be called; 0 means without limit.
type Limit struct {
	PerMinute int64 `json:"perMinute,omitempty"`
	PerDay    int64 `json:"perDay,omitempty"`
}

// usage counts one limit's calls.
type usage struct {
	minute, day          int64
	thisMinute, todayCnt int64
}

// call is one API request, read completely.
type call struct {
	path  string
	query url.Values
	body  []byte
	now   time.Time
}

// decode reads the JSON body into v or returns the platform's code.
func (c *call) decode(v any) int64 {
	if len(c.body) == 0 {
		return 44002
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return 47001
	}
	return 0
}

// reply is what an endpoint answers: a code, more fields, or both.
type reply struct {
	code int64
	body map[string]any
}

func refuse(code int64) reply { return reply{code: code} }

// endpoint is one API path.
type endpoint struct {
	method string
	open   bool   // needs no access token
	shared string // the limit is shared under this name
	limit  Limit
	handle func(*Platform, *call) reply
}

// endpoints is the API that the twin has. Limits are those of wechat.md 6.
var endpoints = map[string]endpoint{
	"/cgi-bin/stable_token":              {http.MethodPost, true, "", Limit{10_000, 500_000}, stableToken},
	"/cgi-bin/token":                     {http.MethodGet, true, "", Limit{0, 2_000}, plainToken},
	"/cgi-bin/user/get":                  {http.MethodGet, false, "", Limit{0, 500}, userGet},
	"/cgi-bin/user/info":                 {http.MethodGet, false, "", Limit{0, 5_000_000}, userInfo},
	"/cgi-bin/message/subscribe/bizsend": {http.MethodPost, false, "", Limit{}, bizSend},
	"/cgi-bin/message/mass/send":         {http.MethodPost, false, "mass", Limit{60, 100}, massSend},
	"/cgi-bin/message/mass/sendall":      {http.MethodPost, false, "mass", Limit{60, 100}, massSendAll},
	"/cgi-bin/message/mass/get":          {http.MethodPost, false, "", Limit{}, massGet},
	"/sns/oauth2/access_token":           {http.MethodGet, true, "", Limit{50_000, 0}, webToken},
	"/cgi-bin/get_api_domain_ip":         {http.MethodGet, false, "", Limit{}, noAddresses},
	"/cgi-bin/getcallbackip":             {http.MethodGet, false, "", Limit{}, noAddresses},
	"/cgi-bin/message/template/send":     {http.MethodPost, false, "", Limit{0, 100_000}, notModelled},
	"/cgi-bin/message/custom/send":       {http.MethodPost, false, "", Limit{0, 500_000}, notModelled},
	"/cgi-bin/message/mass/preview":      {http.MethodPost, false, "", Limit{0, 100}, notModelled},
}

// notModelled answers calls that exist at the platform but not here: an account
// without the permission gets the same.
func notModelled(*Platform, *call) reply { return refuse(48001) }

func noAddresses(*Platform, *call) reply {
	return reply{body: map[string]any{"ip_list": []string{}}}
}

// texts are the platform's words for codes; clients must not depend on them.
var texts = map[int64]string{
	0: "ok", -1: "system error", 40001: "invalid credential, access_token is invalid or not latest",
	40003: "invalid openid", 40013: "invalid appid", 40014: "invalid access_token", 40029: "invalid code",
	40037: "invalid template_id", 40066: "invalid url", 40125: "invalid appsecret", 40130: "invalid openid list size, at least two openid",
	40163: "code been used", 41001: "access_token missing", 42001: "access_token expired", 43001: "require GET method",
	43002: "require POST method", 43101: "user refuse to accept the msg", 44002: "empty post data",
	45009: "reach max api daily quota limit", 45011: "api minute-quota reach limit must slower retry next minute",
	45028: "has no masssend quota", 45065: "clientmsgid exist", 45066: "same clientmsgid retry too fast",
	45067: "clientmsgid size out of limit", 47001: "data format error", 47003: "argument invalid! data.thing1.value is empty", 48001: "api unauthorized",
}

// API returns the handler for the platform's API hosts.
func (p *Platform) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connect/oauth2/authorize", p.authorizePage)
	mux.HandleFunc("/", p.serveAPI)
	return mux
}

func (p *Platform) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			p.write(w, refuse(47001))
		}
		return
	}
	host := hostOf(r)
	p.mu.Lock()
	p.stats.hosts[host]++
	f := p.matchFault(host, r.URL.Path)
	p.mu.Unlock()
	if f.spoils() {
		f.answer(w, r)
		return
	}
	c := &call{path: r.URL.Path, query: r.URL.Query(), body: body}
	out := p.answer(c, r.Method, f)
	if f.losesAnswer() {
		f.answer(w, r)
		return
	}
	f.delay(r.Context())
	p.write(w, out)
}

// hostOf is the name that the client used, without the port.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

// answer runs the checks in the order of wechat.md 21.2, then the endpoint.
func (p *Platform) answer(c *call, method string, f *fault) reply {
	e, ok := endpoints[c.path]
	if !ok {
		return refuse(40066)
	}
	if method != e.method {
		if e.method == http.MethodGet {
			return refuse(43001)
		}
		return refuse(43002)
	}
	if e.shared == "mass" {
		select {
		case p.massBusy <- struct{}{}:
			defer func() { <-p.massBusy }()
		default:
			return refuse(42010) // parallel mass sends of one account
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.now = p.clock.Now()
	if f.is("revoke") {
		p.revokeTokens(0)
	}
	out := p.checked(c, e, f)
	p.stats.codes[out.code]++
	if f.losesAnswer() && out.code == 0 {
		p.stats.lost++
	}
	return out
}

func (p *Platform) checked(c *call, e endpoint, f *fault) reply {
	if !e.open {
		if code := p.tokens.check(c.query.Get("access_token"), c.now); code != 0 {
			return refuse(code)
		}
	}
	if f.is("code") {
		return refuse(f.rule.Code)
	}
	if code := p.takeQuota(c, e); code != 0 {
		return refuse(code)
	}
	return e.handle(p, c)
}

// takeQuota counts the call, also one that is refused later.
func (p *Platform) takeQuota(c *call, e endpoint) int64 {
	limit := e.limit
	if l, ok := p.settings.Limits[c.path]; ok {
		limit = l
	}
	name := e.shared
	if name == "" {
		name = c.path
	}
	u := p.usage[name]
	if u == nil {
		u = &usage{}
		p.usage[name] = u
	}
	if m := c.now.Unix() / 60; m != u.minute {
		u.minute, u.thisMinute = m, 0
	}
	if d := dayOf(c.now); d != u.day {
		u.day, u.todayCnt = d, 0
	}
	if limit.PerMinute > 0 && u.thisMinute >= limit.PerMinute {
		return 45011
	}
	u.thisMinute++
	if limit.PerDay > 0 && u.todayCnt >= limit.PerDay {
		return 45009
	}
	u.todayCnt++
	return 0
}

// write sends a reply the way the platform words it.
func (p *Platform) write(w http.ResponseWriter, out reply) {
	body := out.body
	if body == nil {
		body = map[string]any{"errcode": out.code, "errmsg": "ok"}
	}
	if out.code != 0 {
		body["errcode"] = out.code
		body["errmsg"] = p.errmsg(out.code)
	}
	w.Header().Set("Content-Type", "application/json; encoding=utf-8")
	_ = json.NewEncoder(w).Encode(body) // the client may have left
}

// errmsg has the shape "text rid: time-random-random".
func (p *Platform) errmsg(code int64) string {
	text, ok := texts[code]
	if !ok {
		text = "unspecified error"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s rid: %08x-%08x-%08x", text, uint32(p.clock.Now().Unix()), p.random.Uint32(), p.random.Uint32())
}
