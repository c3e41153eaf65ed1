package crdtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// Short names of built-in kinds that ours must not shadow.
var builtIn = []string{"cm", "cs", "csr", "crd", "cj", "deploy", "ds", "ep", "ev", "hpa", "ing", "limits", "netpol", "no", "ns", "pc", "pdb", "po", "pv", "pvc", "quota", "rc", "rs", "sa", "sc", "sts", "svc"}

func TestEveryKindFollowsTheConventions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("CRDs: %v, %v", files, err)
	}
	shortName := regexp.MustCompile(`^[a-z]{3,4}$`)
	taken := slices.Clone(builtIn)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			t.Fatal(err)
		}
		names, version := crd.Spec.Names, crd.Spec.Versions[0]
		if len(names.ShortNames) != 1 || !shortName.MatchString(names.ShortNames[0]) || slices.Contains(taken, names.ShortNames[0]) {
			t.Errorf("%s: short names %v, want one of 3 or 4 letters that nobody has", names.Kind, names.ShortNames)
		}
		taken = append(taken, names.ShortNames...)
		if !slices.Contains(names.Categories, "maodian") {
			t.Errorf("%s is not in the category maodian", names.Kind)
		}
		if version.Subresources == nil || version.Subresources.Status == nil {
			t.Errorf("%s has no status subresource", names.Kind)
		}
		checkColumns(t, names.Kind, version.AdditionalPrinterColumns)
		checkBounds(t, names.Kind, *version.Schema.OpenAPIV3Schema)
	}
}

func checkColumns(t *testing.T, kind string, columns []apiextensionsv1.CustomResourceColumnDefinition) {
	t.Helper()
	var first []string
	for _, c := range columns {
		if c.Priority == 0 {
			first = append(first, c.Name)
		}
	}
	if len(first) > 5 || !slices.Contains(first, "Ready") || first[len(first)-1] != "Age" {
		t.Errorf("%s: columns %v, want at most 5, Ready among them, Age last", kind, first)
	}
}

// checkBounds finds strings, lists and maps without a bound; conditions are the API server's own type.
func checkBounds(t *testing.T, path string, s apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	switch {
	case s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time":
		t.Errorf("%s has no maxLength", path)
	case s.Type == "array":
		if s.MaxItems == nil || s.XListType == nil {
			t.Errorf("%s has no maxItems or no listType", path)
		}
		if s.Items != nil && s.Items.Schema != nil {
			checkBounds(t, path+"[]", *s.Items.Schema)
		}
	case s.AdditionalProperties != nil:
		if s.MaxProperties == nil {
			t.Errorf("%s has no maxProperties", path)
		}
		checkBounds(t, path+"{}", *s.AdditionalProperties.Schema)
	case s.Type == "integer" && s.Format == "":
		t.Errorf("%s is neither int32 nor int64", path)
	}
	for name, p := range s.Properties {
		if !isTypeMeta(path, name) {
			checkBounds(t, path+"."+name, p)
		}
	}
}

// isTypeMeta is true for apiVersion and kind of the root, which the API server bounds itself.
func isTypeMeta(path, name string) bool {
	return (name == "apiVersion" || name == "kind") && filepath.Ext(path) == ""
}
