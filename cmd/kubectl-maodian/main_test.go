package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = "../../config/samples/00-policy.yaml"

func call(t *testing.T, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(in), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestRenderPrintsWhatIsApplied(t *testing.T) {
	code, out, errOut := call(t, "", "render", "-f", sample, "--namespaces", "brand-cn")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, part := range []string{"kind: MutatingAdmissionPolicy\n", "kind: ValidatingAdmissionPolicyBinding\n", "name: residency-cn-mainland-images\n", "kind: NetworkPolicy\n", "namespace: brand-cn\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("lacks %q", part)
		}
	}
	if _, again, _ := call(t, "", "render", "-f", sample, "--namespaces", "brand-cn"); again != out {
		t.Error("a second call prints something else")
	}
	if _, old, _ := call(t, "", "render", "-f", sample, "--minor", "35"); strings.Contains(old, "kind: MutatingAdmissionPolicy\n") {
		t.Error("a mutating policy is rendered for 1.35, which does not know them")
	}
}

func TestRenderReadsStandardInput(t *testing.T) {
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	policy, _, _ := strings.Cut(string(text), "\n---")
	if code, out, errOut := call(t, policy, "render", "-f", "-"); code != exitOK || !strings.Contains(out, "residency-cn-mainland-images") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

func TestStaticManifestsCarryTheirNameAndNothingElse(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "guard")
	if code, _, errOut := call(t, "", "render", "-f", sample, "--static", "--output-dir", folder); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*ing", "*.json"))
	if err != nil || len(files) < 80 {
		t.Fatalf("%d manifests: %v", len(files), err)
	}
	protected := false
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			Kind     string
			Metadata map[string]any
			Spec     struct{ PolicyName string }
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		name, _ := o.Metadata["name"].(string)
		if len(o.Metadata) != 1 || !strings.HasSuffix(name, ".static.k8s.io") || (o.Spec.PolicyName != "" && o.Spec.PolicyName != name) {
			t.Errorf("%s: metadata %v, policyName %q", filepath.Base(f), o.Metadata, o.Spec.PolicyName)
		}
		protected = protected || name == "residency-cn-mainland-protection.static.k8s.io"
	}
	if !protected {
		t.Error("the policy that protects the guard is missing")
	}
}

func TestStaticManifestsOfAPolicyAreReplacedAndThoseOfOthersStay(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	text := func(name, sharing string) string {
		return "apiVersion: residency.maodian.dev/v1alpha1\nkind: ResidencyPolicy\nmetadata: {name: " + name + "}\nspec: {jurisdiction: cn, nodes: {sharing: " + sharing + "}}\n"
	}
	for _, policy := range []string{text("cn-mainland", "Exclusive"), text("cn", "Exclusive"), text("cn", "Shared")} {
		if code, _, errOut := call(t, policy, "render", "-f", "-", "--static", "--output-dir", "guard"); code != exitOK {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
	}
	for file, want := range map[string]bool{
		"cn_images.ValidatingAdmissionPolicy.json": true, "cn_protection.ValidatingAdmissionPolicyBinding.json": true,
		"cn_keep-off.ValidatingAdmissionPolicy.json": false, "cn-mainland_keep-off.ValidatingAdmissionPolicy.json": true,
	} {
		if _, err := os.Stat(filepath.Join("guard", "validating", file)); (err == nil) != want {
			t.Errorf("%s exists = %t", file, err == nil)
		}
	}
	if entries, err := os.ReadDir("guard"); err != nil || len(entries) != 3 {
		t.Errorf("%v, want two folders and the configuration: %v", entries, err)
	}
	configuration, err := os.ReadFile(filepath.Join("guard", "admission.json"))
	if err != nil || !strings.Contains(string(configuration), `"staticManifestsDir": "`+filepath.Join(here, "guard", "validating")+`"`) {
		t.Errorf("the configuration names no absolute folder: %s, %v", configuration, err)
	}
}

func TestWrongUseIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no policy":              {[]string{"render"}, "name a ResidencyPolicy of the cluster, or a file with -f"},
		"two policies":           {[]string{"render", "a", "-f", sample}, "name a ResidencyPolicy of the cluster, or a file with -f"},
		"a folder without disk":  {[]string{"render", "-f", sample, "--output-dir", "x"}, "--output-dir needs --static"},
		"a file of another kind": {[]string{"render", "-f", "../../config/samples/20-store.yaml"}, "read policy"},
		"an unknown format":      {[]string{"conformance", "p", "-o", "xml"}, "-o must be text or json"},
		"an unknown command":     {[]string{"conform"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, errOut := call(t, "", c.args...); code != exitError || !strings.Contains(errOut, c.says) || out != "" {
				t.Errorf("exit code %d, %q, %q", code, out, errOut)
			}
		})
	}
}
