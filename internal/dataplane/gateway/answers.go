package gateway

import (
	"net/url"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// item is one thing that people agree to or refuse on its own.
type item struct{ purpose, recipient string }

// value is how a box of the form names the item.
func (i item) value() string {
	if i.recipient == "" {
		return i.purpose
	}
	return i.purpose + "@" + i.recipient
}

// itemsOf lists what a notice asks for: every purpose of the processor, then every purpose
// of every recipient.
func itemsOf(n *storev1.Notice) []item {
	var out []item
	for _, p := range n.GetPurposes() {
		out = append(out, item{purpose: p.GetName()})
	}
	for _, r := range n.GetRecipients() {
		for _, p := range r.GetPurposes() {
			out = append(out, item{purpose: p, recipient: r.GetName()})
		}
	}
	return out
}

// ageAnswer is an answer to the question of age; empty if it was not answered.
type ageAnswer string

// ages are the answers in the order of the form.
var ages = []struct {
	answer ageAnswer
	band   consent.AgeBand
}{
	{"adult", consent.Adult}, {"14to17", consent.From14}, {"8to13", consent.From8}, {"under8", consent.Under8}, {"unknown", consent.AgeUnknown},
}

func (a ageAnswer) valid() bool {
	for _, x := range ages {
		if x.answer == a {
			return true
		}
	}
	return false
}

func (a ageAnswer) band() consent.AgeBand {
	for _, x := range ages {
		if x.answer == a {
			return x.band
		}
	}
	return consent.AgeUnknown
}

// answers are those of one person to one notice.
type answers struct {
	age    ageAnswer
	grants map[item]bool
}

// recorded returns the earlier answers to what the notice asks for now.
func recorded(p *storev1.GetPreferencesResponse) answers {
	a := answers{grants: map[item]bool{}}
	was := map[item]bool{}
	for _, c := range p.GetChoices() {
		was[item{c.GetPurpose(), c.GetRecipient()}] = c.GetGranted()
	}
	for _, i := range itemsOf(p.GetNotice()) {
		if was[i] {
			a.grants[i] = true
		}
	}
	for _, x := range ages {
		// Who never answered has no band either, and is asked as if for the first time.
		if string(x.band) == p.GetAgeBand() && (x.band != consent.AgeUnknown || len(p.GetChoices()) > 0) {
			a.age = x.answer
		}
	}
	return a
}

// posted reads a form; false when the question of age was not answered. Refusing needs no
// answer: the one before stays. Boxes that were not shown are ignored.
func posted(form url.Values, p *storev1.GetPreferencesResponse) (answers, bool) {
	a := answers{age: ageAnswer(form.Get("age")), grants: map[item]bool{}}
	if form.Has("refuse") {
		if !a.age.valid() {
			a.age = recorded(p).age
		}
		return a, true
	}
	ticked := map[string]bool{}
	for _, v := range form["grant"] {
		ticked[v] = true
	}
	for _, i := range itemsOf(p.GetNotice()) {
		if ticked[i.value()] {
			a.grants[i] = true
		}
	}
	return a, a.age.valid()
}

// choices says yes or no to every item of the notice.
func (a answers) choices(n *storev1.Notice) []*storev1.Choice {
	var out []*storev1.Choice
	for _, i := range itemsOf(n) {
		out = append(out, &storev1.Choice{Purpose: i.purpose, Recipient: i.recipient, Granted: a.grants[i]})
	}
	return out
}

// noteOf tells what the last page says: whether something was withdrawn, and if so whether
// nothing can follow any more; and whether a guardian must confirm what was agreed to.
func noteOf(before, after answers, r *storev1.RecordChoicesResponse) byte {
	for i := range before.grants {
		switch {
		case after.grants[i]:
		case r.GetWithdrawalAcknowledged():
			return noteWithdrawn
		default:
			return notePending
		}
	}
	if s := consent.GuardianState(r.GetGuardianState()); len(after.grants) > 0 && (s == consent.GuardianRequired || s == consent.GuardianPending) {
		return noteGuardian
	}
	return noteSaved
}
