package browser

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// control is a thing that people operate, as the browser tells it to a screen reader.
type control struct{ role, name, description string }

// controls lists the controls of the page from the browser's own accessibility tree, in the order of the page.
func (p *tab) controls() []control {
	p.t.Helper()
	tree, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	var out []control
	for _, n := range tree.Nodes {
		role := text(n.Role)
		if !n.Ignored && slices.Contains([]string{"checkbox", "radio", "button", "link", "group", "RootWebArea"}, role) {
			out = append(out, control{role, text(n.Name), text(n.Description)})
		}
	}
	return out
}

// text is a value of the accessibility tree.
func text(v *accessibility.Value) string {
	var out string
	if v == nil || json.Unmarshal(v.Value, &out) != nil {
		return ""
	}
	return out
}

// faint lists texts that do not stand out from what is behind them: by less than 4.5 to 1, which WCAG 2.2 asks for (1.4.3).
const faint = `(() => {
	const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
	const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
	const out = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (; walker.nextNode();) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.data.trim() || !e.checkVisibility()) continue;
		const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))], ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) out.push(ratio.toFixed(2) + ' ' + walker.currentNode.data.trim());
	}
	return out;
})()`

// headings are the levels of the headings in the order of the page.
const headings = `Array.from(document.querySelectorAll('h1, h2, h3, h4, h5, h6'), h => Number(h.tagName[1]))`

// audit finds what hinders people who do not see well, do not see, or hear the page.
func (p *tab) audit(lang string) {
	p.t.Helper()
	for _, f := range ask[[]string](p, faint) {
		p.t.Errorf("hard to read: %s", f)
	}
	levels := ask[[]int](p, headings)
	for i, l := range levels {
		if (i == 0) != (l == 1) || i > 0 && l > levels[i-1]+1 {
			p.t.Errorf("the headings have the levels %v", levels)
			break
		}
	}
	if got := ask[string](p, "document.documentElement.lang"); got != lang || len(levels) == 0 {
		p.t.Errorf("a screen reader would read in %q, with %d headings", got, len(levels))
	}
	if n := ask[int](p, "document.querySelectorAll('main').length"); n != 1 {
		p.t.Errorf("%d main parts", n)
	}
	for _, c := range p.controls() {
		if c.name == "" {
			p.t.Errorf("a %s without a name", c.role)
		}
	}
}

// TestAccessible looks at every kind of page in both languages, in the light and in the dark.
func TestAccessible(t *testing.T) {
	w := newTown(t, nil)
	for lang := range read {
		for name, scheme := range map[string][]option{"light": nil, "dark": {dark}} {
			t.Run(lang+" "+name, func(t *testing.T) {
				t.Parallel()
				p := w.phone(t, w.newcomer(t), lang, scheme...)
				p.open("/consent")
				p.audit(lang)
				p.tap(box("adult"), box(direct))
				p.audit(lang)
				p.follow(agree)
				p.audit(lang)
			})
		}
	}
	t.Run("what a screen reader says", func(t *testing.T) {
		t.Parallel()
		p := w.phone(t, w.newcomer(t), "zh-CN")
		p.open("/consent")
		got := p.controls()
		for _, want := range []control{
			{"RootWebArea", "隐私与偏好设置", ""},
			{"group", "处理目的（请逐项选择）", ""},
			{"checkbox", "营销推送 向您推送活动与优惠信息", "所需个人信息：微信 OpenID · 兴趣标签"},
			{"checkbox", "集团内部分析与报告 同意将上述信息提供给：Acme Group AG", ""},
			{"radio", "18 周岁及以上", ""},
			{"button", "全部拒绝", ""},
			{"button", "同意所选事项", ""},
		} {
			if !slices.Contains(got, want) {
				t.Errorf("nothing is announced as %q in\n%q", want, got)
			}
		}
		if n := len(slices.DeleteFunc(got, func(c control) bool { return c.role != "button" })); n != 2 {
			t.Errorf("%d buttons are announced", n)
		}
	})
}
