package residency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// budget lets n pods with this label go.
func budget(t *testing.T, namespace, app string) (allow func(n int32)) {
	t.Helper()
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app}, Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: &intstr.IntOrString{IntVal: 1}, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}}
	rig.Create(t, b)
	return func(n int32) {
		t.Helper()
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
				return err
			}
			b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, DisruptionsAllowed: n, CurrentHealthy: 1 + n, DesiredHealthy: 1, ExpectedPods: 1}
			return rig.Client.Status().Update(ctx, b)
		})
	}
}

// pinnedPod makes a pod as the guard pins it; the guard itself may come into force a moment
// after it was installed.
func pinnedPod(t *testing.T, namespace, name string, labels map[string]string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: corev1.PodSpec{
		NodeSelector: map[string]string{labelKey: policyName}, Containers: []corev1.Container{{Name: "c", Image: "registry.maodian.test/x"}},
	}}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		fresh := pod.DeepCopy()
		err := rig.Client.Create(ctx, fresh)
		if err == nil {
			pod = fresh
		}
		return err
	})
	return pod
}

func goes(t *testing.T, p *corev1.Pod) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, p); err != nil || p.DeletionTimestamp == nil {
			return fmt.Errorf("pod %s stays: %w", p.Name, err)
		}
		return nil
	})
}

func TestGovernedPodsLeaveANodeThatLostItsAttestation(t *testing.T) {
	p := ownPolicy(t, func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationCordonAndEvict
	})
	ns, other := governed(t, p), rig.Namespace(t, "")
	n := insideNode(t)
	free, kept, foreign := pinnedPod(t, ns, "free", nil), pinnedPod(t, ns, "kept", map[string]string{"app": "kept"}), rig.Pod(t, other, "foreign", nil)
	for _, pod := range []*corev1.Pod{free, kept, foreign} {
		rig.Place(t, pod, n.Name)
	}
	allow := budget(t, ns, "kept")
	allow(0)
	shows(t, p)
	region(t, n.Name, "cn-hongkong")
	goes(t, free)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, n); err != nil || !n.Spec.Unschedulable {
			return fmt.Errorf("the node is open: %w", err)
		}
		if _, err := get(ctx, p); err != nil {
			return err
		}
		if !slices.ContainsFunc(p.Status.Violations.Worst, func(v residencyv1.Violation) bool {
			return v.Name == "kept" && v.Message == "providerID says cn-hangzhou, the region label says cn-hongkong; a PodDisruptionBudget holds back its eviction"
		}) {
			return fmt.Errorf("violations = %+v", p.Status.Violations)
		}
		return nil
	})
	rig.Told(t, p, "NodeCordoned", "PodsEvicted", "ViolationsFound")
	for _, pod := range []*corev1.Pod{kept, foreign} {
		if _, err := get(t.Context(), pod); err != nil || pod.DeletionTimestamp != nil {
			t.Errorf("%s goes, or %v", pod.Name, err)
		}
	}
	allow(1)
	goes(t, kept)
	if _, err := get(t.Context(), foreign); err != nil || foreign.DeletionTimestamp != nil {
		t.Errorf("a pod of another namespace goes, or %v", err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error { // it is kept after the pod was told to go
		evidence := proof.of(p.Name)
		for _, want := range []string{"Cordoned Node " + n.Name + " RegionSignalsDisagree", "Evicted Pod free RegionSignalsDisagree", "Evicted Pod kept RegionSignalsDisagree"} {
			if i := slices.Index(evidence, want); i < 0 || slices.Contains(evidence[i+1:], want) {
				return fmt.Errorf("evidence = %v, want %q once", evidence, want)
			}
		}
		return nil
	})
}

func TestANodeThatWasNeverAttestedStaysOpen(t *testing.T) {
	p := ownPolicy(t, func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationCordonAndEvict
	})
	waitPolicy(t, p, policySays(p, "GuardInstalled", "True", residencyv1.ReasonGuardInstalled))
	ns := rig.Namespace(t, "")
	old := rig.Pod(t, ns, "old", nil)
	name := rig.Name("hk")
	n := rig.Node(t, name, "cn-hongkong", "cn-hongkong-b", "alicloud://cn-hongkong.i-"+name)
	rig.Place(t, old, n.Name)
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	mark := fmt.Appendf(nil, `{"metadata":{"labels":{"residency.maodian.dev/policy":%q}}}`, p.Name)
	if err := attestor.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch("application/merge-patch+json", mark)); err != nil {
		t.Fatal(err)
	}
	goes(t, old)
	rig.Told(t, p, "PodsEvicted", "ViolationsFound")
	if _, err := get(t.Context(), n); err != nil || n.Spec.Unschedulable {
		t.Error(errors.Join(errors.New("the node was closed"), err))
	}
}
