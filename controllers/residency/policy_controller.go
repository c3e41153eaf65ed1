package residency

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/watching"
)

// policyFinalizer keeps a policy, and with it the guard, while namespaces carry its name.
const policyFinalizer = "residency.maodian.dev/guard"

// PolicyReconciler attests nodes, installs the guard and reports what is outside.
type PolicyReconciler struct {
	Deps

	installed byPolicy[map[string]written] // by kind, namespace and name
	proofs    byPolicy[proved]
	book      book
	gauges    gauges
	kinds     *installedKinds
}

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=residencypolicies,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=residencypolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=namespaces;pods;persistentvolumes;persistentvolumeclaims,verbs=get;list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings;mutatingadmissionpolicies;mutatingadmissionpolicybindings,verbs=get;list;watch;create;patch;delete

// Reconcile brings nodes, guard and status of one policy in line.
func (r *PolicyReconciler) Reconcile(ctx context.Context, p *residencyv1.ResidencyPolicy) (ctrl.Result, error) {
	if p.DeletionTimestamp.IsZero() && controllerutil.AddFinalizer(p, policyFinalizer) {
		if err := r.patchFinalizers(ctx, p); err != nil { // no event of ours would follow: go on
			return ctrl.Result{}, err
		}
	}
	before := p.DeepCopy()
	s := &policyScope{policy: p, findings: newFindings(r.Clock.Now()), handles: placement.NewHandles(), blocked: map[placement.Object]bool{}}
	err := r.gather(ctx, s)
	if err == nil && !p.DeletionTimestamp.IsZero() && len(s.namespaces) == 0 {
		return ctrl.Result{}, r.release(ctx, s)
	}
	var outcome *conditions.Outcome
	if err == nil {
		outcome, err = r.run(ctx, s)
	}
	res, err := applying.End(ctx, r.reporter(), applying.Report[*residencyv1.ResidencyPolicy]{
		Before: before, After: p, Conditions: &p.Status.Conditions, Observed: &p.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: s.wait(), Done: s.done, Events: policyEvents,
	})
	if _, told := s.unusable(); told {
		return res, err // somebody must edit something: trying again would not help
	}
	return res, applying.FirstError(err, s.guardErr)
}

// run attests, guards, judges, repairs and writes the status. What goes wrong with one does
// not keep the others back.
func (r *PolicyReconciler) run(ctx context.Context, s *policyScope) (*conditions.Outcome, error) {
	s.judgeLabels()
	nodesErr := applying.FirstError(r.attestNodes(ctx, s), r.taintNodes(ctx, s))
	if s.guardErr = r.installGuard(ctx, s); s.guardErr == nil {
		s.force = r.proveGuard(ctx, s)
	}
	s.nodesBy = s.places()
	if err := r.judge(ctx, s); err != nil {
		return nil, applying.FirstError(nodesErr, err)
	}
	r.record(ctx, s) // what is wrong is on record before anything is done about it
	repairErr := r.repair(ctx, s)
	outcome := r.summarize(ctx, s)
	return &outcome, applying.FirstError(nodesErr, repairErr)
}

// wait tells when to look again, sooner where something could not be done or read.
func (s *policyScope) wait() time.Duration {
	wait := applying.Jitter(s.policy.UID, policyInterval)
	if len(s.blocked) > 0 || len(s.unread) > 0 || s.stale {
		wait = retryInterval
	}
	return applying.Sooner(applying.Sooner(wait, s.force.wait), s.exceptionEnds)
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
	if err := applying.FirstError(r.attestNodes(ctx, s), r.taintNodes(ctx, s)); err != nil {
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

// byName reconciles the policy of this name, and forgets one that is gone.
func (r *PolicyReconciler) byName(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &residencyv1.ResidencyPolicy{}
	if err := r.Client.Get(ctx, req.NamespacedName, p); err != nil {
		if apierrors.IsNotFound(err) {
			r.gauges.forget(req.Name)
			r.book.forget(req.Name)
			r.proofs.forget(req.Name)
			r.installed.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return r.Reconcile(ctx, p)
}

func (r *PolicyReconciler) setup(m ctrl.Manager) error {
	every, beside := everyPolicy(r.Client), governedBy(r.Client)
	changed := builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})
	b := ctrl.NewControllerManagedBy(m).Named("residencypolicy").
		For(&residencyv1.ResidencyPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(every), builder.WithPredicates(nodeChanged())).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(every), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&corev1.Pod{}, calm{beside}, builder.WithPredicates(podPlaced())).
		Watches(&corev1.PersistentVolume{}, calm{every}, changed).
		Watches(&corev1.PersistentVolumeClaim{}, calm{beside}, builder.WithPredicates(claimBound())).
		WatchesMetadata(definition(), calm{every}, builder.WithPredicates(predicate.NewPredicateFuncs(isOptional), predicate.ResourceVersionChangedPredicate{})).
		Watches(&residencyv1.ConsentStore{}, handler.EnqueueRequestsFromMapFunc(beside), builder.WithPredicates(watching.StoreReady())).
		Watches(&residencyv1.DataTransfer{}, handler.EnqueueRequestsFromMapFunc(beside)).
		Watches(&residencyv1.ResidencyException{}, exceptionOf())
	for _, o := range []client.Object{
		&arv1.ValidatingAdmissionPolicy{}, &arv1.ValidatingAdmissionPolicyBinding{},
		&arv1.MutatingAdmissionPolicy{}, &arv1.MutatingAdmissionPolicyBinding{}, &networkingv1.NetworkPolicy{},
	} {
		b = b.Watches(o, labelled(), changed)
	}
	c, err := b.Build(reconcile.Func(r.byName))
	if err != nil {
		return err
	}
	r.kinds = &installedKinds{cache: m.GetCache(), controller: c, handler: calm{every}, watched: map[placement.Kind]bool{}}
	return r.gauges.register(r.Metrics)
}

// summarize writes what was found.
func (r *PolicyReconciler) summarize(ctx context.Context, s *policyScope) conditions.Outcome {
	p, now := s.policy, r.Clock.Now()
	s.fillNodes()
	s.fillViolations()
	p.Status.GovernedNamespaces = first(s.namespaces, maxNamespaces)
	p.Status.TransferCounters = r.counters(ctx, s)
	if s.guardErr == nil {
		p.Status.GuardTextHash = s.guardHash
	}
	status, why := yesNo(s.guardErr == nil, residencyv1.ReasonGuardInstalled, residencyv1.ReasonGuardMissing)
	conditions.Set(&p.Status.Conditions, p.Generation, now, residencyv1.ConditionGuardInstalled, status, why, guardMessage(s.guardErr))
	s.force.write(p, now)
	c := s.compliance()
	conditions.Set(&p.Status.Conditions, p.Generation, now, residencyv1.ConditionCompliant, c.Status, c.Reason, c.Message)
	r.gauges.put(p.Name, reading{s.tally.ByReason(), map[string]int{
		nodesAttested: int(*p.Status.EligibleNodeCount), nodesRefused: int(*p.Status.RefusedNodeCount),
	}})
	return s.outcome()
}
