package residency

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/internal/watching"
)

// ExceptionReconciler tells whether an exception is in force. The policy's own controller
// compiles it into the guard.
type ExceptionReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=residencyexceptions,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=residencyexceptions/status,verbs=patch

// Reconcile writes the condition, and looks again when the exception ends.
func (r *ExceptionReconciler) Reconcile(ctx context.Context, e *residencyv1.ResidencyException) (ctrl.Result, error) {
	if !e.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before, now := e.DeepCopy(), r.Clock.Now()
	var p residencyv1.ResidencyPolicy
	err := r.Client.Get(ctx, client.ObjectKey{Name: e.Spec.PolicyName}, &p)
	if err != nil && client.IgnoreNotFound(err) != nil {
		err = fmt.Errorf("read policy: %w", err)
	}
	outcome := exceptionOutcome(e, now, err == nil)
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.ResidencyException]{
		Before: before, After: e, Conditions: &e.Status.Conditions, Observed: &e.Status.ObservedGeneration,
		Outcome: &outcome, Err: client.IgnoreNotFound(err), Wait: next(now, e.Spec.NotAfterTime.Time), Events: exceptionEvents,
	})
}

func exceptionOutcome(e *residencyv1.ResidencyException, now time.Time, policyExists bool) conditions.Outcome {
	switch {
	case !now.Before(e.Spec.NotAfterTime.Time):
		return conditions.NotReady(residencyv1.ReasonEnded, "ended at `spec.notAfterTime`; delete it")
	case guard.TooLong(e):
		return conditions.Stalled(residencyv1.ReasonTooLong, "`spec.notAfterTime` is more than 24 hours after creation: it is not honoured; create another")
	case !policyExists:
		return conditions.NotReady(residencyv1.ReasonPolicyNotFound, "no ResidencyPolicy "+e.Spec.PolicyName)
	}
	return conditions.Ready(residencyv1.ReasonInForce, "honoured until `spec.notAfterTime`; "+e.Spec.Owner+" answers for it")
}

// exceptionEvents tells when one begins and ends.
func exceptionEvents(before, after *residencyv1.ResidencyException) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady)
	switch {
	case is.Reason == was.Reason:
		return nil
	case is.Reason == string(residencyv1.ReasonInForce):
		return []applying.Event{applying.Warning(residencyv1.ReasonInForce, "Except", "the guard of %s is open in part: %s", after.Spec.PolicyName, is.Message)}
	}
	return []applying.Event{applying.Normal(metav1alpha1.ConditionReason(is.Reason), "Except", "%s", is.Message)}
}

// exceptionOf maps an exception to the policy that it is of.
func exceptionOf() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		e, ok := o.(*residencyv1.ResidencyException)
		if !ok {
			return nil
		}
		return watching.Named("", e.Spec.PolicyName)
	})
}

func (r *ExceptionReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &residencyv1.ResidencyExceptionList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("residencyexception").
		For(&residencyv1.ResidencyException{}, generation).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Complete(reconcile.AsReconciler(r.Client, r))
}
