package residency

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/region"
)

// findings collects what is outside while objects are looked at one by one. Of an object
// that is inside nothing is kept.
type findings struct {
	tally  *placement.Tally
	page   page                    // every finding, for the evidence
	unread map[placement.Kind]bool // kinds that are installed and cannot be read
	now    time.Time
}

func newFindings(now time.Time) findings {
	return findings{tally: placement.NewTally(maxViolations), page: page{}, unread: map[placement.Kind]bool{}, now: now}
}

// note counts an object unless the verdict is good.
func (f *findings) note(kind placement.Kind, namespace, name string, v region.Verdict) {
	if v.Eligible {
		return
	}
	o := placement.Object{Kind: kind, Namespace: namespace, Name: name}
	f.tally.Add(placement.Outside{Object: o, Reason: v.Reason, Message: v.Message})
	f.page[finding{o, v.Reason}] = f.now
}

// judgeLabels looks for nodes that carry the attested label although no policy that shares
// it finds them inside. It looks before the manager takes such labels away: that somebody
// wrote one is worth knowing.
func (s *policyScope) judgeLabels() {
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.Labels[s.policy.Spec.Nodes.LabelKey] != s.policy.Spec.Jurisdiction || vouched(n, s.policy, s.policies) {
			continue
		}
		v := decideNode(n, s.policy)
		v.Message = "the node carries the attested label, but " + v.Message
		s.note(placement.Node, "", n.Name, v)
	}
}

// judgeVolumes looks at every volume that is bound to a governed claim, and at the claims. A
// claim whose volume is outside is not counted again.
func (s *policyScope) judgeVolumes(claims []corev1.PersistentVolumeClaim) {
	volumes := make(map[string]*corev1.PersistentVolume, len(s.volumes))
	bad := map[string]bool{}
	for i := range s.volumes {
		v := &s.volumes[i]
		volumes[v.Name] = v
		if v.Spec.ClaimRef == nil || !s.governs(v.Spec.ClaimRef.Namespace) {
			continue
		}
		if v.Spec.CSI != nil {
			s.handles.AddVolume(v.Spec.CSI.Driver, v.Spec.CSI.VolumeHandle)
		}
		verdict, _ := volumeVerdict(v, s.policy)
		bad[v.Name] = !verdict.Eligible
		s.note(placement.Volume, "", v.Name, verdict)
	}
	for i := range claims {
		c := &claims[i]
		v := volumes[c.Spec.VolumeName]
		if v != nil && bad[v.Name] && holds(v, c) {
			continue
		}
		s.note(placement.Claim, c.Namespace, c.Name, s.claimVerdict(c, v))
	}
}

// holds tells whether a volume is bound to this claim.
func holds(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	ref := v.Spec.ClaimRef
	return ref != nil && ref.Namespace == c.Namespace && ref.Name == c.Name && (ref.UID == "" || ref.UID == c.UID)
}

// claimVerdict decides on a claim by itself.
func (s *policyScope) claimVerdict(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) region.Verdict {
	switch {
	case c.Spec.VolumeName != "" && v == nil:
		return region.Verdict{Reason: reason.RegionUnknown, Message: "volume " + c.Spec.VolumeName + " does not exist"}
	case v != nil && !holds(v, c):
		return region.Verdict{Reason: storageOutside, Message: "volume " + v.Name + " is bound to another claim"}
	}
	return s.rules().Class(placement.Claim, ptr.Deref(c.Spec.StorageClassName, ""))
}

func (s *policyScope) rules() placement.Rules {
	return placement.Rules{Drivers: s.policy.Spec.Storage.Drivers, ClassPrefix: s.policy.Spec.Storage.ClassPrefix}
}

// place is what a policy thinks of a node.
type place struct {
	verdict region.Verdict // the rules agree and the label is written
	lost    bool           // the rules say no: a label that is merely not written yet is not lost
	carries bool           // the attested label is on the node
}

// places judges every node once.
func (s *policyScope) places() map[string]place {
	out := make(map[string]place, len(s.nodes))
	for i := range s.nodes {
		n := &s.nodes[i]
		out[n.Name] = place{
			verdict: inside(n, s.policy), lost: !decideNode(n, s.policy).Eligible,
			carries: n.Labels[s.policy.Spec.Nodes.LabelKey] == s.policy.Spec.Jurisdiction,
		}
	}
	return out
}

// judgePods looks at the pods of one governed namespace. What is kept of them does not hold
// the pods themselves: there may be many.
func (s *policyScope) judgePods(pods iter.Seq[*corev1.Pod]) {
	for p := range pods {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		if p.Spec.NodeName == "" {
			if !pinned(p, s.policy) {
				s.note(placement.Pod, p.Namespace, p.Name, unpinned())
			}
			continue
		}
		at, known := s.nodesBy[p.Spec.NodeName]
		if !known {
			at = place{verdict: region.Verdict{Reason: reason.RegionUnknown, Message: "node " + p.Spec.NodeName + " does not exist"}}
			s.nodesBy[p.Spec.NodeName] = at
		}
		s.note(placement.Pod, p.Namespace, p.Name, at.verdict)
		if at.lost {
			s.strand(p, at)
		}
	}
}

func unpinned() region.Verdict {
	return region.Verdict{Reason: reason.PlacementNotMainland, Message: "the pod has no node yet and is not pinned, so it may go anywhere: make it anew, the guard pins it"}
}

// podsOf walks over the pods of a namespace as the cache holds them: a list would copy each,
// and a namespace may have 50,000. They are only read.
func (r *PolicyReconciler) podsOf(ctx context.Context, namespace string) (iter.Seq[*corev1.Pod], error) {
	informer, err := r.kinds.cache.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("find cache of pods: %w", err)
	}
	indexed, ok := informer.(interface{ GetIndexer() toolscache.Indexer })
	if !ok {
		return nil, fmt.Errorf("find cache of pods: %T has no index", informer)
	}
	pods, err := indexed.GetIndexer().ByIndex(toolscache.NamespaceIndex, namespace)
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return func(yield func(*corev1.Pod) bool) {
		for _, o := range pods {
			if p, ok := o.(*corev1.Pod); ok && !yield(p) {
				return
			}
		}
	}, nil
}

// judge looks at everything of the governed namespaces.
func (r *PolicyReconciler) judge(ctx context.Context, s *policyScope) error {
	var claims []corev1.PersistentVolumeClaim
	for _, ns := range s.namespaces {
		var here corev1.PersistentVolumeClaimList // shared with the cache: only read
		if err := r.Client.List(ctx, &here, client.InNamespace(ns), client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list %T: %w", &here, err)
		}
		claims = append(claims, here.Items...)
		pods, err := r.podsOf(ctx, ns)
		if err != nil {
			return err
		}
		s.judgePods(pods)
	}
	s.judgeVolumes(claims)
	return r.judgeOptional(ctx, s)
}

// fillViolations writes what was found.
func (s *policyScope) fillViolations() {
	out := residencyv1.ViolationSummary{}
	total := int32(s.tally.Total())
	out.Count = &total
	for _, c := range s.tally.ByKind() {
		out.ByKind = append(out.ByKind, residencyv1.KindCount{Kind: string(c.Kind), Count: int32(c.N)})
	}
	for _, o := range s.tally.Worst() {
		message := o.Message
		if o.Kind == placement.Pod && s.blocked[o.Object] {
			message += "; a PodDisruptionBudget holds back its eviction"
		}
		out.Worst = append(out.Worst, residencyv1.Violation{
			Kind: string(o.Kind), Namespace: o.Namespace, Name: o.Name, Reason: string(o.Reason), Message: conditions.Truncate(message, 512),
		})
	}
	s.policy.Status.Violations = out
}

// compliance says what was found, in one sentence.
func (s *policyScope) compliance() conditions.Outcome {
	var unread, outside []string
	for _, k := range placement.Kinds() {
		if s.unread[k] {
			unread = append(unread, string(k))
		}
	}
	for _, c := range s.tally.ByKind() {
		outside = append(outside, fmt.Sprintf("%d %s", c.N, c.Kind))
	}
	note := ""
	if len(unread) > 0 {
		note = "; not read, and counted as before: " + strings.Join(unread, ", ")
	}
	switch {
	case len(outside) > 0:
		return conditions.NotReady(residencyv1.ReasonViolationsFound, "outside, although governed: "+strings.Join(outside, ", ")+"; status.violations names the worst"+note)
	case note != "":
		return conditions.Waiting(residencyv1.ReasonKindsUnread, "nothing was found outside"+note)
	}
	return conditions.Ready(residencyv1.ReasonNoViolations, "nothing of the governed namespaces is outside")
}

func (s *policyScope) governs(namespace string) bool {
	_, ok := slices.BinarySearch(s.namespaces, namespace)
	return ok
}
