package browser

import "testing"

// small lists what is hard to hit with a thumb: under 44 CSS px high or wide, which is what Apple and WCAG 2.2 (2.5.5) ask for.
const small = `Array.from(document.querySelectorAll('label, a, button:not([hidden])'), e => [e, e.getBoundingClientRect()])
	.filter(([, r]) => r.width < 44 || r.height < 44).map(([e, r]) => r.width + 'x' + r.height + ' ' + e.textContent.trim())`

// wide lists what does not fit on the screen, or into its own box.
const wide = `Array.from(document.querySelectorAll('body *')).filter(e => e.checkVisibility() &&
	(e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 || e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline'))
	.map(e => e.tagName + ' ' + e.textContent.trim().slice(0, 40))`

// look is what makes a button catch the eye, apart from its place.
const look = `Array.from(document.querySelectorAll('.actions button'), b => {
	const r = b.getBoundingClientRect(), c = getComputedStyle(b);
	return [r.width, r.height, c.fontSize, c.fontWeight, c.color, c.backgroundColor, c.borderTopWidth + c.borderTopStyle + c.borderTopColor,
		c.borderRadius, c.opacity, c.boxShadow, c.textDecorationLine, c.transform].join(' ');
})`

// places are how far down the buttons are.
const places = `Array.from(document.querySelectorAll('.actions button'), b => b.offsetTop)`

// fits wants a page on which nothing is cut off or too small to hit, in the size of text that the person chose.
func (p *tab) fits() {
	p.t.Helper()
	if got := ask[int64](p, "Math.max(document.scrollingElement.scrollWidth, Math.round(visualViewport.width))"); got > p.handset.width {
		p.t.Errorf("the page is %d wide on a screen of %d", got, p.handset.width)
	}
	if got := ask[float64](p, "parseFloat(getComputedStyle(document.body).fontSize)"); got != float64(p.handset.fontSize) {
		p.t.Errorf("text has %v px where the person asked for %d", got, p.handset.fontSize)
	}
	for _, e := range ask[[]string](p, wide) {
		p.t.Errorf("does not fit: %s", e)
	}
	for _, e := range ask[[]string](p, small) {
		p.t.Errorf("hard to hit: %s", e)
	}
}

// fair wants a button to refuse that catches the eye as much as the one to agree, beside it unless the text is too large
// for two in a row.
func (p *tab) fair() {
	p.t.Helper()
	if b := ask[[]string](p, look); len(b) != 2 || b[0] != b[1] {
		p.t.Errorf("the buttons differ:\n%q", b)
	}
	if y := ask[[]int](p, places); p.handset.fontSize == ordinaryText && y[0] != y[1] {
		p.t.Errorf("one button comes after the other: %v", y)
	}
}

// TestLayout measures the pages on the phones that people have, and uses them.
func TestLayout(t *testing.T) {
	w := newTown(t, nil)
	for name, c := range map[string]struct {
		options []option
		shot    string
	}{
		"an ordinary phone":                     {nil, ""},
		"a narrow phone in the dark":            {[]option{narrow, dark}, "dark-narrow"},
		"text at 200 %":                         {[]option{largeText}, "text-200-percent"},
		"text at 200 % on a narrow, dark phone": {[]option{narrow, largeText, dark}, ""},
	} {
		for lang, say := range read {
			t.Run(name+" in "+lang, func(t *testing.T) {
				t.Parallel()
				who := w.newcomer(t)
				p := w.phone(t, who, lang, c.options...)
				p.open("/consent")
				p.fits()
				p.fair()
				if c.shot != "" {
					p.shot("consent-" + lang + "-" + c.shot)
				}
				p.tap(box("adult"), box(inland))
				p.follow(agree)
				p.see(say.thanks)
				p.fits()
				wantAnswers(t, w, who, "Adult", map[string]bool{direct: false, personal: false, abroad: false, inland: true})
			})
		}
	}
}
