package transfer_test

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/domain/campaign"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	domain "github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/region"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/law"
)

//go:embed testdata/*.yaml
var cases embed.FS

// vector is one case of testdata/*.yaml, for a lawyer to read and to write.
type vector struct {
	Case string `json:"case"`
	Law  string `json:"law"` // of law.md 9, if it is one of those
	Pack string `json:"pack"`

	Given   json.RawMessage `json:"given"`   // changes base.yaml
	Reaches *reach          `json:"reaches"` // the year's people, this transfer included
	Persons []group         `json:"persons"` // who could be included, and what they said
	Push    bool            `json:"push"`    // only the people are asked about: a message goes to them

	Campaign *campaign.Content `json:"campaign"`
	Node     *node             `json:"node"`

	Want     string   `json:"want"` // Allow, Deny; of a node Eligible, Outside
	Sends    *int64   `json:"sends"`
	Needs    string   `json:"needs"` // the tier
	Ground   string   `json:"ground"`
	Codes    []string `json:"codes"`
	Filtered []string `json:"filtered"` // codes of people who are left out
	Warns    []string `json:"warns"`

	file string
}

type reach struct{ NonSensitive, Sensitive int64 }

// group is a number of people who said the same. What is not said is as in person.yaml.
type group struct {
	People int64
	Given  json.RawMessage
}

type node struct {
	Node  region.Node
	Rules region.Rules
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	body, err := cases.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// overlay decodes a YAML text over a value; a field that there is not is an error.
func overlay(t testing.TB, into any, body []byte) {
	t.Helper()
	if len(bytes.TrimSpace(body)) == 0 {
		return
	}
	raw, err := yaml.YAMLToJSONStrict(body)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := cases.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	for _, f := range files {
		name := f.Name()
		if name == "base.yaml" || name == "person.yaml" {
			continue
		}
		var list []vector
		if err := yaml.UnmarshalStrict(read(t, name), &list); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range list {
			v.file = name
			out = append(out, v)
		}
	}
	return out
}

func (v vector) pack(t testing.TB) *domain.Pack {
	t.Helper()
	name := v.Pack
	if name == "" {
		name = "cn-2026-01"
	}
	p := law.Named(name)
	if p == nil {
		t.Fatalf("%s: no pack %s", v.Case, name)
	}
	return p
}

// facts builds what the case gives.
func (v vector) facts(t testing.TB, p *domain.Pack) transfer.Facts {
	t.Helper()
	f := transfer.Facts{Pack: p}
	overlay(t, &f, read(t, "base.yaml"))
	overlay(t, &f, v.Given)
	f.Pack = p
	if len(v.Persons) > 0 {
		f.People = v.people(t, f)
	}
	if v.Reaches != nil {
		young := int64(0)
		if f.People != nil {
			young = f.People.Young
		}
		f.Year = &transfer.Counter{NonSensitive: v.Reaches.NonSensitive, Sensitive: v.Reaches.Sensitive}
		if p.AnySensitive(f.Request.Categories) {
			f.Year.Sensitive -= f.Request.MaxPersons
		} else {
			f.Year.Sensitive = max(0, f.Year.Sensitive-young)
		}
		if p.AnyPlain(f.Request.Categories) {
			f.Year.NonSensitive -= f.Request.MaxPersons
		}
	}
	return f
}

// people decides for everyone, as a store does.
func (v vector) people(t testing.TB, f transfer.Facts) *transfer.People {
	t.Helper()
	out := &transfer.People{Excluded: map[reason.Code]int64{}}
	for _, g := range v.Persons {
		c := consent.Facts{At: f.Now}
		overlay(t, &c, read(t, "person.yaml"))
		overlay(t, &c, g.Given)
		code := consent.Decide(c)
		if code != reason.AllChecksPassed {
			out.Excluded[code] += g.People
			continue
		}
		out.Included += g.People
		if c.Person.Age == consent.Under8 || c.Person.Age == consent.From8 {
			out.Young += g.People
		}
	}
	return out
}

// outcome is what a case comes to.
type outcome struct {
	want, needs, ground    string
	codes, filtered, warns []string
	sends                  int64
}

func (v vector) decide(f transfer.Facts) outcome {
	switch {
	case v.Campaign != nil:
		codes := words(campaign.Refusals(*v.Campaign))
		return outcome{want: answer(len(codes) == 0), codes: codes}
	case v.Node != nil:
		verdict := region.Decide(v.Node.Node, v.Node.Rules)
		if verdict.Reason == reason.AllChecksPassed {
			return outcome{want: "Eligible"}
		}
		return outcome{want: "Outside", codes: []string{string(verdict.Reason)}}
	}
	if v.Push {
		o := outcome{want: answer(f.People.Included > 0), sends: f.People.Included}
		for code := range f.People.Excluded {
			o.filtered = append(o.filtered, string(code))
		}
		return o
	}
	d := transfer.Decide(f)
	o := outcome{want: answer(d.Allowed()), needs: d.Mechanism, ground: d.Ground, codes: codes(d.Refusals), warns: codes(d.Warnings)}
	if f.People != nil {
		if d.Allowed() {
			o.sends = f.People.Included
		}
		for code := range f.People.Excluded {
			o.filtered = append(o.filtered, string(code))
		}
	}
	return o
}

func answer(allowed bool) string {
	if allowed {
		return "Allow"
	}
	return "Deny"
}

func codes(in []transfer.Refusal) []string {
	var out []string
	for _, r := range in {
		if !slices.Contains(out, string(r.Code)) {
			out = append(out, string(r.Code))
		}
	}
	return out
}

func words(in []reason.Code) []string {
	var out []string
	for _, c := range in {
		out = append(out, string(c))
	}
	return out
}

// differs says in what a case comes out otherwise than it should.
func (v vector) differs(o outcome) string {
	same := func(got, want []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
	}
	switch {
	case o.want != v.Want || !same(o.codes, v.Codes):
		return fmt.Sprintf("%s %v, want %s %v", o.want, o.codes, v.Want, v.Codes)
	case v.Needs != "" && o.needs != v.Needs:
		return fmt.Sprintf("needs %s, want %s", o.needs, v.Needs)
	case v.Ground != "" && o.ground != v.Ground:
		return fmt.Sprintf("ground %s, want %s", o.ground, v.Ground)
	case !same(o.warns, v.Warns):
		return fmt.Sprintf("warns %v, want %v", o.warns, v.Warns)
	case v.Filtered != nil && !same(o.filtered, v.Filtered):
		return fmt.Sprintf("filters %v, want %v", o.filtered, v.Filtered)
	case v.Sends != nil && o.sends != *v.Sends:
		return fmt.Sprintf("sends %d, want %d", o.sends, *v.Sends)
	}
	return ""
}

func TestVectors(t *testing.T) {
	all := vectors(t)
	seen := map[string]bool{}
	for _, v := range all {
		if seen[v.file+v.Case] {
			t.Errorf("%s: two cases are called %q", v.file, v.Case)
		}
		seen[v.file+v.Case] = true
		t.Run(strings.TrimSuffix(v.file, ".yaml")+"/"+v.Case, func(t *testing.T) {
			if diff := v.differs(v.decide(v.facts(t, v.pack(t)))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if len(all) < 200 {
		t.Errorf("%d cases, want at least 200", len(all))
	}
}

// TestVectors_HoldEveryCaseOfTheLaw: the 25 cases of law.md 9.1 and the placement cases of 9.2.
func TestVectors_HoldEveryCaseOfTheLaw(t *testing.T) {
	have := map[string]bool{}
	for _, v := range vectors(t) {
		have[v.Law] = true
	}
	for i := 1; i <= 25; i++ {
		if !have[fmt.Sprint("9.1/", i)] {
			t.Errorf("case %d of law.md 9.1 is missing", i)
		}
	}
	for i := 1; i <= 7; i++ {
		if !have[fmt.Sprint("9.2/P", i)] {
			t.Errorf("case P%d of law.md 9.2 is missing", i)
		}
	}
}

// TestVectors_TryEveryRule: each rule of a transfer refuses one case and lets another pass,
// and without it some case comes out wrong.
func TestVectors_TryEveryRule(t *testing.T) {
	type prepared struct {
		vector
		facts transfer.Facts
	}
	var all []prepared
	for _, v := range vectors(t) {
		if v.Campaign == nil && v.Node == nil && v.Pack == "" {
			all = append(all, prepared{v, v.facts(t, v.pack(t))})
		}
	}
	for _, code := range transfer.Codes() {
		without := *law.Named("cn-2026-01")
		without.Rules = maps.Clone(without.Rules)
		delete(without.Rules, code)
		var refuses, accepts, misses int
		for _, v := range all {
			switch {
			case slices.Contains(v.Codes, string(code)), slices.Contains(v.Warns, string(code)):
				refuses++
			case v.Want == "Allow":
				accepts++
			}
			f := v.facts
			f.Pack = &without
			if v.differs(v.decide(f)) != "" {
				misses++
			}
		}
		if refuses == 0 || accepts == 0 || misses == 0 {
			t.Errorf("%s: %d cases refuse, %d accept, %d fail without the rule", code, refuses, accepts, misses)
		}
	}
}
