package residency

import (
	"context"
	"encoding/json"
	"fmt"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/watching"
)

// policyFinalizer keeps a policy, and with it the guard, while namespaces carry its name.
const policyFinalizer = "residency.maodian.dev/guard"

// PolicyReconciler attests nodes, installs the guard and reports what is outside.
type PolicyReconciler struct {
	Deps

	installed installed
}

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=residencypolicies,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=residencypolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=namespaces;pods;persistentvolumes,verbs=get;list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings;mutatingadmissionpolicies;mutatingadmissionpolicybindings,verbs=get;list;watch;create;patch;delete

// Reconcile brings nodes, guard and status of one policy in line.
func (r *PolicyReconciler) Reconcile(ctx context.Context, p *residencyv1.ResidencyPolicy) (res ctrl.Result, err error) {
	if p.DeletionTimestamp.IsZero() && controllerutil.AddFinalizer(p, policyFinalizer) {
		if err := r.patchFinalizers(ctx, p); err != nil { // no event of ours would follow: go on
			return res, err
		}
	}
	before := p.DeepCopy()
	s := &policyScope{policy: p}
	if err := r.gather(ctx, s); err != nil {
		return res, err
	}
	if !p.DeletionTimestamp.IsZero() && len(s.namespaces) == 0 {
		return res, r.release(ctx, s)
	}
	nodesErr := r.attestNodes(ctx, s)
	guardErr := r.installGuard(ctx, s)
	r.summarize(ctx, s, guardErr)
	retry, err := applying.Status(ctx, r.Client, before, p)
	if err := applying.FirstError(err, nodesErr, guardErr); err != nil {
		return res, err
	}
	return ctrl.Result{RequeueAfter: applying.Sooner(retry, applying.Jitter(p.UID, policyInterval))}, nil
}

// patchFinalizers writes the finalizers and nothing else.
func (r *PolicyReconciler) patchFinalizers(ctx context.Context, p *residencyv1.ResidencyPolicy) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": p.Finalizers, "resourceVersion": p.ResourceVersion}})
	if err != nil {
		return fmt.Errorf("render finalizers: %w", err)
	}
	if err := r.Client.Patch(ctx, p, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patch finalizers: %w", err)
	}
	return nil
}

// attestNodes writes or takes away the attested label, only where it differs.
func (r *PolicyReconciler) attestNodes(ctx context.Context, s *policyScope) error {
	for i := range s.nodes {
		n := &s.nodes[i]
		for _, l := range attest(n, s.policies) {
			var value any
			if l.value != "" {
				value = l.value
			}
			patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{l.key: value}}})
			if err != nil {
				return fmt.Errorf("render label: %w", err)
			}
			if err := r.Client.Patch(ctx, n, client.RawPatch(types.MergePatchType, patch), applying.FieldOwner); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("attest node: %w", err)
			}
		}
	}
	return nil
}

// release lets a policy go that governs nothing any more. The node labels go first, while
// the guard still says who may write them.
func (r *PolicyReconciler) release(ctx context.Context, s *policyScope) error {
	if err := r.attestNodes(ctx, s); err != nil {
		return err
	}
	have, err := r.listGuard(ctx, s.policy.Name)
	if err == nil {
		err = r.removeGuard(ctx, have, nil)
	}
	if err != nil {
		return err
	}
	if controllerutil.RemoveFinalizer(s.policy, policyFinalizer) {
		return r.patchFinalizers(ctx, s.policy)
	}
	return nil
}

func (r *PolicyReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &residencyv1.ResidencyPolicyList{} }
	b := ctrl.NewControllerManagedBy(m).Named("residencypolicy").
		For(&residencyv1.ResidencyPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Node{}, watching.EveryOne(r.Client, all), builder.WithPredicates(nodeChanged())).
		Watches(&corev1.Namespace{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&corev1.Pod{}, governedBy(r.Client), builder.WithPredicates(podPlaced())).
		Watches(&corev1.PersistentVolume{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Watches(&residencyv1.ConsentStore{}, governedBy(r.Client), builder.WithPredicates(watching.StoreReady())).
		Watches(&residencyv1.DataTransfer{}, governedBy(r.Client))
	for _, o := range []client.Object{
		&arv1.ValidatingAdmissionPolicy{}, &arv1.ValidatingAdmissionPolicyBinding{},
		&arv1.MutatingAdmissionPolicy{}, &arv1.MutatingAdmissionPolicyBinding{},
	} {
		b = b.Watches(o, labelled(), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{}))
	}
	return b.Complete(reconcile.AsReconciler(r.Client, r))
}

// summarize writes what was found.
func (r *PolicyReconciler) summarize(ctx context.Context, s *policyScope, guardErr error) {
	p, now := s.policy, r.Clock.Now()
	verdicts := s.fillNodes()
	s.fillViolations(verdicts)
	p.Status.GovernedNamespaces = first(s.namespaces, maxNamespaces)
	p.Status.TransferCounters = r.counters(ctx, s)
	p.Status.ObservedGeneration = p.Generation
	set := func(kind metav1alpha1.ConditionType, ok bool, yes, no metav1alpha1.ConditionReason, message string) {
		status, why := yesNo(ok, yes, no)
		conditions.Set(&p.Status.Conditions, p.Generation, now, kind, status, why, message)
	}
	if guardErr == nil {
		p.Status.GuardTextHash = s.guardHash
	}
	set(residencyv1.ConditionGuardInstalled, guardErr == nil, residencyv1.ReasonGuardInstalled, residencyv1.ReasonGuardMissing, guardMessage(guardErr))
	set(residencyv1.ConditionCompliant, *p.Status.Violations.Count == 0, residencyv1.ReasonNoViolations, residencyv1.ReasonViolationsFound,
		fmt.Sprintf("%d objects of governed namespaces are outside", *p.Status.Violations.Count))
	s.outcome(guardErr).Write(&p.Status.Conditions, p.Generation, now)
}
