package marketing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/watching"
)

// SendHoldReconciler brings an emergency stop to the stores at once, and says when all of
// them obey.
type SendHoldReconciler struct{ Deps }

// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=sendholds,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=sendholds/status,verbs=patch

// Reconcile pushes the hold and reports who obeys it.
func (r *SendHoldReconciler) Reconcile(ctx context.Context, h *marketingv1.SendHold) (ctrl.Result, error) {
	if !h.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the stores' own reconciliation takes it out of their view
	}
	before := h.DeepCopy()
	outcome, err := r.bring(ctx, h)
	var wait time.Duration
	if outcome != nil && outcome.IsWaiting() {
		wait = applying.Jitter(h.UID, retryInterval)
	}
	return applying.End(ctx, r.reporter(), applying.Report[*marketingv1.SendHold]{
		Before: before, After: h, Conditions: &h.Status.Conditions, Observed: &h.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: wait, Events: sendHoldEvents,
	})
}

// bring pushes the hold to the stores in question, and counts what it stops.
func (r *SendHoldReconciler) bring(ctx context.Context, h *marketingv1.SendHold) (*conditions.Outcome, error) {
	held, stores, err := r.covered(ctx, h)
	if err != nil {
		return nil, err
	}
	outcome := sendHoldOutcome(stores, r.push(ctx, h.Namespace, stores))
	h.Status.Active, h.Status.HeldCampaigns = marketingv1.HoldInactive, &held
	if outcome.IsReady() {
		h.Status.Active = marketingv1.HoldActive
	}
	return outcome, nil
}

func sendHoldOutcome(stores, silent []string) *conditions.Outcome {
	switch {
	case len(stores) == 0:
		return conditions.Done(marketingv1.ReasonNothingToHold, "nothing in this namespace has one of the names yet")
	case len(silent) > 0:
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "not confirmed by ConsentStore %s", strings.Join(silent, ", "))
	}
	return conditions.Done(marketingv1.ReasonHoldActive, "obeyed by ConsentStore %s", strings.Join(stores, ", "))
}

// push returns the names of the stores that do not confirm.
func (r *SendHoldReconciler) push(ctx context.Context, namespace string, names []string) (silent []string) {
	var stores []residencyv1.ConsentStore
	for _, name := range names {
		cs, err := gather.Find[residencyv1.ConsentStore](ctx, r.Client, namespace, name)
		if err != nil || cs == nil {
			silent = append(silent, name)
			continue
		}
		stores = append(stores, *cs)
	}
	for i, err := range r.Pusher.PushAll(ctx, stores) {
		if err != nil {
			silent = append(silent, stores[i].Name)
		}
	}
	slices.Sort(silent)
	return silent
}

// sendHoldEvents tells when every store in question has begun to obey.
func sendHoldEvents(before, after *marketingv1.SendHold) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady)
	if obeyed := string(marketingv1.ReasonHoldActive); is.Reason != obeyed || was.Reason == obeyed {
		return nil
	}
	return []applying.Event{applying.Normal(marketingv1.ReasonHoldActive, "Hold", "%s", is.Message)}
}

// covered counts the campaigns that the hold stops, and names the stores in question.
func (r *SendHoldReconciler) covered(ctx context.Context, h *marketingv1.SendHold) (held int32, stores []string, err error) {
	var accounts marketingv1.WeChatAccountList
	var campaigns marketingv1.PushCampaignList
	for _, list := range []client.ObjectList{&accounts, &campaigns} {
		if err := r.Client.List(ctx, list, client.InNamespace(h.Namespace)); err != nil {
			return 0, nil, fmt.Errorf("list %T: %w", list, err)
		}
	}
	storeOf := map[string]string{}
	for _, a := range accounts.Items {
		storeOf[a.Name] = a.Spec.StoreRef.Name
		if slices.Contains(h.Spec.Accounts, a.Name) {
			stores = append(stores, a.Spec.StoreRef.Name)
		}
	}
	for _, c := range campaigns.Items {
		if !holds(h, &c) {
			continue
		}
		held++
		if s := storeOf[c.Spec.AccountRef.Name]; s != "" {
			stores = append(stores, s)
		}
	}
	slices.Sort(stores)
	return held, slices.Compact(stores), nil
}

// holds tells whether a hold stops a campaign.
func holds(h *marketingv1.SendHold, c *marketingv1.PushCampaign) bool {
	return slices.Contains(h.Spec.Campaigns, c.Name) || slices.Contains(h.Spec.Accounts, c.Spec.AccountRef.Name)
}

func (r *SendHoldReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &marketingv1.SendHoldList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("sendhold").WithOptions(watching.SideBySide()).
		For(&marketingv1.SendHold{}, generation).
		Watches(&marketingv1.PushCampaign{}, watching.EveryOneBeside(r.Client, all), generation).
		Watches(&marketingv1.WeChatAccount{}, watching.EveryOneBeside(r.Client, all), generation).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Complete(reconcile.AsReconciler(r.Client, r))
}
