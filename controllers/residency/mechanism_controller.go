package residency

import (
	"context"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
)

// MechanismReconciler tells whether a mechanism is in force now. The decision on a transfer
// asks the same rules again.
type MechanismReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transfermechanisms,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transfermechanisms/status,verbs=patch

// Reconcile writes the validity, and comes back when it changes by time.
func (r *MechanismReconciler) Reconcile(ctx context.Context, m *residencyv1.TransferMechanism) (ctrl.Result, error) {
	before, now := m.DeepCopy(), r.Clock.Now()
	outcome := mechanismOutcome(m.Spec, now)
	m.Status.InForce = residencyv1.InForceNo
	if outcome.IsReady() {
		m.Status.InForce = residencyv1.InForceYes
	}
	m.Status.ExpiryTime = gather.MechanismEnd(m.Spec)
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.TransferMechanism]{
		Before: before, After: m, Conditions: &m.Status.Conditions, Observed: &m.Status.ObservedGeneration, Outcome: &outcome,
		Wait: next(now, m.Spec.EffectiveTime.Time, m.Spec.FiledTime.Time, m.Status.ExpiryTime.Time, m.Spec.EffectiveTime.Add(filingLook)),
	})
}

// filingLook is when to look again for a contract that was not filed in time.
const filingLook = 14*24*time.Hour + time.Minute

// mechanismOutcome asks the rules of transfers about the mechanism alone.
func mechanismOutcome(spec residencyv1.TransferMechanismSpec, now time.Time) conditions.Outcome {
	m := gather.Mechanism(spec)
	d := transfer.Decide(transfer.Facts{Now: now, Mechanism: &m})
	for _, refusal := range d.Refusals {
		if !strings.HasPrefix(refusal.Field, "TransferMechanism.spec") {
			continue
		}
		info := reason.Lookup(refusal.Code)
		message := info.Says + "; what would help: " + info.Remedy
		switch refusal.Code {
		case reason.MechanismExpired:
			return conditions.Stalled(residencyv1.ReasonMechanismExpired, message)
		case reason.MechanismSuspended:
			return conditions.Stalled(residencyv1.ReasonMechanismSuspended, message)
		case reason.StandardContractNotFiled:
			return conditions.Stalled(residencyv1.ReasonStandardContractNotFiled, message)
		default:
			return conditions.NotReady(residencyv1.ReasonMechanismNotInForce, message)
		}
	}
	return conditions.Ready(residencyv1.ReasonInForce, "transfers within `spec.scope` may rely on it")
}

// next tells how long it is to the nearest of times that lies ahead; zero means never.
func next(now time.Time, times ...time.Time) (wait time.Duration) {
	for _, t := range times {
		if !t.IsZero() && t.After(now) {
			wait = applying.Sooner(wait, t.Sub(now))
		}
	}
	return min(wait, 24*time.Hour)
}

func (r *MechanismReconciler) setup(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("transfermechanism").
		For(&residencyv1.TransferMechanism{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(reconcile.AsReconciler(r.Client, r))
}
