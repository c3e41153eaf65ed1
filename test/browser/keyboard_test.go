package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// focused tells what has the focus: by value, name or address.
const focused = `(e => e === document.body ? '' : e.value || e.name || e.getAttribute('href'))(document.activeElement)`

// focusShows is how the focus can be seen: a ring that is thick enough, stands out, and is on the screen.
const focusShows = `(() => {
	const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
	return e.matches(':focus-visible') && s.outlineStyle === 'solid' && parseFloat(s.outlineWidth) >= 2 &&
		r.top >= 0 && r.bottom <= innerHeight;
})()`

// press presses a key on the page.
func (p *tab) press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.do(chromedp.KeyEvent(k))
	}
}

// tabTo presses Tab until that has the focus.
func (p *tab) tabTo(want string) {
	p.t.Helper()
	for range 30 {
		p.press(kb.Tab)
		if ask[string](p, focused) == want {
			return
		}
	}
	p.t.Fatalf("Tab does not reach %s", want)
}

// TestKeyboard does everything without a finger on the screen.
func TestKeyboard(t *testing.T) {
	w := newTown(t, nil)
	t.Run("Tab reaches everything in the order of the page", func(t *testing.T) {
		t.Parallel()
		p := w.phone(t, w.newcomer(t), "zh-CN")
		p.open("/consent")
		var stops []string
		for {
			p.press(kb.Tab)
			stop := ask[string](p, focused)
			if stop == "" || len(stops) > 30 {
				break
			}
			stops = append(stops, stop)
			if !ask[bool](p, focusShows) {
				t.Errorf("nobody sees that %s has the focus", stop)
			}
			if stop == direct {
				p.shot("consent-zh-CN-keyboard-focus")
			}
		}
		want := []string{"/consent?lang=en", "adult", direct, personal, notice().GetRecipients()[0].GetRightsChannel(), abroad, notice().GetRecipients()[1].GetRightsChannel(), inland, "refuse", "agree", "/consent/record?lang=zh-CN", "/consent/receipt?lang=zh-CN"}
		for i, s := range stops { // both buttons have the value 1
			if s == "1" {
				stops[i] = want[min(i, len(want)-1)]
			}
		}
		if diff := cmp.Diff(want, stops); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the whole flow", func(t *testing.T) {
		t.Parallel()
		who := w.newcomer(t)
		p := w.phone(t, who, "zh-CN")
		p.open("/consent")
		p.tabTo("adult")
		p.press(" ", kb.ArrowDown)
		p.tabTo(personal)
		p.press(" ")
		p.tabTo(inland)
		p.press(" ", kb.Tab, kb.Tab)
		p.arrive(chromedp.KeyEvent(kb.Enter))
		p.see(guardians["zh-CN"].oneStepLeft)
		wantAnswers(t, w, who, "14to17", map[string]bool{direct: false, personal: true, abroad: false, inland: true})
		p.press(kb.Tab, kb.Tab) // past the button that asks a guardian
		p.arrive(chromedp.KeyEvent(kb.Enter))
		p.see(read["zh-CN"].title)
	})
	t.Run("Enter in a box saves what is ticked", func(t *testing.T) {
		t.Parallel()
		who := w.newcomer(t)
		p := w.phone(t, who, "zh-CN")
		p.open("/consent")
		p.tabTo("adult")
		p.press(" ")
		p.tabTo(direct)
		p.press(" ")
		p.arrive(chromedp.KeyEvent(kb.Enter))
		p.see(read["zh-CN"].thanks)
		wantAnswers(t, w, who, "Adult", map[string]bool{direct: true, personal: false, abroad: false, inland: false})
	})
}
