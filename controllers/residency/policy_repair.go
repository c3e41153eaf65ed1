package residency

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// +kubebuilder:rbac:groups="",resources=pods/eviction,verbs=create

// maxEvictions bounds one look; the next one goes on.
const maxEvictions = 100

// strandedNode is a node outside, with governed pods on it.
type strandedNode struct {
	carried bool // the attested label is, or was, on it: the scheduler may have trusted it
	reason  reason.Code
	pods    []strandedPod
}

type strandedPod struct {
	namespace, name string
	uid             types.UID
	version         string
}

// strand notes a governed pod on a node that is outside. That it is pinned proves that the
// node carried the label when the pod was bound, whatever happened since; so does the last
// status, which is not written yet.
func (s *policyScope) strand(p *corev1.Pod, at place) {
	if !s.repairs() {
		return
	}
	if s.stranded == nil {
		s.stranded = map[string]*strandedNode{}
	}
	n := s.stranded[p.Spec.NodeName]
	if n == nil {
		n = &strandedNode{reason: at.verdict.Reason}
		s.stranded[p.Spec.NodeName] = n
	}
	_, counted := slices.BinarySearch(s.policy.Status.EligibleNodes, p.Spec.NodeName)
	n.carried = n.carried || at.carries || counted || pinned(p, s.policy)
	if len(n.pods) < maxEvictions && evictable(p, at) {
		n.pods = append(n.pods, strandedPod{p.Namespace, p.Name, p.UID, p.ResourceVersion})
	}
}

// evictable leaves out pods that are going, mirrors of static pods, which only the kubelet
// ends, and pods of a DaemonSet that would come back to the same node at once.
func evictable(p *corev1.Pod, at place) bool {
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	owner := metav1.GetControllerOf(p)
	return p.DeletionTimestamp.IsZero() && !mirror && (!at.carries || owner == nil || owner.Kind != "DaemonSet")
}

// repairs tells whether the policy asks for more than a report.
func (s *policyScope) repairs() bool {
	p := s.policy
	return p.Spec.Nodes.OnLostAttestation == residencyv1.LostAttestationCordonAndEvict && p.Spec.Enforcement == residencyv1.EnforcementEnforce && p.DeletionTimestamp.IsZero()
}

// repair closes nodes outside and evicts the governed pods on them. A crash at any point
// leaves less to do: the next look finds the node closed and the pods gone.
func (r *PolicyReconciler) repair(ctx context.Context, s *policyScope) error {
	var errs []error
	left, evicted := maxEvictions, 0
	var from []string
	for _, name := range slices.Sorted(maps.Keys(s.stranded)) {
		at := s.stranded[name]
		if err := r.cordon(ctx, s, name, at); err != nil {
			errs = append(errs, err) // without it the pods would come back
			continue
		}
		before := evicted
		for _, pod := range at.pods[:min(left, len(at.pods))] {
			ok, err := r.evict(ctx, s, pod, at.reason)
			errs = append(errs, err)
			left--
			if ok {
				evicted++
			}
		}
		if evicted > before {
			from = append(from, name)
		}
	}
	if evicted > 0 {
		s.done = append(s.done, applying.Warning(residencyv1.ReasonPodsEvicted, "Evict", "%d pods evicted from nodes that are outside: %s", evicted, strings.Join(from, ", ")))
	}
	return errors.Join(errs...)
}

// cordon closes a node to new pods, where pods could take it for one that is inside.
func (r *PolicyReconciler) cordon(ctx context.Context, s *policyScope, name string, at *strandedNode) error {
	i := slices.IndexFunc(s.nodes, func(n corev1.Node) bool { return n.Name == name })
	if i < 0 || !at.carried || s.nodes[i].Spec.Unschedulable {
		return nil
	}
	n := &s.nodes[i]
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`))
	if err := r.Client.Patch(ctx, n, patch, applying.FieldOwner); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("cordon node: %w", err)
	}
	r.keep(ctx, Entry{EvidenceCordoned, s.policy.Name, placement.Object{Kind: placement.Node, Name: name}, at.reason, s.now})
	s.done = append(s.done, applying.Warning(residencyv1.ReasonNodeCordoned, "Cordon", "node %s is outside (%s) and was closed to new pods; open it when it is inside again", name, at.reason))
	return nil
}

// evict asks the API server to end a pod. It refuses where a disruption budget says so; then
// the next look asks again.
func (r *PolicyReconciler) evict(ctx context.Context, s *policyScope, pod strandedPod, why reason.Code) (ok bool, err error) {
	about := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.namespace, Name: pod.name}}
	o := placement.Object{Kind: placement.Pod, Namespace: pod.namespace, Name: pod.name}
	err = r.Client.SubResource("eviction").Create(ctx, about, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.namespace, Name: pod.name},
		// Neither one of the same name that came since, nor one that goes already.
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.uid, ResourceVersion: &pod.version}},
	})
	switch {
	case apierrors.IsTooManyRequests(err):
		s.blocked[o] = true
		return false, nil
	case apierrors.IsNotFound(err):
		return false, nil
	case apierrors.IsConflict(err):
		s.stale = true
		return false, nil
	case err != nil:
		return false, fmt.Errorf("evict pod: %w", err)
	}
	r.keep(ctx, Entry{EvidenceEvicted, s.policy.Name, o, why, s.now})
	return true, nil
}
