package residency

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// tellVolume writes what is wrong with the claim into a condition of its own: the store
// itself may be well.
func (r *StoreReconciler) tellVolume(_ context.Context, s *storeScope) (*conditions.Outcome, error) {
	o := conditions.Ready(residencyv1.ReasonVolumeAsDeclared, "size and class are as the spec and the policy want them")
	if s.volumeTrouble != nil {
		o = *s.volumeTrouble
	}
	conditions.Set(&s.store.Status.Conditions, s.store.Generation, r.Clock.Now(), residencyv1.ConditionVolumeReady, o.Status, o.Reason, o.Message)
	return nil, nil
}

// storeEvents tells when a store was placed, and when it cannot be or should not be there.
// A pod or volume that is only on its way is no news.
func storeEvents(before, after *residencyv1.ConsentStore) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, residencyv1.ConditionPlaced), conditions.Get(after.Status.Conditions, residencyv1.ConditionPlaced)
	why := metav1alpha1.ConditionReason(is.Reason)
	switch {
	case is.Reason == was.Reason || is.Reason == "" || why == residencyv1.ReasonStoreUnplaced:
		return nil
	case is.Status == metav1.ConditionTrue:
		p := after.Status.ProofOfPlacement
		return []applying.Event{applying.Normal(why, "Place", "runs on node %s in %s, rests on volume %s", p.Node, p.NodeRegion, p.PersistentVolume)}
	}
	return []applying.Event{applying.Warning(why, "Place", "%s", is.Message)}
}

// prove follows the chain pod, node, claim, volume, affinity, attested label. Where a link
// is outside, the store still gets its view of the cluster: a hold must reach it all the more.
func (r *StoreReconciler) prove(_ context.Context, s *storeScope) (*conditions.Outcome, error) {
	proof, out := s.chain()
	s.placed = out
	st := &s.store.Status
	proof.ObservedTime = st.ProofOfPlacement.ObservedTime
	if !equality.Semantic.DeepEqual(proof, st.ProofOfPlacement) || proof.ObservedTime.IsZero() {
		proof.ObservedTime = metav1.NewTime(r.Clock.Now())
	}
	st.ProofOfPlacement = proof
	status, why, message := metav1.ConditionTrue, residencyv1.ReasonPlacementProven, "pod, node, volume and attested label agree"
	if out != nil {
		status, why, message = out.Status, out.Reason, out.Message
	}
	conditions.Set(&st.Conditions, s.store.Generation, r.Clock.Now(), residencyv1.ConditionPlaced, status, why, message)
	return nil, nil
}

func (s *storeScope) chain() (residencyv1.ProofOfPlacement, *conditions.Outcome) {
	p := residencyv1.ProofOfPlacement{PersistentVolumeClaim: s.claim.Name, PersistentVolume: s.claim.Spec.VolumeName}
	if s.pod == nil || s.pod.Spec.NodeName == "" {
		return p, s.unplaced()
	}
	p.Pod, p.Node, p.AttestedLabel = s.pod.Name, s.pod.Spec.NodeName, s.policy.Spec.Nodes.LabelKey
	i := slices.IndexFunc(s.nodes, func(n corev1.Node) bool { return n.Name == p.Node })
	if i < 0 {
		return p, conditions.Stall(residencyv1.ReasonPlacementNotMainland, "the pod runs on node %s, which does not exist", p.Node)
	}
	node := &s.nodes[i]
	p.NodeRegion, p.Jurisdiction = node.Labels[corev1.LabelTopologyRegion], node.Labels[p.AttestedLabel]
	if v := inside(node, s.policy); !v.Eligible {
		return p, conditions.Stall(residencyv1.ReasonPlacementNotMainland, "the pod runs on node %s, which is not inside (%s: %s): delete the pod, and find out how it came there", p.Node, v.Reason, v.Message)
	}
	if s.volume == nil {
		return p, conditions.Fail(residencyv1.ReasonStoreUnplaced, "claim %s is not bound to a volume", s.claim.Name)
	}
	v, terms := volumeVerdict(s.volume, s.policy)
	p.VolumeNodeAffinity = first(terms, 32)
	switch {
	case v.Eligible:
		return p, nil
	case v.Reason == storageOutside:
		return p, conditions.Stall(residencyv1.ReasonStorageNotMainland, "volume %s: %s", s.volume.Name, v.Message)
	}
	return p, conditions.Stall(residencyv1.ReasonPlacementNotMainland, "volume %s: %s", s.volume.Name, v.Message)
}

// unplaced tells why the pod has no node, and what would give it one.
func (s *storeScope) unplaced() *conditions.Outcome {
	regions := strings.Join(s.policy.Spec.Nodes.Regions, ", ")
	free := slices.ContainsFunc(s.nodes, func(n corev1.Node) bool { return !n.Spec.Unschedulable && inside(&n, s.policy).Eligible })
	if !free {
		return conditions.Fail(residencyv1.ReasonNoEligibleNode,
			"no attested node can take the store: uncordon one, or add a node in %s (ResidencyPolicy %s lists the refused ones)", regions, s.policy.Name)
	}
	if s.pod == nil {
		return conditions.Wait(residencyv1.ReasonStoreUnplaced, "the pod does not exist yet")
	}
	for _, c := range s.pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return conditions.Fail(residencyv1.ReasonNoEligibleNode, "the scheduler finds no place inside (%s): add a node or free one in %s",
				conditions.Truncate(c.Message, 400), regions)
		}
	}
	return conditions.Wait(residencyv1.ReasonStoreUnplaced, "the pod has no node yet")
}

// unanswered tells why a placed store gives no answer.
func (r *StoreReconciler) unanswered(s *storeScope, err error) *conditions.Outcome {
	if ended(s.pod, residencyv1.ReasonKeysMissing) {
		return conditions.Stall(residencyv1.ReasonKeysMissing, "the file of people's keys is missing, or older than the ledger, and the store refuses to start: put its newest copy back")
	}
	if ended(s.pod, residencyv1.ReasonLedgerMissing) || storeclient.Word(err) == string(residencyv1.ReasonLedgerMissing) {
		return conditions.Stall(residencyv1.ReasonLedgerMissing, "the volume does not hold ledger %s, and the store refuses to start: restore the volume", s.store.Status.LedgerID)
	}
	if word := storeclient.Word(err); word != "" {
		return conditions.Fail(metav1alpha1.ReasonInternalError, "the store refuses its policy view: %s", word)
	}
	if s.store.Status.Ledger.Size != nil {
		return conditions.Fail(residencyv1.ReasonStoreUnreachable, "the store answered before and does not answer now; it refuses transfers while its policy view is too old")
	}
	return conditions.Wait(residencyv1.ReasonStoreStarting, "the pod is placed and does not answer yet")
}

// ended tells whether the store ended with this word, as when its ledger is missing. Nothing
// else of what a container writes is looked at, and nothing is copied.
func ended(pod *corev1.Pod, word metav1alpha1.ConditionReason) bool {
	if pod == nil {
		return false
	}
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		for _, state := range []corev1.ContainerState{c.State, c.LastTerminationState} {
			if t := state.Terminated; t != nil && c.Name == string(desired.Store) && strings.Contains(t.Message, string(word)) {
				return true
			}
		}
		return false
	})
}

// takenNotice is the newest text that the ledger has taken.
func takenNotice(a *storev1.GetStatusResponse) residencyv1.StoreNotice {
	if a.GetNoticeRevision() == 0 {
		return residencyv1.StoreNotice{}
	}
	return residencyv1.StoreNotice{
		Revision: a.GetNoticeRevision(), ContentHash: a.GetNoticeContentHash(), StaleConsents: metav1alpha1.PeopleCount(a.GetStaleConsents()),
	}
}

// noticeRefused tells that the ledger does not go back from what people agreed to, and takes
// no hash on trust.
func noticeRefused(s *storeScope) *conditions.Outcome {
	if s.answer.GetNoticeRefusal() == string(residencyv1.ReasonNoticeHashMismatch) {
		return conditions.Stall(residencyv1.ReasonNoticeHashMismatch,
			"the ledger computed another hash of PrivacyNotice %s than the manager and goes on with revision %d: run store and manager in the same version",
			s.store.Spec.NoticeRef.Name, s.answer.GetNoticeRevision())
	}
	return conditions.Stall(residencyv1.ReasonNoticeRevision,
		"the ledger has taken revision %d of its notice and takes no older one, nor another text of it: raise `spec.revision` of PrivacyNotice %s above it",
		s.answer.GetNoticeRevision(), s.store.Spec.NoticeRef.Name)
}
