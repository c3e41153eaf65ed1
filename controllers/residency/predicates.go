package residency

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/maodian-dev/maodian/internal/watching"
)

// nodeChanged ignores heartbeats.
func nodeChanged() predicate.Predicate {
	return watching.Changed(func(a, b *corev1.Node) bool {
		return !maps.Equal(a.Labels, b.Labels) || a.Spec.ProviderID != b.Spec.ProviderID || a.Spec.Unschedulable != b.Spec.Unschedulable
	})
}

// podPlaced sees where a pod runs and whether it still does.
func podPlaced() predicate.Predicate {
	return watching.Changed(func(a, b *corev1.Pod) bool {
		return a.Spec.NodeName != b.Spec.NodeName || a.Status.Phase != b.Status.Phase
	})
}
