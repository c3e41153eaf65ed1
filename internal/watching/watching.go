// Package watching turns events into the objects to look at, and drops the events that
// change nothing a controller reads. Its predicates are pure.
package watching

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// SideBySide are the options of a controller that waits for stores or gateways: one of them
// that hangs must not stop the objects of the others. The workers cost little.
func SideBySide() controller.Options { return controller.Options{MaxConcurrentReconciles: 8} }

// NewList makes an empty list of one kind.
type NewList func() client.ObjectList

// EveryOne maps any event to all objects of a kind.
func EveryOne(c client.Reader, list NewList) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return Requests(ctx, c, list())
	})
}

// EveryOneBeside maps an event to all objects of a kind in the same namespace.
func EveryOneBeside(c client.Reader, list NewList) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		return Requests(ctx, c, list(), client.InNamespace(o.GetNamespace()))
	})
}

// ByLabel maps an object to the one in its namespace that a label names.
func ByLabel(key string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return Named(o.GetNamespace(), o.GetLabels()[key])
	})
}

// Named asks for one object; none where the name is empty.
func Named(namespace, name string) []reconcile.Request {
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}

// Requests asks for all objects of a list. Where listing fails, the resync will find it.
func Requests(ctx context.Context, c client.Reader, list client.ObjectList, opts ...client.ListOption) []reconcile.Request {
	if err := c.List(ctx, list, opts...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Cannot list what an event concerns")
		return nil
	}
	var out []reconcile.Request
	for _, o := range Items(list) {
		out = append(out, Named(o.GetNamespace(), o.GetName())...)
	}
	return out
}

// Items returns the objects of a list.
func Items(list client.ObjectList) (out []client.Object) {
	_ = meta.EachListItem(list, func(o runtime.Object) error {
		if c, ok := o.(client.Object); ok {
			out = append(out, c)
		}
		return nil
	})
	return out
}

// Changed lets creations and deletions pass, and updates where differ says so.
func Changed[T client.Object](differ func(before, after T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(T)
		after, ok2 := e.ObjectNew.(T)
		return ok1 && ok2 && differ(before, after)
	}}
}

// StoreReady sees whether a store answers and which view it has, and ignores the growth of
// its ledger.
func StoreReady() predicate.Predicate {
	return Changed(func(a, b *residencyv1.ConsentStore) bool {
		ready := string(metav1alpha1.ConditionReady)
		return a.Generation != b.Generation || a.Status.LedgerID != b.Status.LedgerID || a.Status.Bundle.Hash != b.Status.Bundle.Hash ||
			meta.IsStatusConditionTrue(a.Status.Conditions, ready) != meta.IsStatusConditionTrue(b.Status.Conditions, ready)
	})
}

// WithLabel selects objects that carry a label of this value.
func WithLabel(key, value string) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[key] == value })
}

// PodReady sees where a pod runs, whether it answers, and what its conditions say.
func PodReady() predicate.Predicate {
	return Changed(func(a, b *corev1.Pod) bool {
		return a.Spec.NodeName != b.Spec.NodeName || a.Status.Phase != b.Status.Phase || a.Status.PodIP != b.Status.PodIP ||
			!slices.Equal(conditionsOf(a), conditionsOf(b)) || restarts(a) != restarts(b)
	})
}

type podCondition struct {
	kind            corev1.PodConditionType
	status          corev1.ConditionStatus
	reason, message string
}

func conditionsOf(p *corev1.Pod) []podCondition {
	var out []podCondition
	for _, c := range p.Status.Conditions {
		out = append(out, podCondition{c.Type, c.Status, c.Reason, c.Message})
	}
	return out
}

func restarts(p *corev1.Pod) (n int32) {
	for _, c := range p.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}
