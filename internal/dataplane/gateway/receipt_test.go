package gateway

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// GetReceipt gives what the test put there, and none otherwise.
func (f *fakeIntake) GetReceipt(ctx context.Context, _ *storev1.GetReceiptRequest) (*storev1.GetReceiptResponse, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	if f.receipt == nil {
		return nil, word("NoConsents: none")
	}
	return &storev1.GetReceiptResponse{Receipt: f.receipt}, nil
}

// realReceipt is one that a real ledger made, of somebody who answers twice, as an adult or with
// a guardian.
func realReceipt(t *testing.T, age consent.AgeBand) []byte {
	t.Helper()
	clock := storetest.NewClock()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	w.Choose(t.Context(), "a", age, storetest.Purpose, storetest.Reporting)
	if age != consent.Adult {
		if err := w.Says("mother", w.Ask("a", 1), consent.GuardianVerified); err != nil {
			t.Fatal(err)
		}
	}
	w.Choose(t.Context(), "a", age, storetest.Purpose)
	raw, _, _ := w.Receipt("a")
	return raw
}

func TestReceipt_IsShownAndSaved(t *testing.T) {
	r := newRig(t)
	r.login()
	r.intake.receipt = realReceipt(t, consent.Adult)
	saved := r.do("/consent/receipt.json", nil)
	wantStatus(t, saved, http.StatusOK)
	if !bytes.Equal(saved.Body.Bytes(), r.intake.receipt) || saved.Header().Get("Content-Type") != "application/json" ||
		saved.Header().Get("Content-Disposition") != `attachment; filename="consent-receipt.json"` || saved.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("not the store's bytes as a file: %v", saved.Header())
	}
	kept, err := receipt.Decode(saved.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for lang, words := range map[string][]string{
		langZh: {"您的同意凭证", "个性化推荐", "同意", "撤回", "集团内部分析与报告", "acme-group-crm (瑞士)", "brand-notice, revision 3", "2026-11-24 12:00:00", "账本第 ", "何时向您展示", "告知书版本 3 · zh-CN"},
		langEn: {"Your consent receipt", "Personalised recommendations", "Agreed", "Withdrawn", "acme-group-crm (Switzerland)", "entry "},
	} {
		page := r.do("/consent/receipt?lang="+lang, nil)
		wantStatus(t, page, http.StatusOK)
		for _, w := range append(words, kept.PIIPrincipalID, kept.Evidence.VerifierKey, "/consent/receipt.json") {
			if !strings.Contains(html.UnescapeString(page.Body.String()), w) {
				t.Errorf("%s: %q is missing", lang, w)
			}
		}
		plain(t, page.Body.String())
	}
}

// TestReceipt_TellsWhatAGuardianSaid, and shows nothing of guardians where there is none.
func TestReceipt_TellsWhatAGuardianSaid(t *testing.T) {
	for age, there := range map[consent.AgeBand]bool{consent.From8: true, consent.Adult: false} {
		r := newRig(t)
		r.login()
		r.intake.receipt = realReceipt(t, age)
		for lang, words := range map[string][]string{
			langZh: {"监护人代您作出的表示", "已请求，尚未答复", "同意 · 父母"},
			langEn: {"What a guardian said for you", "asked, not answered yet", "agreed · Parent"},
		} {
			page := html.UnescapeString(r.do("/consent/receipt?lang="+lang, nil).Body.String())
			for _, w := range words[:1] {
				if strings.Contains(page, w) != there {
					t.Errorf("%s, %s: %q is there: %t", age, lang, w, !there)
				}
			}
			for _, w := range words[1:] {
				if there && !strings.Contains(page, w) {
					t.Errorf("%s: %q is missing", lang, w)
				}
			}
		}
	}
}

// plain refuses what the pages must not have: scripts, and what is loaded from elsewhere.
func plain(t *testing.T, page string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && slices.Contains([]string{"script", "img", "link", "iframe", "object"}, n.Data) {
			t.Errorf("the page has a %s", n.Data)
		}
	}
}

func TestReceipt_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(r *rig)
		path    string
		want    int
		says    string
	}{
		"a file without a session":      {func(r *rig) { delete(r.cookies, sessionCookie) }, "/consent/receipt.json", 403, "过期"},
		"the page without a session":    {func(r *rig) { delete(r.cookies, sessionCookie) }, "/consent/receipt", 303, ""},
		"who has answered nothing":      {func(*rig) {}, "/consent/receipt", 404, "还没有记录"},
		"a file, when nothing was said": {func(*rig) {}, "/consent/receipt.json", 404, "还没有记录"},
		"when the store is away":        {func(r *rig) { r.intake.err = errStore }, "/consent/receipt", 503, "暂时无法"},
		"a receipt that cannot be read": {func(r *rig) { r.intake.receipt = []byte("{") }, "/consent/receipt", 500, "出现错误"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.login()
			c.prepare(r)
			w := r.do(c.path, nil)
			wantStatus(t, w, c.want)
			if !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("the page does not say %q", c.says)
			}
			if strings.Contains(r.log.String(), canary) || strings.Contains(w.Body.String(), canary) {
				t.Error("the identifier got out")
			}
		})
	}
}

// TestReceipt_IsLinked: from the page after the form, and from the form.
func TestReceipt_IsLinked(t *testing.T) {
	r := newRig(t)
	r.login()
	form := r.form("DirectMarketing")
	for _, page := range []string{r.do("/consent", nil).Body.String(), r.do(r.do("/consent", form).Header().Get("Location"), nil).Body.String()} {
		if !strings.Contains(page, `href="/consent/receipt?lang=zh-CN"`) {
			t.Error("no link to the receipt")
		}
	}
}
