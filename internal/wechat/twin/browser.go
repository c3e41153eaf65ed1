package twin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

const (
	authorizeHost = "open.weixin.qq.com"
	maxPage       = 1 << 20
	maxHops       = 6
	userAgent     = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 MicroMessenger/8.0.50 Language/zh_CN"
)

// Problems that a browser can have with the consent page. They become words in the
// summary and hold nothing of the page.
var (
	errPage = errors.New("consent page unreachable")
	errForm = errors.New("consent form not as agreed")
	errPost = errors.New("consent form refused")
)

// browser is one person's browser inside WeChat, enough of it for the consent page.
type browser struct {
	platform *Platform
	index    int
	// home is the consent page. Whatever public name the gateway uses in its
	// redirects, requests go to this host.
	home    *url.URL
	cookies map[string]string
}

func (p *Platform) newBrowser(index int, home *url.URL) *browser {
	return &browser{platform: p, index: index, home: home, cookies: map[string]string{}}
}

// consent opens the page, passes the authorisation, fills the form in and posts it.
func (b *browser) consent(ctx context.Context, age string, grants []string) error {
	page, body, err := b.open(ctx, b.home)
	if err != nil {
		return err
	}
	action, fields, err := fillForm(body, age, grants)
	if err != nil {
		return err
	}
	target, err := page.Parse(action)
	if err != nil {
		return fmt.Errorf("%w: action", errForm)
	}
	res, err := b.do(ctx, http.MethodPost, target, fields)
	if err != nil {
		return fmt.Errorf("%w: no answer", errPost)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("%w: status %d", errPost, res.StatusCode)
	}
	return nil
}

// open follows redirects to a page, through the authorisation page if it comes up.
func (b *browser) open(ctx context.Context, at *url.URL) (*url.URL, []byte, error) {
	for range maxHops {
		res, err := b.do(ctx, http.MethodGet, at, nil)
		if err != nil {
			return nil, nil, errPage
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
		_ = res.Body.Close()
		if err != nil {
			return nil, nil, errPage
		}
		if res.StatusCode == http.StatusOK {
			return at, body, nil
		}
		next, err := at.Parse(res.Header.Get("Location"))
		if res.StatusCode < 300 || res.StatusCode > 399 || err != nil {
			return nil, nil, fmt.Errorf("%w: status %d", errPage, res.StatusCode)
		}
		if next.Hostname() == authorizeHost {
			if next, err = b.platform.Authorize(b.index, next, false); err != nil {
				return nil, nil, err
			}
		}
		at = next
	}
	return nil, nil, fmt.Errorf("%w: too many redirects", errPage)
}

// do makes one request. Cookies are kept by name whatever their attributes say,
// because there is only one site.
func (b *browser) do(ctx context.Context, method string, at *url.URL, fields url.Values) (*http.Response, error) {
	target := *at
	target.Scheme, target.Host, target.Fragment = b.home.Scheme, b.home.Host, ""
	var body io.Reader
	if fields != nil {
		body = strings.NewReader(fields.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	req.Host = at.Host
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Language", "zh-CN,zh;q=0.9")
	req.Header.Set("Accept", "text/html")
	if fields != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", at.Scheme+"://"+at.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := b.platform.settings.Client.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return res, nil
}

// fillForm finds the first posted form: hidden inputs as they are, the age, and
// the wanted boxes, each of which must be there and unticked.
func fillForm(page []byte, age string, grants []string) (action string, fields url.Values, err error) {
	root, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		return "", nil, fmt.Errorf("%w: html", errForm)
	}
	form := findForm(root)
	if form == nil {
		return "", nil, fmt.Errorf("%w: no form", errForm)
	}
	found := readInputs(form, age)
	switch {
	case !found.age || found.hidden.Get("csrf") == "":
		return "", nil, fmt.Errorf("%w: age or csrf", errForm)
	case found.ticked:
		return "", nil, fmt.Errorf("%w: a box is ticked in advance", errForm)
	}
	fields = found.hidden
	fields.Set("age", age)
	for _, g := range grants {
		if !slices.Contains(found.grants, g) {
			return "", nil, fmt.Errorf("%w: a purpose is not asked for", errForm)
		}
		fields.Add("grant", g)
	}
	return attr(form, "action"), fields, nil
}

// inputs is what a form offers.
type inputs struct {
	hidden url.Values
	age    bool // the wanted answer is among those offered
	grants []string
	ticked bool // a box is ticked in advance, which no consent survives
}

func readInputs(form *html.Node, age string) inputs {
	found := inputs{hidden: url.Values{}}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		name, value := attr(n, "name"), attr(n, "value")
		switch {
		case n.Data == "option":
			found.age = found.age || value == age
		case n.Data != "input":
		case attr(n, "type") == "hidden":
			found.hidden.Add(name, value)
		case name == "age":
			found.age = found.age || value == age
		case name == "grant":
			found.grants = append(found.grants, value)
			found.ticked = found.ticked || has(n, "checked")
		}
	}
	return found
}

func findForm(root *html.Node) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.EqualFold(attr(n, "method"), http.MethodPost) {
			return n
		}
	}
	return nil
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
