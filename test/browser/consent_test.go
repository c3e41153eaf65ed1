package browser

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Where people tap.
const (
	agree    = "button[name=agree]:not([hidden])"
	refuse   = "button[name=refuse]"
	back     = ".message a"
	language = "a.language"
)

// words are what people read in one language.
type words struct{ title, thanks, withdrawn, otherTitle string }

var read = map[string]words{
	"zh-CN": {"隐私与偏好设置", "已保存，谢谢", "撤回已生效", "Privacy and preferences"},
	"en":    {"Privacy and preferences", "Saved, thank you", "Your withdrawal has taken effect", "隐私与偏好设置"},
}

// TestConsent goes through the page as people do, and asks the ledger what came of it.
func TestConsent(t *testing.T) {
	w := newTown(t, nil)
	for lang := range read {
		t.Run("asked, agreed, withdrawn in "+lang, func(t *testing.T) {
			t.Parallel()
			agreeAndWithdraw(t, w, lang)
		})
		t.Run("in the dark in "+lang, func(t *testing.T) {
			t.Parallel()
			p := w.phone(t, w.newcomer(t), lang, dark)
			p.open("/consent")
			p.tap(box("14to17"), box(personal))
			p.shot("consent-" + lang + "-dark-1-ticked")
			p.follow(agree)
			p.shot("consent-" + lang + "-dark-2-thanks")
		})
	}
	t.Run("refuses everything", func(t *testing.T) {
		t.Parallel()
		refuseEverything(t, w)
	})
	t.Run("without scripts", func(t *testing.T) {
		t.Parallel()
		who := w.newcomer(t)
		p := w.phone(t, who, "zh-CN", noScript)
		p.open("/consent")
		p.tap(box("adult"), box(direct))
		p.follow(agree)
		p.see(read["zh-CN"].thanks)
		p.follow(back)
		p.follow(refuse)
		p.see(read["zh-CN"].withdrawn)
		wantAnswers(t, w, who, "Adult", nothing)
	})
	t.Run("English on a Chinese phone", func(t *testing.T) {
		t.Parallel()
		p := w.phone(t, w.newcomer(t), "zh-CN")
		p.open("/consent?lang=en")
		p.see(read["en"].title)
		p.tap(box("unknown"), box(direct))
		p.follow(agree)
		p.see(read["en"].thanks)
		p.follow(back)
		p.see(read["en"].title)
		p.follow(language)
		p.see(read["zh-CN"].title)
	})
	t.Run("forgets to say an age", func(t *testing.T) {
		t.Parallel()
		who := w.newcomer(t)
		p := w.phone(t, who, "zh-CN")
		p.open("/consent")
		p.tap(box(direct), agree)
		if focus := ask[string](p, "document.activeElement.name"); focus != "age" {
			t.Errorf("the browser leads to %q, not to the question of age", focus)
		}
		if _, got := w.answers(t, who); len(got) > 0 {
			t.Errorf("the ledger holds %v", got)
		}
	})
	t.Run("comes too late", func(t *testing.T) {
		t.Parallel()
		p := w.phone(t, w.newcomer(t), "zh-CN")
		p.expect = "403"
		p.open("/consent?code=0&state=0")
		p.see("页面已过期", "重新打开本页")
		p.shot("consent-zh-CN-problem-expired")
	})
}

// nothing is what the ledger holds of who refused everything.
var nothing = map[string]bool{direct: false, personal: false, abroad: false, inland: false}

// agreeAndWithdraw: nothing is ticked before; what was agreed to is ticked when the person comes back; and to take one
// thing back costs as many taps as to give it.
func agreeAndWithdraw(t *testing.T, w *town, lang string) {
	say, who := read[lang], w.newcomer(t)
	p := w.phone(t, who, lang)
	p.open("/consent")
	p.see(say.title)
	p.shot("consent-" + lang + "-1-asked")
	if got := p.ticked(); len(got) > 0 {
		t.Errorf("ticked before anybody was asked: %v", got)
	}
	p.tap(box("adult"), box(direct), box(abroad))
	p.shot("consent-" + lang + "-2-ticked")
	p.follow(agree)
	p.see(say.thanks)
	p.shot("consent-" + lang + "-3-thanks")
	wantAnswers(t, w, who, "Adult", map[string]bool{direct: true, personal: false, abroad: true, inland: false})

	p.follow(back)
	if diff := cmp.Diff([]string{"adult", direct, abroad}, p.ticked()); diff != "" {
		t.Errorf("own answers are not shown: %s", diff)
	}
	p.taps = 0
	p.tap(box(personal))
	p.follow(agree)
	p.see(say.thanks)
	toGive := p.taps
	wantAnswers(t, w, who, "Adult", map[string]bool{direct: true, personal: true, abroad: true, inland: false})

	p.follow(back)
	p.taps = 0
	p.tap(box(abroad))
	p.follow(agree)
	p.see(say.withdrawn)
	p.shot("consent-" + lang + "-4-withdrawn")
	if p.taps != toGive {
		t.Errorf("%d taps to withdraw, %d to give", p.taps, toGive)
	}
	wantAnswers(t, w, who, "Adult", map[string]bool{direct: true, personal: true, abroad: false, inland: false})
	p.follow(back)
	if diff := cmp.Diff([]string{"adult", direct, personal}, p.ticked()); diff != "" {
		t.Errorf("own answers are not shown: %s", diff)
	}
}

// refuseEverything: one tap is enough, whatever is ticked, and no age has to be told.
func refuseEverything(t *testing.T, w *town) {
	who := w.newcomer(t)
	p := w.phone(t, who, "zh-CN")
	p.open("/consent")
	p.tap(box(direct))
	p.taps = 0
	p.follow(refuse)
	p.see(read["zh-CN"].thanks)
	wantAnswers(t, w, who, "", nothing)
	if p.taps != 1 {
		t.Errorf("%d taps to refuse", p.taps)
	}
}

// wantAnswers compares what the ledger holds of a person.
func wantAnswers(t *testing.T, w *town, who subject.OpenID, age string, want map[string]bool) {
	t.Helper()
	gotAge, got := w.answers(t, who)
	if diff := cmp.Diff(want, got); gotAge != age || diff != "" {
		t.Errorf("the ledger holds age %q, want %q; choices (-want +got): %s", gotAge, age, diff)
	}
}

// TestConsent_NoticeChanges: who reads while a new notice is published is told so, and loses no right by it.
func TestConsent_NoticeChanges(t *testing.T) {
	w := newTown(t, nil)
	who := w.newcomer(t)
	p := w.phone(t, who, "zh-CN", dark)
	p.open("/consent")
	p.tap(box("adult"), box(direct))
	n := notice()
	n.Revision++
	w.publish(n)
	p.expect = "409"
	p.follow(agree)
	p.see("告知内容刚刚更新")
	p.shot("consent-zh-CN-dark-3-notice-changed")
	if got := p.ticked(); !slices.Equal(got, []string{"adult"}) { // the age is theirs, whatever the text
		t.Errorf("ticked for a text that nobody has read: %v", got)
	}
	if _, got := w.answers(t, who); len(got) > 0 {
		t.Errorf("the ledger holds %v", got)
	}
}
