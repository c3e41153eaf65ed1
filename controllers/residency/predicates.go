package residency

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/maodian-dev/maodian/internal/watching"
)

// nodeChanged ignores heartbeats.
func nodeChanged() predicate.Predicate {
	return watching.Changed(func(a, b *corev1.Node) bool {
		return !maps.Equal(a.Labels, b.Labels) || a.Spec.ProviderID != b.Spec.ProviderID || a.Spec.Unschedulable != b.Spec.Unschedulable
	})
}

// podPlaced sees where a pod runs or may run, and whether it still does.
func podPlaced() predicate.Predicate {
	return watching.Changed(func(a, b *corev1.Pod) bool {
		return a.Spec.NodeName != b.Spec.NodeName || a.Status.Phase != b.Status.Phase || !maps.Equal(a.Spec.NodeSelector, b.Spec.NodeSelector)
	})
}

// claimBound sees the volume and the class of a claim.
func claimBound() predicate.Predicate {
	return watching.Changed(func(a, b *corev1.PersistentVolumeClaim) bool {
		return a.Spec.VolumeName != b.Spec.VolumeName || ptr.Deref(a.Spec.StorageClassName, "") != ptr.Deref(b.Spec.StorageClassName, "")
	})
}

// calming is how long events are gathered before a policy is looked at: a look reads all of
// its namespaces, and a Deployment that scales sends thousands of them.
const calming = 500 * time.Millisecond

// calm asks for what an event concerns a little later, so that many events make one look.
type calm struct{ find handler.MapFunc }

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

func (c calm) add(ctx context.Context, o client.Object, q queue) {
	for _, r := range c.find(ctx, o) {
		q.AddAfter(r, calming)
	}
}

// Create implements handler.EventHandler.
func (c calm) Create(ctx context.Context, e event.CreateEvent, q queue) { c.add(ctx, e.Object, q) }

// Update implements handler.EventHandler.
func (c calm) Update(ctx context.Context, e event.UpdateEvent, q queue) { c.add(ctx, e.ObjectNew, q) }

// Delete implements handler.EventHandler.
func (c calm) Delete(ctx context.Context, e event.DeleteEvent, q queue) { c.add(ctx, e.Object, q) }

// Generic implements handler.EventHandler.
func (c calm) Generic(ctx context.Context, e event.GenericEvent, q queue) { c.add(ctx, e.Object, q) }
