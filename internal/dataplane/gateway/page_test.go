package gateway

import (
	"flag"
	"html/template"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden pages")

func TestPages_Golden(t *testing.T) {
	for name, path := range map[string]string{"form.zh-CN": "/consent", "form.en": "/consent?lang=en", "done.zh-CN": "/consent/done", "done.en": "/consent/done?lang=en"} {
		r := newRig(t)
		r.login()
		if path != "/consent" && path != "/consent?lang=en" {
			r.do("/consent", r.form())
		}
		got := r.do(path, nil).Body.String()
		got = strings.Replace(got, string(mustPages(t).style), "", 1) // the style has its own file
		file := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func mustPages(t *testing.T) *pages {
	t.Helper()
	p, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTexts_SameInBothLanguages also finds texts that nobody shows.
func TestTexts_SameInBothLanguages(t *testing.T) {
	p := mustPages(t)
	zh, en := p.texts[langZh], p.texts[langEn]
	for name, pair := range map[string][2]map[string]string{
		"text": {zh.Text, en.Text}, "purposes": {zh.Purposes, en.Purposes}, "categories": {zh.Categories, en.Categories}, "countries": {zh.Countries, en.Countries},
	} {
		for i := range pair {
			for k, v := range pair[i] {
				if v == "" || pair[1-i][k] == "" {
					t.Errorf("%s: %s has no text in one of the languages", name, k)
				}
			}
		}
	}
	for _, bad := range []problem{problemForm, problemForged, problemExpired, problemStore, problemPlatform, problemNotice, problemInternal, problemReceipt} {
		if m := p.message(langZh, "problem."+bad.word).Message; m.Title == "" || m.Text == "" {
			t.Errorf("problem %s has no text", bad.word)
		}
	}
	for _, a := range ages {
		if zh.Text["age."+string(a.answer)] == "" {
			t.Errorf("age %s has no text", a.answer)
		}
	}
}

// TestForm_Accessible: every input has a label, every id is unique, what is referred to is
// there, and nothing is loaded or run.
func TestForm_Accessible(t *testing.T) {
	r := newRig(t)
	r.login()
	root, err := html.Parse(r.do("/consent", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	ids, refers := map[string]bool{}, []string{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{"script", "img", "link", "iframe"}, n.Data) {
			t.Errorf("the page has a %s", n.Data)
		}
		labelled, hidden := n.Parent != nil && n.Parent.Data == "label", false
		for _, a := range n.Attr {
			switch {
			case a.Key == "id" && ids[a.Val]:
				t.Errorf("id %s twice", a.Val)
			case a.Key == "id":
				ids[a.Val] = true
			case a.Key == "aria-describedby", a.Key == "aria-labelledby":
				refers = append(refers, a.Val)
			case a.Key == "type" && a.Val == "hidden":
				hidden = true
			case a.Key == "style", strings.HasPrefix(a.Key, "on"):
				t.Errorf("the policy forbids %s", a.Key)
			}
		}
		if n.Data == "input" && !hidden && !labelled {
			t.Error("an input without a label")
		}
	}
	for _, id := range refers {
		if !ids[id] {
			t.Errorf("nothing has the id %s", id)
		}
	}
}

func TestForm_ShowsTheWholeNotice(t *testing.T) {
	r := newRig(t)
	r.login()
	for lang, words := range map[string][]string{
		"zh-CN": {"Acme (China) Co. Ltd.", "privacy@acme.example", "向您推送活动与优惠信息", "微信 OpenID", "兴趣标签", "Acme Group AG", "dpo@acme-group.example", "瑞士", "SomethingNew", "https://acme-group.example/rights", "730 天", "Mainland China", "您可随时", "拒绝不影响", "集团内部分析与报告",
			"由软件加密存储并处理", "加密存储", "按互动评分", "向我们投诉", "推荐需要评分", "可能推断您的兴趣", "统计分析"},
		"en": {"Send you offers", "WeChat OpenID", "Switzerland", "730 days", "withdraw at any time", "拒绝不影响", "Pseudonymous number", "Recommend content &lt;b&gt;",
			"Software keeps and processes them", "Encrypted at rest", "Scored by what you do", "Complain to us", "Recommending needs a score", "It may tell what you like", "Statistics"},
	} {
		page := r.do("/consent?lang="+lang, nil).Body.String()
		for _, w := range words {
			if !strings.Contains(page, w) {
				t.Errorf("%s: %s is missing", lang, w)
			}
		}
	}
}

func TestStyleIsAdmittedByThePolicy(t *testing.T) {
	p := mustPages(t)
	if p.style == template.CSS("") {
		t.Fatal("no style")
	}
	r := newRig(t)
	w := r.do("/consent?code=x", nil)
	m := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if m == nil || m[1] != string(p.style) {
		t.Error("the style in the page is not the one that the policy names")
	}
}

func TestLanguage(t *testing.T) {
	for name, c := range map[string]struct{ query, header, want string }{
		"nothing said":               {"", "", langZh},
		"a Chinese browser":          {"", "zh-CN,zh;q=0.9,en;q=0.8", langZh},
		"an English browser":         {"", "en-GB,en;q=0.9,zh;q=0.8", langEn},
		"German, then English":       {"", "de-CH, en;q=0.5", langEn},
		"the address wins":           {"?lang=en", "zh-CN", langEn},
		"a language that there isnt": {"?lang=fr", "en", langEn},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/consent"+c.query, nil)
		r.Header.Set("Accept-Language", c.header)
		if got := language(r); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
