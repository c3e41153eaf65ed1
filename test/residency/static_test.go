package residency_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/test/residency"
)

// notFromDisk are the reasons for which a case may be skipped under manifests.
var notFromDisk = []string{
	"the policy has no exceptedUser", // manifests know no exception: a file on disk does not end by itself
	"the policy has no exception",
	"a guard that is in force refuses the object that the case presupposes", // nothing is older than this guard
}

// render writes the guard of a policy as `kubectl maodian render --static` does.
func render(t *testing.T, folder string, p *residencyv1.ResidencyPolicy, governed ...string) {
	t.Helper()
	manifests, err := guard.Static(p, guard.Options{Manager: manager, Prober: prober, Governed: governed})
	if err == nil {
		err = guard.WriteStatic(folder, p.Name, manifests)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fromDisk starts an API server that loads the guard of a policy from a folder. Its administrator
// is an attestor: the guard is in force from the first request.
func fromDisk(t *testing.T, folder string, p *residencyv1.ResidencyPolicy) *envtestrig.Rig {
	t.Helper()
	r, stop, err := envtestrig.Start(envtestrig.Flags{"admission-control-config-file": filepath.Join(folder, "admission.json")})
	if err != nil {
		t.Fatalf("start an API server with the manifests: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	r.Client = r.As(t, "root", "system:masters", p.Spec.Identities.Attestors[0])
	return r
}

// namespace makes a namespace of a name that manifests can tell beforehand.
func namespace(t *testing.T, r *envtestrig.Rig, name, mark string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if mark != "" {
		ns.Labels = map[string]string{"residency.maodian.dev/policy": mark}
	}
	r.Create(t, ns)
	return name
}

func TestTheGuardFromDisk(t *testing.T) {
	p, folder := policy(), t.TempDir()
	render(t, folder, p, "brand-cn")
	r := fromDisk(t, folder, p)
	installKinds(t, r)
	r.Create(t, p)
	where := conformance.Where{
		Governed: namespace(t, r, "brand-cn", p.Name), Free: namespace(t, r, "elsewhere", ""), Manager: manager, Prober: prober, Values: residency.Values(p),
	}
	t.Run("attacks are refused and ordinary work passes", func(t *testing.T) { casesFromDisk(t, r, where) })
	t.Run("a new text is in force without a restart", func(t *testing.T) {
		changed := p.DeepCopy()
		changed.Spec.Images.Registries = []string{"other.maodian.test/"}
		for _, now := range []*residencyv1.ResidencyPolicy{changed, p} {
			render(t, folder, now, where.Governed)
			takenUp(t, r, where.Governed, now.Spec.Images.Registries[0])
		}
	})
	stop := start(t, r)
	defer stop()
	enforced(t, r, p, where.Governed)
	t.Run("nobody weakens what the manager has installed", func(t *testing.T) { nobodyWeakens(t, r) })
	t.Run("policies of others are theirs", func(t *testing.T) { othersAreTheirs(t, r) })
	t.Run("parts come and go by whom they may", func(t *testing.T) { comesAndGoes(t, r) })
	t.Run("an attestor gets out", func(t *testing.T) { getOutOfDisk(t, r, folder, p, where.Governed) })
}

// takenUp waits until images of a registry pass.
func takenUp(t *testing.T, r *envtestrig.Rig, namespace, registry string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "new"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: registry + "x:1"}}},
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return r.Client.Create(ctx, pod.DeepCopy(), client.DryRunAll) })
}

func casesFromDisk(t *testing.T, r *envtestrig.Rig, where conformance.Where) {
	files, err := residency.Cases()
	if err != nil {
		t.Fatal(err)
	}
	runner, err := conformance.NewRunner(r.Config, where)
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Prepare(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	report, err := runner.Run(t.Context(), files)
	check(t, report, err)
	for _, x := range report.Results {
		if x.Verdict == conformance.Skipped && !slices.Contains(notFromDisk, x.Why) {
			t.Errorf("%s: %s was skipped: %s", x.Topic, x.Case, x.Why)
		}
	}
	if n := report.Count(conformance.Passed); n < leastCases {
		t.Errorf("%d cases, want at least %d", n, leastCases)
	}
	if err := runner.Clean(t.Context()); err != nil {
		t.Error(err)
	}
}

// Texts of patches that weaken a guard.
const (
	lenient = `{"spec":{"failurePolicy":"Ignore"}}`
	silent  = `{"spec":{"validationActions":["Audit"]}}`
	empty   = `{"spec":{"validations":[{"expression":"true"}]}}`
	unbound = `{"spec":{"matchResources":{"namespaceSelector":{"matchLabels":{"nowhere":"true"}}}}}`
	disowns = `{"metadata":{"labels":{"residency.maodian.dev/policy":"another"}}}`
)

func patched(o client.Object, text string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Patch(ctx, o.DeepCopyObject().(client.Object), client.RawPatch("application/merge-patch+json", []byte(text)))
	}
}

func deleted(o client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Delete(ctx, o.DeepCopyObject().(client.Object))
	}
}

func allDeleted(o client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.DeleteAllOf(ctx, o.DeepCopyObject().(client.Object), client.MatchingLabels(guard.Labels(policyName)))
	}
}

func created(o client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Create(ctx, o.DeepCopyObject().(client.Object))
	}
}

// audits is a policy that refuses nothing.
func audits(name string, labels map[string]string) *arv1.ValidatingAdmissionPolicy {
	return &arv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: arv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &arv1.MatchResources{ResourceRules: []arv1.NamedRuleWithOperations{{RuleWithOperations: arv1.RuleWithOperations{
				Operations: []arv1.OperationType{arv1.Create}, Rule: arv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"podtemplates"}},
			}}}},
			Validations: []arv1.Validation{{Expression: "true"}},
		},
	}
}

func nobodyWeakens(t *testing.T, r *envtestrig.Rig) {
	images, pins := metav1.ObjectMeta{Name: "residency-" + policyName + "-images"}, metav1.ObjectMeta{Name: "residency-" + policyName + "-pin-pods"}
	policy, bound := &arv1.ValidatingAdmissionPolicy{ObjectMeta: images}, &arv1.ValidatingAdmissionPolicyBinding{ObjectMeta: images}
	pin, pinned := &arv1.MutatingAdmissionPolicy{ObjectMeta: pins}, &arv1.MutatingAdmissionPolicyBinding{ObjectMeta: pins}
	const written, removed, fails, denies = "the guard is written by the manager", "is removed by an attestor", "`failurePolicy` of the guard must be Fail", "the guard must deny"
	for name, c := range map[string]struct {
		by   string
		try  func(context.Context, client.Client) error
		says string
	}{
		"somebody deletes a policy":                    {"alice", deleted(policy), written},
		"somebody deletes a binding":                   {"alice", deleted(bound), written},
		"somebody deletes a mutating policy":           {"alice", deleted(pin), written},
		"somebody deletes a mutating binding":          {"alice", deleted(pinned), written},
		"somebody deletes all policies":                {"alice", allDeleted(policy), written},
		"somebody deletes all bindings":                {"alice", allDeleted(bound), written},
		"somebody deletes all mutating policies":       {"alice", allDeleted(pin), written},
		"somebody deletes all mutating bindings":       {"alice", allDeleted(pinned), written},
		"somebody lets errors pass":                    {"alice", patched(policy, lenient), written},
		"somebody lets errors of a mutation pass":      {"alice", patched(pin, lenient), written},
		"somebody lets a binding audit only":           {"alice", patched(bound, silent), written},
		"somebody empties a policy":                    {"alice", patched(policy, empty), written},
		"somebody binds a policy nowhere":              {"alice", patched(bound, unbound), written},
		"somebody binds a mutation nowhere":            {"alice", patched(pinned, unbound), written},
		"somebody gives a policy another owner's mark": {"alice", patched(policy, disowns), written},
		"somebody makes a policy of a name like ours":  {"alice", created(audits("residency-"+policyName+"-new", nil)), written},
		"the garbage collector deletes a policy":       {"system:serviceaccount:kube-system:generic-garbage-collector", deleted(policy), written},
		"the manager lets errors pass":                 {manager, patched(policy, lenient), fails},
		"the manager lets errors of a mutation pass":   {manager, patched(pin, lenient), fails},
		"the manager lets a binding audit only":        {manager, patched(bound, silent), denies},
		"the manager deletes a binding":                {manager, deleted(bound), removed},
		"the manager deletes all policies":             {manager, allDeleted(policy), removed},
	} {
		t.Run(name, func(t *testing.T) { envtestrig.Refused(t, c.try(t.Context(), r.As(t, c.by, "system:masters")), c.says) })
	}
	if err := patched(policy, `{"metadata":{"annotations":{"note":"x"}}}`)(t.Context(), r.As(t, manager, "system:masters")); err != nil {
		t.Errorf("the manager updates a policy: %v", err)
	}
}

// othersAreTheirs: who has the right makes, changes and removes policies that are none of the
// guard, whatever they are called.
func othersAreTheirs(t *testing.T, r *envtestrig.Rig) {
	alice := r.As(t, "alice", "system:masters")
	for name, o := range map[string]client.Object{
		"another name":                        audits("team-images", nil),
		"a name that begins like ours":        audits("residency-reports", nil),
		"another policy whose name is longer": audits("residency-"+policyName+"-two-images", guard.Labels(policyName+"-two")),
	} {
		t.Run(name, func(t *testing.T) {
			for _, try := range []func(context.Context, client.Client) error{created(o), patched(o, lenient), deleted(o)} {
				if err := try(t.Context(), alice); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// comesAndGoes: an attestor may remove a part of the guard, and the manager puts it back; the
// manager removes what an older one has left.
func comesAndGoes(t *testing.T, r *envtestrig.Rig) {
	bound := &arv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + policyName + "-images"}}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(bound), bound); err != nil {
		t.Fatal(err)
	}
	old := bound.UID
	if err := deleted(bound)(t.Context(), r.Client); err != nil {
		t.Fatalf("an attestor removes a binding: %v", err)
	}
	left := audits("residency-"+policyName+"-of-an-older-release", guard.Labels(policyName))
	if err := created(left)(t.Context(), r.As(t, manager, "system:masters")); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(bound), bound); err != nil || bound.UID == old {
			return fmt.Errorf("the binding is not back: %w", err)
		}
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(left), left); !apierrors.IsNotFound(err) {
			return fmt.Errorf("what an older release has left is still there: %w", err)
		}
		return nil
	})
}

// getOutOfDisk goes the way that docs/guard.md describes: while the text on disk names a
// governed namespace, the policy stays.
func getOutOfDisk(t *testing.T, r *envtestrig.Rig, folder string, p *residencyv1.ResidencyPolicy, governed string) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: governed}}
	if err := patched(ns, `{"metadata":{"labels":{"residency.maodian.dev/policy":null}}}`)(t.Context(), r.Client); err != nil {
		t.Fatal(err)
	}
	envtestrig.Refused(t, deleted(p)(t.Context(), r.Client), "namespaces still carry its name")
	render(t, folder, p)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return client.IgnoreNotFound(deleted(p)(ctx, r.Client)) })
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(p), &residencyv1.ResidencyPolicy{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the policy is still there: %w", err)
		}
		var left arv1.ValidatingAdmissionPolicyList
		err := r.Client.List(ctx, &left, client.MatchingLabels(guard.Labels(p.Name)))
		if err == nil && len(left.Items) > 0 {
			return fmt.Errorf("%d policies of the guard are left", len(left.Items))
		}
		return err
	})
}
