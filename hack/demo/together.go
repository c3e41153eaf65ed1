package main

import (
	"context"
	"crypto/rand"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// countingStores are those that hold the counting key.
var countingStores = []string{"brand-store", "outlet-store"}

// secondStore begins a second store of the processor, which counts people together with the
// first. Their certificates are on the way while the story goes on.
func (s *story) secondStore(ctx context.Context) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("draw key: %w", err)
	}
	s.secrets = append(s.secrets, string(key))
	if err := s.secret(ctx, namespace, "maodian-counting", map[string][]byte{"key": key}); err != nil {
		return err
	}
	if err := s.apply(ctx, s.sample("21-counting.yaml")); err != nil {
		return err
	}
	const patch = `{"spec":{"counting":{"keySecretRef":{"name":"maodian-counting"}}}}`
	if _, err := s.run(ctx, "", "patch", "consentstore", "brand-store", "-n", namespace, "--type=merge", "-p", patch); err != nil {
		return err
	}
	for _, name := range countingStores {
		st := &residencyv1.ConsentStore{}
		st.Name, st.Namespace = name, namespace
		if err := s.ready(ctx, st, func() []metav1.Condition { return st.Status.Conditions }, storyTimeout); err != nil {
			return err
		}
	}
	return nil
}

// together shows that two stores compare their counters themselves: over mTLS, through the
// network policies, without the manager.
func (s *story) together(ctx context.Context) error {
	for _, name := range countingStores {
		st := &residencyv1.ConsentStore{}
		err := s.until(ctx, "the stores to count together", storyTimeout, func(ctx context.Context) (bool, string, error) {
			err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, st)
			ok, text := condition(st.Status.Conditions, string(residencyv1.ConditionCountedTogether))
			return ok == "True", text, err
		})
		if err != nil {
			return err
		}
		_, text := condition(st.Status.Conditions, string(residencyv1.ConditionCountedTogether))
		s.report.say("%s: %s", name, text)
		s.report.check(name+" counts together with", fmt.Sprint(st.Status.Counting.With), fmt.Sprintf("[%s/%s]", namespace, other(name)))
	}
	return nil
}

func other(name string) string {
	if name == countingStores[0] {
		return countingStores[1]
	}
	return countingStores[0]
}
