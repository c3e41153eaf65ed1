package browser

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small lists what is hard to hit with a thumb: under 44 CSS px high or wide, which is what Apple and WCAG 2.2 (2.5.5) ask for.
const small = `Array.from(document.querySelectorAll('label, a, button:not([hidden])'), e => [e, e.getBoundingClientRect()])
	.filter(([, r]) => r.width < 44 || r.height < 44).map(([e, r]) => r.width + 'x' + r.height + ' ' + e.textContent.trim())`

// wide lists what does not fit on the screen, or into its own box.
const wide = `Array.from(document.querySelectorAll('body *')).filter(e => e.checkVisibility() &&
	(e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 || e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline'))
	.map(e => e.tagName + ' ' + e.textContent.trim().slice(0, 40))`

// look is what makes a button catch the eye.
const look = `(s => Array.from(document.querySelectorAll(s), b => {
	const r = b.getBoundingClientRect(), c = getComputedStyle(b);
	return [r.width, r.height, r.top, c.fontSize, c.fontWeight, c.color, c.backgroundColor, c.borderTopWidth + c.borderTopStyle + c.borderTopColor,
		c.borderRadius, c.opacity, c.boxShadow, c.textDecorationLine, c.transform].join(' ');
}))('.actions button')`

// fits wants a page on which nothing is cut off or too small to hit.
func (p *tab) fits(width int) {
	p.t.Helper()
	if got := ask[int](p, "Math.max(document.scrollingElement.scrollWidth, Math.round(visualViewport.width))"); got > width {
		p.t.Errorf("the page is %d wide on a screen of %d", got, width)
	}
	for _, e := range ask[[]string](p, wide) {
		p.t.Errorf("does not fit: %s", e)
	}
	for _, e := range ask[[]string](p, small) {
		p.t.Errorf("hard to hit: %s", e)
	}
}

// TestLayout measures the pages on the phones that people have.
func TestLayout(t *testing.T) {
	w := newTown(t, nil)
	for name, c := range map[string]struct {
		width   int
		options []option
		shot    string
	}{
		"an ordinary phone":                     {375, nil, ""},
		"a narrow phone":                        {320, []option{narrow}, "narrow"},
		"text at 200 %":                         {375, []option{largeText}, "text-200-percent"},
		"text at 200 % on a narrow, dark phone": {320, []option{narrow, largeText, dark}, ""},
	} {
		for lang, say := range read {
			t.Run(name+" in "+lang, func(t *testing.T) {
				t.Parallel()
				who := w.newcomer(t)
				p := w.phone(t, who, lang, c.options...)
				p.open("/consent")
				p.fits(c.width)
				if c.shot != "" {
					p.shot("consent-" + lang + "-" + c.shot)
				}
				p.tap(box("adult"), box(inland))
				p.follow(agree)
				p.see(say.thanks)
				p.fits(c.width)
				wantAnswers(t, w, who, "Adult", map[string]bool{direct: false, personal: false, abroad: false, inland: true})
			})
		}
	}
	t.Run("text follows the person's setting", func(t *testing.T) {
		t.Parallel()
		p := w.phone(t, w.newcomer(t), "zh-CN", largeText)
		p.open("/consent")
		if got := ask[string](p, "getComputedStyle(document.querySelector('dd')).fontSize"); got != "32px" {
			t.Errorf("text has %s where the person asked for 32px", got)
		}
	})
	for name, options := range map[string][]option{"light": nil, "dark": {dark}, "large": {largeText}} {
		t.Run("to refuse is as easy as to agree, "+name, func(t *testing.T) {
			t.Parallel()
			p := w.phone(t, w.newcomer(t), "zh-CN", options...)
			p.open("/consent")
			buttons := ask[[]string](p, look)
			if name == "large" { // there they stand one above the other
				buttons = ask[[]string](p, `Array.from(document.querySelectorAll('.actions button'), b => String([b.offsetWidth, b.offsetHeight]))`)
			}
			if len(buttons) != 2 || !cmp.Equal(buttons[0], buttons[1]) {
				t.Errorf("the buttons differ:\n%q", buttons)
			}
		})
	}
}
