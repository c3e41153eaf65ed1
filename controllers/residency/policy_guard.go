package residency

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/internal/watching"
)

// versions are the objects of a guard, by kind and name, with the resource version of each.
type versions map[string]string

// installed remembers what was written last, so that a guard which nobody touched is not
// applied again at every event of every node.
type installed struct {
	mu    sync.Mutex
	known map[string]installation // by policy
}

type installation struct {
	hash string
	versions
}

func (i *installed) same(policy, hash string, have versions) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, ok := i.known[policy]
	return ok && last.hash == hash && maps.Equal(last.versions, have)
}

func (i *installed) note(policy, hash string, have versions) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known == nil {
		i.known = map[string]installation{}
	}
	i.known[policy] = installation{hash, have}
}

// installGuard applies the compiled policy and removes what it no longer holds.
func (r *PolicyReconciler) installGuard(ctx context.Context, s *policyScope) error {
	g, err := guard.Compile(s.policy, guard.Options{Manager: r.Manager})
	if err != nil {
		return err
	}
	s.guardHash = g.Hash
	have, err := r.listGuard(ctx, s.policy.Name)
	if err != nil {
		return err
	}
	if r.installed.same(s.policy.Name, g.Hash, versionsOf(have)) {
		return nil
	}
	written := versions{}
	for _, o := range g.Objects {
		if err := applying.Children(ctx, r.Client, o.Apply); err != nil {
			return fmt.Errorf("install guard: %w", err)
		}
		if written[o.Kind+"/"+o.Name], err = versionOf(o.Apply); err != nil {
			return err
		}
	}
	if err := r.removeGuard(ctx, have, written); err != nil {
		return err
	}
	r.installed.note(s.policy.Name, g.Hash, written)
	return nil
}

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
	}
}

// guardObject is one object of a guard that exists.
type guardObject struct {
	key    string // kind and name
	object client.Object
}

func (r *PolicyReconciler) listGuard(ctx context.Context, policy string) (out []guardObject, err error) {
	for _, kind := range guardKinds() {
		list := kind.list()
		if err := r.Client.List(ctx, list, client.MatchingLabels(guard.Labels(policy))); err != nil {
			return nil, fmt.Errorf("list guard: %w", err)
		}
		for _, o := range watching.Items(list) {
			out = append(out, guardObject{kind.name + "/" + o.GetName(), o})
		}
	}
	return out, nil
}

func versionsOf(have []guardObject) versions {
	out := versions{}
	for _, o := range have {
		out[o.key] = o.object.GetResourceVersion()
	}
	return out
}

// removeGuard removes what is not among keep.
func (r *PolicyReconciler) removeGuard(ctx context.Context, have []guardObject, keep versions) error {
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
