package residency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// ownPolicy makes a copy of the sample policy under a name of the test's own.
func ownPolicy(t *testing.T, change func(*residencyv1.ResidencyPolicy)) *residencyv1.ResidencyPolicy {
	t.Helper()
	p := sample(t, "00-policy", "ResidencyPolicy", "", &residencyv1.ResidencyPolicy{})
	p.Name = rig.Name("policy")
	p.Spec.Storage.ClassPrefix, p.Spec.Processor.Name = p.Name+"-", p.Name // no two policies share a prefix, nor a year
	if change != nil {
		change(p)
	}
	rig.Create(t, p)
	t.Cleanup(func() { forgetPolicy(t, p.Name) })
	return p
}

// forgetPolicy lets go of a policy's namespaces and deletes it with its guard: the API server
// asks every guard that there is about every request.
func forgetPolicy(t *testing.T, name string) {
	t.Helper()
	ctx, lets := context.Background(), attestor(t)
	var list corev1.NamespaceList
	if err := lets.List(ctx, &list, client.MatchingLabels{metav1alpha1.PolicyLabel: name}); err != nil {
		t.Error(err)
	}
	for i := range list.Items {
		before := list.Items[i].DeepCopy()
		delete(list.Items[i].Labels, metav1alpha1.PolicyLabel)
		if err := lets.Patch(ctx, &list.Items[i], client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	}
	p := &residencyv1.ResidencyPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := lets.Delete(ctx, p); err != nil { // gone already; or the manager has not seen yet that it governs nothing, and then it stays
		t.Log(err)
	}
}

func waitPolicy(t *testing.T, p *residencyv1.ResidencyPolicy, check func() error) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, p); err != nil {
			return err
		}
		return check()
	})
}

func policySays(p *residencyv1.ResidencyPolicy, kind, status string, reason any) func() error {
	return func() error { return envtestrig.Says(p.Status.Conditions, kind, status, fmt.Sprint(reason)) }
}

func TestAPolicyAttestsTheNodesThatLieInside(t *testing.T) {
	p := ownPolicy(t, nil)
	waitPolicy(t, p, policySays(p, "Ready", "True", residencyv1.ReasonNodesAttested))
	for _, name := range []string{"hz1", "bj1"} {
		waitLabel(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, policyName)
		if !slices.Contains(p.Status.EligibleNodes, name) {
			t.Errorf("%s is not eligible: %v", name, p.Status.EligibleNodes)
		}
	}
	for name, reason := range map[string]string{"hk1": "PlacementNotMainland", "odd1": "RegionSignalsDisagree"} {
		waitLabel(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, "")
		i := slices.IndexFunc(p.Status.RefusedNodes, func(n residencyv1.RefusedNode) bool { return n.Name == name })
		if i < 0 || p.Status.RefusedNodes[i].Reason != reason || p.Status.RefusedNodes[i].Message == "" {
			t.Errorf("%s is not refused by %s: %+v", name, reason, p.Status.RefusedNodes)
		}
	}
	if int(*p.Status.EligibleNodeCount) != len(p.Status.EligibleNodes) || *p.Status.Violations.Count != 0 {
		t.Errorf("counts = %d %d", *p.Status.EligibleNodeCount, *p.Status.Violations.Count)
	}
}

func TestALabelThatSomebodyForgedIsTakenAway(t *testing.T) {
	p := ownPolicy(t, nil)
	waitPolicy(t, p, policySays(p, "GuardInstalled", "True", residencyv1.ReasonGuardInstalled))
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "hk1"}}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"cn-mainland"}}}`, labelKey)
	if err := attestor.Patch(t.Context(), n, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	waitLabel(t, n, "") // attestation is by providerID: the signals decide, whoever writes
}

func TestAnAdministratorsLabelIsLeftAlone(t *testing.T) {
	p := ownPolicy(t, func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Nodes.Attestation, p.Spec.Nodes.LabelKey = residencyv1.AttestationAdministrator, "metal.node-restriction.kubernetes.io/jurisdiction"
	})
	n := rig.Node(t, rig.Name("metal"), "cn-hangzhou", "cn-hangzhou-h", "")
	listed := func(list func() bool, what string) func() error {
		return func() error {
			if !list() {
				return errors.New("not " + what)
			}
			return nil
		}
	}
	waitPolicy(t, p, listed(func() bool {
		return slices.ContainsFunc(p.Status.RefusedNodes, func(r residencyv1.RefusedNode) bool { return r.Name == n.Name && r.Reason == "NotAttested" })
	}, "refused"))
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"cn-mainland"}}}`, p.Spec.Nodes.LabelKey)
	if err := attestor.Patch(t.Context(), n, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	waitPolicy(t, p, listed(func() bool { return slices.Contains(p.Status.EligibleNodes, n.Name) }, "eligible"))
}

func TestAGuardThatSomebodyChangedIsRestored(t *testing.T) {
	p := ownPolicy(t, nil)
	waitPolicy(t, p, policySays(p, "GuardInstalled", "True", residencyv1.ReasonGuardInstalled))
	b := &arv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + p.Name + "-binding"}}
	patch := []byte(`{"spec":{"validationActions":["Audit"]}}`)
	if err := rig.Client.Patch(t.Context(), b, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, b); err != nil {
			return err
		}
		if !slices.Contains(b.Spec.ValidationActions, arv1.Deny) {
			return errors.New("still weakened")
		}
		return nil
	})
	gone := &arv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + p.Name + "-pin-pods"}}
	if err := rig.Client.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		_, err := get(ctx, gone)
		return err
	})
}

func TestAWarningPolicyPinsNothing(t *testing.T) {
	p := ownPolicy(t, nil)
	waitPolicy(t, p, policySays(p, "GuardInstalled", "True", residencyv1.ReasonGuardInstalled))
	hash := p.Status.GuardTextHash
	p.Spec.Enforcement = residencyv1.EnforcementWarn
	if err := rig.Client.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	waitPolicy(t, p, func() error {
		if p.Status.GuardTextHash == hash {
			return errors.New("the guard is still the old one")
		}
		return nil
	})
	pin := &arv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + p.Name + "-pin-pods"}}
	if _, err := get(t.Context(), pin); !apierrors.IsNotFound(err) {
		t.Errorf("the pin is still there: %v", err)
	}
}

func TestAPolicyAndItsGuardStayWhileTheyGovern(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, p.Name)
	waitPolicy(t, p, func() error {
		if !slices.Contains(p.Status.GovernedNamespaces, ns) {
			return errors.New("not governed yet")
		}
		return nil
	})
	who := attestor(t)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // once the guard knows the namespace
		if err := who.Delete(ctx, p.DeepCopy(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "namespaces still carry its name") {
			return fmt.Errorf("deleting a policy that governs: %w", err)
		}
		return nil
	})
	guard := &arv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + p.Name + "-pod-placement"}}
	if _, err := get(t.Context(), guard); err != nil {
		t.Errorf("there is no guard: %v", err)
	}
	free := []byte(`{"metadata":{"labels":{"residency.maodian.dev/policy":null}}}`)
	if err := who.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch("application/merge-patch+json", free)); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return client.IgnoreNotFound(who.Delete(ctx, p.DeepCopy())) })
	for _, o := range []client.Object{p, guard} {
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%T is still there: %w", o, err)
			}
			return nil
		})
	}
	waitLabel(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "hz1"}}, policyName) // another policy still wants it
}

func TestWhatIsOutsideAlreadyIsCounted(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, "")
	rig.Place(t, rig.Pod(t, ns, "abroad", nil), "hk1")
	rig.Place(t, rig.Pod(t, ns, "at-home", nil), "hz1")
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	mark := fmt.Appendf(nil, `{"metadata":{"labels":{"residency.maodian.dev/policy":%q}}}`, p.Name)
	if err := attestor.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch("application/merge-patch+json", mark)); err != nil {
		t.Fatal(err)
	}
	waitPolicy(t, p, policySays(p, "Compliant", "False", residencyv1.ReasonViolationsFound))
	v := p.Status.Violations
	if *v.Count != 1 || v.Worst[0].Kind != "Pod" || v.Worst[0].Name != "abroad" || v.Worst[0].Reason != "PlacementNotMainland" {
		t.Errorf("violations = %+v", v)
	}
}

func TestCountersAreThoseOfTheStores(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, p.Name)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.NonSensitive = "731" })
	readyStore(t, ns)
	waitPolicy(t, p, func() error {
		for _, c := range p.Status.TransferCounters {
			if c.Processor == p.Name && c.Year == 2026 && c.NonSensitivePersons == "731" && c.SensitivePersons == "<20" &&
				c.Tier == "None" && c.NextTier == "Contract" && c.LeftUntilNextTier != nil && *c.LeftUntilNextTier == 99_269 {
				return nil
			}
		}
		return fmt.Errorf("counters = %+v", p.Status.TransferCounters)
	})
}

func TestAPolicyWithoutNodesSaysSo(t *testing.T) {
	p := ownPolicy(t, func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Nodes.Regions, p.Spec.Nodes.Zones = []string{"cn-shanghai"}, []string{"cn-shanghai-a"}
	})
	waitPolicy(t, p, policySays(p, "Ready", "False", residencyv1.ReasonNoEligibleNode))
	if m := metaCondition(p.Status.Conditions, "Ready").Message; !strings.Contains(m, "cn-shanghai") {
		t.Errorf("message %q does not say what would count", m)
	}
}

func TestTwoPoliciesShareNoClassPrefix(t *testing.T) {
	older := ownPolicy(t, nil)
	waitPolicy(t, older, policySays(older, "Enforced", "True", residencyv1.ReasonEnforced))
	p := ownPolicy(t, func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Storage.ClassPrefix = older.Spec.Storage.ClassPrefix + "more-"
	})
	waitPolicy(t, p, policySays(p, "Stalled", "True", residencyv1.ReasonClassPrefixTaken))
	guard := &arv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + p.Name + "-claims"}}
	if err := rig.Client.Get(t.Context(), client.ObjectKeyFromObject(guard), guard); !apierrors.IsNotFound(err) {
		t.Errorf("its guard was installed all the same: %v", err)
	}
}
