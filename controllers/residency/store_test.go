package residency_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

func TestAStoreComesUpInsideAndProvesIt(t *testing.T) {
	waitLabel(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "hz1"}}, policyName)
	ns := rig.Namespace(t, policyName)
	cs := newStore(t, ns, nil)
	claim := waitClaim(t, cs)
	if claim.Annotations[desired.LedgerStateAnnotation] != desired.LedgerCreating || len(claim.OwnerReferences) != 0 {
		t.Errorf("claim = %v owned by %v", claim.Annotations, claim.OwnerReferences)
	}
	waitStore(t, cs, "Ready", "Unknown", residencyv1.ReasonStoreUnplaced)
	placeStore(t, cs, "hz1")
	waitStore(t, cs, "Ready", "False", residencyv1.ReasonStoreUnplaced) // no volume yet
	volume := rig.Bind(t, ns, claim.Name, driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"), envtestrig.In(corev1.LabelTopologyZone, "cn-hangzhou-h"))
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	if err := envtestrig.Says(cs.Status.Conditions, "Placed", "True", string(residencyv1.ReasonPlacementProven)); err != nil {
		t.Error(err)
	}
	rig.Told(t, cs, "PlacementProven")
	proof := cs.Status.ProofOfPlacement
	if proof.Node != "hz1" || proof.NodeRegion != "cn-hangzhou" || proof.PersistentVolume != volume.Name || proof.Jurisdiction != policyName || len(proof.VolumeNodeAffinity) != 2 {
		t.Errorf("proof = %+v", proof)
	}
	if cs.Status.LedgerID != claim.Annotations[desired.LedgerIDAnnotation] || cs.Status.Subjects != "1234" || *cs.Status.Ledger.Size != 7 {
		t.Errorf("status = %+v", cs.Status)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // the ledger is there: it may not be made again
		if _, err := get(ctx, claim); err != nil {
			return err
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store-store-config"}}
		if _, err := get(ctx, cm); err != nil {
			return err
		}
		if claim.Annotations[desired.LedgerStateAnnotation] != desired.LedgerCreated || !strings.Contains(cm.Data["config.yaml"], "createLedger: false") {
			return errors.New("the ledger may still be created")
		}
		return nil
	})
	checkSecrets(t, ns)
}

// checkSecrets looks at the key, the authority and the leaf.
func checkSecrets(t *testing.T, ns string) {
	t.Helper()
	for name, s := range map[string]*corev1.Secret{
		"key":       {ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store-key"}},
		"authority": {ObjectMeta: metav1.ObjectMeta{Namespace: envtestrig.SystemNamespace, Name: "ca-" + ns + "-brand-store"}},
		"leaf":      {ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store-store-tls"}},
	} {
		if _, err := get(t.Context(), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if owned := len(s.OwnerReferences) > 0; owned != (name == "leaf") {
			t.Errorf("%s: owned is %t", name, owned)
		}
		if name == "key" && len(s.Data["key"]) != 32 {
			t.Errorf("key has %d bytes", len(s.Data["key"]))
		}
		if name == "leaf" && s.Data["ca.crt"] == nil {
			t.Error("the leaf lacks its authority")
		}
	}
}

func TestAStoreWaitsWhereNoNodeCanTakeIt(t *testing.T) {
	p := sample(t, "00-policy", "ResidencyPolicy", "", &residencyv1.ResidencyPolicy{})
	p.Name, p.Spec.Nodes.Regions, p.Spec.Nodes.Zones = rig.Name("empty"), []string{"cn-shanghai"}, []string{"cn-shanghai-a"}
	p.Spec.Storage.ClassPrefix = p.Name + "-"
	rig.Create(t, p)
	cs := newStore(t, rig.Namespace(t, p.Name), nil)
	waitStore(t, cs, "Ready", "False", residencyv1.ReasonNoEligibleNode)
	rig.Told(t, cs, "NoEligibleNode")
	c := metaCondition(cs.Status.Conditions, "Ready")
	if !strings.Contains(c.Message, "cn-shanghai") {
		t.Errorf("message %q does not say what to do", c.Message)
	}
}

func TestAStoreThatTheSchedulerCannotPlaceSaysSo(t *testing.T) {
	cs := newStore(t, rig.Namespace(t, policyName), nil)
	waitClaim(t, cs)
	p := rig.Pod(t, cs.Namespace, desired.StorePodName(cs.Name), desired.Labels(desired.Store, cs.Name))
	rig.PodStatus(t, p, func(s *corev1.PodStatus) {
		s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/4 nodes are available"}}
	})
	waitStore(t, cs, "Ready", "False", residencyv1.ReasonNoEligibleNode)
}

func TestWhatIsWrongWithAStoreStallsIt(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		change func(*residencyv1.ConsentStore)
		want   metav1alpha1.ConditionReason
	}{
		"the namespace names no policy":                {"", nil, metav1alpha1.ReasonPolicyMissing},
		"the namespace names a policy that is missing": {"nobody", nil, metav1alpha1.ReasonPolicyMissing},
		"no notice has the name":                       {policyName, func(cs *residencyv1.ConsentStore) { cs.Spec.NoticeRef.Name = "other" }, residencyv1.ReasonNoticeMissing},
		"the class is not one of the policy":           {policyName, func(cs *residencyv1.ConsentStore) { cs.Spec.Storage.StorageClassName = "standard" }, residencyv1.ReasonStorageNotMainland},
		"the engine is not supported": {policyName, func(cs *residencyv1.ConsentStore) {
			cs.Spec.Engine, cs.Spec.PostgreSQL.ConnectionSecretRef.Name = residencyv1.EnginePostgreSQL, "dsn"
		}, residencyv1.ReasonEngineUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			ns := rig.Namespace(t, c.policy)
			cs := newStore(t, ns, c.change)
			waitStore(t, cs, "Stalled", "True", c.want)
			var claims corev1.PersistentVolumeClaimList
			if err := rig.Client.List(t.Context(), &claims, client.InNamespace(ns)); err != nil || len(claims.Items) > 0 {
				t.Errorf("%d claims were made, %v", len(claims.Items), err)
			}
		})
	}
}

func TestALostKeyIsNeverMadeAnew(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store-key"}}
	if err := rig.Client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	touch(t, cs)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonEncryptionKeyMissing)
	if _, err := get(t.Context(), key); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the key was made anew: %v", err)
	}
	short := &corev1.Secret{ObjectMeta: key.ObjectMeta, Data: map[string][]byte{"key": []byte("short")}}
	short.ResourceVersion, short.UID = "", ""
	rig.Create(t, short)
	touch(t, cs)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonEncryptionKeyMissing)
}

func TestALostLedgerIsNeverMadeAnew(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	claim := waitClaim(t, cs)
	claim.Finalizers = nil
	if err := errors.Join(rig.Client.Update(t.Context(), claim), rig.Client.Delete(t.Context(), claim)); err != nil {
		t.Fatal(err)
	}
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonLedgerMissing)
	claim.ResourceVersion, claim.UID, claim.Annotations, claim.Spec.VolumeName = "", "", nil, ""
	rig.Create(t, claim) // an empty volume in its place is not the ledger
	touch(t, cs)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonLedgerMissing)
	if _, err := get(t.Context(), claim); err != nil || claim.Annotations[desired.LedgerIDAnnotation] != "" {
		t.Errorf("the empty volume was taken: %v %v", claim.Annotations, err)
	}
}

// bundleBrings waits until a SendHold that is made now is in the store's view.
func bundleBrings(t *testing.T, ns string) {
	t.Helper()
	h := sample(t, "51-sendhold", "SendHold", ns, &marketingv1.SendHold{})
	rig.Create(t, h)
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error {
		b := envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) *storev1.Bundle { return s.Bundle })
		if len(b.GetSendHolds()) != 1 {
			return errors.New("the hold does not arrive")
		}
		return nil
	})
}

func TestAClaimThatCannotGrowStopsNoBundle(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	waitStore(t, cs, "VolumeReady", "True", residencyv1.ReasonVolumeAsDeclared)
	if err := rig.Client.Patch(t.Context(), cs.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"storage":{"size":"2Gi"}}}`))); err != nil {
		t.Fatal(err)
	}
	waitStore(t, cs, "VolumeReady", "False", residencyv1.ReasonClaimNotGrown)
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	bundleBrings(t, ns)
}

func TestAClassThatIsNoLongerAllowedStopsNoBundle(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, p.Name)
	cs := readyStore(t, ns)
	if err := rig.Client.Patch(t.Context(), p, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"storage":{"classPrefix":"other-"}}}`))); err != nil {
		t.Fatal(err)
	}
	waitStore(t, cs, "VolumeReady", "False", residencyv1.ReasonStorageNotMainland)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonStorageNotMainland)
	bundleBrings(t, ns)
}

func TestALostKeyStopsNoBundle(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	if err := rig.Client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store-key"}}); err != nil {
		t.Fatal(err)
	}
	touch(t, cs)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonEncryptionKeyMissing)
	bundleBrings(t, ns)
}

// TestAHangingStoreDelaysNoOther: one store takes a push and never answers. Another one
// comes up all the same, and a hold reaches it.
func TestAHangingStoreDelaysNoOther(t *testing.T) {
	p := ownPolicy(t, nil)
	hung := rig.Namespace(t, p.Name)
	release := stores.hang(hung)
	defer release()
	cs := newStore(t, hung, nil)
	placeStore(t, cs, "hz1")
	rig.Bind(t, hung, desired.StoreClaimName(cs.Name), driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error { return stores.hangs(hung) })

	ns := rig.Namespace(t, p.Name)
	readyStore(t, ns)
	h := sample(t, "70-hold", "RegulatoryHold", "", &residencyv1.RegulatoryHold{})
	h.Name, h.Spec.Scope.Policies = rig.Name("hold"), []string{p.Name}
	rig.Create(t, h)
	t.Cleanup(func() { _ = rig.Client.Delete(context.Background(), h) })
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error {
		b := envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) *storev1.Bundle { return s.Bundle })
		if len(b.GetHolds()) == 0 {
			return errors.New("the hold does not arrive")
		}
		return nil
	})
}

func TestAStoreWithAnotherLedgerIsNotTrusted(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.LedgerID = "another" })
	cs := newStore(t, ns, nil)
	placeStore(t, cs, "hz1")
	rig.Bind(t, ns, desired.StoreClaimName(cs.Name), driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonLedgerMissing)
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	s := stores.Of(ns, "brand-store")
	s.Set(func(s *envtestrig.StoreState) { s.Down = true })
	cs := newStore(t, ns, nil)
	pod := placeStore(t, cs, "hz1")
	rig.Bind(t, ns, desired.StoreClaimName(cs.Name), driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	waitStore(t, cs, "Ready", "Unknown", residencyv1.ReasonStoreStarting)
	s.Set(func(s *envtestrig.StoreState) { s.Down = false })
	touch(t, cs)
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	s.Set(func(s *envtestrig.StoreState) { s.Down = true })
	touch(t, cs)
	waitStore(t, cs, "Ready", "False", residencyv1.ReasonStoreUnreachable)
	rig.PodStatus(t, pod, func(st *corev1.PodStatus) {
		st.ContainerStatuses = []corev1.ContainerStatus{{Name: "store", RestartCount: 1, LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: `{"msg":"LedgerMissing: empty"}`}}}}
	})
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonLedgerMissing)
	rig.PodStatus(t, pod, func(st *corev1.PodStatus) {
		st.ContainerStatuses[0].LastTerminationState.Terminated.Message = `{"msg":"KeysMissing: older"}`
	})
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonKeysMissing)
}

func TestAVolumeOutsideIsFound(t *testing.T) {
	lenient := ownPolicy(t, audit) // such volumes are older than the guard
	for name, c := range map[string]struct {
		driver string
		place  corev1.NodeSelectorRequirement
		want   metav1alpha1.ConditionReason
	}{
		"tied to a region outside":              {driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hongkong"), residencyv1.ReasonPlacementNotMainland},
		"tied to one inside and one outside":    {driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou", "cn-hongkong"), residencyv1.ReasonPlacementNotMainland},
		"tied by a label that says no place":    {driver, envtestrig.In("disk", "cn-hangzhou"), residencyv1.ReasonPlacementNotMainland},
		"made by a driver that is not allowed":  {"other.example", envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"), residencyv1.ReasonStorageNotMainland},
		"excluding a region says no place (F1)": {driver, corev1.NodeSelectorRequirement{Key: corev1.LabelTopologyRegion, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"cn-hongkong"}}, residencyv1.ReasonPlacementNotMainland},
	} {
		t.Run(name, func(t *testing.T) {
			ns := governed(t, lenient)
			cs := newStore(t, ns, nil)
			placeStore(t, cs, "hz1")
			rig.Bind(t, ns, desired.StoreClaimName(cs.Name), c.driver, c.place)
			waitStore(t, cs, "Placed", "False", c.want)
			waitStore(t, cs, "Stalled", "True", c.want)
			envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error { // holds must reach it all the same
				if envtestrig.Look(stores.Of(ns, cs.Name), func(s *envtestrig.StoreState) *storev1.Bundle { return s.Bundle }) == nil {
					return errors.New("no bundle arrived")
				}
				return nil
			})
		})
	}
}

func TestANodeThatMovesOutsideIsFound(t *testing.T) {
	node := rig.Node(t, rig.Name("moves"), "cn-hangzhou", "cn-hangzhou-h", "alicloud://cn-hangzhou.i-moves")
	waitLabel(t, node, policyName)
	ns := rig.Namespace(t, policyName)
	cs := newStore(t, ns, nil)
	placeStore(t, cs, node.Name)
	rig.Bind(t, ns, desired.StoreClaimName(cs.Name), driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	before := node.DeepCopy()
	node.Labels[corev1.LabelTopologyRegion] = "cn-hongkong"
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors") // nobody else may move a node
	if err := attestor.Patch(t.Context(), node, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonPlacementNotMainland)
	waitLabel(t, node, "")
}

func TestDeletingAStoreKeepsItsDataAndTheNextOneFindsThem(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	ledger := cs.Status.LedgerID
	if err := rig.Client.Delete(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	rig.Collect(t, cs, &appsv1.StatefulSetList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &networkingv1.NetworkPolicyList{}, &corev1.SecretList{})
	if key := (&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store-key"}}); rig.Client.Get(t.Context(), client.ObjectKeyFromObject(key), key) != nil {
		t.Error("the key went with the store")
	}
	again := sample(t, "20-store", "ConsentStore", ns, &residencyv1.ConsentStore{})
	rig.Create(t, again)
	waitStore(t, again, "Ready", "True", residencyv1.ReasonPlacementProven)
	if again.Status.LedgerID != ledger {
		t.Errorf("ledger is %s, want %s", again.Status.LedgerID, ledger)
	}
}

func TestABundleHoldsWhatTheNamespaceDeclares(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	readyStore(t, ns)
	rig.Create(t,
		sample(t, "40-leads", "LeadModel", ns, &marketingv1.LeadModel{}),
		sample(t, "51-sendhold", "SendHold", ns, &marketingv1.SendHold{}),
		sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}),
	)
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error {
		b := envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) *storev1.Bundle { return s.Bundle })
		switch {
		case b.GetNotice().GetRevision() != 3, b.GetPolicy().GetProcessor() == "":
			return fmt.Errorf("bundle is %v", b)
		case len(b.GetLeadModels()) != 1, len(b.GetSendHolds()) != 1, len(b.GetMechanisms()) != 1:
			return fmt.Errorf("bundle lacks something: %v", b)
		}
		return nil
	})
}

func TestAHoldIsActiveWhenEveryStoreObeys(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, p.Name)
	cs := readyStore(t, ns)
	s := stores.Of(ns, cs.Name)
	s.Set(func(s *envtestrig.StoreState) { s.Down = true })
	h := sample(t, "70-hold", "RegulatoryHold", "", &residencyv1.RegulatoryHold{})
	h.Name, h.Spec.Scope.Policies = rig.Name("hold"), []string{p.Name}
	rig.Create(t, h)
	t.Cleanup(func() { _ = rig.Client.Delete(context.Background(), h) })
	says := func(status string, reason metav1alpha1.ConditionReason) func(context.Context) error {
		return func(ctx context.Context) error {
			if _, err := get(ctx, h); err != nil {
				return err
			}
			return envtestrig.Says(h.Status.Conditions, "Ready", status, string(reason))
		}
	}
	envtestrig.Eventually(t, envtestrig.Soon, says("False", residencyv1.ReasonNotObeyed))
	s.Set(func(s *envtestrig.StoreState) { s.Down = false })
	envtestrig.Eventually(t, envtestrig.Soon, says("True", residencyv1.ReasonActive))
	rig.Told(t, h, "Active")
	if h.Status.Active != residencyv1.HoldActive || len(h.Status.AffectedPolicies) != 1 {
		t.Errorf("status = %+v", h.Status)
	}
	b := envtestrig.Look(s, func(s *envtestrig.StoreState) *storev1.Bundle { return s.Bundle })
	if len(b.GetHolds()) == 0 {
		t.Error("the store was not told")
	}
}

func TestASecondReconciliationOfAStoreChangesNothing(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: cs.Name}}
	var before string
	var settled int
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, sts); err != nil {
			return err
		}
		if _, err := get(ctx, cs); err != nil {
			return err
		}
		versions := sts.ResourceVersion + " " + cs.ResourceVersion
		if versions != before {
			before, settled = versions, 0
			return errors.New("still changing")
		}
		if settled++; settled < 20 {
			return errors.New("not yet settled")
		}
		return nil
	})
	touch(t, cs) // an annotation: everything is applied again
	again, version := sts.ResourceVersion, ""
	for range 20 {
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			_, err := get(ctx, sts)
			version = sts.ResourceVersion
			return err
		})
	}
	if version != again {
		t.Errorf("the StatefulSet was written again: %s, then %s", again, version)
	}
}

// touch makes the controller look again, by an event of the namespace.
func touch(t *testing.T, cs *residencyv1.ConsentStore) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: cs.Namespace}}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"touched":%q}}}`, rig.Name("t"))
	if err := rig.Client.Patch(t.Context(), ns, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
}

func metaCondition(list []metav1.Condition, kind string) metav1.Condition {
	for _, c := range list {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

func waitLabel(t *testing.T, n *corev1.Node, want string) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, n); err != nil {
			return err
		}
		if got := n.Labels[labelKey]; got != want {
			return fmt.Errorf("attested label is %q, want %q", got, want)
		}
		return nil
	})
}
