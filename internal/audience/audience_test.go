package audience

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/lead"
)

var (
	now   = time.UnixMilli(1_000)
	model = lead.Model{HalfLifeDays: 30, Stages: []lead.Stage{{Name: "Lead", MinPoints: 1}, {Name: "Engaged", MinPoints: 15}, {Name: "Qualified", MinPoints: 30}}}
)

func TestCompile(t *testing.T) {
	const score = "COALESCE(l.points * pow(0.5, max(0, ? - l.at_ms) / ?), 0)"
	for expr, want := range map[string]string{
		"'tea' in profile.tags":           "EXISTS (SELECT 1 FROM tags t WHERE t.subject_id = s.id AND t.tag = ?)",
		"lead.stage == 'Qualified'":       "(" + score + " >= ?)",
		"lead.stage != 'Lead'":            "NOT (" + score + " >= ? AND " + score + " < ?)",
		"lead.score >= 15 || true":        "(" + score + " >= ? OR 1)",
		"!('a' in profile.tags) && false": "(NOT (EXISTS (SELECT 1 FROM tags t WHERE t.subject_id = s.id AND t.tag = ?)) AND 0)",
	} {
		c, err := Compile(expr, model, now)
		if err != nil || c.SQL != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", expr, c.SQL, err, want)
		}
		if strings.Count(c.SQL, "?") != len(c.Args) {
			t.Errorf("%s: %d arguments for %s", expr, len(c.Args), c.SQL)
		}
	}
	if _, err := Compile("'tea' in profile.tags && lead.stage in ['Engaged', 'Qualified']", model, now); err != nil {
		t.Error("the sample's expression:", err)
	}
}

func TestCompile_BadInput(t *testing.T) {
	for name, expr := range map[string]string{
		"empty":               "",
		"a syntax error":      "'tea' in",
		"an unknown variable": "profile.phone == '1'",
		"not a truth value":   "lead.score",
		"an unknown stage":    "lead.stage == 'Hot'",
		"a macro":             "profile.tags.exists(t, t == 'x')",
		"a function":          "'x'.startsWith('y')",
		"two variables":       "lead.stage in profile.tags",
		"too long":            strings.Repeat("true && ", 400) + "true",
		"nested too deeply":   strings.Repeat("!(", 100) + "true" + strings.Repeat(")", 100),
	} {
		if _, err := Compile(expr, model, now); !errors.Is(err, ErrExpression) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add("'tea' in profile.tags && lead.stage in ['Engaged']")
	f.Add("lead.score > 1.5")
	f.Fuzz(func(t *testing.T, expr string) {
		c, err := Compile(expr, model, now)
		if err == nil && strings.Count(c.SQL, "?") != len(c.Args) {
			t.Errorf("%q: %d arguments for %s", expr, len(c.Args), c.SQL)
		}
	})
}

func TestCompileMatch(t *testing.T) {
	m, err := CompileMatch("event.scene == 'booth-2026'")
	if err != nil || !m("booth-2026", "") || m("other", "") {
		t.Error("scene does not match as it should", err)
	}
	if _, err := CompileMatch("event.openid == 'x'"); !errors.Is(err, ErrExpression) {
		t.Error(err)
	}
	if m, err := CompileMatch(""); err != nil || !m("", "") {
		t.Error("an empty expression must match", err)
	}
}
