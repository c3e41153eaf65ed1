package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const root = "../.."

func TestTheChartIsWhatConfigGenerates(t *testing.T) {
	fresh := t.TempDir()
	if err := run(filepath.Join(root, "config"), fresh); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(fresh)
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing was generated: %v", err)
	}
	for _, f := range files {
		want := read(t, filepath.Join(fresh, f.Name()))
		if d := cmp.Diff(want, read(t, filepath.Join(root, "charts", "maodian", "templates", f.Name()))); d != "" {
			t.Errorf("%s has drifted (`make generate` writes it):\n%s", f.Name(), d)
		}
	}
}

func TestACRDIsKeptAndNoTemplateOfHelm(t *testing.T) {
	got := crd("---\nkind: CustomResourceDefinition\nmetadata:\n  annotations:\n    a: b\nspec:\n  description: a value such as {{ .Now }}\n")
	for _, part := range []string{"{{- if .Values.crds.enabled }}", "helm.sh/resource-policy: keep\n    {{- end }}\n    a: b", `{{ "{{" }} .Now }}`} {
		if !strings.Contains(got, part) {
			t.Errorf("lacks %q:\n%s", part, got)
		}
	}
}

func TestSecretsHaveARoleOfTheirOwnAndTheNamespacedRoleFollowsTheRelease(t *testing.T) {
	const rule = "- apiGroups: [\"\"]\n  resources: [%s]\n  verbs: [get]\n"
	role := func(resources ...string) string {
		text := "---\nkind: ClusterRole\nmetadata:\n  name: m\nrules:\n"
		for _, r := range resources {
			text += strings.Replace(rule, "%s", r, 1)
		}
		return text + "\n---\nkind: Role\nmetadata:\n  namespace: maodian-system\n"
	}
	got, err := roles(role("pods", "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(got, "---\n")
	if len(docs) != 3 || strings.Contains(docs[0], "secrets") || !strings.Contains(docs[1], "name: m-secrets") || strings.Contains(docs[1], "pods") {
		t.Errorf("%q", docs)
	}
	if !strings.Contains(docs[2], "namespace: {{ .Release.Namespace }}") {
		t.Error(docs[2])
	}
	for _, bad := range []string{"pods", "secrets, pods"} {
		if _, err := roles(role(bad)); err == nil {
			t.Errorf("a rule for %s is accepted", bad)
		}
	}
}

// TestEveryValueIsInTheSchema: the schema refuses unknown keys, so a value that it does not
// know cannot be set.
func TestEveryValueIsInTheSchema(t *testing.T) {
	var values map[string]any
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(root, "charts", "maodian", "values.yaml"))), &values); err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal([]byte(read(t, filepath.Join(root, "charts", "maodian", "values.schema.json"))), &schema); err != nil {
		t.Fatal(err)
	}
	compare(t, "", values, schema)
}

type object struct {
	AdditionalProperties any               `json:"additionalProperties"`
	Properties           map[string]object `json:"properties"`
}

func compare(t *testing.T, path string, values map[string]any, schema object) {
	t.Helper()
	if schema.AdditionalProperties != false {
		t.Errorf("the schema lets unknown keys pass at %q", path)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		s, ok := schema.Properties[key]
		if !ok {
			t.Errorf("the schema does not know %s%s", path, key)
		}
		if inner, isMap := values[key].(map[string]any); isMap && len(s.Properties) > 0 {
			compare(t, path+key+".", inner, s)
		}
	}
	for key := range schema.Properties {
		if _, ok := values[key]; !ok && key != "global" { // parents of the chart may set global
			t.Errorf("values.yaml does not show %s%s", path, key)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
