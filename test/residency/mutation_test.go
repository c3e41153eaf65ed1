package residency_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
)

// elsewhere are the topics whose absence shows in the cases of another one.
var elsewhere = map[string]string{"pin-pods": "pod-placement", "pin-daemonsets": "pod-placement", "default-deny": "network-policy-removal"}

// eachIsNeeded takes the objects of the guard away, one after the other: a case must fail.
func (s *suite) eachIsNeeded(t *testing.T) {
	again := s.compile(t).Objects
	for i, o := range s.compile(t).Objects {
		if o.Kind == "ValidatingAdmissionPolicy" || o.Kind == "MutatingAdmissionPolicy" || o.Kind == "NetworkPolicy" {
			continue // without its binding a policy is none
		}
		topic := strings.TrimPrefix(o.Name, "residency-"+policyName+"-")
		t.Run(topic, func(t *testing.T) {
			cases := s.of(topic)
			if len(cases) == 0 {
				t.Fatal("no case is about it")
			}
			remove(t, o)
			envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
				r, err := s.runner.Run(ctx, cases)
				if err == nil && len(r.Failed()) == 0 {
					return errors.New("every case still goes as it must")
				}
				return err
			})
			if err := rig.Client.Apply(t.Context(), again[i].Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// applyAll installs a guard.
func applyAll(t *testing.T, g guard.Guard) {
	t.Helper()
	for _, o := range g.Objects {
		if err := rig.Client.Apply(t.Context(), o.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
			t.Fatalf("apply %s %s: %v", o.Kind, o.Name, err)
		}
	}
}

// removeAll takes the whole guard away, bindings first.
func removeAll(t testing.TB, g guard.Guard) {
	t.Helper()
	for _, o := range slices.Backward(g.Objects) {
		remove(t, o)
	}
}

func remove(t testing.TB, o guard.Object) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}
	var object client.Object = &arv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta}
	switch o.Kind {
	case "MutatingAdmissionPolicyBinding":
		object = &arv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta}
	case "ValidatingAdmissionPolicy":
		object = &arv1.ValidatingAdmissionPolicy{ObjectMeta: meta}
	case "MutatingAdmissionPolicy":
		object = &arv1.MutatingAdmissionPolicy{ObjectMeta: meta}
	case "NetworkPolicy":
		object = &networkingv1.NetworkPolicy{ObjectMeta: meta}
	}
	if err := rig.As(t, manager, "system:masters").Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// of returns the cases that tell whether a topic is in force.
func (s *suite) of(topic string) (out []conformance.File) {
	if other, ok := elsewhere[topic]; ok {
		topic = other
	}
	for _, f := range s.files {
		picked := f
		picked.Cases = nil
		for _, c := range f.Cases {
			if c.Topic == topic && (c.Attack() || c.Becomes != nil) {
				picked.Cases = append(picked.Cases, c)
			}
		}
		if len(picked.Cases) > 0 {
			out = append(out, picked)
		}
	}
	return out
}
