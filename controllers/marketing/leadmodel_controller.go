package marketing

import (
	"context"
	"errors"

	"connectrpc.com/connect"
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
	"github.com/maodian-dev/maodian/internal/watching"
)

// LeadModelReconciler brings a model to its store and says when the store scores by it.
type LeadModelReconciler struct{ Deps }

// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=leadmodels,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=leadmodels/status,verbs=patch

// Reconcile pushes the store's view, which holds the model, and reports the answer.
func (r *LeadModelReconciler) Reconcile(ctx context.Context, m *marketingv1.LeadModel) (ctrl.Result, error) {
	before := m.DeepCopy()
	outcome, err := r.apply(ctx, m)
	if err != nil {
		return ctrl.Result{}, err
	}
	m.Status.ObservedGeneration = m.Generation
	outcome.Write(&m.Status.Conditions, m.Generation, r.Clock.Now())
	retry, err := applying.Status(ctx, r.Client, before, m)
	if outcome.IsWaiting() {
		retry = applying.Sooner(retry, applying.Jitter(m.UID, retryInterval))
	}
	return ctrl.Result{RequeueAfter: retry}, err
}

func (r *LeadModelReconciler) apply(ctx context.Context, m *marketingv1.LeadModel) (*conditions.Outcome, error) {
	store, out, err := r.storeOf(ctx, m.Namespace, m.Spec.StoreRef.Name)
	if out != nil || err != nil {
		return out, err
	}
	_, err = r.Pusher.Push(ctx, store)
	switch {
	case err == nil:
		return conditions.Done(marketingv1.ReasonModelApplied, "ConsentStore %s scores by this model", store.Name), nil
	case connect.CodeOf(err) == connect.CodeInvalidArgument:
		return conditions.Stall(marketingv1.ReasonModelInvalid, "%s", storeMessage(err)), nil
	}
	return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not answer", store.Name), nil
}

// storeMessage is what a store says about an expression of ours: text of the spec and a
// position in it, nothing of people.
func storeMessage(err error) string {
	var e *connect.Error
	if errors.As(err, &e) {
		return conditions.Truncate(e.Message(), 512)
	}
	return "the store refuses it"
}

func (r *LeadModelReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &marketingv1.LeadModelList{} }
	return ctrl.NewControllerManagedBy(m).Named("leadmodel").
		For(&marketingv1.LeadModel{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Complete(reconcile.AsReconciler(r.Client, r))
}
