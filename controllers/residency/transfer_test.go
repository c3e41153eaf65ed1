package residency_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/identity"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// canary stands for every credential: it must appear in no status and no event.
const canary = "CANARY-SECRET-7f3a"

// transferWorld is a policy, a namespace and a ready store of the test's own.
func transferWorld(t *testing.T) (policy, namespace string) {
	t.Helper()
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, p.Name)
	rig.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "group-crm-s3"},
		Data: map[string][]byte{"accessKeyID": []byte(canary), "secretAccessKey": []byte(canary)}})
	readyStore(t, ns)
	return p.Name, ns
}

func blocked(t *testing.T, ns string) *residencyv1.DataTransfer {
	t.Helper()
	x := sample(t, "60-transfer-blocked", "DataTransfer", ns, &residencyv1.DataTransfer{})
	ask(t, x)
	return x
}

// ask creates a transfer that goes with its test: one that stays open is reserved at its
// recipient, who is the same in all tests.
func ask(t *testing.T, x *residencyv1.DataTransfer) {
	t.Helper()
	rig.Create(t, x)
	t.Cleanup(func() {
		if err := rig.Client.Delete(context.Background(), x); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
}

// atRecipient says what a store has sent to every recipient, while the test runs.
func atRecipient(t *testing.T, ns string, people int64) {
	t.Helper()
	set := func(n int64) { stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Recent = n }) }
	set(people)
	t.Cleanup(func() { set(0) })
}

func allowed(t *testing.T, ns string) *residencyv1.DataTransfer {
	t.Helper()
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
	ask(t, x)
	return x
}

func waitTransfer(t *testing.T, x *residencyv1.DataTransfer, kind, status string, reason any) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, x); err != nil {
			return err
		}
		return envtestrig.Says(x.Status.Conditions, kind, status, fmt.Sprint(reason))
	})
}

// waitStarted waits for the Job, which is made a look after the year was reserved.
func waitStarted(t *testing.T, x *residencyv1.DataTransfer) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, x); err != nil {
			return err
		}
		if x.Status.JobName == "" {
			return fmt.Errorf("no Job yet; refused by %v", codes(x))
		}
		return envtestrig.Says(x.Status.Conditions, "Reconciling", "True", string(residencyv1.ReasonTransferStarting))
	})
}

func codes(x *residencyv1.DataTransfer) (out []string) {
	for _, r := range x.Status.Refusals {
		out = append(out, r.Code)
	}
	return out
}

// answer sets what the store says of a transfer.
func answer(ns string, x *residencyv1.DataTransfer, say *storev1.Transfer) {
	say.TransferId = string(x.UID)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Transfers[say.GetTransferId()] = say })
}

func noJob(t *testing.T, ns, name string) {
	t.Helper()
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name + "-transfer"}}
	if _, err := get(t.Context(), j); !apierrors.IsNotFound(err) {
		t.Errorf("a Job was made: %v", err)
	}
}

func TestATransferIsRefusedWithEveryReason(t *testing.T) {
	_, ns := transferWorld(t)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.AnyoneConsents = false })
	x := blocked(t, ns)
	waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonRefused)
	if x.Status.Decision != residencyv1.DecisionRefused || !slices.Equal(codes(x), []string{"PIAMissing", "ConsentMissing"}) {
		t.Errorf("decision = %s by %v", x.Status.Decision, codes(x))
	}
	for _, r := range x.Status.Refusals {
		if len(r.Cites) == 0 || r.Message == "" || r.Remedy == "" {
			t.Errorf("%s does not explain itself: %+v", r.Code, r)
		}
	}
	if err := envtestrig.Says(x.Status.Conditions, "Complete", "False", string(metav1alpha1.ReasonRefused)); err != nil {
		t.Error(err)
	}
	noJob(t, ns, x.Name)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		list, err := rig.Events(ctx, x)
		for _, e := range list {
			if e.Reason != "Refused" || e.Type != corev1.EventTypeWarning {
				t.Errorf("event %s %s: %s", e.Type, e.Reason, e.Note)
			}
		}
		if i := len(list); i == 0 || !slices.ContainsFunc(list, func(e eventsv1.Event) bool { return e.Note == "refused by "+strings.Join(codes(x), ", ") }) {
			err = errors.Join(err, fmt.Errorf("none of %d events names %v", i, codes(x)))
		}
		return err
	})
}

func TestAnAllowedTransferRunsAndIsRecorded(t *testing.T) {
	_, ns := transferWorld(t)
	x := allowed(t, ns)
	waitStarted(t, x)
	if x.Status.Decision != residencyv1.DecisionAllowed || len(x.Status.Refusals) != 0 {
		t.Errorf("decision = %s by %v", x.Status.Decision, codes(x))
	}
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: x.Status.JobName}}
	if _, err := get(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if j.Spec.Template.Spec.NodeSelector[labelKey] != policyName {
		t.Errorf("the Job is not pinned: %v", j.Spec.Template.Spec.NodeSelector)
	}
	answer(ns, x, &storev1.Transfer{State: "Started"})
	waitTransfer(t, x, "Ready", "True", residencyv1.ReasonTransferring)
	answer(ns, x, &storev1.Transfer{
		State: "Complete", Persons: "612", NewlyCounted: "600", Excluded: []*storev1.Excluded{{Reason: "ConsentMissing", People: "1388"}},
		Manifest: &storev1.Manifest{Object: "cn/manifest.json", Sha256: fmt.Sprintf("%064d", 1), Rows: 612, Bytes: 99}, Decision: fmt.Sprintf("%032d", 7),
	})
	waitTransfer(t, x, "Complete", "True", metav1alpha1.ReasonComplete)
	st := x.Status
	if st.DecisionID != fmt.Sprintf("%032d", 7) || st.Persons != "612" || st.PersonsCounted != "600" || st.Manifest.Rows != "612" || *st.Manifest.Bytes != 99 || len(st.Excluded) != 1 {
		t.Errorf("status = %+v", st)
	}
}

func TestATransferOfCountsNeedsNoPapersAndOpensNoRow(t *testing.T) {
	_, ns := transferWorld(t)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.AnyoneConsents = false })
	x := sample(t, "63-aggregates", "DataTransfer", ns, &residencyv1.DataTransfer{})
	ask(t, x)
	waitStarted(t, x)
	if st := x.Status; st.Mechanism != "None" || st.Ground != "NoPersonalInformation" || *st.Reserved.NonSensitive != 0 || *st.Reserved.Sensitive != 0 {
		t.Errorf("status = %+v", st)
	}
	declared := envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) *storev1.TransferSpec { return s.Declared[0] })
	if !slices.Equal(declared.GetAggregates(), []string{"LeadsByStage", "ConsentsByPurpose", "SendsByOutcome"}) || len(declared.GetFields()) != 0 {
		t.Errorf("declared: %v", declared)
	}
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: x.Status.JobName}}
	if _, err := get(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if args := j.Spec.Template.Spec.Containers[0].Args; args[0] != "aggregate" || j.Spec.Template.Spec.NodeSelector[labelKey] != policyName {
		t.Errorf("the Job runs %v on %v", args, j.Spec.Template.Spec.NodeSelector)
	}
	if role := roleIn(t, ns, x.Name+"-transfer-tls"); role.Kind != identity.Aggregate || role.Run != string(x.UID) {
		t.Errorf("the Job's certificate is of %+v", role)
	}
	answer(ns, x, &storev1.Transfer{State: "Started"})
	waitTransfer(t, x, "Ready", "True", residencyv1.ReasonTransferring)
	answer(ns, x, &storev1.Transfer{
		State: "Complete", Persons: "<20", NewlyCounted: "<20", Manifest: &storev1.Manifest{Object: "cn/counts/manifest.json", Sha256: fmt.Sprintf("%064d", 1), Rows: -1, Bytes: -1},
		Released: []*storev1.ReleasedTable{{Name: "LeadsByStage", Cells: 3, Suppressed: 2, CountedAt: timestamppb.New(now)}, {Name: "SendsByOutcome"}},
	})
	waitTransfer(t, x, "Complete", "True", metav1alpha1.ReasonComplete)
	st := x.Status
	if len(st.Aggregates) != 2 || *st.Aggregates[0].Cells != 3 || *st.Aggregates[0].Suppressed != 2 || *st.Aggregates[1].Cells != 0 || !st.Aggregates[0].CountedTime.Time.Equal(now) {
		t.Errorf("aggregates = %+v", st.Aggregates)
	}
	if st.Persons != "" || st.PersonsCounted != "" || st.Manifest.Rows != "" || st.Manifest.Bytes != nil || st.Manifest.Object != "cn/counts/manifest.json" {
		t.Errorf("status tells of people: %+v", st)
	}
}

func TestATransferOfRecordsOpensNoCounts(t *testing.T) {
	_, ns := transferWorld(t)
	x := allowed(t, ns)
	waitStarted(t, x)
	if role := roleIn(t, ns, x.Name+"-transfer-tls"); role.Kind != identity.Transfer || role.Run != string(x.UID) {
		t.Errorf("the Job's certificate is of %+v", role)
	}
}

// roleIn reads the role of a certificate in a Secret.
func roleIn(t *testing.T, ns, name string) identity.Role {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	if _, err := get(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.Data["tls.crt"])
	if block == nil {
		t.Fatal("no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := identity.Of(cert)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnAllowedTransferToFewPeopleTellsNoSize(t *testing.T) {
	_, ns := transferWorld(t)
	x := allowed(t, ns)
	waitStarted(t, x)
	answer(ns, x, &storev1.Transfer{State: "Complete", Persons: "<20", NewlyCounted: "<20",
		Manifest: &storev1.Manifest{Object: "cn/manifest.json", Sha256: fmt.Sprintf("%064d", 1), Rows: -1, Bytes: -1}})
	waitTransfer(t, x, "Complete", "True", metav1alpha1.ReasonComplete)
	if m := x.Status.Manifest; m.Rows != "<20" || m.Bytes != nil {
		t.Errorf("manifest = %+v", m)
	}
}

func TestAHoldRefusesTheNextTransferAndStopsARunningOne(t *testing.T) {
	policy, ns := transferWorld(t)
	running := allowed(t, ns)
	waitTransfer(t, running, "Reconciling", "True", residencyv1.ReasonTransferStarting)
	h := sample(t, "70-hold", "RegulatoryHold", "", &residencyv1.RegulatoryHold{})
	h.Name, h.Spec.Scope.Policies = rig.Name("hold"), []string{policy}
	rig.Create(t, h)
	next := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
	next.Name = "the-next-one"
	rig.Create(t, next)
	waitTransfer(t, next, "Stalled", "True", metav1alpha1.ReasonRefused)
	if !slices.Equal(codes(next), []string{"PublicSecurityHold"}) {
		t.Errorf("refused by %v", codes(next))
	}
	answer(ns, running, &storev1.Transfer{State: "Stopped", Persons: "40", NewlyCounted: "40",
		Manifest: &storev1.Manifest{Object: "cn/m.json", Sha256: fmt.Sprintf("%064d", 1), Rows: 40, Bytes: 9, Partial: true, StoppedBy: "PublicSecurityHold"}})
	waitTransfer(t, running, "Stalled", "True", residencyv1.ReasonTransferStopped)
	if running.Status.Decision != residencyv1.DecisionAllowed {
		t.Errorf("what has started is decided anew: %s", running.Status.Decision)
	}
	if err := rig.Client.Delete(t.Context(), h); err != nil { // the hold is lifted: what was refused is decided again
		t.Fatal(err)
	}
	waitTransfer(t, next, "Reconciling", "True", residencyv1.ReasonTransferStarting)
	if next.Status.Decision != residencyv1.DecisionAllowed || len(next.Status.Refusals) != 0 {
		t.Errorf("decision = %s by %v", next.Status.Decision, codes(next))
	}
}

func TestWhatTheStoreRefusesIsRefused(t *testing.T) {
	_, ns := transferWorld(t)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) {
		s.Declare, s.Refusals = "Refused", []*storev1.Refusal{{Code: "PolicyStale"}, {Code: "ExcessiveCategories", Message: "a"}, {Code: "ExcessiveCategories", Message: "b"}}
	})
	x := allowed(t, ns)
	waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonRefused)
	if !slices.Equal(codes(x), []string{"PolicyStale", "ExcessiveCategories"}) || x.Status.Refusals[1].Message != "a; b" {
		t.Errorf("refusals = %+v", x.Status.Refusals)
	}
	noJob(t, ns, x.Name)
}

func TestATransferNeedsItsStoreAndItsCredentials(t *testing.T) {
	t.Run("no store of the name", func(t *testing.T) {
		x := blocked(t, rig.Namespace(t, policyName))
		waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonStoreMissing)
	})
	t.Run("the store is not ready", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		newStore(t, ns, nil)
		waitTransfer(t, blocked(t, ns), "Reconciling", "True", metav1alpha1.ReasonWaitingForStore)
	})
	t.Run("no credentials", func(t *testing.T) {
		_, ns := transferWorld(t)
		if err := rig.Client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "group-crm-s3"}}); err != nil {
			t.Fatal(err)
		}
		waitTransfer(t, allowed(t, ns), "Stalled", "True", metav1alpha1.ReasonCredentialsMissing)
	})
	t.Run("no policy", func(t *testing.T) {
		ns := rig.Namespace(t, "")
		newStore(t, ns, nil)
		x := blocked(t, ns)
		waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonRefused)
		if !slices.Contains(codes(x), "PolicyMissing") {
			t.Errorf("refused by %v", codes(x))
		}
	})
}

func TestAMechanismTellsWhetherItIsInForce(t *testing.T) {
	ns := rig.Namespace(t, "")
	for name, c := range map[string]struct {
		change func(*residencyv1.TransferMechanismSpec)
		status string
		want   metav1alpha1.ConditionReason
	}{
		"the sample is":        {func(*residencyv1.TransferMechanismSpec) {}, "True", residencyv1.ReasonInForce},
		"a draft is not":       {func(s *residencyv1.TransferMechanismSpec) { s.State = residencyv1.MechanismDraft }, "False", residencyv1.ReasonMechanismNotInForce},
		"a revoked one is not": {func(s *residencyv1.TransferMechanismSpec) { s.State = residencyv1.MechanismRevoked }, "False", residencyv1.ReasonMechanismSuspended},
		"an ended one is not": {func(s *residencyv1.TransferMechanismSpec) {
			s.ExpiryTime = metav1.Date(2026, 11, 1, 0, 0, 0, 0, s.EffectiveTime.Location())
		}, "False", residencyv1.ReasonMechanismExpired},
		"a contract that was not filed is not": {func(s *residencyv1.TransferMechanismSpec) { s.FiledTime = metav1.Time{} }, "False", residencyv1.ReasonStandardContractNotFiled},
		"an assessment older than three years is not": {func(s *residencyv1.TransferMechanismSpec) {
			s.Type, s.EffectiveTime = residencyv1.MechanismSecurityAssessment, metav1.Date(2023, 1, 1, 0, 0, 0, 0, s.EffectiveTime.Location())
		}, "False", residencyv1.ReasonMechanismExpired},
	} {
		t.Run(name, func(t *testing.T) {
			m := sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{})
			m.Name = rig.Name("mechanism")
			c.change(&m.Spec)
			rig.Create(t, m)
			envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
				if _, err := get(ctx, m); err != nil {
					return err
				}
				if (m.Status.InForce == residencyv1.InForceYes) != (c.status == "True") {
					return errors.New("inForce is " + string(m.Status.InForce))
				}
				return envtestrig.Says(m.Status.Conditions, "Ready", c.status, string(c.want))
			})
		})
	}
}

// besideWorld is two namespaces with a ready store each, of one processor.
func besideWorld(t *testing.T) (a, b string) {
	t.Helper()
	policy, a := transferWorld(t)
	b = rig.Namespace(t, policy)
	rig.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b, Name: "group-crm-s3"},
		Data: map[string][]byte{"accessKeyID": []byte(canary), "secretAccessKey": []byte(canary)}})
	readyStore(t, b)
	return a, b
}

// plain is the allowed sample, without a mechanism, for so many people.
func plain(t *testing.T, ns string, people int64) *residencyv1.DataTransfer {
	t.Helper()
	x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
	x.Spec.MaxPersons, x.Spec.MechanismRef = people, metav1alpha1.LocalObjectReference{}
	return x
}

func TestWhatAnotherStoreCountedIsInTheYear(t *testing.T) {
	a, b := besideWorld(t)
	stores.Of(b, "brand-store").Set(func(s *envtestrig.StoreState) { s.Counted = 95_000 })
	x := plain(t, a, 5000)
	ask(t, x)
	waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonRefused)
	if !slices.Equal(codes(x), []string{"MechanismMissing"}) || x.Status.Reserved != (residencyv1.TransferReservation{}) {
		t.Errorf("refused by %v, reserved %+v", codes(x), x.Status.Reserved)
	}
	noJob(t, a, x.Name)
}

func TestAStoreThatDoesNotTellItsYearKeepsTransfersWaiting(t *testing.T) {
	a, b := besideWorld(t)
	stores.Of(b, "brand-store").Set(func(s *envtestrig.StoreState) { s.Down = true })
	x := plain(t, a, 5000)
	ask(t, x)
	waitTransfer(t, x, "Reconciling", "True", metav1alpha1.ReasonWaitingForStore)
	noJob(t, a, x.Name)
}

// TestATransferThatCannotBeDecidedReservesNothing: others would wait for it.
func TestATransferThatCannotBeDecidedReservesNothing(t *testing.T) {
	_, ns := transferWorld(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "group-crm-s3"}}
	if err := rig.Client.Delete(t.Context(), secret); err != nil { // it is allowed, and cannot start
		t.Fatal(err)
	}
	x := plain(t, ns, 5000)
	ask(t, x)
	says := func(decision residencyv1.Decision, reserved bool) {
		t.Helper()
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			if _, err := get(ctx, x); err != nil || x.Status.Decision != decision || (x.Status.Reserved.NonSensitive != nil) != reserved {
				return fmt.Errorf("decision %q, reserved %+v: %w", x.Status.Decision, x.Status.Reserved, err)
			}
			return nil
		})
	}
	says(residencyv1.DecisionAllowed, true)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Down = true })
	says("", false)
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Down = false })
	says(residencyv1.DecisionAllowed, true)
	noJob(t, ns, x.Name)
}

// TestTwoTransfersAtOnceDoNotBothFitTheYear: each alone stays below 100,000 people.
func TestTwoTransfersAtOnceDoNotBothFitTheYear(t *testing.T) {
	a, b := besideWorld(t)
	x, y := plain(t, a, 60_000), plain(t, b, 60_000)
	ask(t, x)
	ask(t, y)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		allowed := 0
		for _, o := range []*residencyv1.DataTransfer{x, y} {
			if _, err := get(ctx, o); err != nil {
				return err
			}
			switch {
			case o.Status.Decision == residencyv1.DecisionRefused && slices.Equal(codes(o), []string{"MechanismMissing"}):
			case !o.Status.StartTime.IsZero():
				allowed++
			default:
				return fmt.Errorf("%s: decision %q by %v, started %v", o.Namespace, o.Status.Decision, codes(o), o.Status.StartTime)
			}
		}
		if allowed != 1 {
			return fmt.Errorf("%d of them run", allowed)
		}
		return nil
	})
	declared := 0
	for _, ns := range []string{a, b} {
		declared += envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) int { return len(s.Declared) })
	}
	if declared == 0 {
		t.Error("no store was told")
	}
}

func TestSplittingOverStoresIsHeldForReview(t *testing.T) {
	a, b := besideWorld(t)
	atRecipient(t, b, 96_000)
	x := plain(t, a, 5000)
	ask(t, x)
	waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonRefused)
	if !slices.Equal(codes(x), []string{"VolumeSplittingSuspected"}) {
		t.Errorf("refused by %v", codes(x))
	}
	y := plain(t, a, 5000)
	y.Name, y.Spec.VolumeReview = "reviewed", "REV-2026-1"
	ask(t, y)
	waitStarted(t, y)
}
