package twin

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

const testAppID = "wx0123456789abcdef"

func TestCodec(t *testing.T) {
	ids, err := newCodec(1, testAppID)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newCodec(1, "wxffffffffffffffff")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 5000 {
		o := ids.encode(i)
		if len(o) != 28 || o[0] != 'o' || seen[o] {
			t.Fatalf("index %d: bad or doubled openid", i)
		}
		seen[o] = true
		if got, ok := ids.decode(o); !ok || got != i {
			t.Fatalf("index %d comes back as %d", i, got)
		}
		if _, ok := other.decode(o); ok {
			t.Fatalf("index %d: another account knows the openid", i)
		}
	}
	for _, wrong := range []string{"", "o", ids.encode(1)[:27], ids.encode(1) + "A", "x" + ids.encode(1)[1:], "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, ok := ids.decode(wrong); ok {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestExpected_Demo(t *testing.T) {
	s := DefaultScenario(1, testAppID, 2000)
	got, err := Expected(s)
	if err != nil {
		t.Fatal(err)
	}
	wantRoles := map[Role]int{RoleLoyal: 1100, RoleWithdraw: 80, RoleLeave: 60, RoleMinor: 100, RoleRefuse: 240, RoleSilent: 420}
	if diff := cmp.Diff(wantRoles, got.Roles); diff != "" {
		t.Error(diff)
	}
	sum := 0
	for role, n := range got.Audience {
		sum += n
		if n < 25 {
			t.Errorf("%d people of role %s in the audience: too few to be shown", n, role)
		}
	}
	if len(got.Audience) != 6 || sum != got.InAudience || got.NoGrant < 25 || got.Transferable < 25 || got.Eligible < 25 {
		t.Errorf("%+v", got)
	}
	if got.Eligible+got.NoGrant != got.Audience[RoleLoyal] || got.AudienceStaying != got.InAudience-got.Audience[RoleLeave] {
		t.Errorf("sums do not agree: %+v", got)
	}
	if got.GroupReporting < 690 || got.GroupReporting > 710 {
		t.Errorf("%d of 2000 allow the transfer", got.GroupReporting)
	}
	again, err := Expected(s)
	if diff := cmp.Diff(got, again); diff != "" || err != nil {
		t.Errorf("not repeatable: %s %v", diff, err)
	}
}

func TestPeople_KeepAwayFromTheThreshold(t *testing.T) {
	for seed := range uint64(5) {
		people, err := DefaultScenario(seed, testAppID, 500).People()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[subject.OpenID]bool{}
		for _, p := range people {
			// A point decays at once; the keyword of a withdrawal is a message as well.
			after := p.Points()
			if p.Role == RoleWithdraw {
				after += messagePoints
			}
			if p.Points() == engagedPoints || (after >= engagedPoints) != (p.Points() >= engagedPoints) {
				t.Fatalf("a person with %d, then %d points", p.Points(), after)
			}
			if seen[p.OpenID] || p.Role == "" {
				t.Fatal("somebody is there twice or has no role")
			}
			seen[p.OpenID] = true
		}
	}
}

func TestScenario_RefusesNonsense(t *testing.T) {
	for name, change := range map[string]func(*Scenario){
		"nobody":              func(s *Scenario) { s.Followers = 0 },
		"too many":            func(s *Scenario) { s.Followers = defaultMaxPeople + 1 },
		"no account":          func(s *Scenario) { s.AppID = "" },
		"a negative share":    func(s *Scenario) { s.Shares.Tea = -0.1 },
		"more than everybody": func(s *Scenario) { s.Shares.Refuse = 0.9 },
		"more leave than are": func(s *Scenario) { s.Shares.Leave = 0.7 },
	} {
		s := DefaultScenario(1, testAppID, 100)
		change(&s)
		if _, err := s.People(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
