package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/manifest"
)

const head = "apiVersion: residency.maodian.dev/v1alpha1\nkind: DataTransfer\nmetadata: {name: a, namespace: b}\n"

// valid is an object in which nothing is wrong.
const valid = "apiVersion: marketing.maodian.dev/v1alpha1\nkind: SendHold\nmetadata: {name: a, namespace: b}\nspec: {campaigns: [x], reason: x}\n"

func TestRead_TellsWhereAndWhat(t *testing.T) {
	for name, c := range map[string]struct {
		text, code string
		document   int
		says       string
	}{
		"an unknown field":           {valid + "---\n" + head + "spec: {recipient: {nome: crm}}\n", manifest.CodeField, 2, `"spec.recipient.nome"`},
		"a field given twice":        {head + "spec: {purpose: A, purpose: B}\n", manifest.CodeYAML, 1, `"purpose"`},
		"another case of a field":    {head + "spec: {maxpersons: 3}\n", manifest.CodeField, 1, `"spec.maxpersons"`},
		"a value of another type":    {head + "spec: {maxPersons: many}\n", manifest.CodeValue, 1, "maxPersons"},
		"a time that is none":        {head + "spec: {impactAssessment: {completedTime: soon}}\n", manifest.CodeValue, 1, "soon"},
		"a kind that is none":        {strings.Replace(head, "DataTransfer", "DataTransfers", 1), manifest.CodeKind, 1, "no kind DataTransfers"},
		"a version that is none":     {strings.Replace(head, "v1alpha1", "v2", 1), manifest.CodeKind, 1, "residency.maodian.dev/v2"},
		"a group that is none":       {strings.Replace(head, "residency.", "", 1), manifest.CodeKind, 1, "maodian.dev/v1alpha1"},
		"a list":                     {"apiVersion: v1\nkind: List\nitems: []\n", manifest.CodeKind, 1, "a List is not read"},
		"a list of ours":             {"apiVersion: residency.maodian.dev/v1alpha1\nkind: DataTransferList\nitems: []\n", manifest.CodeKind, 1, "is a list"},
		"no object":                  {"a: 1\n", manifest.CodeNoObject, 1, "no `apiVersion` and `kind`"},
		"a word":                     {"word", manifest.CodeNoObject, 1, "no `apiVersion` and `kind`"},
		"no YAML":                    {"a: [", manifest.CodeYAML, 1, "yaml"},
		"no name":                    {strings.Replace(valid, "name: a, ", "", 1), manifest.CodeName, 1, "without a name"},
		"no namespace":               {strings.Replace(valid, ", namespace: b", "", 1), manifest.CodeNamespace, 1, "-n"},
		"the same object twice":      {valid + "---\n" + valid, manifest.CodeDuplicate, 2, "in.yaml, document 1"},
		"more than anybody writes":   {"# " + strings.Repeat("x", manifest.MaxSize), manifest.CodeTooLarge, 0, "bytes"},
		"a marketing kind is strict": {"apiVersion: marketing.maodian.dev/v1alpha1\nkind: SendHold\nmetadata: {name: a, namespace: b}\nspec: {campaign: [x]}\n", manifest.CodeField, 1, `"spec.campaign"`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := manifest.NewSet("")
			if err != nil {
				t.Fatal(err)
			}
			var bad *manifest.Error
			if err := s.Read("in.yaml", strings.NewReader(c.text)); !errors.As(err, &bad) {
				t.Fatalf("error = %v", err)
			}
			if bad.Code != c.code || bad.File != "in.yaml" || bad.Document != c.document || !strings.Contains(bad.Wrong+"; "+bad.Right, c.says) || strings.Contains(bad.Error(), "\n") {
				t.Errorf("%+v", *bad)
			}
		})
	}
}

func TestRead_TheSamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	s, err := manifest.NewSet("")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Read(file, strings.NewReader(string(raw))); err != nil {
			t.Error(err)
		}
	}
	got := []int{len(s.Policies), len(s.Stores), len(s.Notices), len(s.Mechanisms), len(s.Holds), len(s.Namespaces)}
	for i, want := range []int{1, 2, 1, 1, 1, 1} {
		if got[i] != want {
			t.Fatalf("read %v", got)
		}
	}
	for _, want := range []string{"leads-to-zurich", "leads-to-zurich-q4", "leads-to-zurich-weekly"} { // the last one by a schedule
		if !slices.ContainsFunc(s.Transfers, func(t residencyv1.DataTransfer) bool { return t.Name == want && t.Spec.MaxPersons == 5000 }) {
			t.Errorf("%s was not read", want)
		}
	}
}

func TestRead_PutsWhatNamesNoNamespaceIntoTheOneGiven(t *testing.T) {
	s, err := manifest.NewSet("brand-cn")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "60-transfer-blocked.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	hold, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "70-hold.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "  namespace: brand-cn\n", "", 1) + "---\n" + string(hold) + "---\n# nothing\n---\napiVersion: apps/v1\nkind: Deployment\nspecs: whatever\n"
	if err := s.Read("-", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if len(s.Transfers) != 1 || s.Transfers[0].Namespace != "brand-cn" || len(s.Holds) != 1 || s.Holds[0].Namespace != "" {
		t.Errorf("transfers %v, holds %v", s.Transfers, s.Holds)
	}
}

// FuzzRead: whatever a file holds, the reader ends with objects that have a name, or with an
// error that has a code and a place.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("samples: %v, %v", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, seed := range []string{"", "---\n---", "a: [", "null", "{}", "kind: x\napiVersion: a/b/c", head + "spec: {maxPersons: 1e99}", head + "x: 1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := manifest.NewSet("")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Read("in.yaml", strings.NewReader(string(text))); err != nil {
			var bad *manifest.Error
			if !errors.As(err, &bad) || bad.Code == "" || bad.File != "in.yaml" || bad.Wrong == "" || bad.Right == "" {
				t.Errorf("error = %#v", err)
			}
		}
		for _, x := range s.Transfers {
			if x.Name == "" || x.Namespace == "" {
				t.Errorf("kept %q in %q", x.Name, x.Namespace)
			}
		}
	})
}
