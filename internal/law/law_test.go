package law

import (
	"strings"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

func TestPacksLoad(t *testing.T) {
	if names := strings.Join(Names(), " "); names != "cn-2022-09 cn-2026-01" {
		t.Errorf("packs: %s", names)
	}
	if Named("cn-1999-01") != nil {
		t.Error("a pack that there is not")
	}
}

// TestACodeHasItsArticlesInOnePlace: a rule of law in the packs, everything else in the
// catalogue.
func TestACodeHasItsArticlesInOnePlace(t *testing.T) {
	for code, info := range reason.Codes() {
		ruled := false
		for _, name := range Names() {
			_, here := Named(name).Rules[code]
			ruled = ruled || here
		}
		if ruled == (len(info.Cites) > 0) {
			t.Errorf("%s: in a pack: %v, in the catalogue: %v", code, ruled, info.Cites)
		}
	}
}

// TestPacksDifferByDataAlone: no pack lacks a rule that another one has.
func TestPacksDifferByDataAlone(t *testing.T) {
	for _, a := range Names() {
		for _, b := range Names() {
			for code := range Named(a).Rules {
				if _, ok := Named(b).Rules[code]; !ok {
					t.Errorf("%s is in %s and not in %s", code, a, b)
				}
			}
		}
	}
}

func TestParse_RefusesWhatWouldDecideWrongly(t *testing.T) {
	body, err := files.ReadFile("packs/cn-2026-01.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good := string(body)
	for name, c := range map[string]struct{ old, new, says string }{
		"a misspelt field":                {"sensitive: {mechanism:", "sensitiv: {mechanism:", "unknown field"},
		"a floor of zero":                 {"plain: {mechanism: 100000", "plain: {mechanism: 0", "mechanism floor from 1 on"},
		"floors the wrong way round":      {"assessment: 1000000}", "assessment: 100}", "assessment floor above it"},
		"sensitive data held laxer":       {"sensitive: {mechanism: 1, assessment: 10000}", "sensitive: {mechanism: 1, assessment: 2000000}", "laxer"},
		"a rule left out":                 {"  - {code: MechanismMissing,", "  - {code: MechanismMissingg,", "MechanismMissing"},
		"a rule twice":                    {"code: PIAExpired", "code: PIAMissing", "stands twice"},
		"a rule without an article":       {"effect: Deny, cites: [PIPL 56]", "effect: Deny, cites: []", "must name an article"},
		"another effect":                  {"{code: PIAExpired, scope: Transfer, effect: Deny", "{code: PIAExpired, scope: Transfer, effect: Warn", "in the catalogue"},
		"a day that is none":              {`from: "2026-01-01"`, `from: "2026-13-01"`, "must be a day"},
		"a sensitive category made plain": {"Health: {sensitive: true}", "Health: {}", "sensitive by its kind"},
		"a ground that is not there":      {"grounds: [ContractNecessity]", "grounds: [Convenience]", "not there"},
		"an exemption without evidence":   {"evidence: [Zone, NegativeList, Registration]", "evidence: []", "must name evidence"},
		"no assessment":                   {"assessment: true, years: 3", "years: 3", "must be the assessment"},
		"a guardian's age below the law":  {"guardianAge: 14 ", "guardianAge: 13 ", "at least 14"},
		"ages between two bands":          {"sensitiveBelowAge: 14", "sensitiveBelowAge: 16", "bands of ages"},
		"marketing by another age":        {"automatedMarketingAge: 18", "automatedMarketingAge: 16", "bands of ages"},
		"no deadline for requests":        {"requestWorkingDays: 15", "requestWorkingDays: 0", "requestWorkingDays"},
		"nobody to lift it":               {"liftedBy: Nobody", "liftedBy: Anybody", "liftedBy"},
		"a scope that is none":            {"scope: Transfer, effect: Terminal, cites: [PIPL 41", "scope: All, effect: Terminal, cites: [PIPL 41", "scope"},
	} {
		changed := strings.Replace(good, c.old, c.new, 1)
		if changed == good {
			t.Errorf("%s: %q is not in the pack", name, c.old)
			continue
		}
		if _, err := Parse([]byte(changed)); err == nil || !strings.HasPrefix(err.Error(), "RulePackInvalid: ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestCalendar(t *testing.T) {
	c := Named("cn-2026-01").Calendar
	for name, x := range map[string]struct {
		from string
		n    int
		want string
	}{
		"over a weekend":                          {"2026-11-20T12:00:00+08:00", 1, "2026-11-24T00:00:00+08:00"},
		"over the national holiday":               {"2026-09-30T12:00:00+08:00", 1, "2026-10-09T00:00:00+08:00"},
		"a Saturday that is worked":               {"2026-10-09T12:00:00+08:00", 1, "2026-10-11T00:00:00+08:00"},
		"over the Spring Festival":                {"2026-02-13T12:00:00+08:00", 2, "2026-02-25T00:00:00+08:00"},
		"fifteen in an ordinary month":            {"2026-11-24T12:00:00+08:00", 15, "2026-12-16T00:00:00+08:00"},
		"a year that nobody knows has no holiday": {"2027-01-01T12:00:00+08:00", 10, "2027-01-12T00:00:00+08:00"},
		"by Shanghai's day, not by UTC's":         {"2026-11-22T20:00:00Z", 1, "2026-11-25T00:00:00+08:00"},
		"no day at all ends with the day":         {"2026-11-24T12:00:00+08:00", 0, "2026-11-25T00:00:00+08:00"},
	} {
		from, err := time.Parse(time.RFC3339, x.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.After(from, x.n).In(law.Zone).Format(time.RFC3339); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}

func TestParseCalendar_RefusesWhatIsNoDay(t *testing.T) {
	for name, c := range map[string]struct{ body, says string }{
		"a day that is none":     {"years: {2026: {holidays: [02-30]}}", "must be a day"},
		"a span backwards":       {"years: {2026: {holidays: [02-03..02-01]}}", "must be a day"},
		"a weekday worked":       {"years: {2026: {worked: [11-24]}}", "no weekend"},
		"off and worked":         {"years: {2026: {holidays: [11-28], worked: [11-28]}}", "off and worked"},
		"another field":          {"years: {2026: {free: [11-28]}}", "unknown field"},
		"a year that is no year": {"years: {soon: {}}", "must be a year"},
	} {
		if _, err := ParseCalendar([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
