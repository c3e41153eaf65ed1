package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

// Paths of the API, and the names of their calls in errors.
const (
	pathStableToken = "/cgi-bin/stable_token"
	pathBizSend     = "/cgi-bin/message/subscribe/bizsend"
	pathMassSend    = "/cgi-bin/message/mass/send"
	pathUserGet     = "/cgi-bin/user/get"
	pathWebToken    = "/sns/oauth2/access_token"
)

// callOf is the name that people know a call by.
func callOf(path string) string {
	if path == pathWebToken {
		return "oauth2"
	}
	for _, prefix := range []string{"/cgi-bin/message/subscribe/", "/cgi-bin/message/", "/cgi-bin/"} {
		if name, ok := strings.CutPrefix(path, prefix); ok {
			return name
		}
	}
	return path
}

// isSend tells whether a call carries a message to people. The family counts as a
// whole, its harmless members too: that only makes us more careful.
func isSend(path string) bool { return strings.HasPrefix(path, "/cgi-bin/message/") }

// request is what goes to whichever host answers.
type request struct {
	method string
	path   string
	query  url.Values
	body   []byte
}

// answer is a complete, bounded answer with HTTP status 200.
type answer struct {
	header http.Header
	body   []byte
	code   int64
	rid    string
}

// exchange makes the request at the first host that can be reached. It moves on to
// the next host when nothing was sent, and on the server's own failure when that is
// harmless; never because of an errcode. Its errors are of type *Error.
func (a *Account) exchange(ctx context.Context, r request) (*answer, error) {
	var last *Error
	for _, h := range a.hostOrder() {
		ans, err, next := a.exchangeAt(ctx, h, r)
		if err == nil {
			return ans, nil
		}
		last = err
		if next || err.Reason == ReasonTimeout {
			h.rests.Store(a.clock().Add(hostRest).UnixNano())
		}
		if !next || ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// exchangeAt tries one host. next tells whether another host may be tried.
func (a *Account) exchangeAt(ctx context.Context, h *host, r request) (ans *answer, failure *Error, next bool) {
	start := a.clock()
	o := Observation{Account: a.name, Host: h.name, Path: r.path}
	defer func() {
		o.Took = a.clock().Sub(start)
		if failure != nil {
			o.Class = failure.Class
		}
		a.observe(o)
	}()
	req, body, err := r.build(ctx, h.name)
	if err != nil {
		return nil, r.fail(Program, ReasonRequest), false
	}
	res, err := a.client.RoundTrip(req)
	if err != nil {
		failure, next = r.failTransport(ctx, err, body)
		return nil, failure, next
	}
	defer func() { _ = res.Body.Close() }()
	o.Status = res.StatusCode
	if res.StatusCode != http.StatusOK {
		failure, next = r.failStatus(res.StatusCode)
		return nil, failure, next
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		reason, cause := reasonOf(ctx, err, ReasonBroken)
		failure = r.fail(r.afterwards(), reason)
		failure.cause = cause
		return nil, failure, false
	}
	if len(raw) > maxAnswer {
		return nil, r.fail(r.afterwards(), ReasonSize), false
	}
	ans, ok := readAnswer(res.Header, raw)
	if !ok {
		return nil, r.fail(r.afterwards(), ReasonBody), false
	}
	o.Code, o.Class = ans.code, classOf(ans.code)
	return ans, nil, false
}

func (r request) fail(class Class, reason string) *Error {
	return &Error{Call: callOf(r.path), Class: class, Reason: reason}
}

// afterwards is the class of a failure after the request may have arrived. A
// message to people is not repeated then.
func (r request) afterwards() Class {
	if isSend(r.path) {
		return Unknown
	}
	return Retry
}

// failTransport classifies an error without an answer. If the body never left
// completely, the platform cannot have acted on it.
func (r request) failTransport(ctx context.Context, err error, body *trackedBody) (*Error, bool) {
	if body.offered.Load() {
		reason, cause := reasonOf(ctx, err, ReasonBroken)
		f := r.fail(r.afterwards(), reason)
		f.cause = cause
		return f, !isSend(r.path)
	}
	reason, cause := reasonOf(ctx, err, ReasonConnect)
	f := r.fail(Retry, reason)
	f.cause = cause
	return f, true
}

// failStatus is stricter than wechat.md 17 for sends: a 502 or 504 comes from a
// gateway that may have passed the request on, so only 503 and 429 count as refused.
func (r request) failStatus(status int) (*Error, bool) {
	f := r.fail(r.afterwards(), ReasonStatus)
	f.Status = status
	switch {
	case status >= 300 && status < 400:
		f.Reason = ReasonRedirect
		return f, false
	case status == http.StatusTooManyRequests:
		f.Class = Retry
		return f, false
	case status == http.StatusServiceUnavailable:
		f.Class = Retry
		return f, true
	}
	return f, status >= 500 && !isSend(r.path)
}

// build makes the HTTP request for one host. The body knows when it has been handed
// over; a request without one counts as handed over at once.
func (r request) build(ctx context.Context, host string) (*http.Request, *trackedBody, error) {
	u := url.URL{Scheme: "https", Host: host, Path: r.path, RawQuery: r.query.Encode()}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	tracked := &trackedBody{size: int64(len(r.body))}
	if len(r.body) == 0 {
		tracked.offered.Store(isSend(r.path))
		return req, tracked, nil
	}
	open := func() (io.ReadCloser, error) {
		return &bodyReader{Reader: bytes.NewReader(r.body), tracked: tracked}, nil
	}
	req.Body, _ = open()
	req.GetBody = open
	req.ContentLength = tracked.size
	req.Header.Set("Content-Type", "application/json;charset=utf-8")
	return req, tracked, nil
}

// trackedBody knows whether the last byte of a body was given to the connection.
// That moment is always before the platform can see the whole body, whereas a trace
// hook would fire after it, too late to tell.
type trackedBody struct {
	size    int64
	offered atomic.Bool
}

type bodyReader struct {
	*bytes.Reader
	tracked *trackedBody
}

// Read passes bytes on and notes when the last one went.
func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.Reader.Len() == 0 {
		b.tracked.offered.Store(true)
	}
	return n, err
}

// WriteTo hides the embedded method, which would bypass Read.
func (b *bodyReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{b})
}

// Close does nothing.
func (b *bodyReader) Close() error { return nil }

// readAnswer finds errcode and rid. A body that is no JSON object is no answer of
// the platform. An errcode written as a string is rewritten as a number, because
// the SDK's decoder insists on one.
func readAnswer(header http.Header, raw []byte) (*answer, bool) {
	var head struct {
		Code    lenientInt `json:"errcode"`
		Message string     `json:"errmsg"`
	}
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(raw, &head) != nil {
		return nil, false
	}
	ans := &answer{header: header, body: raw, code: head.Code.value, rid: ridOf(head.Message)}
	if !head.Code.quoted {
		return ans, true
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil, false
	}
	fields["errcode"] = strconv.AppendInt(nil, head.Code.value, 10)
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, false
	}
	ans.body = body
	return ans, true
}

// lenientInt reads an integer that may be written as a string.
type lenientInt struct {
	value  int64
	quoted bool
}

// UnmarshalJSON accepts 1, "1", "" and null.
func (l *lenientInt) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	l.quoted = len(s) != len(b)
	if s == "" || s == "null" {
		l.value = 0
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	l.value = v
	return err
}
