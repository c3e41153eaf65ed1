package browser

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// patience is how long a browser may take to start, and all that one phone does; each takes a second or two.
const patience = time.Minute

// maxHeight is from where on pictures have one dot to a CSS px: they take long to paint, and their text is large anyway.
const maxHeight = 4000

// Sizes of ordinary text, in CSS px.
const (
	ordinaryText = 16
	doubleText   = 32
)

// shots is where people find what the phones showed.
var shots = filepath.Join("..", "..", "dist", "screenshots")

// handset is what kind of phone somebody has.
type handset struct {
	width, height int64
	dots          float64 // to a CSS px
	dark          bool
	noScript      bool
	fontSize      int64 // CSS px that the person chose for ordinary text
}

// option changes the phone that everybody has: 375x667 at two dots a pixel, light, with scripts and ordinary text.
type option func(*handset)

func dark(h *handset)      { h.dark = true }
func noScript(h *handset)  { h.noScript = true }
func largeText(h *handset) { h.fontSize = doubleText }
func narrow(h *handset)    { h.width, h.height = 320, 568 }

// tab is a page of WeChat's browser on somebody's phone.
type tab struct {
	t       *testing.T
	ctx     context.Context // chromedp keeps the tab in a context
	handset handset
	taps    int // how often the person tapped

	mu       sync.Mutex
	news     chan struct{} // something was heard
	requests []string      // every address that was asked for
	console  []string      // what the browser complained about
	tampered bool          // somebody changed the page on its way: complaints are expected
	expect   string        // the status of a page that is meant to be a problem
}

// phone gives a person of the town a phone with WeChat in that language, in the account's chat.
func (w *town) phone(t *testing.T, who subject.OpenID, lang string, options ...option) *tab {
	t.Helper()
	h := handset{width: 375, height: 667, dots: 2, fontSize: ordinaryText}
	for _, o := range options {
		o(&h)
	}
	ctx, closeTab := chromedp.NewContext(w.browser, chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx, handset: h, news: make(chan struct{}, 1)}
	impatient := time.AfterFunc(patience, closeTab)
	p.do() // opens the tab, which lives by this context and not by that of what it does
	impatient.Stop()
	ctx, stop := context.WithTimeout(ctx, patience)
	p.ctx = ctx
	t.Cleanup(func() {
		p.checkRequests()
		stop()
		closeTab()
	})
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Func(h.set(lang)), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, network.SetCookie, network.SetCookieParams{Name: "twin_user", Value: who.Reveal(), URL: "https://" + wechatHost, Secure: new(true)})
		return err
	}))
	return p
}

// set makes the tab that of the handset.
func (h handset) set(lang string) func(context.Context, *chromedp.Target) error {
	agent := "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 " +
		"XWEB/1300000 MMWEBSDK/20260101 MicroMessenger/8.0.50.2701(0x28003253) WeChat/arm64 Weixin NetType/WIFI Language/" + strings.ReplaceAll(lang, "-", "_")
	scheme := "light"
	if h.dark {
		scheme = "dark"
	}
	return func(ctx context.Context, t *chromedp.Target) error {
		return first(
			call(ctx, t, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: lang}),
			h.show(ctx, t),
			call(ctx, t, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true}),
			call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: h.noScript}),
			call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}),
		)
	}
}

// show sets the screen and the size of the text; the browser forgets the second with the first.
func (h handset) show(ctx context.Context, t *chromedp.Target) error {
	return first(
		call(ctx, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: h.width, Height: h.height, DeviceScaleFactor: h.dots, Mobile: true}),
		call(ctx, t, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: h.fontSize, Fixed: h.fontSize}}),
	)
}

// call sends one command.
func call[P, R any](ctx context.Context, t *chromedp.Target, command cdp.Command[P, R], params P) error {
	_, err := cdp.Call(ctx, t, command, params)
	return err
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hear keeps what the browser tells about the page.
func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *cdplog.EventEntryAdded:
		p.console = append(p.console, e.Entry.Text)
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// waitForComplaint waits until the browser has complained about something with that word.
func (p *tab) waitForComplaint(word string) {
	p.t.Helper()
	for {
		p.mu.Lock()
		heard := slices.Clone(p.console)
		p.mu.Unlock()
		if slices.ContainsFunc(heard, func(c string) bool { return strings.Contains(c, word) }) {
			return
		}
		select {
		case <-p.news:
		case <-p.ctx.Done():
			p.t.Fatalf("the browser does not complain about %s, but: %q", word, heard)
		}
	}
}

// checkRequests: nobody but the gateway and WeChat was asked for anything, and the browser had nothing to complain about.
func (p *tab) checkRequests() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tampered {
		return
	}
	for _, r := range p.requests {
		to, err := url.Parse(r)
		if err != nil || to.Scheme != "https" || !slices.Contains([]string{gatewayHost, wechatHost}, to.Host) {
			p.t.Errorf("the page asked somebody else: %s", r)
		}
	}
	for _, c := range p.console {
		if p.expect == "" || !strings.Contains(c, "status of "+p.expect) {
			p.t.Errorf("the browser complains: %s", c)
		}
	}
}

// do runs steps.
func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// ask evaluates an expression over the page. It works without the page's scripts, too.
func ask[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// open goes to a page of the gateway, by way of WeChat if the gateway does not know the person yet.
func (p *tab) open(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate("https://" + gatewayHost + path))
}

// tap touches the middle of an element, after scrolling to it.
func (p *tab) tap(selectors ...string) {
	p.t.Helper()
	for _, s := range selectors {
		p.taps++
		p.do(chromedp.Tap(chromedp.CSS(s)))
	}
}

// follow taps what leads to another page, and waits for that page.
func (p *tab) follow(selector string) {
	p.t.Helper()
	p.taps++
	p.arrive(chromedp.Tap(chromedp.CSS(selector)))
}

// arrive does something that leads to another page, and waits for that page.
func (p *tab) arrive(act chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, act)); err != nil {
		p.t.Fatal(err)
	}
}

// see wants words on the page.
func (p *tab) see(words ...string) {
	p.t.Helper()
	text := ask[string](p, "document.body.innerText")
	for _, w := range words {
		if !strings.Contains(text, w) {
			p.t.Fatalf("%q is not on the page:\n%s", w, text)
		}
	}
}

// where returns the path of the page.
func (p *tab) where() string {
	p.t.Helper()
	return ask[string](p, "location.pathname")
}

// ticked lists the boxes and the age that are ticked.
func (p *tab) ticked() []string {
	p.t.Helper()
	return ask[[]string](p, "Array.from(document.querySelectorAll('input:checked'), i => i.value)")
}

// box is the label of a box of the form, which is what people tap.
func box(value string) string { return "label:has(> input[value=" + strconv.Quote(value) + "])" }

// shot keeps a picture of the whole page.
func (p *tab) shot(name string) {
	p.t.Helper()
	ordinary, tall := p.handset, p.handset
	tall.height = max(tall.height, ask[int64](p, "document.scrollingElement.scrollHeight")) // a screen that holds all of it
	if tall.height > maxHeight {
		tall.dots = 1
	}
	p.do(chromedp.Func(tall.show))
	picture, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{OptimizeForSpeed: new(true)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.do(chromedp.Func(ordinary.show))
	if err := first(os.MkdirAll(shots, 0o755), os.WriteFile(filepath.Join(shots, name+".png"), picture.Data, 0o644)); err != nil {
		p.t.Fatal(err)
	}
}
