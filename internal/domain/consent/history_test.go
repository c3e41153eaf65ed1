package consent

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		before  Action
		granted bool
		want    Action
	}{
		"ticked the first time":                {None, true, Given},
		"left open the first time":             {None, false, Refused},
		"left open again":                      {Refused, false, Refused},
		"unticked what was granted":            {Given, false, Withdrawn},
		"the form sent again":                  {Withdrawn, false, Withdrawn},
		"ticked again after a withdrawal":      {Withdrawn, true, Given},
		"left open after time had ended it":    {Expired, false, Refused},
		"ticked again after time had ended it": {Expired, true, Given},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Answer(c.before, c.granted); got != c.want {
				t.Errorf("Answer = %q, want %q", got, c.want)
			}
		})
	}
}

func TestAfter(t *testing.T) {
	yes := Event{Action: Given, Control: Page, At: at}
	no := Event{Action: Withdrawn, Control: Page, At: at}
	for name, c := range map[string]struct {
		history []Event
		want    Action
	}{
		"a yes":                                {[]Event{yes}, Given},
		"a yes, then a no":                     {[]Event{yes, no}, Withdrawn},
		"a no, then a yes":                     {[]Event{no, yes}, Given},
		"time ends a yes":                      {[]Event{yes, {Action: Expired, Control: Clock}}, Expired},
		"time does not soften a withdrawal":    {[]Event{yes, no, {Action: Expired, Control: Clock}}, Withdrawn},
		"an import where nothing was said":     {[]Event{{Action: Given, Control: Import}}, Given},
		"an import does not undo a withdrawal": {[]Event{yes, no, {Action: Given, Control: Import}}, Withdrawn},
		"an import does not undo a refusal":    {[]Event{{Action: Refused, Control: Page}, {Action: Given, Control: Import}}, Refused},
		"a keyword cannot mean yes":            {[]Event{{Action: Given, Control: Keyword}}, None},
		"following cannot mean yes after a no": {[]Event{no, {Action: Given, Control: Unfollow}}, Withdrawn},
		"a keyword means no":                   {[]Event{yes, {Action: Withdrawn, Control: Keyword}}, Withdrawn},
		"nothing":                              {nil, None},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Replay(c.history).Action; got != c.want {
				t.Errorf("Replay = %q, want %q", got, c.want)
			}
		})
	}
}

func TestMayAsk(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		want  reason.Code
	}{
		"never asked":                {State{}, reason.AllChecksPassed},
		"refused yesterday":          {State{Action: Refused, At: at.Add(-24 * time.Hour)}, reason.ReaskTooFrequent},
		"refused 30 days ago":        {State{Action: Refused, At: at.Add(-AskAgain)}, reason.AllChecksPassed},
		"refused a moment too late":  {State{Action: Refused, At: at.Add(1 - AskAgain)}, reason.ReaskTooFrequent},
		"withdrawn yesterday":        {State{Action: Withdrawn, At: at.Add(-24 * time.Hour)}, reason.ReaskTooFrequent},
		"given to an older notice":   {State{Action: Given, At: at.Add(-time.Hour), NoticeRevision: 1}, reason.AllChecksPassed},
		"ended by time a minute ago": {State{Action: Expired, At: at.Add(-time.Minute)}, reason.AllChecksPassed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := MayAsk(c.state, at, AskAgain); got != c.want {
				t.Errorf("MayAsk = %s, want %s", got, c.want)
			}
		})
	}
}

// pick draws one of a list.
func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func anyEvent(r *rand.Rand) Event {
	return Event{
		Action:         pick(r, Given, Given, Given, Refused, Withdrawn, Expired),
		Control:        pick(r, Page, Page, Guardian, Import, Keyword, Menu, Unfollow, Setting, Request, Clock),
		At:             at.Add(-time.Duration(r.IntN(1000)) * time.Hour),
		NoticeRevision: int64(r.IntN(4)), Separate: r.IntN(2) == 0,
	}
}

func anyFacts(r *rand.Rand) Facts {
	return Facts{
		State:  anyEvent(r),
		Person: Person{Age: pick(r, AgeUnknown, Under8, From8, From14, Adult), Guardian: pick(r, GuardianNone, GuardianPending, GuardianVerified, GuardianRefused, GuardianWithdrawn), GuardianRevision: int64(r.IntN(4)), OptedOut: r.IntN(4) == 0},
		Rules:  Rules{Revision: int64(r.IntN(4)), GuardianAge: pick(r, 0, 14, 16, 18), NeedsSeparate: r.IntN(2) == 0, Marketing: r.IntN(2) == 0, Automated: r.IntN(2) == 0},
		At:     at,
	}
}

const draws = 20000

// A withdrawal at any place in any history wins over everything before it, and over everything
// after it that is not a yes of the person or the guardian on a page.
func TestAWithdrawalWins(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range draws {
		var history []Event
		for range r.IntN(8) {
			history = append(history, anyEvent(r))
		}
		history = append(history, Event{Action: Withdrawn, Control: pick(r, Page, Keyword, Menu, Unfollow, Setting, Request), At: at.Add(-time.Hour)})
		for range r.IntN(8) {
			e := anyEvent(r)
			if e.Action == Given && (e.Control == Page || e.Control == Guardian) {
				continue // agreed anew
			}
			history = append(history, e)
		}
		f := anyFacts(r)
		f.State = Replay(history)
		if ok, _ := Valid(f); ok {
			t.Fatalf("valid after a withdrawal: %+v", history)
		}
	}
}

// What a lawyer would say of any facts whatever.
func TestValidHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	seen := 0
	for range draws {
		f := anyFacts(r)
		ok, codes := Valid(f)
		if ok != (len(codes) == 0) || (ok && Decide(f) != reason.AllChecksPassed) || (!ok && Decide(f) != codes[0]) {
			t.Fatalf("Valid and Decide differ: %+v", f)
		}
		if !ok {
			continue
		}
		seen++
		for name, wrong := range map[string]bool{
			"no yes":                       f.State.Action != Given,
			"not an act that can mean yes": !f.State.Control.affirms(),
			"not prior":                    !f.State.At.Before(f.At),
			"another notice":               f.State.NoticeRevision != f.Rules.Revision || f.Rules.Revision == 0,
			"scored, and not an adult":     f.Rules.Automated && f.Person.Age != Adult,
			"a child without a guardian":   (f.Person.Age == Under8 || f.Person.Age == From8) && (f.Person.Guardian != GuardianVerified || f.Person.GuardianRevision != f.Rules.Revision),
			"not separate":                 f.Rules.NeedsSeparate && !f.State.Separate,
			"marketing to who opted out":   f.Rules.Marketing && f.Person.OptedOut,
		} {
			if wrong {
				t.Fatalf("valid although %s: %+v", name, f)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d valid facts were drawn: the test says little", seen)
	}
}
