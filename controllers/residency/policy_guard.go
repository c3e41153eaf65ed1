package residency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/internal/watching"
)

// written is one object of a guard as it was written last: what nobody touched and what has
// not changed is not written again at every event of every node.
type written struct{ hash, version string }

// installGuard applies the compiled policy and removes what it no longer holds.
func (r *PolicyReconciler) installGuard(ctx context.Context, s *policyScope) error {
	if other := rival(s.policy, s.policies); other != "" {
		return fmt.Errorf("%w: ResidencyPolicy %s has it", errPrefixTaken, other)
	}
	options, err := r.guardOptions(s)
	if err != nil {
		return err
	}
	g, err := guard.Compile(s.policy, options)
	if err != nil {
		return err
	}
	s.guardHash = g.Hash
	have, err := r.listGuard(ctx, s.policy.Name)
	if err != nil {
		return err
	}
	s.guard = have
	versions := versionsOf(have)
	last, now := r.installed.get(s.policy.Name), map[string]written{}
	defer func() { r.installed.put(s.policy.Name, now) }() // also what was written before an error
	var failed []error                                     // one topic that cannot be written leaves no other open
	for _, o := range g.Objects {
		key := guardKey(o.Kind, o.Namespace, o.Name)
		if w, ok := last[key]; ok && w.hash == o.Hash && w.version == versions[key] {
			now[key] = w
			continue
		}
		version, err := r.write(ctx, o)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		now[key] = written{o.Hash, version}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return r.removeGuard(ctx, have, now)
}

func (r *PolicyReconciler) write(ctx context.Context, o guard.Object) (version string, err error) {
	if err := applying.Children(ctx, r.Client, o.Apply); err != nil {
		return "", fmt.Errorf("install guard: %w", err)
	}
	return versionOf(o.Apply)
}

// guardOptions is what the compiler must know of the cluster.
func (r *PolicyReconciler) guardOptions(s *policyScope) (guard.Options, error) {
	minor, err := r.Prover.Minor()
	if err != nil {
		return guard.Options{}, err
	}
	if minor < guard.Oldest {
		return guard.Options{}, fmt.Errorf("%w: the server is 1.%d", errServerTooOld, minor)
	}
	now := r.Clock.Now()
	exceptions, end := guard.InForce(s.exceptions, s.policy.Name, now)
	if !end.IsZero() {
		s.exceptionEnds = end.Sub(now)
	}
	return guard.Options{Manager: r.Manager, Prober: r.ProberUser, Minor: minor, Governed: s.namespaces, Exceptions: exceptions}, nil
}

// errPrefixTaken is for a class prefix that an older policy has: the guards would refuse each
// other's volumes.
var errPrefixTaken = errors.New("`spec.storage.classPrefix` is taken")

// rival returns the older policy whose class prefix overlaps with that of p.
func rival(p *residencyv1.ResidencyPolicy, all []residencyv1.ResidencyPolicy) string {
	for i := range all {
		o := &all[i]
		mine, other := p.Spec.Storage.ClassPrefix, o.Spec.Storage.ClassPrefix
		older := o.CreationTimestamp.Before(&p.CreationTimestamp) || (o.CreationTimestamp.Equal(&p.CreationTimestamp) && o.Name < p.Name)
		if o.Name != p.Name && older && (strings.HasPrefix(mine, other) || strings.HasPrefix(other, mine)) {
			return o.Name
		}
	}
	return ""
}

// errServerTooOld is for a server that cannot evaluate the guard.
var errServerTooOld = fmt.Errorf("a guard needs Kubernetes 1.%d", guard.Oldest)

// unusable tells what somebody must change before there can be a guard.
func (s *policyScope) unusable() (conditions.Outcome, bool) {
	switch {
	case errors.Is(s.guardErr, errPrefixTaken):
		return conditions.Stalled(residencyv1.ReasonClassPrefixTaken, s.guardErr.Error()+"; create this policy with another one"), true
	case errors.Is(s.guardErr, errServerTooOld):
		return conditions.Stalled(residencyv1.ReasonGuardMissing, s.guardErr.Error()), true
	}
	return conditions.Outcome{}, false
}

func guardKey(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

// versionOf reads the resource version that applying has written into o.
func versionOf(o runtime.ApplyConfiguration) (string, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("read version of guard: %w", err)
	}
	var m struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("read version of guard: %w", err)
	}
	return m.Metadata.ResourceVersion, nil
}

// guardKind is one kind that a guard is made of.
type guardKind struct {
	name string
	list func() client.ObjectList
}

// guardKinds lists them, bindings first: that is the order to remove in.
func guardKinds() []guardKind {
	return []guardKind{
		{"ValidatingAdmissionPolicyBinding", func() client.ObjectList { return &arv1.ValidatingAdmissionPolicyBindingList{} }},
		{"MutatingAdmissionPolicyBinding", func() client.ObjectList { return &arv1.MutatingAdmissionPolicyBindingList{} }},
		{"ValidatingAdmissionPolicy", func() client.ObjectList { return &arv1.ValidatingAdmissionPolicyList{} }},
		{"MutatingAdmissionPolicy", func() client.ObjectList { return &arv1.MutatingAdmissionPolicyList{} }},
		{"NetworkPolicy", func() client.ObjectList { return &networkingv1.NetworkPolicyList{} }},
	}
}

// guardObject is one object of a guard that exists.
type guardObject struct {
	key    string // kind, namespace and name
	object client.Object
}

func (r *PolicyReconciler) listGuard(ctx context.Context, policy string) (out []guardObject, err error) {
	for _, kind := range guardKinds() {
		list := kind.list()
		if err := r.Client.List(ctx, list, client.MatchingLabels(guard.Labels(policy))); err != nil {
			return nil, fmt.Errorf("list guard: %w", err)
		}
		for _, o := range watching.Items(list) {
			out = append(out, guardObject{guardKey(kind.name, o.GetNamespace(), o.GetName()), o})
		}
	}
	return out, nil
}

func versionsOf(have []guardObject) map[string]string {
	out := map[string]string{}
	for _, o := range have {
		out[o.key] = o.object.GetResourceVersion()
	}
	return out
}

// removeGuard removes what is not among keep.
func (r *PolicyReconciler) removeGuard(ctx context.Context, have []guardObject, keep map[string]written) error {
	for _, o := range have {
		if _, ok := keep[o.key]; ok {
			continue
		}
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, o.object)); err != nil {
			return fmt.Errorf("remove guard: %w", err)
		}
	}
	return nil
}
