package residency_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// waitNotice waits until a notice says so and has published that revision.
func waitNotice(t *testing.T, n *residencyv1.PrivacyNotice, revision int32, status string, why any) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, n); err != nil {
			return err
		}
		if n.Status.PublishedRevision != revision || n.Status.ObservedGeneration != n.Generation {
			return fmt.Errorf("published revision is %d (%v)", n.Status.PublishedRevision, n.Status.Conditions)
		}
		return envtestrig.Says(n.Status.Conditions, "Ready", status, fmt.Sprint(why))
	})
}

func patchNotice(t *testing.T, n *residencyv1.PrivacyNotice, patch string) {
	t.Helper()
	if err := rig.Client.Patch(t.Context(), n.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func newNotice(t *testing.T, ns string) *residencyv1.PrivacyNotice {
	t.Helper()
	n := sample(t, "10-notice", "PrivacyNotice", ns, &residencyv1.PrivacyNotice{})
	rig.Create(t, n)
	return n
}

func TestANoticeIsPublishedOnceARevision(t *testing.T) {
	n := newNotice(t, rig.Namespace(t, ""))
	waitNotice(t, n, 3, "True", residencyv1.ReasonPublished)
	hash := n.Status.PublishedHash
	if err := envtestrig.Says(n.Status.Conditions, "OwnWords", "False", string(residencyv1.ReasonStandardText)); err != nil {
		t.Error(err)
	}
	if m := conditions.Get(n.Status.Conditions, residencyv1.ConditionOwnWords).Message; !strings.Contains(m, "recipients[0].method is missing (PIPL 39)") {
		t.Errorf("OwnWords says %q", m)
	}
	patchNotice(t, n, `{"spec":{"revision":4,"storagePlace":"Mainland China, Hangzhou"}}`)
	waitNotice(t, n, 4, "True", residencyv1.ReasonPublished)
	if len(n.Status.PublishedHash) != 64 || n.Status.PublishedHash == hash {
		t.Errorf("the hash was %q and is %q", hash, n.Status.PublishedHash)
	}
	rig.Told(t, n, "Published", "Published")
}

func TestANoticeInItsOwnWordsSaysSo(t *testing.T) {
	n := sample(t, "10-notice", "PrivacyNotice", rig.Namespace(t, ""), &residencyv1.PrivacyNotice{})
	text := n.Spec.Rights
	n.Spec.Method, n.Spec.Safeguards, n.Spec.AutomatedDecision, n.Spec.Complaints, n.Spec.Recipients[0].Method = text, text, text, text, text
	rig.Create(t, n)
	waitNotice(t, n, 3, "True", residencyv1.ReasonPublished)
	if err := envtestrig.Says(n.Status.Conditions, "OwnWords", "True", string(residencyv1.ReasonOwnWords)); err != nil {
		t.Error(err)
	}
}

// TestHalfATextIsNotPublished: what the schema cannot see. People go on reading the text
// before, and the store is told to keep it.
func TestHalfATextIsNotPublished(t *testing.T) {
	for name, c := range map[string]struct{ patch, says string }{
		"words that are none": {`{"spec":{"revision":4,"rights":{"zh-CN":" ","en":"x"}}}`, "rights is missing (PIPL 17; NDSMR 21; CHILD 10)"},
		"a recipient of what no purpose explains": {
			`{"spec":{"revision":4,"recipients":[{"name":"lab","displayName":"Lab","contact":"a@lab.example","country":"DE","purposes":["GroupReporting"],` +
				`"categories":["Health"],"rightsChannel":"https://lab.example","method":{"zh-CN":"分析"}}]}}`, "recipients[0].categories is missing (PIPL 30)"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := rig.Namespace(t, policyName)
			cs := readyStore(t, ns)
			n := &residencyv1.PrivacyNotice{}
			n.Namespace, n.Name = ns, cs.Spec.NoticeRef.Name
			waitNotice(t, n, 3, "True", residencyv1.ReasonPublished)
			patchNotice(t, n, c.patch)
			waitNotice(t, n, 3, "False", residencyv1.ReasonNoticeIncomplete)
			if m := conditions.Get(n.Status.Conditions, "Stalled").Message; !strings.Contains(m, c.says) {
				t.Errorf("Stalled says %q", m)
			}
			envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error {
				told := envtestrig.Look(stores.Of(ns, cs.Name), func(s *envtestrig.StoreState) *storev1.Notice { return s.Bundle.GetNotice() })
				if !told.GetTextKept() || told.GetRevision() != 3 || told.GetContentHash() != n.Status.PublishedHash {
					return fmt.Errorf("the store is told %v", told)
				}
				return nil
			})
			patchNotice(t, n, `{"spec":{"revision":5,"recipients":null,"rights":{"zh-CN":"您可随时撤回同意"}}}`)
			waitNotice(t, n, 5, "True", residencyv1.ReasonPublished)
		})
	}
}

// TestANoticeMadeAnewDoesNotGoBack: the object has forgotten, the ledger has not.
func TestANoticeMadeAnewDoesNotGoBack(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, cs); err != nil {
			return err
		}
		if cs.Status.Notice.Revision != 3 {
			return fmt.Errorf("the store has taken %v", cs.Status.Notice)
		}
		return nil
	})
	n := &residencyv1.PrivacyNotice{}
	n.Namespace, n.Name = ns, cs.Spec.NoticeRef.Name
	if err := rig.Client.Delete(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	waitStore(t, cs, "Ready", "False", residencyv1.ReasonNoticeMissing)
	n = sample(t, "10-notice", "PrivacyNotice", ns, &residencyv1.PrivacyNotice{})
	n.Spec.Revision = 2
	rig.Create(t, n)
	waitNotice(t, n, 0, "False", residencyv1.ReasonNoticeRevision)
	patchNotice(t, n, `{"spec":{"revision":3,"storagePlace":"elsewhere"}}`)
	waitNotice(t, n, 0, "False", residencyv1.ReasonNoticeRevision)
	if told := envtestrig.Look(stores.Of(ns, cs.Name), func(s *envtestrig.StoreState) *storev1.Notice { return s.Bundle.GetNotice() }); told != nil {
		t.Errorf("the store is told %v", told)
	}
	patchNotice(t, n, `{"spec":{"revision":4}}`)
	waitNotice(t, n, 4, "True", residencyv1.ReasonPublished)
}

// TestAStoreThatRefusesItsNoticeSaysSo: noticeRef names another notice, whose numbers begin anew.
func TestAStoreThatRefusesItsNoticeSaysSo(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	other := sample(t, "10-notice", "PrivacyNotice", ns, &residencyv1.PrivacyNotice{})
	other.Name, other.Spec.Revision = "other-notice", 1
	rig.Create(t, other)
	waitNotice(t, other, 1, "True", residencyv1.ReasonPublished)
	patch := []byte(`{"spec":{"noticeRef":{"name":"other-notice"}}}`)
	if err := rig.Client.Patch(t.Context(), cs.DeepCopy(), client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonNoticeRevision)
	patchNotice(t, other, `{"spec":{"revision":4}}`)
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	stores.Of(ns, cs.Name).Set(func(s *envtestrig.StoreState) { s.NoticeRefusal = string(residencyv1.ReasonNoticeHashMismatch) })
	touch(t, cs)
	waitStore(t, cs, "Stalled", "True", residencyv1.ReasonNoticeHashMismatch)
}

func TestStatusTellsHowManyHaveToBeAskedAgain(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	stores.Of(ns, cs.Name).Set(func(s *envtestrig.StoreState) { s.Stale = "1200" })
	touch(t, cs)
	n := &residencyv1.PrivacyNotice{}
	n.Namespace, n.Name = ns, cs.Spec.NoticeRef.Name
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, n); err != nil {
			return err
		}
		want := residencyv1.NoticeStore{Name: cs.Name, Revision: 3, StaleConsents: "1200"}
		if len(n.Status.Stores) != 1 || n.Status.Stores[0] != want {
			return errors.New("the notice says " + fmt.Sprint(n.Status.Stores))
		}
		return nil
	})
	if _, err := get(t.Context(), cs); err != nil || cs.Status.Notice.StaleConsents != "1200" {
		t.Errorf("the store says %v, %v", cs.Status.Notice, err)
	}
}
