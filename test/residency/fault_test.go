package residency_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/residency"
	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/proving"
	suitecases "github.com/maodian-dev/maodian/test/residency"
)

// wire runs the controllers of the group, as the manager does.
func wire(r *envtestrig.Rig, m ctrl.Manager) error {
	prover, err := proving.NewProver(r.Config, envtestrig.Prober)
	if err != nil {
		return err
	}
	stores := &envtestrig.Stores{}
	return residency.SetupWithManager(m, residency.Deps{
		Client: m.GetClient(), Scheme: r.Scheme, Clock: clock.RealClock{}, Stores: stores, Pusher: &gather.Pusher{Reader: m.GetClient(), Stores: stores, Clock: clock.RealClock{}},
		Meter:   &gather.Meter{Cache: m.GetClient(), Live: m.GetAPIReader(), Stores: stores},
		Manager: envtestrig.Manager, Prover: prover, ProberUser: envtestrig.Prober, Recorder: m.GetEventRecorder("maodian-manager"),
		Evidence: residency.LogEvidence{Log: m.GetLogger()}, Metrics: prometheus.NewRegistry(),
	})
}

// start runs the manager until stop is called.
func start(t *testing.T, r *envtestrig.Rig) (stop func()) {
	t.Helper()
	end, err := envtestrig.Controllers(wire)(r)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := end(); err != nil {
			t.Errorf("stop the manager: %v", err)
		}
	}
}

// enforced waits until the policy says that every API server refuses.
func enforced(t *testing.T, r *envtestrig.Rig, p *residencyv1.ResidencyPolicy, namespace string) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Settling, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		c := meta.FindStatusCondition(p.Status.Conditions, string(residencyv1.ConditionEnforced))
		if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != p.Generation {
			return fmt.Errorf("enforced: %+v", c)
		}
		for _, n := range p.Status.GovernedNamespaces {
			if n == namespace {
				return nil
			}
		}
		return fmt.Errorf("%s is not among %v", namespace, p.Status.GovernedNamespaces)
	})
}

// second is another policy beside the one of the suite: neither may disturb the other.
func second() *residencyv1.ResidencyPolicy {
	p := policy()
	p.Name = "cn-second"
	p.Spec.Jurisdiction, p.Spec.Nodes.LabelKey = "cn-second", "second.node-restriction.kubernetes.io/jurisdiction"
	p.Spec.Nodes.Regions, p.Spec.Nodes.Zones = []string{"cn-beijing"}, []string{"cn-beijing-a"}
	p.Spec.Storage.ClassPrefix = "cn-second-"
	return p
}

// whileTheManagerIsGone lets the manager install a guard and stops it: the guard must hold.
func whileTheManagerIsGone(t *testing.T, files []conformance.File) {
	stop := start(t, rig)
	p := second()
	rig.Create(t, p)
	governed, free := rig.Namespace(t, p.Name), rig.Namespace(t, "")
	enforced(t, rig, p, governed)
	stop()
	deadWebhook(t)
	where := conformance.Where{
		Governed: governed, Free: free, Manager: envtestrig.Manager, Prober: envtestrig.Prober,
		Values: suitecases.Values(p),
	}
	runner, err := conformance.NewRunner(rig.Config, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("violations are refused and other namespaces work", func(t *testing.T) {
		if err := runner.Prepare(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		r, err := runner.Run(t.Context(), files)
		check(t, r, err)
		if n := r.Count(conformance.Passed); n < leastCases {
			t.Errorf("%d cases, want at least %d", n, leastCases)
		}
		if err := runner.Clean(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("the manager mends what was broken meanwhile, by itself", func(t *testing.T) {
		name := "residency-" + p.Name + "-images"
		gone := &arv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := rig.Client.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		stop := start(t, rig)
		defer stop()
		envtestrig.Eventually(t, envtestrig.Settling, func(ctx context.Context) error {
			return rig.Client.Get(ctx, client.ObjectKey{Name: name}, &arv1.ValidatingAdmissionPolicyBinding{})
		})
		enforced(t, rig, p, governed)
	})
	t.Run("an attestor gets out", func(t *testing.T) { getOut(t, p, governed) })
}

// deadWebhook is somebody else's: nothing answers, and its certificate would not matter. We
// have none, so this is all there is that could be down.
func deadWebhook(t *testing.T) {
	t.Helper()
	var ours arv1.ValidatingWebhookConfigurationList
	if err := rig.Client.List(t.Context(), &ours); err != nil || len(ours.Items) > 0 {
		t.Fatalf("webhooks exist already: %d, %v", len(ours.Items), err)
	}
	hook := &arv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "dead"}, Webhooks: []arv1.ValidatingWebhook{{
		Name: "dead.example.com", FailurePolicy: ptr.To(arv1.Ignore), SideEffects: ptr.To(arv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"}, TimeoutSeconds: ptr.To(int32(1)),
		ClientConfig: arv1.WebhookClientConfig{Service: &arv1.ServiceReference{Namespace: "nowhere", Name: "dead"}},
		Rules:        []arv1.RuleWithOperations{{Operations: []arv1.OperationType{arv1.Create}, Rule: arv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}},
	}}}
	rig.Create(t, hook)
	t.Cleanup(func() { _ = rig.Client.Delete(context.Background(), hook) })
}

// getOutAlone goes the way that docs/guard.md describes where no manager runs any more.
func (s *suite) getOutAlone(t *testing.T) {
	t.Helper()
	p, attestor := policy(), rig.As(t, "somebody", "system:masters", policy().Spec.Identities.Attestors[0])
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.governed}}
	unmark := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"residency.maodian.dev/policy":null}}}`))
	envtestrig.Refused(t, rig.Client.Patch(t.Context(), ns.DeepCopy(), unmark), "is changed by an attestor only")
	if err := attestor.Patch(t.Context(), ns.DeepCopy(), unmark); err != nil {
		t.Fatal(err)
	}
	ours := client.MatchingLabels{"residency.maodian.dev/policy": p.Name}
	for _, kind := range []client.Object{
		&arv1.ValidatingAdmissionPolicyBinding{}, &arv1.MutatingAdmissionPolicyBinding{}, &arv1.ValidatingAdmissionPolicy{}, &arv1.MutatingAdmissionPolicy{},
	} {
		if err := attestor.DeleteAllOf(t.Context(), kind, ours); err != nil {
			t.Fatal(err)
		}
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // the API server lets go of a policy within a second
		return errors.Join(
			attestor.DeleteAllOf(ctx, &networkingv1.NetworkPolicy{}, ours, client.InNamespace(s.governed)),
			client.IgnoreNotFound(attestor.Patch(ctx, p.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))),
			client.IgnoreNotFound(attestor.Delete(ctx, p.DeepCopy())))
	})
	if err := rig.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p); !apierrors.IsNotFound(err) {
		t.Errorf("the policy is still there: %v", err)
	}
}

// getOut goes the way that docs/guard.md describes, first without an attestor's rights.
func getOut(t *testing.T, p *residencyv1.ResidencyPolicy, namespace string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	unmark := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"residency.maodian.dev/policy":null}}}`))
	attestor := rig.As(t, "somebody", "system:masters", p.Spec.Identities.Attestors[0])
	envtestrig.Refused(t, attestor.Delete(t.Context(), p.DeepCopy()), "namespaces still carry its name")
	envtestrig.Refused(t, rig.Client.Patch(t.Context(), ns.DeepCopy(), unmark), "is changed by an attestor only")
	stop := start(t, rig)
	defer stop()
	if err := attestor.Patch(t.Context(), ns.DeepCopy(), unmark); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // until the guard knows that nothing is governed
		return client.IgnoreNotFound(attestor.Delete(ctx, p.DeepCopy()))
	})
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(p), &residencyv1.ResidencyPolicy{}); !apierrors.IsNotFound(err) {
			return errors.New("the policy is still there")
		}
		var left arv1.ValidatingAdmissionPolicyList
		err := rig.Client.List(ctx, &left, client.MatchingLabels{"residency.maodian.dev/policy": p.Name})
		if err == nil && len(left.Items) > 0 {
			return fmt.Errorf("%d policies of the guard are left", len(left.Items))
		}
		if err != nil {
			return err
		}
		// the API server lets go of a policy within a second
		tolerant := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "tolerant"}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "elsewhere.test/x"}}, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		}}
		return rig.Client.Create(ctx, tolerant, client.DryRunAll)
	})
}
