package consent

import (
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

var at = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	given := State{Action: Given, At: at.Add(-time.Hour), NoticeRevision: 3, Separate: true}
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
		"case 19: guardian verified":                        {given, Person{Age: From8, Guardian: true}, export, reason.AllChecksPassed},
		"case 19: then a scored campaign":                   {given, Person{Age: From8, Guardian: true}, scored, reason.MinorAutomatedMarketing},
		"case 20: subject of 16, default policy":            {given, Person{Age: From14}, export, reason.GuardianConsentMissing},
		"case 20: subject of 16, policy floor 14":           {given, Person{Age: From14}, floor14, reason.AllChecksPassed},
		"case 20: subject of 16, scored, floor 14":          {given, Person{Age: From14}, Rules{Revision: 3, GuardianAge: 14, Automated: true, Marketing: true}, reason.MinorAutomatedMarketing},
		"age not told, scored marketing":                    {given, Person{}, scored, reason.AgeUnknown},
		"age not told, plain marketing":                     {given, Person{}, plain, reason.AllChecksPassed},
		"case 25: follower who never agreed to marketing":   {State{}, Person{}, scored, reason.MarketingConsentMissing},
		"a policy below the statutory floor counts as 14":   {given, Person{Age: From8}, Rules{Revision: 3, GuardianAge: 5}, reason.GuardianConsentMissing},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Decide(c.state, c.person, c.rules, at); got != c.want {
				t.Errorf("Decide = %s, want %s", got, c.want)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	s := State{Action: Given, At: at.Add(-time.Hour), NoticeRevision: 3, Separate: true}
	r := Rules{Revision: 3, GuardianAge: 18, NeedsSeparate: true, Marketing: true, Automated: true}
	for b.Loop() {
		Decide(s, Person{Age: Adult}, r, at)
	}
}
