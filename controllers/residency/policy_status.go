package residency

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/region"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/gather"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// Bounds of the lists in status; counts are of everything.
const (
	maxEligible   = 500
	maxRefused    = 100
	maxNamespaces = 1000
	maxViolations = 20
)

// policyScope is what one reconciliation of a policy learns.
type policyScope struct {
	policy     *residencyv1.ResidencyPolicy
	policies   []residencyv1.ResidencyPolicy // all, this one included
	nodes      []corev1.Node
	namespaces []string // governed, sorted
	pods       []corev1.Pod
	volumes    []corev1.PersistentVolume
	stores     []residencyv1.ConsentStore
	guardHash  string
}

func (r *PolicyReconciler) gather(ctx context.Context, s *policyScope) error {
	var policies residencyv1.ResidencyPolicyList
	var nodes corev1.NodeList
	var namespaces corev1.NamespaceList
	var volumes corev1.PersistentVolumeList
	governed := client.MatchingLabels{metav1alpha1.PolicyLabel: s.policy.Name}
	for list, opts := range map[client.ObjectList][]client.ListOption{
		&policies: nil, &nodes: nil, &volumes: nil, &namespaces: {governed},
	} {
		if err := r.Client.List(ctx, list, opts...); err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
	}
	s.policies, s.nodes, s.volumes = policies.Items, nodes.Items, volumes.Items
	for _, n := range namespaces.Items {
		s.namespaces = append(s.namespaces, n.Name)
		var pods corev1.PodList
		var stores residencyv1.ConsentStoreList
		for _, list := range []client.ObjectList{&pods, &stores} {
			if err := r.Client.List(ctx, list, client.InNamespace(n.Name)); err != nil {
				return fmt.Errorf("list %T: %w", list, err)
			}
		}
		s.pods, s.stores = append(s.pods, pods.Items...), append(s.stores, stores.Items...)
	}
	slices.Sort(s.namespaces)
	return nil
}

// fillNodes writes the nodes, and returns the verdict on each.
func (s *policyScope) fillNodes() map[string]region.Verdict {
	verdicts := map[string]region.Verdict{}
	var eligible []string
	var refused []residencyv1.RefusedNode
	for i := range s.nodes {
		n := &s.nodes[i]
		v := decideNode(n, s.policy)
		verdicts[n.Name] = v
		if v.Eligible {
			eligible = append(eligible, n.Name)
			continue
		}
		refused = append(refused, residencyv1.RefusedNode{Name: n.Name, Reason: string(v.Reason), Message: conditions.Truncate(v.Message, 512)})
	}
	slices.Sort(eligible)
	slices.SortFunc(refused, func(a, b residencyv1.RefusedNode) int { return strings.Compare(a.Name, b.Name) })
	st := &s.policy.Status
	st.EligibleNodes, st.EligibleNodeCount = first(eligible, maxEligible), count(eligible)
	st.RefusedNodes, st.RefusedNodeCount = first(refused, maxRefused), count(refused)
	return verdicts
}

// fillViolations counts what rests or runs outside although it is governed. Volumes come
// first: what rests outside stays outside.
func (s *policyScope) fillViolations(verdicts map[string]region.Verdict) {
	var found []residencyv1.Violation
	for i := range s.volumes {
		v := &s.volumes[i]
		if v.Spec.ClaimRef == nil || !slices.Contains(s.namespaces, v.Spec.ClaimRef.Namespace) {
			continue
		}
		if verdict, _ := volumeVerdict(v, s.policy); !verdict.Eligible {
			found = append(found, violation("PersistentVolume", "", v.Name, verdict))
		}
	}
	for i := range s.pods {
		p := &s.pods[i]
		if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		verdict, known := verdicts[p.Spec.NodeName]
		if !known {
			verdict = region.Verdict{Reason: "RegionUnknown", Message: "node " + p.Spec.NodeName + " does not exist"}
		}
		if !verdict.Eligible {
			found = append(found, violation("Pod", p.Namespace, p.Name, verdict))
		}
	}
	slices.SortStableFunc(found, func(a, b residencyv1.Violation) int {
		return cmp.Or(-strings.Compare(a.Kind[:2], b.Kind[:2]), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	s.policy.Status.Violations = residencyv1.ViolationSummary{Count: count(found), Worst: first(found, maxViolations)}
}

func violation(kind, namespace, name string, v region.Verdict) residencyv1.Violation {
	return residencyv1.Violation{Kind: kind, Namespace: namespace, Name: name, Reason: string(v.Reason), Message: conditions.Truncate(v.Message, 512)}
}

// outcome tells whether the policy does what it is for.
func (s *policyScope) outcome(guardErr error) conditions.Outcome {
	p := s.policy
	switch {
	case !p.DeletionTimestamp.IsZero():
		return conditions.NotReady(residencyv1.ReasonInUse,
			fmt.Sprintf("%d namespaces still carry this policy's name; an attestor may take the label away", len(s.namespaces)))
	case guardErr != nil:
		return conditions.NotReady(residencyv1.ReasonGuardMissing, guardMessage(guardErr))
	case *p.Status.EligibleNodeCount == 0:
		return conditions.NotReady(residencyv1.ReasonNoEligibleNode,
			"no node is attested to be inside; status.refusedNodes tells why, and a node in "+strings.Join(p.Spec.Nodes.Regions, ", ")+" would count")
	}
	return conditions.Ready(residencyv1.ReasonNodesAttested, fmt.Sprintf("%d nodes are attested to be inside", *p.Status.EligibleNodeCount))
}

func guardMessage(err error) string {
	if err == nil {
		return "the API server enforces this spec"
	}
	return "the guard could not be installed; the manager's log tells why"
}

// counters asks the stores of the governed namespaces how many people's records left. A
// store that does not answer keeps the number that was known.
func (r *PolicyReconciler) counters(ctx context.Context, s *policyScope) []residencyv1.TransferCounter {
	known := s.policy.Status.TransferCounters
	var answers []*storev1.GetStatusResponse
	for i := range s.stores {
		cs := &s.stores[i]
		if !conditions.True(cs.Status.Conditions, metav1alpha1.ConditionReady, cs.Generation) {
			return known
		}
		a, err := storeStatus(ctx, r.Stores, cs)
		if err != nil {
			ctrl.LoggerFrom(ctx).V(2).Info("Store did not tell its counters", "reason", err.Error())
			return known
		}
		if a.GetYear() >= 2000 {
			answers = append(answers, a)
		}
	}
	return merge(known, s.policy.Spec.Processor.Name, answers)
}

// merge adds up the stores of a processor for the newest year, and keeps older years.
func merge(known []residencyv1.TransferCounter, processor string, answers []*storev1.GetStatusResponse) []residencyv1.TransferCounter {
	if len(answers) == 0 {
		return known
	}
	year := slices.MaxFunc(answers, func(a, b *storev1.GetStatusResponse) int { return cmp.Compare(a.GetYear(), b.GetYear()) }).GetYear()
	var plain, sensitive []string
	for _, a := range answers {
		if a.GetYear() == year {
			plain, sensitive = append(plain, a.GetNonSensitivePersons()), append(sensitive, a.GetSensitivePersons())
		}
	}
	out := slices.DeleteFunc(slices.Clone(known), func(c residencyv1.TransferCounter) bool {
		return c.Processor == processor && int64(c.Year) == year
	})
	out = append(out, residencyv1.TransferCounter{Processor: processor, Year: int32(year), NonSensitivePersons: total(plain), SensitivePersons: total(sensitive)})
	slices.SortFunc(out, func(a, b residencyv1.TransferCounter) int {
		return cmp.Or(cmp.Compare(b.Year, a.Year), strings.Compare(a.Processor, b.Processor))
	})
	return first(out, 32)
}

// total adds numbers of people. What is under 20 counts as 19, so that a sum never hides
// how near a threshold is; the sum of such numbers alone stays "<20" where it may.
func total(numbers []string) metav1alpha1.PeopleCount {
	var sum int64
	small := 0
	for _, n := range numbers {
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			v, small = subject.Few-1, small+1
		}
		sum += v
	}
	if small == 1 && sum == subject.Few-1 {
		return metav1alpha1.PeopleCount("<" + strconv.Itoa(subject.Few))
	}
	return metav1alpha1.PeopleCount(strconv.FormatInt(sum, 10))
}

// storeStatus asks one store.
func storeStatus(ctx context.Context, stores gather.Stores, cs *residencyv1.ConsentStore) (*storev1.GetStatusResponse, error) {
	c, err := stores.Control(ctx, cs.Namespace, cs.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, gather.CallTimeout)
	defer cancel()
	return c.GetStatus(ctx, &storev1.GetStatusRequest{})
}

func first[T any](in []T, n int) []T { return in[:min(len(in), n)] }

func count[T any](in []T) *int32 {
	n := int32(len(in))
	return &n
}

func yesNo(ok bool, yes, no metav1alpha1.ConditionReason) (metav1.ConditionStatus, metav1alpha1.ConditionReason) {
	if ok {
		return metav1.ConditionTrue, yes
	}
	return metav1.ConditionFalse, no
}
