package residency_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/test/residency"
)

// onDisk are the topics whose cases are not about admission policies: a network policy is an
// object, and stands in no control plane's folder.
var onDisk = func(topic string) bool { return topic != "default-deny" }

// An API server that loads the guard from disk holds it against everybody, and lets nobody
// weaken the one that stands in the API.
func TestTheGuardFromDisk(t *testing.T) {
	const governed, free = "static-governed", "static-free"
	options := guard.Options{Manager: manager, Prober: prober, Governed: []string{governed}}
	disk, stop, err := envtestrig.Start(envtestrig.Flags{"admission-control-config-file": writeGuard(t, options)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	installKinds(t, disk)
	disk.Create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: governed, Labels: map[string]string{"residency.maodian.dev/policy": policyName}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: free}}, policy())
	t.Run("every case", func(t *testing.T) { casesFromDisk(t, disk, governed, free) })
	t.Run("nobody weakens the guard in the API", func(t *testing.T) { protected(t, disk, options) })
}

// writeGuard writes the guard as the command does, and returns the configuration's path.
func writeGuard(t *testing.T, o guard.Options) string {
	t.Helper()
	manifests, err := guard.Static(policy(), o)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	files, err := guard.Files(folder, manifests)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, guard.ConfigurationFile)
}

func casesFromDisk(t *testing.T, disk *envtestrig.Rig, governed, free string) {
	files, err := residency.Cases()
	if err != nil {
		t.Fatal(err)
	}
	runner, err := conformance.NewRunner(disk.Config, conformance.Where{
		Governed: governed, Free: free, Manager: manager, Prober: prober, Values: residency.Values(policy()),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Prepare(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		var kept []conformance.Case
		for _, c := range f.Cases {
			if onDisk(c.Topic) {
				kept = append(kept, c)
			}
		}
		files[i].Cases = kept
	}
	r, err := runner.Run(t.Context(), files)
	check(t, r, err)
	if n := r.Count(conformance.Passed); n < leastCases {
		t.Errorf("%d cases, want at least %d", n, leastCases)
	}
	if err := runner.Clean(t.Context()); err != nil {
		t.Error(err)
	}
}

// protected lets everybody have a go at the guard that the manager wrote.
func protected(t *testing.T, disk *envtestrig.Rig, o guard.Options) {
	g, err := guard.Compile(policy(), o)
	if err != nil {
		t.Fatal(err)
	}
	asManager := disk.As(t, manager, "system:masters")
	for _, x := range g.Objects {
		if strings.Contains(x.Kind, "Admission") {
			if err := asManager.Apply(t.Context(), x.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
				t.Fatalf("the manager may not write %s %s: %v", x.Kind, x.Name, err)
			}
		}
	}
	attestor := disk.As(t, "somebody", "system:masters", policy().Spec.Identities.Attestors[0])
	name := metav1.ObjectMeta{Name: "residency-" + policyName + "-images"}
	ours, bound := &arv1.ValidatingAdmissionPolicy{ObjectMeta: name}, &arv1.ValidatingAdmissionPolicyBinding{ObjectMeta: name}
	ignore := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"failurePolicy":"Ignore"}}`))
	warn := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"validationActions":["Warn"]}}`))
	pin := &arv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + policyName + "-pin-pods"}}
	for what, err := range map[string]error{
		"deleting a policy":                       disk.Client.Delete(t.Context(), ours.DeepCopy()),
		"deleting a binding":                      disk.Client.Delete(t.Context(), bound.DeepCopy()),
		"deleting a pin":                          disk.Client.Delete(t.Context(), pin.DeepCopy()),
		"deleting all of them":                    disk.Client.DeleteAllOf(t.Context(), &arv1.ValidatingAdmissionPolicy{}, client.MatchingLabels(guard.Labels(policyName))),
		"letting a policy fail open":              disk.Client.Patch(t.Context(), ours.DeepCopy(), ignore),
		"letting a binding warn":                  disk.Client.Patch(t.Context(), bound.DeepCopy(), warn),
		"the manager, letting a policy fail open": asManager.Patch(t.Context(), ours.DeepCopy(), ignore),
		"the manager, letting a binding warn":     asManager.Patch(t.Context(), bound.DeepCopy(), warn),
		"the manager, deleting what governs":      asManager.Delete(t.Context(), ours.DeepCopy()),
		"an attestor, letting a policy fail open": attestor.Patch(t.Context(), ours.DeepCopy(), ignore),
	} {
		t.Run(what, func(t *testing.T) { envtestrig.Refused(t, err, "residency: GovernedNamespace: ") })
	}
	strangers := &arv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "somebody-elses"}, Spec: arv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &arv1.MatchResources{ResourceRules: []arv1.NamedRuleWithOperations{{RuleWithOperations: arv1.RuleWithOperations{
			Operations: []arv1.OperationType{arv1.Create}, Rule: arv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}}}},
		Validations: []arv1.Validation{{Expression: "true"}},
	}}
	disk.Create(t, strangers)
	for what, err := range map[string]error{
		"somebody, deleting a policy of their own": disk.Client.Delete(t.Context(), strangers),
		"an attestor, deleting a binding":          attestor.Delete(t.Context(), bound.DeepCopy()),
		"an attestor, deleting a policy":           attestor.Delete(t.Context(), ours.DeepCopy()),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
