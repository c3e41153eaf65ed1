package marketing

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/campaign"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/watching"
)

// CampaignReconciler plans a campaign, runs it as an Indexed Job, and reports every outcome.
type CampaignReconciler struct{ Deps }

// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=pushcampaigns,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=pushcampaigns/status,verbs=patch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=pushcampaigns/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch

// campaignScope is what one reconciliation of a campaign learns.
type campaignScope struct {
	campaign *marketingv1.PushCampaign
	policy   *residencyv1.ResidencyPolicy
	account  *marketingv1.WeChatAccount
	audience *marketingv1.Audience
	store    *residencyv1.ConsentStore
	schedule campaign.Schedule
	held     string // name of a SendHold that covers it
	job      *batchv1.Job
	run      *storev1.Run

	trouble *conditions.Outcome // what keeps a campaign from beginning; one that has begun goes on
	unready *conditions.Outcome // the store is not ready
}

type campaignPhase func(context.Context, *campaignScope) (*conditions.Outcome, error)

// Reconcile runs the phases until one has an outcome.
func (r *CampaignReconciler) Reconcile(ctx context.Context, c *marketingv1.PushCampaign) (ctrl.Result, error) {
	if !c.DeletionTimestamp.IsZero() || !c.Status.CompletionTime.IsZero() {
		return r.leave(ctx, c) // what has ended is a record
	}
	before, s := c.DeepCopy(), &campaignScope{campaign: c}
	var outcome *conditions.Outcome
	var err error
	for _, phase := range []campaignPhase{r.hush, r.gather, r.check, r.plan, r.ended, r.pause, r.send} {
		if outcome, err = phase(ctx, s); outcome != nil || err != nil {
			break
		}
	}
	now := r.Clock.Now()
	if outcome != nil {
		s.writeProgress(*outcome, now)
	}
	return applying.End(ctx, r.reporter(), applying.Report[*marketingv1.PushCampaign]{
		Before: before, After: c, Conditions: &c.Status.Conditions, Observed: &c.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: s.wait(outcome, now), Events: campaignEvents,
	})
}

// leave notes only that a change of the spec was seen.
func (r *CampaignReconciler) leave(ctx context.Context, c *marketingv1.PushCampaign) (ctrl.Result, error) {
	if !c.DeletionTimestamp.IsZero() || c.Status.ObservedGeneration == c.Generation {
		return ctrl.Result{}, nil
	}
	before := c.DeepCopy()
	c.Status.ObservedGeneration = c.Generation
	for i := range c.Status.Conditions {
		c.Status.Conditions[i].ObservedGeneration = c.Generation
	}
	retry, err := applying.Status(ctx, r.Client, before, c)
	return ctrl.Result{RequeueAfter: retry}, err
}

// wait tells when to look again at what cannot be watched.
func (s *campaignScope) wait(o *conditions.Outcome, now time.Time) time.Duration {
	st := s.campaign.Status
	switch {
	case !st.CompletionTime.IsZero():
		return 0
	case o != nil && o.Reason == marketingv1.ReasonScheduled:
		if ahead := s.schedule.NotBefore.Sub(now); ahead > 0 {
			return min(ahead, time.Hour)
		}
		return applying.Jitter(s.campaign.UID, 10*time.Second)
	case s.started():
		return followInterval
	}
	return applying.Jitter(s.campaign.UID, retryInterval)
}

func (r *CampaignReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &marketingv1.PushCampaignList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("pushcampaign").WithOptions(watching.SideBySide()).
		For(&marketingv1.PushCampaign{}, generation).
		Owns(&batchv1.Job{}).Owns(&corev1.ConfigMap{}).Owns(&networkingv1.NetworkPolicy{}).
		Watches(&marketingv1.WeChatAccount{}, watching.EveryOneBeside(r.Client, all)).
		Watches(&marketingv1.Audience{}, watching.EveryOneBeside(r.Client, all)).
		Watches(&marketingv1.SendHold{}, watching.EveryOneBeside(r.Client, all), generation).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Watches(&corev1.Namespace{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Complete(reconcile.AsReconciler(r.Client, r))
}
