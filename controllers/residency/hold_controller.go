package residency

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/watching"
)

// HoldReconciler brings an authority's order to every store that it covers, and says when
// all of them obey.
type HoldReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=regulatoryholds,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=regulatoryholds/status,verbs=patch

// Reconcile pushes the hold and writes who obeys it.
func (r *HoldReconciler) Reconcile(ctx context.Context, h *residencyv1.RegulatoryHold) (ctrl.Result, error) {
	if !h.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the stores' own reconciliation takes it out of their view
	}
	before, now := h.DeepCopy(), r.Clock.Now()
	outcome, silent, err := r.bring(ctx, h, now)
	wait := next(now, h.Spec.EffectiveTime.Time, h.Spec.ExpiryTime.Time)
	if len(silent) > 0 {
		wait = applying.Sooner(wait, retryInterval)
	}
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.RegulatoryHold]{
		Before: before, After: h, Conditions: &h.Status.Conditions, Observed: &h.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: wait, Events: holdEvents,
	})
}

// bring pushes the hold to the stores that it covers; silent are those that do not confirm.
func (r *HoldReconciler) bring(ctx context.Context, h *residencyv1.RegulatoryHold, now time.Time) (out *conditions.Outcome, silent []string, err error) {
	policies, stores, err := r.covered(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	for i, err := range r.Pusher.PushAll(ctx, stores) {
		if err != nil && stores[i].Status.LedgerID != "" {
			silent = append(silent, stores[i].Namespace+"/"+stores[i].Name)
		}
	}
	outcome, active := holdOutcome(h.Spec, now, len(stores), silent)
	h.Status.Active, h.Status.AffectedPolicies = active, policies
	return &outcome, silent, nil
}

// holdEvents tells when every store in scope has begun to obey.
func holdEvents(before, after *residencyv1.RegulatoryHold) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady)
	if obeyed := string(residencyv1.ReasonActive); is.Reason != obeyed || was.Reason == obeyed {
		return nil
	}
	return []applying.Event{applying.Normal(residencyv1.ReasonActive, "Hold", "%s", is.Message)}
}

func holdOutcome(s residencyv1.RegulatoryHoldSpec, now time.Time, stores int, silent []string) (conditions.Outcome, residencyv1.HoldActivity) {
	switch {
	case now.Before(s.EffectiveTime.Time):
		return conditions.Ready(residencyv1.ReasonNotYetEffective, "takes effect at `spec.effectiveTime`"), residencyv1.HoldInactive
	case !s.ExpiryTime.IsZero() && !now.Before(s.ExpiryTime.Time):
		return conditions.Ready(residencyv1.ReasonExpired, "ended at `spec.expiryTime`"), residencyv1.HoldInactive
	case len(silent) > 0:
		return conditions.NotReady(residencyv1.ReasonNotObeyed,
			fmt.Sprintf("not confirmed by %s; a store without a fresh policy view refuses every transfer", strings.Join(first(silent, 5), ", "))), residencyv1.HoldActive
	}
	return conditions.Ready(residencyv1.ReasonActive, fmt.Sprintf("obeyed by all %d stores in scope", stores)), residencyv1.HoldActive
}

// covered returns the policies in scope that exist, and the stores that they govern.
func (r *HoldReconciler) covered(ctx context.Context, h *residencyv1.RegulatoryHold) (names []string, stores []residencyv1.ConsentStore, err error) {
	var policies residencyv1.ResidencyPolicyList
	if err := r.Client.List(ctx, &policies); err != nil {
		return nil, nil, fmt.Errorf("list policies: %w", err)
	}
	for _, p := range policies.Items {
		if !slices.Contains(h.Spec.Scope.Policies, p.Name) {
			continue
		}
		names = append(names, p.Name)
		var namespaces corev1.NamespaceList
		if err := r.Client.List(ctx, &namespaces, client.MatchingLabels{metav1alpha1.PolicyLabel: p.Name}); err != nil {
			return nil, nil, fmt.Errorf("list namespaces: %w", err)
		}
		for _, n := range namespaces.Items {
			var list residencyv1.ConsentStoreList
			if err := r.Client.List(ctx, &list, client.InNamespace(n.Name)); err != nil {
				return nil, nil, fmt.Errorf("list stores: %w", err)
			}
			stores = append(stores, list.Items...)
		}
	}
	slices.Sort(names)
	return names, stores, nil
}

func (r *HoldReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &residencyv1.RegulatoryHoldList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("regulatoryhold").WithOptions(watching.SideBySide()).
		For(&residencyv1.RegulatoryHold{}, generation).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOne(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Watches(&corev1.Namespace{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Complete(reconcile.AsReconciler(r.Client, r))
}
