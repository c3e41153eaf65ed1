package conformance

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const head = "topic: images\nobjects:\n  pod: {kind: Pod}\n"

func TestACaseThatCannotBeRunIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"an object that is not there":       {"cases: [{name: a, object: x}]", "`object` \"x\" is not among"},
		"an attack without a leak":          {"cases: [{name: a, object: pod, refused: X}]", "names its `leak`"},
		"ordinary work with a leak":         {"cases: [{name: a, object: pod, leak: L01}]", "names its `leak`"},
		"an unknown verb":                   {"cases: [{name: a, object: pod, verb: list}]", "`verb` must be one of"},
		"an unknown place":                  {"cases: [{name: a, object: pod, in: moon}]", "`in` must be"},
		"a change of what is not given":     {"cases: [{name: a, object: pod, verb: update}]", "must be among `given`"},
		"a name that stands twice":          {"cases: [{name: a, object: pod}, {name: a, object: pod}]", "stands twice"},
		"a field that nobody reads":         {"cases: [{name: a, object: pod, refuses: X}]", "unknown field"},
		"something given that is not there": {"given: [x]\ncases: []", "given \"x\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(head + c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "a.yaml") {
				t.Errorf("error = %v, want it to name the file and say %q", err, c.says)
			}
		})
	}
}

func TestACaseIsCompleted(t *testing.T) {
	files, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(head + "cases: [{name: a, object: pod}]")}})
	if err != nil {
		t.Fatal(err)
	}
	want := Case{Name: "a", Object: "pod", Topic: "images", Verb: "create", As: "tenant", In: "governed"}
	if d := cmp.Diff(want, files[0].Cases[0]); d != "" {
		t.Error(d)
	}
}

func TestPlaceholdersAreFilledEverywhere(t *testing.T) {
	in := map[string]any{"${key}": []any{"a-${region}-b", map[string]any{"x": "${region}${region}"}}, "n": 7.0}
	got, missing := Values{"region": "r", "key": "k"}.fill(in)
	want := map[string]any{"k": []any{"a-r-b", map[string]any{"x": "rr"}}, "n": 7.0}
	if d := cmp.Diff(any(want), got); d != "" || missing != "" {
		t.Errorf("missing %q, difference:\n%s", missing, d)
	}
	for name, v := range map[string]any{"a value": "${gone}", "a key": map[string]any{"${gone}": 1.0}, "an empty one": []any{"${empty}"}} {
		if _, missing := (Values{"empty": ""}).fill(v); missing == "" {
			t.Errorf("%s without a value is taken for filled", name)
		}
	}
}

func TestAChangeIsAMergePatch(t *testing.T) {
	base := map[string]any{"a": map[string]any{"b": 1.0, "c": 2.0}, "l": []any{1.0}}
	got := merge(base, map[string]any{"a": map[string]any{"b": nil, "d": 3.0}, "l": []any{2.0}, "n": map[string]any{"x": nil, "y": 1.0}})
	want := map[string]any{"a": map[string]any{"c": 2.0, "d": 3.0}, "l": []any{2.0}, "n": map[string]any{"y": 1.0}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if base["a"].(map[string]any)["b"] != 1.0 {
		t.Error("the base was changed")
	}
}

func TestTheReportBeginsWithWhatMatters(t *testing.T) {
	r := Report{Cluster: "c", Policy: "p", Results: []Result{
		{Topic: "images", Leak: "L14", Case: "a|b", Verdict: Failed, Why: "admitted\nnow"},
		{Topic: "binding", Leak: "L07", Case: "c", Verdict: Passed, Answer: "residency: X"},
		{Topic: "backups", Leak: "L50", Case: "d", Verdict: Skipped, Why: "not installed"},
	}}
	var out strings.Builder
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `# Residency conformance

- Cluster: c
- Policy: p
- 1 of 2 cases as they must be, 1 failed, 1 not applicable here; 2 leaks tried

## Failed

- images L14: a|b: admitted now

## Cases

| Topic | Leak | Case | Result | Answer |
| --- | --- | --- | --- | --- |
| backups | L50 | d | Skipped | not installed |
| binding | L07 | c | Passed | residency: X |
| images | L14 | a\|b | Failed | admitted now |
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}
