package residency

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/schedule"
)

// ScheduleReconciler asks for a transfer at each time of a schedule. It decides nothing: each
// transfer gets a decision of its own.
type ScheduleReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transferschedules,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transferschedules/status,verbs=patch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=transferschedules/finalizers,verbs=update
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=datatransfers,verbs=create;delete

// What a schedule does where its spec says nothing.
const (
	lateness = time.Hour
	history  = 12
)

// scheduleScope is what one reconciliation of a schedule learns.
type scheduleScope struct {
	schedule *residencyv1.TransferSchedule
	made     []residencyv1.DataTransfer // by it, the newest first
	due      schedule.Due
	skipped  bool // something is due, and the transfer before has not ended
	late     bool // a time passed without a transfer
}

// Reconcile makes what is due, and comes back for the next time.
func (r *ScheduleReconciler) Reconcile(ctx context.Context, t *residencyv1.TransferSchedule) (ctrl.Result, error) {
	if !t.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before, s := t.DeepCopy(), &scheduleScope{schedule: t}
	outcome, err := r.run(ctx, s)
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.TransferSchedule]{
		Before: before, After: t, Conditions: &t.Status.Conditions, Observed: &t.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: next(r.Clock.Now(), t.Status.NextScheduleTime.Time), Events: s.events,
	})
}

func (r *ScheduleReconciler) run(ctx context.Context, s *scheduleScope) (*conditions.Outcome, error) {
	t, now := s.schedule, r.Clock.Now()
	t.Status.NextScheduleTime = metav1.Time{}
	times, err := timesOf(t.Spec)
	if err != nil {
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "%s", err.Error()), nil
	}
	if err := r.list(ctx, s); err != nil {
		return nil, err
	}
	s.follow()
	if err := r.forget(ctx, s); err != nil {
		return nil, err
	}
	if t.Spec.Suspend != nil && *t.Spec.Suspend {
		o := conditions.Ready(metav1alpha1.ReasonSuspended, "makes no transfers while `spec.suspend` is true")
		return &o, nil
	}
	s.due = schedule.Look(times, s.served(), now, latenessOf(t.Spec))
	t.Status.NextScheduleTime = metav1.NewTime(s.due.Next)
	s.late = s.due.Missed
	if s.due.At.IsZero() {
		if s.late { // said once: the next look begins after what was missed
			t.Status.LastScheduleTime = metav1.NewTime(now)
		}
		return s.standing(), nil
	}
	if s.skipped = s.busy(now); s.skipped {
		return conditions.Wait(residencyv1.ReasonTransferSkipped, "due since %s; %s has not ended, and two never run at once", stamp(s.due.At), s.made[0].Name), nil
	}
	return r.make(ctx, s)
}

// list finds what the schedule made.
func (r *ScheduleReconciler) list(ctx context.Context, s *scheduleScope) error {
	var list residencyv1.DataTransferList
	if err := r.Client.List(ctx, &list, client.InNamespace(s.schedule.Namespace), client.MatchingLabels{residencyv1.ScheduleLabel: s.schedule.Name}); err != nil {
		return fmt.Errorf("list transfers: %w", err)
	}
	s.made = slices.DeleteFunc(list.Items, func(t residencyv1.DataTransfer) bool { return !metav1.IsControlledBy(&t, s.schedule) })
	slices.SortFunc(s.made, func(a, b residencyv1.DataTransfer) int { return strings.Compare(b.Name, a.Name) }) // names end in their times
	return nil
}

// served is the time up to which nothing is due any more.
func (s *scheduleScope) served() time.Time {
	if last := s.schedule.Status.LastScheduleTime; !last.IsZero() {
		return last.Time
	}
	return s.schedule.CreationTimestamp.Time
}

// busy tells whether the newest transfer may still send something.
func (s *scheduleScope) busy(now time.Time) bool {
	if len(s.made) == 0 {
		return false
	}
	t := s.made[0]
	return t.Status.CompletionTime.IsZero() && (!t.Status.StartTime.IsZero() || now.Before(t.Spec.StartByTime.Time))
}

// make creates the transfer of a time. Its name follows from the time, so that a crash before
// the status is written makes no second one.
func (r *ScheduleReconciler) make(ctx context.Context, s *scheduleScope) (*conditions.Outcome, error) {
	t := s.schedule
	x := &residencyv1.DataTransfer{Spec: *t.Spec.Template.Spec.DeepCopy()}
	x.Name, x.Namespace = transferAt(t.Name, s.due.At), t.Namespace
	x.Labels = map[string]string{residencyv1.ScheduleLabel: t.Name}
	x.Spec.StartByTime = metav1.NewTime(s.due.Next)
	if err := controllerutil.SetControllerReference(t, x, r.Scheme); err != nil {
		return nil, fmt.Errorf("own transfer: %w", err)
	}
	err := r.Client.Create(ctx, x, applying.FieldOwner)
	switch {
	case apierrors.IsAlreadyExists(err):
		return r.known(ctx, s, x)
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err): // by a rule of the kind, or by a policy of the cluster
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "`spec.template` is not accepted as a DataTransfer: %s", refusalOf(err)), nil
	case err != nil:
		return nil, fmt.Errorf("create transfer: %w", err)
	}
	s.noted(x.Name)
	return s.standing(), nil
}

// known goes on where an earlier look made the transfer, and refuses one that somebody else did.
func (r *ScheduleReconciler) known(ctx context.Context, s *scheduleScope, x *residencyv1.DataTransfer) (*conditions.Outcome, error) {
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(x), x); err != nil {
		return nil, fmt.Errorf("read transfer: %w", err)
	}
	if !metav1.IsControlledBy(x, s.schedule) {
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "DataTransfer %s belongs to somebody else: delete it, or rename this schedule", x.Name), nil
	}
	s.noted(x.Name)
	return s.standing(), nil
}

// noted writes down that a time is served.
func (s *scheduleScope) noted(name string) {
	st := &s.schedule.Status
	st.LastScheduleTime, st.LastTransfer, st.LastDecision, st.LastRefusals = metav1.NewTime(s.due.At), name, "", nil
}

// forget deletes ended transfers that are older than the history keeps. What left stays in
// the ledger.
func (r *ScheduleReconciler) forget(ctx context.Context, s *scheduleScope) error {
	limit := int(s.schedule.Spec.HistoryLimit)
	if limit == 0 {
		limit = history
	}
	ended := 0
	for i := range s.made {
		if t := &s.made[i]; !t.Status.CompletionTime.IsZero() && t.DeletionTimestamp.IsZero() {
			if ended++; ended <= limit {
				continue
			}
			if err := client.IgnoreNotFound(r.Client.Delete(ctx, t, client.Preconditions{UID: &t.UID})); err != nil {
				return fmt.Errorf("delete transfer: %w", err)
			}
		}
	}
	return nil
}

func (r *ScheduleReconciler) setup(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("transferschedule").
		For(&residencyv1.TransferSchedule{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&residencyv1.DataTransfer{}).
		Complete(reconcile.AsReconciler(r.Client, r))
}
