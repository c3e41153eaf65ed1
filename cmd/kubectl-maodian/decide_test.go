package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/manifest"
)

const folder = "testdata/decide"

// manifests names files of the samples, and of the folder of this test.
func manifests(names ...string) (args []string) {
	for _, name := range names {
		file := filepath.Join("..", "..", "config", "samples", name+".yaml")
		if name[0] < '0' || name[0] > '9' {
			file = filepath.Join(folder, name+".yaml")
		}
		args = append(args, "-f", file)
	}
	return args
}

// base is what both transfers need.
var base = []string{"00-policy", "10-notice", "20-store"}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it):\n%s", file, d)
	}
}

func TestDecide(t *testing.T) {
	const at = "2026-11-23T08:00:00Z"
	for name, c := range map[string]struct {
		files []string
		facts string
		code  int
		codes map[string][]string // of each transfer; nil: allowed
	}{
		"the samples": {
			append(slices.Clone(base), "60-transfer-blocked", "61-transfer-allowed"), "facts", exitRefused,
			map[string][]string{"leads-to-zurich": {"PIAMissing"}, "leads-to-zurich-q4": nil},
		},
		"allowed": {append(slices.Clone(base), "61-transfer-allowed"), "facts", exitOK, map[string][]string{"leads-to-zurich-q4": nil}},
		"nobody agrees": {
			append(slices.Clone(base), "60-transfer-blocked"), "facts-nobody", exitRefused,
			map[string][]string{"leads-to-zurich": {"PIAMissing", "ConsentMissing"}},
		},
		"under a hold": {
			append(slices.Clone(base), "60-transfer-blocked", "61-transfer-allowed", "70-hold"), "facts", exitRefused,
			map[string][]string{"leads-to-zurich": {"PublicSecurityHold"}, "leads-to-zurich-q4": {"PublicSecurityHold"}},
		},
		"no facts": {
			append(slices.Clone(base), "60-transfer-blocked", "61-transfer-allowed"), "", exitRefused,
			map[string][]string{"leads-to-zurich": {"PIAMissing", "CounterUnavailable"}, "leads-to-zurich-q4": {"CounterUnavailable"}},
		},
		"half of a counter": {append(slices.Clone(base), "61-transfer-allowed"), "facts-sensitive-unknown", exitRefused, map[string][]string{"leads-to-zurich-q4": {"CounterUnavailable"}}},
		"near the contract, and it is not known who agreed": {
			append(slices.Clone(base), "60-transfer-blocked"), "facts-part", exitRefused,
			map[string][]string{"leads-to-zurich": {"PIAMissing", "MechanismMissing", "ConsentMissing"}},
		},
		"counts need no facts":            {append(slices.Clone(base), "63-aggregates"), "", exitOK, map[string][]string{"lead-counts-2026-11": nil}},
		"counts under a hold":             {append(slices.Clone(base), "63-aggregates", "70-hold"), "", exitRefused, map[string][]string{"lead-counts-2026-11": {"PublicSecurityHold"}}},
		"counts that claim to be records": {append(slices.Clone(base), "counts-of-records"), "facts", exitRefused, map[string][]string{"lead-counts-2026-11": {"ExcessiveCategories", "PIAMissing"}}},
		"a warning":                       {append(slices.Clone(base), "contract-due"), "facts", exitOK, map[string][]string{"leads-to-zurich-q4": nil}},
		"the namespace is free":           {[]string{"second-policy", "10-notice", "20-store", "61-transfer-allowed", "no-label"}, "facts", exitRefused, map[string][]string{"leads-to-zurich-q4": {"PolicyMissing"}}},
		"the transfer alone":              {[]string{"61-transfer-allowed"}, "facts", exitRefused, map[string][]string{"leads-to-zurich-q4": {"PolicyMissing"}}},
		"the only policy":                 {[]string{"second-policy", "10-notice", "20-store", "60-transfer-blocked"}, "facts-nobody", exitRefused, map[string][]string{"leads-to-zurich": {"PIAMissing", "CIIOStatusUnknown", "ConsentMissing"}}},
		"no notice and no store":          {[]string{"00-policy", "61-transfer-allowed"}, "facts", exitRefused, map[string][]string{"leads-to-zurich-q4": {"NoticeNotPublished"}}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"decide", "--now", at}, manifests(c.files...)...)
			if c.facts != "" {
				args = append(args, "--facts", filepath.Join(folder, c.facts+".yaml"))
			}
			file := filepath.Join(folder, "golden", strings.NewReplacer(" ", "-", ",", "").Replace(name))
			code, text, errOut := call(t, "", args...)
			if code != c.code || errOut != "" {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			golden(t, file+".txt", text)
			for line := range strings.Lines(text) {
				if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 || strings.Contains(line, "\x1b") {
					t.Errorf("not for 80 columns without colour: %q", line)
				}
			}
			code, raw, errOut := call(t, "", append(args, "-o", "json")...)
			if code != c.code || errOut != "" {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			golden(t, file+".json", raw)
			var d decisions
			if err := json.Unmarshal([]byte(raw), &d); err != nil || d.Version != 1 {
				t.Fatalf("version %d: %v", d.Version, err)
			}
			got := map[string][]string{}
			for _, v := range d.Transfers {
				if got[v.Name] = nil; v.Refused() {
					got[v.Name] = v.Codes()
				}
			}
			if diff := cmp.Diff(c.codes, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecide_ReadsAFolderAndStandardInput(t *testing.T) {
	facts := filepath.Join(folder, "facts.yaml")
	code, out, errOut := call(t, "", "decide", "-f", filepath.Join("..", "..", "config", "samples"), "--facts", facts)
	refused := strings.Count(out, ": REFUSED\n") // the sample's hold covers all of them
	if code != exitRefused || refused < 2 || strings.Count(out, "PublicSecurityHold") != refused || !strings.Contains(out, fmt.Sprintf("0 allowed, %d refused", refused)) {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	var all strings.Builder
	for _, file := range append(slices.Clone(base), "61-transfer-allowed") {
		raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", file+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n" + string(raw))
	}
	if code, out, errOut := call(t, all.String(), "decide", "-f", "-", "--facts", facts); code != exitOK || !strings.Contains(out, "1 allowed, 0 refused") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
}

// TestDecide_FactsLieBesideTheManifests: the file of facts is no manifest, nor is kustomize's.
func TestDecide_FactsLieBesideTheManifests(t *testing.T) {
	dir := t.TempDir()
	for file, from := range map[string]string{
		"a.yaml": "../../config/samples/00-policy.yaml", "b.yml": "../../config/samples/10-notice.yaml", "c.yaml": "../../config/samples/20-store.yaml",
		"d.yaml": "../../config/samples/61-transfer-allowed.yaml", "facts.yaml": folder + "/facts.yaml", "kustomization.yaml": folder + "/facts.yaml", "README.md": folder + "/facts.yaml",
	} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errOut := call(t, "", "decide", "-f", dir, "--facts", filepath.Join(dir, "facts.yaml")); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	if code, _, errOut := call(t, "", "decide", "-f", dir); code != exitBadInput || !strings.Contains(errOut, "NotAnObject: "+filepath.Join(dir, "facts.yaml")+", document 1: ") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

func TestDecide_BadInputIsExplained(t *testing.T) {
	numbers := func(text string) []string {
		file := filepath.Join(t.TempDir(), "numbers.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return append(manifests("61-transfer-allowed"), "--facts", file)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"an unknown field":               {manifests("unknown-field"), `error: UnknownField: testdata/decide/unknown-field.yaml, document 2: DataTransfer: unknown field "spec.maxPeople"; correct the name`},
		"two policies":                   {manifests("00-policy", "second-policy", "61-transfer-allowed", "no-label"), "DuplicateObject: testdata/decide/no-label.yaml, document 1: Namespace brand-cn"},
		"a file that is not there":       {[]string{"-f", "nowhere.yaml"}, "FileUnreadable: nowhere.yaml: no such file"},
		"facts that are not there":       {append(manifests("61-transfer-allowed"), "--facts", "nowhere.yaml"), "FileUnreadable: nowhere.yaml: no such file"},
		"no transfer":                    {manifests("00-policy"), "NoTransfer: no DataTransfer in"},
		"no file":                        {nil, "name files or folders with -f"},
		"an unknown form":                {append(manifests("61-transfer-allowed"), "-o", "xml"), "-o must be text or json"},
		"a moment that is none":          {append(manifests("61-transfer-allowed"), "--now", "today"), "InvalidValue: --now today is no time"},
		"a value that is none":           {manifests("no-categories"), "InvalidValue: testdata/decide/no-categories.yaml, document 1: DataTransfer: spec.categories must have at least 1 items"},
		"a flag that is none":            {[]string{"--fact", "x"}, "unknown flag"},
		"an argument":                    {[]string{"x"}, "unknown command"},
		"an unknown number":              {numbers("stores: {a/b: {years: {sensitive: 1}}}"), `unknown field "years"`},
		"a number of another type":       {numbers("stores: {a/b: {year: {sensitive: many}}}"), "InvalidValue: "},
		"facts that are no YAML":         {numbers("stores: ["), "InvalidYAML: "},
		"fewer than nobody":              {numbers("stores: {a/b: {year: {sensitive: -1}}}"), "`stores.a/b.year.sensitive` is -1; write a number of people"},
		"fewer than nobody by processor": {numbers("processors: {a: {year: {nonSensitive: -1}}}"), "`processors.a.year.nonSensitive` is -1"},
		"fewer than nobody who agrees":   {numbers("stores: {a/b: {recipients: {c: {consenting: -1}}}}"), "`stores.a/b.recipients.c.consenting` is -1"},
		"a store without namespace":      {numbers("stores: {b: {}}"), "`stores.b` names no namespace"},
		"a reason that is none":          {numbers("stores: {a/b: {recipients: {c: {excluded: {PIAMissing: 1}}}}}"), "UnknownReason: "},
		"control codes":                  {[]string{"-f", "a\x1b[31m"}, "FileUnreadable: a\ufffd[31m"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, errOut := call(t, "", append([]string{"decide"}, c.args...)...); code != exitBadInput || !strings.Contains(errOut, c.says) || out != "" {
				t.Errorf("exit code %d, %q, %q", code, out, errOut)
			}
		})
	}
}

func TestDecide_TwoPoliciesNeedTheNamespace(t *testing.T) {
	raw, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	policy, _, _ := strings.Cut(string(raw), "\n---")
	code, out, errOut := call(t, policy, append([]string{"decide", "-f", "-"}, manifests("second-policy", "61-transfer-allowed")...)...)
	want := "PolicyAmbiguous: there are policies cn-mainland, cn-other, and nothing says which one governs namespace brand-cn; add the manifest of the Namespace"
	if code != exitBadInput || !strings.Contains(errOut, want) || out != "" {
		t.Errorf("exit code %d, %q, %q", code, out, errOut)
	}
}

// TestDecide_PrintsFactsToBeginWith: as they are they say nothing, and without the comment
// signs they are all that is asked for.
func TestDecide_PrintsFactsToBeginWith(t *testing.T) {
	for name, args := range map[string][]string{"example": nil, "samples": manifests("00-policy", "61-transfer-allowed")} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(t, "", append([]string{"decide", "--print-facts"}, args...)...)
			if code != exitOK || errOut != "" {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			golden(t, filepath.Join(folder, "golden", "print-facts.yaml"), out)
			if _, err := manifest.ReadNumbers("facts.yaml", strings.NewReader(out)); err != nil {
				t.Error(err)
			}
			file := filepath.Join(t.TempDir(), "facts.yaml")
			filled := strings.NewReplacer("# now", "now", "# year", "year", "# young", "young", "# recent", "recent", "# consenting: 0", "consenting: 1", "# excluded", "excluded").Replace(out)
			if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
				t.Fatal(err)
			}
			args := append(manifests(append(slices.Clone(base), "61-transfer-allowed")...), "--facts", file)
			if code, out, errOut := call(t, "", append([]string{"decide"}, args...)...); code != exitOK || strings.Contains(out, "Not known") {
				t.Errorf("exit code %d: %s%s", code, out, errOut)
			}
		})
	}
}

// TestDecide_TheDocumentedCommandsWork runs the block of docs/decide.md.
func TestDecide_TheDocumentedCommandsWork(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "decide.md"))
	if err != nil {
		t.Fatal(err)
	}
	samples, err := filepath.Abs(filepath.Join("..", "..", "config", "samples"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "<!-- a test runs this block -->\n```sh\n")
	block, _, closed := strings.Cut(block, "\n```")
	if !found || !closed {
		t.Fatal("the page has no such block")
	}
	t.Chdir(t.TempDir())
	for line := range strings.SplitSeq(block, "\n") {
		command, file, _ := strings.Cut(line, " > ")
		args := strings.Fields(strings.ReplaceAll(strings.TrimPrefix(command, "kubectl maodian "), "manifests/", samples))
		code, out, errOut := call(t, "", args...)
		if want := map[bool]int{true: exitOK, false: exitRefused}[file != ""]; code != want || errOut != "" {
			t.Errorf("%s: exit code %d: %s", line, code, errOut)
		}
		if file != "" {
			if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
