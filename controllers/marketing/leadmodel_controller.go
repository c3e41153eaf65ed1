package marketing

import (
	"context"
	"errors"
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
	"github.com/maodian-dev/maodian/internal/watching"
)

// LeadModelReconciler brings a model to its store and says when the store scores by it.
type LeadModelReconciler struct{ Deps }

// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=leadmodels,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=leadmodels/status,verbs=patch

// countInterval is how often people with a score are counted anew.
const countInterval = 5 * time.Minute

// Reconcile pushes the store's view, which holds the model, and reports the answer.
func (r *LeadModelReconciler) Reconcile(ctx context.Context, m *marketingv1.LeadModel) (ctrl.Result, error) {
	before := m.DeepCopy()
	outcome, err := r.apply(ctx, m)
	wait := countInterval
	if outcome != nil && outcome.IsWaiting() {
		wait = retryInterval
	}
	return applying.End(ctx, r.reporter(), applying.Report[*marketingv1.LeadModel]{
		Before: before, After: m, Conditions: &m.Status.Conditions, Observed: &m.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: applying.Jitter(m.UID, wait),
	})
}

func (r *LeadModelReconciler) apply(ctx context.Context, m *marketingv1.LeadModel) (*conditions.Outcome, error) {
	store, out, err := r.storeOf(ctx, m.Namespace, m.Spec.StoreRef.Name)
	if out != nil || err != nil {
		return out, err
	}
	_, err = r.Pusher.Push(ctx, store)
	switch {
	case err == nil:
		if err := r.count(ctx, m); err != nil {
			return nil, err
		}
		return conditions.Done(marketingv1.ReasonModelApplied, "ConsentStore %s scores by this model", store.Name), nil
	case connect.CodeOf(err) == connect.CodeInvalidArgument:
		return conditions.Stall(marketingv1.ReasonModelInvalid, "%s", storeMessage(err)), nil
	}
	return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not answer", store.Name), nil
}

// anyScore selects the people whom a model has scored.
const anyScore = "lead.score != 0"

// count asks how many people have a score. A number that the store does not give now stays
// as it is: the model is applied all the same.
func (r *LeadModelReconciler) count(ctx context.Context, m *marketingv1.LeadModel) error {
	c, err := r.Stores.Control(ctx, m.Namespace, m.Spec.StoreRef.Name)
	if err != nil {
		return err
	}
	if size, err := sizeOf(ctx, c, anyScore, m.Name); err == nil && size != m.Status.Size {
		m.Status.Size, m.Status.EvaluatedTime = size, metav1.NewTime(r.Clock.Now())
	}
	return nil
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
	return ctrl.NewControllerManagedBy(m).Named("leadmodel").WithOptions(watching.SideBySide()).
		For(&marketingv1.LeadModel{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Complete(reconcile.AsReconciler(r.Client, r))
}
