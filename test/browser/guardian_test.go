package browser

import (
	"net/url"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// What a guardian taps.
const (
	askGuardian = "form[action='/consent/guardian'] button"
	confirm     = "button[name=confirm]"
	takeBack    = "button[name=withdraw]"
	theLink     = ".message p a:not(.button)"
)

// guarded are the words of the guardian's way, in one language.
type guarded struct{ oneStepLeft, send, title, parentIs, done, gone, own string }

var guardians = map[string]guarded{
	"zh-CN": {"还差一步", "请发给您的监护人", "监护人确认", "父母", "您的同意已经记录", "不会再依据这些同意", "请由监护人打开"},
	"en":    {"one step is left", "Send this to your guardian", "Confirmation by a guardian", "Parent", "Your consent is recorded", "Nothing more is sent", "This is for your guardian"},
}

// TestGuardian: a minor agrees and passes a link on; a guardian opens it in their own WeChat,
// agrees, and takes it back.
func TestGuardian(t *testing.T) {
	w := newTown(t, nil)
	for lang, options := range map[string][]option{"zh-CN": {noScript}, "en": {dark}} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			child, mother := w.newcomer(t), w.newcomer(t)
			link := passOn(t, w, child, lang)
			ownLink(t, w, child, lang, link)
			speaks(t, w, child, mother, lang, link, options...)
		})
	}
}

// passOn lets a child agree and make a link; it returns the link's path.
func passOn(t *testing.T, w *town, child subject.OpenID, lang string) string {
	t.Helper()
	say := guardians[lang]
	p := w.phone(t, child, lang)
	p.open("/consent")
	p.tap(box("8to13"), box(direct), box(abroad))
	p.follow(agree)
	p.see(say.oneStepLeft)
	p.shot("guardian-" + lang + "-1-one-step-left")
	p.follow(askGuardian)
	p.see(say.send)
	p.shot("guardian-" + lang + "-2-link")
	link, err := url.Parse(ask[string](p, "document.querySelector(\""+theLink+"\").href"))
	if err != nil || link.Host != gatewayHost {
		t.Fatal(link, err)
	}
	wantGuardian(t, w, child, consent.GuardianPending)
	return link.Path
}

// ownLink: the child cannot speak as their own guardian.
func ownLink(t *testing.T, w *town, child subject.OpenID, lang, link string) {
	t.Helper()
	p := w.phone(t, child, lang)
	p.expect = "403"
	p.open(link)
	p.see(guardians[lang].own)
	wantGuardian(t, w, child, consent.GuardianPending)
}

// speaks lets the mother agree and take it back.
func speaks(t *testing.T, w *town, child, mother subject.OpenID, lang, link string, options ...option) {
	t.Helper()
	say := guardians[lang]
	p := w.phone(t, mother, lang, options...)
	p.open(link)
	p.see(say.title)
	p.shot("guardian-" + lang + "-3-asked")
	if got := p.ticked(); len(got) > 0 {
		t.Errorf("ticked before the guardian was asked: %v", got)
	}
	p.tap(box("Parent"), box("1"))
	p.follow(confirm)
	p.see(say.done)
	p.shot("guardian-" + lang + "-4-confirmed")
	wantGuardian(t, w, child, consent.GuardianVerified)

	p.follow(back)
	p.shot("guardian-" + lang + "-5-again")
	p.follow(takeBack)
	p.see(say.gone)
	wantGuardian(t, w, child, consent.GuardianRequired)
	wantAnswers(t, w, child, "8to13", nothing)
}

func wantGuardian(t *testing.T, w *town, child subject.OpenID, want consent.GuardianState) {
	t.Helper()
	p, err := w.ledger.Preferences(t.Context(), storetest.Account, child)
	if err != nil || p.Guardian != want {
		t.Errorf("the guardian's state is %q, want %q (%v)", p.Guardian, want, err)
	}
}
