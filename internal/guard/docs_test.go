package guard_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var appliedBlock = regexp.MustCompile("(?s)<!-- a test applies this block under the guard -->\n```yaml\n(.*?)```")

// TestTheExampleOfAnExportPassesTheGuard applies what docs/ledger.md tells an officer to run,
// and looks at the pod that comes of it.
func TestTheExampleOfAnExportPassesTheGuard(t *testing.T) {
	text, err := os.ReadFile("../../docs/ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	m := appliedBlock.FindSubmatch(text)
	if m == nil {
		t.Fatal("docs/ledger.md has no example")
	}
	ns := install(t, policy(rig.Name("export")))
	example := strings.ReplaceAll(string(m[1]), "registry.example/", "registry.maodian.test/")
	var job *unstructured.Unstructured
	for doc := range strings.SplitSeq(example, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(doc), &o.Object); err != nil {
			t.Fatal(err)
		}
		o.SetNamespace(ns)
		rig.Create(t, o)
		if o.GetKind() == "Job" {
			job = o
		}
	}
	template, _, err := unstructured.NestedMap(job.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	made := &unstructured.Unstructured{Object: template} // as the Job's controller makes it
	made.SetAPIVersion("v1")
	made.SetKind("Pod")
	made.SetNamespace(ns)
	made.SetName(rig.Name("export"))
	rig.Create(t, made)
	if pin, _, _ := unstructured.NestedString(made.Object, "spec", "nodeSelector", labelKey); pin != "cn-mainland" {
		t.Errorf("the pod is pinned to %q", pin)
	}
}
