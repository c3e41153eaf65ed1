package explain_test

import (
	"strings"
	"testing"
	"time"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/explain"
)

func written(t *testing.T, x *explain.Text) string {
	t.Helper()
	var b strings.Builder
	if _, err := x.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText_ColoursOnlyWhereTheyAreWanted(t *testing.T) {
	v := explain.Verdict{Namespace: "a", Name: "b", Decision: residencyv1.DecisionRefused, Refusals: []explain.Objection{{Code: "PIAMissing", Effect: "Deny"}}}
	for _, colours := range []bool{true, false} {
		x := explain.NewText(colours)
		x.Verdict(v)
		if got := written(t, x); strings.Contains(got, "\x1b[1;31mREFUSED\x1b[0m") != colours || strings.Contains(got, "\x1b") != colours {
			t.Errorf("colours %t: %q", colours, got)
		}
	}
}

func TestText_PassesNothingOnThatATerminalObeys(t *testing.T) {
	evil := "x\x1b]0;title\x07y\u009b2J"
	x := explain.NewText(false)
	x.Verdict(explain.Verdict{
		Namespace: evil, Name: evil, Recipient: evil, Country: evil, Policy: evil, RulePack: evil, Mechanism: evil, Ground: evil, Unknown: []string{evil},
		Refusals: []explain.Objection{{Code: evil, Field: evil, Message: evil, Remedy: evil, Articles: []string{evil}}},
	})
	if got := written(t, x); strings.ContainsAny(got, "\x1b\x07\u009b") {
		t.Errorf("%q", got)
	}
}

func TestText_BreaksBetweenWords(t *testing.T) {
	long := strings.Repeat("a", 90)
	x := explain.NewText(false)
	x.Say(2, 2, strings.Repeat("word ", 20)+long+" end")
	want := "  " + strings.TrimSpace(strings.Repeat("word ", 15)) + "\n    " + strings.TrimSpace(strings.Repeat("word ", 5)) + "\n    " + long + "\n    end\n"
	if got := written(t, x); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestNumberAndTime(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -100: "-100", -1234567: "-1,234,567", 1000000: "1,000,000"} {
		if got := explain.Number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
	if got := explain.Time(time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC)); got != "2027-01-01 00:00 +0800" {
		t.Error(got)
	}
}
