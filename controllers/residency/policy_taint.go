package residency

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/guard"
)

// taintNodes keeps nodes of a policy that shares them with nobody to governed pods, and gives
// back nodes of one that shares them again.
func (r *PolicyReconciler) taintNodes(ctx context.Context, s *policyScope) error {
	for i := range s.nodes {
		n := &s.nodes[i]
		taints := tainted(n, s.policies)
		if slices.Equal(taints, n.Spec.Taints) {
			continue
		}
		after := n.DeepCopy()
		after.Spec.Taints = taints
		patch := client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{}) // others write taints too
		if err := r.Client.Patch(ctx, after, patch, applying.FieldOwner); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("taint node: %w", err)
		}
	}
	return nil
}

// tainted returns the taints that a node should have. Of ours, it keeps or gets those of the
// jurisdictions for which a policy wants it alone.
func tainted(n *corev1.Node, policies []residencyv1.ResidencyPolicy) []corev1.Taint {
	wanted := map[string]bool{}
	for i := range policies {
		p := &policies[i]
		key := guard.TaintKey(p.Spec.Jurisdiction)
		wanted[key] = wanted[key] || (p.DeletionTimestamp.IsZero() && p.Spec.Nodes.Sharing == residencyv1.SharingExclusive && decideNode(n, p).Eligible)
	}
	out := slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool {
		want, ours := wanted[t.Key]
		return ours && !want
	})
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if wanted[key] && !slices.ContainsFunc(out, func(t corev1.Taint) bool { return t.Key == key }) {
			out = append(out, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	return out
}
