package marketing

import (
	"context"
	"time"

	"connectrpc.com/connect"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/watching"
)

// AudienceReconciler asks the store how many people an expression selects.
type AudienceReconciler struct{ Deps }

// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=audiences,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=audiences/status,verbs=patch

// audienceInterval is how often people are counted anew.
const audienceInterval = 30 * time.Second

// Reconcile sizes the audience.
func (r *AudienceReconciler) Reconcile(ctx context.Context, a *marketingv1.Audience) (ctrl.Result, error) {
	before := a.DeepCopy()
	outcome, err := r.size(ctx, a)
	wait := audienceInterval
	if outcome != nil && outcome.IsWaiting() {
		wait = retryInterval
	}
	return applying.End(ctx, r.reporter(), applying.Report[*marketingv1.Audience]{
		Before: before, After: a, Conditions: &a.Status.Conditions, Observed: &a.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: applying.Jitter(a.UID, wait),
	})
}

// leadModel waits for the model that the expression speaks of, if it names one.
func (r *AudienceReconciler) leadModel(ctx context.Context, a *marketingv1.Audience, store string) (*conditions.Outcome, error) {
	name := a.Spec.LeadModelRef.Name
	if name == "" {
		return nil, nil
	}
	m, err := gather.Find[marketingv1.LeadModel](ctx, r.Client, a.Namespace, name)
	switch {
	case err != nil:
		return nil, err
	case m == nil || m.Spec.StoreRef.Name != store:
		return conditions.Stall(marketingv1.ReasonLeadModelMissing, "no LeadModel %s for ConsentStore %s in this namespace", name, store), nil
	case !conditions.True(m.Status.Conditions, metav1alpha1.ConditionReady, m.Generation):
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "LeadModel %s is not applied yet", name), nil
	}
	return nil, nil
}

func (r *AudienceReconciler) size(ctx context.Context, a *marketingv1.Audience) (*conditions.Outcome, error) {
	store, out, err := r.storeOf(ctx, a.Namespace, a.Spec.StoreRef.Name)
	if out != nil || err != nil {
		return out, err
	}
	if out, err := r.leadModel(ctx, a, store.Name); out != nil || err != nil {
		return out, err
	}
	c, err := r.Stores.Control(ctx, a.Namespace, store.Name)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(ctx, c, a.Spec.Expression, a.Spec.LeadModelRef.Name)
	switch {
	case connect.CodeOf(err) == connect.CodeInvalidArgument:
		a.Status.Size, a.Status.EvaluatedTime = "", metav1.Time{}
		return conditions.Stall(marketingv1.ReasonAudienceInvalid, "%s", storeMessage(err)), nil
	case err != nil:
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not answer", store.Name), nil //nolint:nilerr // waiting for the store is an outcome
	}
	// the time tells since when it is this number: counting alone writes nothing
	if size != a.Status.Size || a.Status.ObservedGeneration != a.Generation {
		a.Status.Size, a.Status.EvaluatedTime = size, metav1.NewTime(r.Clock.Now())
	}
	return conditions.Done(marketingv1.ReasonAudienceEvaluated, "the expression is valid"), nil
}

// sizeOf asks a store how many people an expression selects.
func sizeOf(ctx context.Context, c storev1connect.ControlServiceClient, expression, leadModel string) (metav1alpha1.PeopleCount, error) {
	ctx, cancel := context.WithTimeout(ctx, gather.CountTimeout)
	defer cancel()
	answer, err := c.SizeAudience(ctx, &storev1.SizeAudienceRequest{Expression: expression, LeadModel: leadModel})
	return people(answer.GetPeople()), err
}

func (r *AudienceReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &marketingv1.AudienceList{} }
	return ctrl.NewControllerManagedBy(m).Named("audience").WithOptions(watching.SideBySide()).
		For(&marketingv1.Audience{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Watches(&marketingv1.LeadModel{}, watching.EveryOneBeside(r.Client, all)).
		Complete(reconcile.AsReconciler(r.Client, r))
}
