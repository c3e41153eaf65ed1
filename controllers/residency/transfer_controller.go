package residency

import (
	"context"

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
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/watching"
)

// TransferReconciler decides on a DataTransfer, and runs the one that nothing objects to.
// What is refused is decided again when anything that the decision looks at changes; what
// has started keeps its decision.
type TransferReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=datatransfers,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=datatransfers/status,verbs=patch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=datatransfers/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch

// transferScope is what one reconciliation of a transfer learns.
type transferScope struct {
	transfer  *residencyv1.DataTransfer
	policy    *residencyv1.ResidencyPolicy
	store     *residencyv1.ConsentStore
	notice    *residencyv1.PrivacyNotice
	mechanism *residencyv1.TransferMechanism
	holds     []residencyv1.RegulatoryHold
	leadModel string
	job       *batchv1.Job

	beside    gather.Beside
	reserved  bool // in this very look
	looked    bool // whether there is a Job
	decided   bool // in this very look
	contested bool // somebody who gives way has not yet
}

// transferPhase does one job. A nil outcome means to go on.
type transferPhase func(context.Context, *transferScope) (*conditions.Outcome, error)

// Reconcile runs the phases until one has an outcome.
func (r *TransferReconciler) Reconcile(ctx context.Context, t *residencyv1.DataTransfer) (ctrl.Result, error) {
	if !t.DeletionTimestamp.IsZero() || !t.Status.CompletionTime.IsZero() {
		return ctrl.Result{}, nil // what has ended is a record
	}
	before, s := t.DeepCopy(), &transferScope{transfer: t}
	outcome, err := r.run(ctx, s)
	s.release()
	if outcome != nil {
		s.writeComplete(*outcome, r.Clock.Now())
	}
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.DataTransfer]{
		Before: before, After: t, Conditions: &t.Status.Conditions, Observed: &t.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: s.wait(r.Clock.Now()), Events: transferEvents,
	})
}

func (r *TransferReconciler) run(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	for _, phase := range []transferPhase{r.expire, r.gather, r.decide, r.declare, r.start, r.follow} {
		if outcome, err := phase(ctx, s); err != nil || outcome != nil {
			return outcome, err
		}
	}
	return nil, nil
}

func (r *TransferReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &residencyv1.DataTransferList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("datatransfer").WithOptions(watching.SideBySide()).
		For(&residencyv1.DataTransfer{}, generation).
		Owns(&batchv1.Job{}).Owns(&corev1.ConfigMap{}).Owns(&networkingv1.NetworkPolicy{}).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Watches(&residencyv1.RegulatoryHold{}, watching.EveryOne(r.Client, all), generation).
		Watches(&corev1.Namespace{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&residencyv1.PrivacyNotice{}, watching.EveryOneBeside(r.Client, all)).
		Watches(&residencyv1.TransferMechanism{}, watching.EveryOneBeside(r.Client, all), generation).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Watches(&marketingv1.LeadModel{}, watching.EveryOneBeside(r.Client, all), generation).
		Complete(reconcile.AsReconciler(r.Client, r))
}
