package residency

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/watching"
)

// NoticeReconciler publishes revisions: from the time in status on, people read this text,
// and a consent is bound to it. A revision that lacks an item, or goes back, is not
// published: people go on reading the one before.
type NoticeReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=privacynotices,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=privacynotices/status,verbs=patch

// Reconcile publishes the revision of the spec.
func (r *NoticeReconciler) Reconcile(ctx context.Context, n *residencyv1.PrivacyNotice) (ctrl.Result, error) {
	before := n.DeepCopy()
	outcome, err := r.publish(ctx, n)
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.PrivacyNotice]{
		Before: before, After: n, Conditions: &n.Status.Conditions, Observed: &n.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Events: noticeEvents,
	})
}

func (r *NoticeReconciler) publish(ctx context.Context, n *residencyv1.PrivacyNotice) (*conditions.Outcome, error) {
	stores, err := r.askers(ctx, n)
	if err != nil {
		return nil, err
	}
	n.Status.Stores = noticeStores(stores)
	// Every policy has a guardian flow: its age is 14 to 18.
	items := notice.Missing(notice.Facts{Notice: gather.Notice(n.Spec), Guardian: true})
	r.tellWords(n, items)
	if left := notice.Refusals(items); len(left) > 0 {
		return conditions.Stall(residencyv1.ReasonNoticeIncomplete, "revision %d is not published: %s", n.Spec.Revision, list(left)), nil
	}
	next, last := gather.NoticeVersion(n.Spec), notice.Version{Revision: int64(n.Status.PublishedRevision), Hash: n.Status.PublishedHash}
	if !next.Follows(last) {
		return conditions.Stall(residencyv1.ReasonNoticeRevision, "people read revision %d with another text: raise `revision` above it", last.Revision), nil
	}
	if next == last {
		return published(n), nil
	}
	if o := goesBack(next, stores); o != nil {
		return o, nil
	}
	if next.Revision != last.Revision {
		n.Status.PublishedTime = metav1.NewTime(r.Clock.Now())
	}
	n.Status.PublishedRevision, n.Status.PublishedHash = n.Spec.Revision, next.Hash
	return published(n), nil
}

func published(n *residencyv1.PrivacyNotice) *conditions.Outcome {
	return conditions.Done(residencyv1.ReasonPublished, "revision %d is published", n.Spec.Revision)
}

// goesBack: a notice that was deleted and made anew has forgotten what people agreed to; the
// ledgers have not.
func goesBack(next notice.Version, stores []residencyv1.ConsentStore) *conditions.Outcome {
	for _, s := range stores {
		taken := notice.Version{Revision: s.Status.Notice.Revision, Hash: s.Status.Notice.ContentHash}
		if !next.Follows(taken) {
			return conditions.Stall(residencyv1.ReasonNoticeRevision,
				"ConsentStore %s has taken revision %d, and people have agreed to its text: raise `revision` above it", s.Name, taken.Revision)
		}
	}
	return nil
}

// tellWords says for which items a standard text stands in.
func (r *NoticeReconciler) tellWords(n *residencyv1.PrivacyNotice, items []notice.Item) {
	status, why, message := metav1.ConditionTrue, residencyv1.ReasonOwnWords, "the notice tells every item in its own words"
	var standard []notice.Item
	for _, i := range items {
		if i.Standard {
			standard = append(standard, i)
		}
	}
	if len(standard) > 0 {
		status, why, message = metav1.ConditionFalse, residencyv1.ReasonStandardText, "a standard text stands in, read it in docs/spec: "+list(standard)
	}
	conditions.Set(&n.Status.Conditions, n.Generation, r.Clock.Now(), residencyv1.ConditionOwnWords, status, why, message)
}

func list(items []notice.Item) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, "; ")
}

// askers returns the stores that ask people by this notice.
func (r *NoticeReconciler) askers(ctx context.Context, n *residencyv1.PrivacyNotice) (out []residencyv1.ConsentStore, err error) {
	var all residencyv1.ConsentStoreList
	if err := r.Client.List(ctx, &all, client.InNamespace(n.Namespace)); err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	for _, s := range all.Items {
		if s.Spec.NoticeRef.Name == n.Name {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b residencyv1.ConsentStore) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func noticeStores(stores []residencyv1.ConsentStore) (out []residencyv1.NoticeStore) {
	for _, s := range stores {
		if t := s.Status.Notice; t.Revision > 0 {
			out = append(out, residencyv1.NoticeStore{Name: s.Name, Revision: t.Revision, StaleConsents: t.StaleConsents})
		}
	}
	return first(out, 32)
}

// noticeEvents tells when a revision is published, and when one is not.
func noticeEvents(before, after *residencyv1.PrivacyNotice) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady)
	switch {
	case after.Status.PublishedRevision != before.Status.PublishedRevision:
		return []applying.Event{applying.Normal(residencyv1.ReasonPublished, "Publish", "%s", is.Message)}
	case is.Status == metav1.ConditionFalse && is.Message != was.Message && is.Reason != string(metav1alpha1.ReasonInternalError):
		return []applying.Event{applying.Warning(metav1alpha1.ConditionReason(is.Reason), "Publish", "%s", is.Message)}
	}
	return nil
}

func (r *NoticeReconciler) setup(m ctrl.Manager) error {
	asked := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		s, ok := o.(*residencyv1.ConsentStore)
		if !ok {
			return nil
		}
		return watching.Named(s.Namespace, s.Spec.NoticeRef.Name)
	})
	knows := watching.Changed(func(a, b *residencyv1.ConsentStore) bool {
		return a.Status.Notice != b.Status.Notice || a.Spec.NoticeRef != b.Spec.NoticeRef
	})
	return ctrl.NewControllerManagedBy(m).Named("privacynotice").
		For(&residencyv1.PrivacyNotice{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&residencyv1.ConsentStore{}, asked, builder.WithPredicates(knows)).
		Complete(reconcile.AsReconciler(r.Client, r))
}
