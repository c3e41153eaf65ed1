package wechat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/silenceper/wechat/v2/util"
)

// sdkHost is the host that the SDK has compiled in. It is never dialled.
const sdkHost = "api.weixin.qq.com"

// sdk returns the router that sits under the SDK. The SDK has one HTTP client for
// the whole process in a variable of its own, so there is one router as well; the
// first account installs it, before any call can be made.
var sdk = sync.OnceValue(func() *router {
	r := &router{}
	util.DefaultHTTPClient = &http.Client{
		Transport: r,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return r
})

// router lets the SDK's requests out: only those that carry a known account's
// placeholder, and only to that account's hosts. The placeholder stands where the
// token goes, so that the SDK never holds the token and cannot print it.
type router struct {
	accounts sync.Map // placeholder -> *Account
	count    atomic.Int64
}

func (r *router) add(a *Account) string {
	placeholder := "acct." + strconv.FormatInt(r.count.Add(1), 10)
	r.accounts.Store(placeholder, a)
	return placeholder
}

func (r *router) remove(a *Account) { r.accounts.Delete(a.placeholder) }

// RoundTrip implements http.RoundTripper.
func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	in, err := readRequest(req)
	if err != nil {
		return nil, err
	}
	a, ok := r.accounts.Load(in.query.Get("access_token"))
	if !ok || req.URL.Scheme != "https" || req.URL.Host != sdkHost {
		return nil, in.fail(Program, ReasonHost)
	}
	ans, err := a.(*Account).authorised(req.Context(), in)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: ans.header, Body: io.NopCloser(bytes.NewReader(ans.body)),
		ContentLength: int64(len(ans.body)), Request: req,
	}, nil
}

// readRequest takes the SDK's request apart. The body is closed, as a RoundTripper must.
func readRequest(req *http.Request) (request, error) {
	in := request{method: req.Method, path: req.URL.Path, query: req.URL.Query()}
	if req.Body == nil {
		return in, nil
	}
	defer func() { _ = req.Body.Close() }()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return in, in.fail(Program, ReasonRequest)
	}
	in.body = body
	return in, nil
}

// authorised makes the request with the account's token. If the platform refuses
// the token it is replaced, once for all workers, and the request made once more:
// a refused token means that nothing was accepted.
func (a *Account) authorised(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	token, err := a.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	r.query.Set("access_token", token)
	ans, err := a.exchange(ctx, r)
	if err != nil || classOf(ans.code) != Token {
		return ans, err
	}
	a.tokens.expire(token)
	if token, err = a.tokens.get(ctx); err != nil {
		return nil, err
	}
	r.query.Set("access_token", token)
	return a.exchange(ctx, r)
}

// post makes a call through the SDK's client and decodes the answer, also that of a
// refusal, into a struct with an embedded util.CommonError.
func (a *Account) post(ctx context.Context, path string, payload, into any) error {
	uri := "https://" + sdkHost + path + "?access_token=" + a.placeholder
	body, err := util.PostJSONContext(ctx, uri, payload)
	return decode(ctx, path, body, err, into)
}

// get is post for calls without a body.
func (a *Account) get(ctx context.Context, path string, query url.Values, into any) error {
	query.Set("access_token", a.placeholder)
	body, err := util.HTTPGetContext(ctx, "https://"+sdkHost+path+"?"+query.Encode())
	return decode(ctx, path, body, err, into)
}

// decode turns whatever the SDK returns into an *Error without its texts.
func decode(ctx context.Context, path string, body []byte, err error, into any) error {
	r := request{path: path}
	if err != nil {
		var known *Error
		if errors.As(err, &known) {
			return known
		}
		// The client gave up between our transport and itself: it had been sent.
		reason, cause := reasonOf(ctx, err, ReasonBroken)
		return &Error{Call: callOf(path), Class: r.afterwards(), Reason: reason, cause: cause}
	}
	err = util.DecodeWithError(body, into, callOf(path))
	var refused *util.CommonError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return &Error{Call: callOf(path), Code: refused.ErrCode, Class: classOf(refused.ErrCode), RID: ridOf(refused.ErrMsg)}
	}
	return r.fail(r.afterwards(), ReasonBody)
}
