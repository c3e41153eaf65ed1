package residency

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// NoticeReconciler publishes revisions: from the time in status on, people read this text,
// and a consent is bound to it. That the text is complete, the schema has checked.
type NoticeReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=privacynotices,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=privacynotices/status,verbs=patch

// Reconcile publishes the revision of the spec.
func (r *NoticeReconciler) Reconcile(ctx context.Context, n *residencyv1.PrivacyNotice) (ctrl.Result, error) {
	before, now := n.DeepCopy(), r.Clock.Now()
	if n.Status.PublishedRevision != n.Spec.Revision {
		n.Status.PublishedRevision, n.Status.PublishedTime = n.Spec.Revision, metav1.NewTime(now)
	}
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.PrivacyNotice]{
		Before: before, After: n, Conditions: &n.Status.Conditions, Observed: &n.Status.ObservedGeneration,
		Outcome: conditions.Done(residencyv1.ReasonPublished, "revision %d is published", n.Spec.Revision),
	})
}

func (r *NoticeReconciler) setup(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("privacynotice").
		For(&residencyv1.PrivacyNotice{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(reconcile.AsReconciler(r.Client, r))
}
