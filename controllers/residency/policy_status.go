package residency

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	domain "github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/law"
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
	findings

	policy     *residencyv1.ResidencyPolicy
	policies   []residencyv1.ResidencyPolicy // all, this one included
	nodes      []corev1.Node
	nodesBy    map[string]place // by name
	namespaces []string         // governed, sorted
	volumes    []corev1.PersistentVolume
	handles    placement.Handles // of governed volumes and snapshots
	stores     []residencyv1.ConsentStore
	exceptions []residencyv1.ResidencyException // of all policies

	guard         []guardObject // as it was before this reconciliation
	guardHash     string
	guardErr      error
	force         force
	exceptionEnds time.Duration // until the first exception ends; zero means that none is in force

	stranded map[string]*strandedNode  // by name; filled only where the policy asks for repair
	blocked  map[placement.Object]bool // pods that a disruption budget keeps
	stale    bool                      // a pod was not as the cache says: look again
	done     []applying.Event
}

func (r *PolicyReconciler) gather(ctx context.Context, s *policyScope) error {
	var policies residencyv1.ResidencyPolicyList
	var nodes corev1.NodeList
	var namespaces corev1.NamespaceList
	var volumes corev1.PersistentVolumeList
	var exceptions residencyv1.ResidencyExceptionList
	governed := client.MatchingLabels{metav1alpha1.PolicyLabel: s.policy.Name}
	for list, opts := range map[client.ObjectList][]client.ListOption{
		&policies: nil, &nodes: nil, &exceptions: nil, &volumes: {client.UnsafeDisableDeepCopy}, &namespaces: {governed},
	} {
		if err := r.Client.List(ctx, list, opts...); err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
	}
	s.policies, s.nodes, s.volumes, s.exceptions = policies.Items, nodes.Items, volumes.Items, exceptions.Items
	for _, n := range namespaces.Items {
		s.namespaces = append(s.namespaces, n.Name)
		var stores residencyv1.ConsentStoreList
		if err := r.Client.List(ctx, &stores, client.InNamespace(n.Name)); err != nil {
			return fmt.Errorf("list %T: %w", &stores, err)
		}
		s.stores = append(s.stores, stores.Items...)
	}
	slices.Sort(s.namespaces)
	return nil
}

// fillNodes writes the nodes. One that the rules find inside counts once its label is
// written: pods cannot be placed there before.
func (s *policyScope) fillNodes() {
	var eligible []string
	var refused []residencyv1.RefusedNode
	for i := range s.nodes {
		name := s.nodes[i].Name
		v := s.nodesBy[name].verdict
		if v.Eligible {
			eligible = append(eligible, name)
			continue
		}
		refused = append(refused, residencyv1.RefusedNode{Name: name, Reason: string(v.Reason), Message: conditions.Truncate(v.Message, 512)})
	}
	slices.Sort(eligible)
	slices.SortFunc(refused, func(a, b residencyv1.RefusedNode) int { return strings.Compare(a.Name, b.Name) })
	st := &s.policy.Status
	st.EligibleNodes, st.EligibleNodeCount = first(eligible, maxEligible), count(eligible)
	st.RefusedNodes, st.RefusedNodeCount = first(refused, maxRefused), count(refused)
}

// outcome tells whether the policy does what it is for.
func (s *policyScope) outcome() conditions.Outcome {
	p := s.policy
	unusable, told := s.unusable()
	switch {
	case !p.DeletionTimestamp.IsZero():
		return conditions.NotReady(residencyv1.ReasonInUse,
			fmt.Sprintf("%d namespaces still carry this policy's name; an attestor may take the label away", len(s.namespaces)))
	case told:
		return unusable
	case law.Named(p.Spec.RulePack) == nil:
		return conditions.Stalled(residencyv1.ReasonRulePackUnknown, "every transfer is refused: this version has the rule packs "+strings.Join(law.Names(), ", "))
	case s.guardErr != nil:
		return conditions.NotReady(residencyv1.ReasonGuardMissing, guardMessage(s.guardErr))
	case s.force.reason == residencyv1.ReasonGuardNotUnderstood:
		return conditions.NotReady(s.force.reason, s.force.message)
	case s.force.reason == residencyv1.ReasonNotYetEnforced:
		return conditions.Waiting(s.force.reason, s.force.message)
	case *p.Status.EligibleNodeCount == 0:
		return conditions.NotReady(residencyv1.ReasonNoEligibleNode,
			"no node is attested to be inside; status.refusedNodes tells why, and a node in "+strings.Join(p.Spec.Nodes.Regions, ", ")+" would count")
	}
	return conditions.Ready(residencyv1.ReasonNodesAttested, fmt.Sprintf("%d nodes are attested to be inside", *p.Status.EligibleNodeCount))
}

func guardMessage(err error) string {
	if err == nil {
		return "the compiled policies in the API server are those of this spec"
	}
	return "the guard could not be installed; the manager's log tells why"
}

// counters asks the stores of the governed namespaces how many people's records left. A
// store that does not answer keeps the number that was known. Stores that count together are
// counted by the first of them.
func (r *PolicyReconciler) counters(ctx context.Context, s *policyScope) []residencyv1.TransferCounter {
	known := s.policy.Status.TransferCounters
	var answers []*storev1.GetStatusResponse
	counted := map[string]bool{}
	for i := range s.stores {
		cs := &s.stores[i]
		if counted[cs.Namespace+"/"+cs.Name] {
			continue
		}
		if !conditions.True(cs.Status.Conditions, metav1alpha1.ConditionReady, cs.Generation) {
			return known
		}
		a, err := storeStatus(ctx, r.Stores, cs)
		if err != nil {
			ctrl.LoggerFrom(ctx).V(2).Info("Store did not tell its counters", "reason", err.Error())
			return known
		}
		if beyond, err := gather.Elsewhere(ctx, r.Stores, cs); err == nil {
			a.NonSensitivePersons = plus(a.GetNonSensitivePersons(), beyond.NonSensitive)
			a.SensitivePersons = plus(a.GetSensitivePersons(), beyond.Sensitive)
			for _, with := range cs.Status.Counting.With {
				counted[with] = true
			}
		}
		if a.GetYear() >= 2000 {
			answers = append(answers, a)
		}
	}
	return s.meter(merge(known, s.policy.Spec.Processor.Name, answers), r.Clock.Now())
}

// meter holds the year that runs against the lines of the rule pack. Fewer than 20 people
// count as 19, and with sensitive data as none: more is not told.
func (s *policyScope) meter(list []residencyv1.TransferCounter, now time.Time) []residencyv1.TransferCounter {
	pack := law.Named(s.policy.Spec.RulePack)
	for i := range list {
		c := &list[i]
		c.Tier, c.NextTier, c.LeftUntilNextTier, c.ForecastTime = "", "", nil, metav1.Time{}
		if pack == nil || int(c.Year) != domain.Year(now) {
			continue
		}
		m := transfer.Counter{NonSensitive: atMost(c.NonSensitivePersons, subject.Few-1), Sensitive: atMost(c.SensitivePersons, 0)}.Read(pack, now)
		c.Tier, c.NextTier, c.ForecastTime = m.Tier, m.Next, metav1.NewTime(m.At)
		if m.Next != "" {
			c.LeftUntilNextTier = &m.Left
		}
	}
	return list
}

// atMost reads a number of people; few is for one that is not told.
func atMost(n metav1alpha1.PeopleCount, few int64) int64 {
	v, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		return few
	}
	return v
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

// plus adds people whom others have counted; nobody adds nothing.
func plus(own string, beyond int64) string {
	if beyond == 0 {
		return own
	}
	return string(total([]string{own, strconv.FormatInt(beyond, 10)}))
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
