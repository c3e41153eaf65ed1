package browser

import (
	"bytes"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// What a person taps who wants to see, to keep, and to have erased.
const (
	theRecord  = "a[href^='/consent/record?']"
	theReceipt = "a[href^='/consent/receipt?']"
	eraseMe    = "a[href^='/consent/erase']"
	eraseNow   = ".actions button"
)

// owned are the words of these pages in one language.
type owned struct{ record, given, receipt, verify, erase, erased string }

var owners = map[string]owned{
	"zh-CN": {"我们持有的您的个人信息", "营销推送", "同意凭证", "maodian ledger verify", "删除我的个人信息", "已删除"},
	"en":    {"What we hold about you", "Marketing messages", "consent receipt", "maodian ledger verify", "Erase my data", "Erased"},
}

// TestRights: a person sees what is held, keeps a receipt that proves itself, and is erased.
func TestRights(t *testing.T) {
	w := newTown(t, nil)
	for lang, options := range map[string][]option{"zh-CN": {noScript}, "en": {dark}} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			say, who := owners[lang], w.newcomer(t)
			p := w.phone(t, who, lang, options...)
			p.open("/consent")
			p.tap(box("adult"), box(direct), box(abroad))
			p.follow(agree)

			p.follow(theReceipt)
			p.see(say.receipt, say.given, say.verify)
			p.fits()
			p.shot("receipt-" + lang)
			wantProof(t, w, who)

			p.open("/consent")
			p.follow(theRecord)
			p.see(say.record, say.given)
			p.fits()
			p.shot("record-" + lang)

			p.follow(eraseMe)
			p.see(say.erase)
			p.fits()
			p.shot("erase-" + lang + "-1-sure")
			p.tap(box("yes"))
			p.follow(eraseNow)
			p.see(say.erased)
			p.shot("erase-" + lang + "-2-done")
			wantAnswers(t, w, who, "", map[string]bool{})
		})
	}
}

// wantProof: what the person would save proves itself with the store's public key alone.
func wantProof(t *testing.T, w *town, who subject.OpenID) {
	t.Helper()
	raw, err := w.ledger.Receipt(t.Context(), storetest.Account, who)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.ledger.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewVerifier(s.VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.Verify(bytes.NewReader(raw), key); err != nil {
		t.Errorf("the receipt does not prove itself: %v", err)
	}
}
