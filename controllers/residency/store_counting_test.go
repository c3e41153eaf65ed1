package residency_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

const countingKeyID = "0123456789abcdef"

// together makes two ready stores of one processor that hold counting keys with these ids.
func together(t *testing.T, here, there string) (policy string, a, b *residencyv1.ConsentStore) {
	t.Helper()
	policy, ns := transferWorld(t)
	a = &residencyv1.ConsentStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store"}}
	b = &residencyv1.ConsentStore{ObjectMeta: metav1.ObjectMeta{Namespace: rig.Namespace(t, policy), Name: "brand-store"}}
	readyStore(t, b.Namespace)
	for cs, id := range map[*residencyv1.ConsentStore]string{a: here, b: there} {
		stores.Of(cs.Namespace, cs.Name).Set(func(s *envtestrig.StoreState) { s.CountingKeyID = id })
		countingKey(t, cs.Namespace, 32)
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			if _, err := get(ctx, cs); err != nil {
				return err
			}
			cs.Spec.Counting.KeySecretRef = metav1alpha1.LocalObjectReference{Name: "counting"}
			return rig.Client.Update(ctx, cs)
		})
	}
	for _, cs := range []*residencyv1.ConsentStore{a, b} { // so that each has told its key before it is looked at again
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			if _, err := get(ctx, cs); err != nil || cs.Status.Counting.KeyID == "" {
				return fmt.Errorf("counting is %+v: %w", cs.Status.Counting, err)
			}
			return nil
		})
	}
	touch(t, a)
	touch(t, b)
	return policy, a, b
}

func countingKey(t *testing.T, namespace string, size int) {
	t.Helper()
	rig.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "counting"}, Data: map[string][]byte{"key": bytes.Repeat([]byte{7}, size)}})
}

// waitWith waits until a store counts with these others.
func waitWith(t *testing.T, cs *residencyv1.ConsentStore, others ...*residencyv1.ConsentStore) {
	t.Helper()
	var want []string
	for _, o := range others {
		want = append(want, o.Namespace+"/"+o.Name)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, cs); err != nil || !slices.Equal(cs.Status.Counting.With, want) {
			return fmt.Errorf("counts with %v, want %v: %w", cs.Status.Counting.With, want, err)
		}
		return nil
	})
}

func TestStoresWithOneKeyCountTogether(t *testing.T) {
	policy, a, b := together(t, countingKeyID, countingKeyID)
	waitWith(t, a, b)
	waitWith(t, b, a)
	waitStore(t, a, "CountedTogether", "True", residencyv1.ReasonCountersCompared)
	certificates := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "brand-store-peers-tls"}}
	if _, err := get(t.Context(), certificates); err != nil || len(certificates.Data) != 3 || len(certificates.Data[b.Namespace+".brand-store.key"]) == 0 {
		t.Errorf("certificates for %d files, %v", len(certificates.Data), err)
	}
	open := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "brand-store-store"}}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, open); err != nil || len(open.Spec.Egress) != 2 || open.Spec.Egress[0].To[0].NamespaceSelector.MatchLabels[corev1.LabelMetadataName] != b.Namespace {
			return fmt.Errorf("egress is %+v: %w", open.Spec.Egress, err)
		}
		return nil
	})
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "brand-store"}}
	if _, err := get(t.Context(), set); err != nil || !slices.ContainsFunc(set.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil && v.Secret.SecretName == "counting" }) {
		t.Errorf("the key is not mounted, %v", err)
	}

	// The sum of both would be over 100,000; the people are fewer.
	stores.Of(b.Namespace, b.Name).Set(func(s *envtestrig.StoreState) { s.Counted = 95_000 })
	stores.Of(a.Namespace, a.Name).Set(func(s *envtestrig.StoreState) { s.Elsewhere, s.NonSensitive = 94_000, "500" })
	x := plain(t, a.Namespace, 5000)
	ask(t, x)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, x); err != nil || x.Status.StartTime.IsZero() {
			return fmt.Errorf("not started, refused by %v: %w", codes(x), err)
		}
		return nil
	})
	asked := envtestrig.Look(stores.Of(a.Namespace, a.Name), func(s *envtestrig.StoreState) string { return fmt.Sprint(s.Asked) })
	if want := fmt.Sprintf("https://brand-store.%s.svc:8443", b.Namespace); !bytes.Contains([]byte(asked), []byte(want)) {
		t.Errorf("asked %s, want %s", asked, want)
	}
	p := &residencyv1.ResidencyPolicy{ObjectMeta: metav1.ObjectMeta{Name: policy}}
	waitPolicy(t, p, func() error {
		touch(t, a) // a policy does not follow who counts with whom: it looks from time to time
		for _, c := range p.Status.TransferCounters {
			if c.NonSensitivePersons == "94500" || c.NonSensitivePersons == "95019" { // by which of the two is the first
				return nil
			}
		}
		return fmt.Errorf("counters = %+v", p.Status.TransferCounters)
	})
}

// TestWhatCannotBeComparedIsAddedUp: never less than the truth.
func TestWhatCannotBeComparedIsAddedUp(t *testing.T) {
	_, a, b := together(t, countingKeyID, countingKeyID)
	waitWith(t, a, b)
	stores.Of(b.Namespace, b.Name).Set(func(s *envtestrig.StoreState) { s.Counted = 95_000 })
	stores.Of(a.Namespace, a.Name).Set(func(s *envtestrig.StoreState) { s.CountingKeyID = "" }) // as when its key was taken
	x := plain(t, a.Namespace, 5000)
	ask(t, x)
	waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonRefused)
	if !slices.Equal(codes(x), []string{"MechanismMissing"}) {
		t.Errorf("refused by %v", codes(x))
	}
	touch(t, a)
	waitStore(t, a, "CountedTogether", "False", residencyv1.ReasonNoPeer)
	stores.Of(b.Namespace, b.Name).Set(func(s *envtestrig.StoreState) { s.CountingKeyID = "fedcba9876543210" }) // as after another key was put in place
	touch(t, b)
	waitStore(t, b, "CountedTogether", "False", residencyv1.ReasonNoPeer)
}

func TestWhoTakesCountingAwayCountsAlone(t *testing.T) {
	_, a, b := together(t, countingKeyID, countingKeyID)
	waitWith(t, a, b)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, b); err != nil {
			return err
		}
		b.Spec.Counting = residencyv1.StoreCounting{}
		return rig.Client.Update(ctx, b)
	})
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, b); err != nil {
			return err
		}
		if c := metaCondition(b.Status.Conditions, "CountedTogether"); c.Type != "" || b.Status.Counting.KeyID != "" || b.Status.Counting.With != nil {
			return fmt.Errorf("still %+v, %+v", c, b.Status.Counting)
		}
		return nil
	})
	touch(t, a)
	waitWith(t, a)
}

// TestStoresOfAnotherProcessorCountAlone: two companies that hold the same key by mistake are two.
func TestStoresOfAnotherProcessorCountAlone(t *testing.T) {
	_, a, b := together(t, countingKeyID, countingKeyID)
	waitWith(t, a, b)
	p := ownPolicy(t, nil)
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"residency.maodian.dev/policy":%q}}}`, p.Name)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.Namespace}}
	if err := rig.As(t, "somebody", "system:masters", "residency:attestors").Patch(t.Context(), ns, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	touch(t, a)
	waitWith(t, a)
}

func TestStoresWithOtherKeysCountAlone(t *testing.T) {
	_, a, _ := together(t, countingKeyID, "fedcba9876543210")
	waitWith(t, a)
	open := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "brand-store-store"}}
	if _, err := get(t.Context(), open); err != nil || len(open.Spec.Egress) != 0 {
		t.Errorf("egress is %+v, %v", open.Spec.Egress, err)
	}
}

func TestACountingKeyMustBeThere(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := newStore(t, ns, func(cs *residencyv1.ConsentStore) {
		cs.Spec.Counting.KeySecretRef = metav1alpha1.LocalObjectReference{Name: "counting"}
	})
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonCountingKeyMissing)
	countingKey(t, ns, 31)
	touch(t, cs)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonCountingKeyMissing)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: cs.Name}}
	if _, err := get(t.Context(), set); err == nil {
		t.Error("a store was made that could not start")
	}
}
