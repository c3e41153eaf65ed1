package consent

import (
	"slices"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

var at = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	given := State{Action: Given, At: at.Add(-time.Hour), NoticeRevision: 3, Separate: true, Control: Page}
	with := func(f func(*State)) State { s := given; f(&s); return s }
	adult := Person{Age: Adult}
	scored := Rules{Revision: 3, GuardianAge: 18, NeedsSeparate: true, Marketing: true, Automated: true}
	plain := Rules{Revision: 3, GuardianAge: 18, Marketing: true}
	export := Rules{Revision: 3, GuardianAge: 18, NeedsSeparate: true}
	floor14 := Rules{Revision: 3, GuardianAge: 14, NeedsSeparate: true}
	for name, c := range map[string]struct {
		state  State
		person Person
		rules  Rules
		want   reason.Code
	}{
		"an adult who agreed":    {given, adult, scored, reason.AllChecksPassed},
		"never asked, marketing": {State{}, adult, plain, reason.MarketingConsentMissing},
		"never asked, export":    {State{}, adult, export, reason.ConsentMissing},
		"asked and refused":      {with(func(s *State) { s.Action = Refused }), adult, scored, reason.ConsentRefused},
		"withdrawn":              {with(func(s *State) { s.Action = Withdrawn }), adult, export, reason.ConsentWithdrawn},
		"left the account":       {given, Person{Age: Adult, OptedOut: true}, plain, reason.OptOutRecorded},
		"an opt-out of marketing says nothing of an export": {given, Person{Age: Adult, OptedOut: true}, export, reason.AllChecksPassed},
		"case 16: consent stored after the act began":       {with(func(s *State) { s.At = at.Add(5 * time.Minute) }), adult, export, reason.ConsentNotPrior},
		"consent in the very instant is not prior":          {with(func(s *State) { s.At = at }), adult, export, reason.ConsentNotPrior},
		"case 17: one box for everything":                   {with(func(s *State) { s.Separate = false }), adult, export, reason.ConsentNotSeparate},
		"case 18: the notice has a newer revision":          {with(func(s *State) { s.NoticeRevision = 2 }), adult, export, reason.ConsentStaleNotice},
		"a revision from the future is not current either":  {with(func(s *State) { s.NoticeRevision = 4 }), adult, export, reason.ConsentStaleNotice},
		"case 19: subject of 13, own tick only":             {given, Person{Age: From8}, export, reason.GuardianConsentMissing},
		"case 19: guardian verified":                        {given, Person{Age: From8, Guardian: GuardianVerified, GuardianRevision: 3}, export, reason.AllChecksPassed},
		"case 19: then a scored campaign":                   {given, Person{Age: From8, Guardian: GuardianVerified, GuardianRevision: 3}, scored, reason.MinorAutomatedMarketing},
		"case 20: subject of 16, default policy":            {given, Person{Age: From14}, export, reason.GuardianConsentMissing},
		"case 20: subject of 16, policy floor 14":           {given, Person{Age: From14}, floor14, reason.AllChecksPassed},
		"case 20: subject of 16, scored, floor 14":          {given, Person{Age: From14}, Rules{Revision: 3, GuardianAge: 14, Automated: true, Marketing: true}, reason.MinorAutomatedMarketing},
		"age not told, scored marketing":                    {given, Person{}, scored, reason.AgeUnknown},
		"age not told, plain marketing":                     {given, Person{}, plain, reason.AllChecksPassed},
		"case 25: follower who never agreed to marketing":   {State{}, Person{}, scored, reason.MarketingConsentMissing},
		"case 19: a guardian was asked":                     {given, Person{Age: From8, Guardian: GuardianPending}, export, reason.GuardianUnverified},
		"case 19: a guardian took it back":                  {given, Person{Age: From8, Guardian: GuardianWithdrawn}, export, reason.GuardianConsentMissing},
		"case 19: the guardian confirmed an older notice":   {given, Person{Age: From8, Guardian: GuardianVerified, GuardianRevision: 2}, export, reason.GuardianConsentMissing},
		"the time that was agreed to is over":               {with(func(s *State) { s.Ends = at.Add(-time.Second) }), adult, export, reason.RetentionExpired},
		"its last moment":                                   {with(func(s *State) { s.Ends = at }), adult, export, reason.AllChecksPassed},
		"time has ended it":                                 {with(func(s *State) { s.Action, s.Control = Expired, Clock }), adult, export, reason.RetentionExpired},
		"a yes by a keyword is none":                        {with(func(s *State) { s.Control = Keyword }), adult, export, reason.ConsentMissing},
		"a yes by following is none":                        {with(func(s *State) { s.Control = Unfollow }), adult, plain, reason.MarketingConsentMissing},
		"collected elsewhere, with evidence":                {with(func(s *State) { s.Control = Import }), adult, export, reason.AllChecksPassed},
		"nothing is published":                              {given, adult, Rules{GuardianAge: 18}, reason.NoticeNotPublished},
		"a policy below the statutory floor counts as 14":   {given, Person{Age: From8}, Rules{Revision: 3, GuardianAge: 5}, reason.GuardianConsentMissing},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Decide(Facts{c.state, c.person, c.rules, at}); got != c.want {
				t.Errorf("Decide = %s, want %s", got, c.want)
			}
		})
	}
}

// Every reason is told, so that a person or a lawyer sees at once all that is amiss.
func TestValidTellsEveryReason(t *testing.T) {
	child := Person{Age: From8, OptedOut: true}
	rules := Rules{Revision: 3, GuardianAge: 18, NeedsSeparate: true, Marketing: true, Automated: true}
	for name, c := range map[string]struct {
		state State
		want  []reason.Code
	}{
		"everything is wrong": {State{Action: Given, Control: Page, At: at, NoticeRevision: 2, Ends: at.Add(-time.Hour)}, []reason.Code{
			reason.OptOutRecorded, reason.MinorAutomatedMarketing, reason.GuardianConsentMissing,
			reason.ConsentStaleNotice, reason.ConsentNotSeparate, reason.ConsentNotPrior, reason.RetentionExpired,
		}},
		"a withdrawal is not compared with a notice": {State{Action: Withdrawn, Control: Page, At: at, NoticeRevision: 2}, []reason.Code{
			reason.OptOutRecorded, reason.ConsentWithdrawn, reason.MinorAutomatedMarketing, reason.GuardianConsentMissing,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ok, got := Valid(Facts{c.state, child, rules, at})
			if ok || !slices.Equal(got, c.want) {
				t.Errorf("Valid = %v %v, want %v", ok, got, c.want)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	s := State{Action: Given, At: at.Add(-time.Hour), NoticeRevision: 3, Separate: true, Control: Page}
	r := Rules{Revision: 3, GuardianAge: 18, NeedsSeparate: true, Marketing: true, Automated: true}
	for b.Loop() {
		Decide(Facts{s, Person{Age: Adult}, r, at})
	}
}
