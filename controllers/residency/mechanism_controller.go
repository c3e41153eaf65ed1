package residency

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	domain "github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/law"
	"github.com/maodian-dev/maodian/internal/watching"
)

// MechanismReconciler tells whether a mechanism is in force now. The decision on a transfer
// asks the same rules again.
type MechanismReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transfermechanisms,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transfermechanisms/status,verbs=patch

// Reconcile writes the validity, and comes back when it changes by time.
func (r *MechanismReconciler) Reconcile(ctx context.Context, m *residencyv1.TransferMechanism) (ctrl.Result, error) {
	before, now := m.DeepCopy(), r.Clock.Now()
	pack, err := r.packOf(ctx, m.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	facts := gather.Mechanism(m.Spec)
	outcome, end := mechanismOutcome(facts, pack, now), facts.End(pack)
	m.Status.InForce = residencyv1.InForceNo
	if outcome.IsReady() {
		m.Status.InForce = residencyv1.InForceYes
	}
	m.Status.ExpiryTime = metav1.NewTime(end)
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.TransferMechanism]{
		Before: before, After: m, Conditions: &m.Status.Conditions, Observed: &m.Status.ObservedGeneration, Outcome: &outcome,
		Wait: next(now, append(looks(pack, end), facts.EffectiveAt, facts.FiledAt, end, facts.FilingDue(pack, now))...), Events: mechanismEvents,
	})
}

// packOf returns the rules of the namespace's policy; where none governs, the newest.
func (r *MechanismReconciler) packOf(ctx context.Context, namespace string) (*domain.Pack, error) {
	policy, err := gather.Policy(ctx, r.Client, namespace)
	if err != nil {
		return nil, err
	}
	if policy != nil {
		if p := law.Named(policy.Spec.RulePack); p != nil {
			return p, nil
		}
	}
	return law.Newest(), nil
}

// looks are the times at which the end comes near.
func looks(p *domain.Pack, end time.Time) (out []time.Time) {
	if end.IsZero() {
		return nil
	}
	for _, days := range p.Terms.ExpiryWarningDays {
		out = append(out, end.AddDate(0, 0, -days))
	}
	return out
}

// mechanismOutcome asks the rules of transfers about the mechanism alone.
func mechanismOutcome(m transfer.Mechanism, p *domain.Pack, now time.Time) conditions.Outcome {
	ready := conditions.Ready(residencyv1.ReasonInForce, "transfers within `spec.scope` may rely on it")
	for _, refusal := range m.InForce(p, now) {
		info := reason.Lookup(refusal.Code)
		message := info.Says + "; what would help: " + info.Remedy
		switch refusal.Code {
		case reason.MechanismExpired:
			return conditions.Stalled(residencyv1.ReasonMechanismExpired, message)
		case reason.MechanismSuspended:
			return conditions.Stalled(residencyv1.ReasonMechanismSuspended, message)
		case reason.StandardContractNotFiled:
			return conditions.Stalled(residencyv1.ReasonStandardContractNotFiled, message)
		case reason.MechanismExpiring:
			ready = conditions.Ready(residencyv1.ReasonMechanismExpiring, refusal.Message+": "+info.Remedy)
		case reason.StandardContractFilingDue:
			ready = conditions.Ready(residencyv1.ReasonStandardContractFilingDue, refusal.Message+", and `filedTime` set")
		default:
			return conditions.NotReady(residencyv1.ReasonMechanismNotInForce, message)
		}
	}
	return ready
}

// mechanismEvents warns once for each line that is passed on the way to the end.
func mechanismEvents(before, after *residencyv1.TransferMechanism) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady)
	if was.Reason == is.Reason && was.Message == is.Message {
		return nil
	}
	warn := []metav1alpha1.ConditionReason{
		residencyv1.ReasonMechanismExpiring, residencyv1.ReasonMechanismExpired, residencyv1.ReasonStandardContractFilingDue, residencyv1.ReasonStandardContractNotFiled,
	}
	why := metav1alpha1.ConditionReason(is.Reason)
	if !slices.Contains(warn, why) {
		return nil
	}
	return []applying.Event{applying.Warning(why, "Watch", "%s", is.Message)}
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
	all := func() client.ObjectList { return &residencyv1.TransferMechanismList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("transfermechanism").
		For(&residencyv1.TransferMechanism{}, generation).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Complete(reconcile.AsReconciler(r.Client, r))
}
