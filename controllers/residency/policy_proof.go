package residency

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/proving"
)

// Waits of the proof. An API server takes up a policy within about a second.
const (
	proofInterval = 10 * time.Minute
	proofRetry    = 2 * time.Second
)

// proved is what was proved last, so that events do not repeat it.
type proved struct {
	hash, namespace string
	at              time.Time
	proof           proving.Proof
}

// force is what is known of the guard's force.
type force struct {
	status  metav1.ConditionStatus
	reason  metav1alpha1.ConditionReason
	message string
	wait    time.Duration // until it is tried again
}

// proveGuard asks the API servers whether they refuse what the guard forbids. Until all of
// them do, the policy is not reported as enforced.
func (r *PolicyReconciler) proveGuard(ctx context.Context, s *policyScope) force {
	if mode := s.policy.Spec.Enforcement; mode != residencyv1.EnforcementEnforce {
		return force{metav1.ConditionFalse, residencyv1.ReasonNotEnforcing, fmt.Sprintf("`spec.enforcement` is %s: nothing is refused", mode), 0}
	}
	if wrong := misunderstood(s.guard); wrong != "" {
		return force{metav1.ConditionFalse, residencyv1.ReasonGuardNotUnderstood, "the API server warns of expressions in " + wrong, 0}
	}
	now, namespace := r.Clock.Now(), ""
	if len(s.namespaces) > 0 {
		namespace = s.namespaces[0]
	}
	last := r.proofs.get(s.policy.Name)
	if last.hash != s.guardHash || last.namespace != namespace || len(last.proof.Open) > 0 || now.Sub(last.at) >= proofInterval {
		proof, err := r.Prover.Prove(ctx, s.policy, namespace)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Cannot try whether the guard is in force")
			return force{metav1.ConditionUnknown, residencyv1.ReasonNotYetEnforced, "the guard could not be tried; the manager's log tells why", proofRetry}
		}
		last = proved{s.guardHash, namespace, now, proof}
		r.proofs.put(s.policy.Name, last)
	}
	return judge(last.proof, namespace, proofInterval-now.Sub(last.at))
}

func judge(p proving.Proof, namespace string, wait time.Duration) force {
	if len(p.Open) > 0 {
		return force{metav1.ConditionFalse, residencyv1.ReasonNotYetEnforced, "not refused yet: " + strings.Join(first(p.Open, 10), ", "), proofRetry}
	}
	if len(p.Refused) == 0 {
		return force{metav1.ConditionUnknown, residencyv1.ReasonNotYetEnforced, "no attack could be tried: the prober lacks its rights", proofRetry}
	}
	where := "in namespace " + namespace
	if namespace == "" {
		where = "where no namespace is needed; none is governed"
	}
	return force{metav1.ConditionTrue, residencyv1.ReasonEnforced, fmt.Sprintf("every API server (%d) refused an attack on each of %d topics, tried %s", p.Servers, len(p.Refused), where), wait}
}

// misunderstood names the policies of whose expressions the API server warns.
func misunderstood(have []guardObject) string {
	var names []string
	for _, o := range have {
		if p, ok := o.object.(*arv1.ValidatingAdmissionPolicy); ok && p.Status.TypeChecking != nil && len(p.Status.TypeChecking.ExpressionWarnings) > 0 {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(first(names, 5), ", ")
}

// write sets the condition Enforced.
func (f force) write(p *residencyv1.ResidencyPolicy, now time.Time) {
	if f.status == "" { // no guard is installed that could be tried
		f = force{metav1.ConditionUnknown, residencyv1.ReasonNotYetEnforced, "the guard is not installed", 0}
	}
	conditions.Set(&p.Status.Conditions, p.Generation, now, residencyv1.ConditionEnforced, f.status, f.reason, f.message)
}
