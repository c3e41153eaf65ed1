package residency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// nine is nine in the evening in Shanghai, an hour after the clock of these tests.
var nine = now.Add(time.Hour)

// timetable is a schedule for every evening at nine, that was served the day before.
type timetable struct {
	*testing.T
	*residencyv1.TransferSchedule
}

func newTimetable(t *testing.T, change func(*residencyv1.TransferScheduleSpec)) *timetable {
	t.Helper()
	_, ns := transferWorld(t)
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	x := sample(t, "62-transfer-schedule", "TransferSchedule", ns, &residencyv1.TransferSchedule{})
	x.Name, x.Spec.Schedule = "daily", "0 21 * * *"
	if change != nil {
		change(&x.Spec)
	}
	rig.Create(t, x)
	s := &timetable{t, x}
	t.Cleanup(s.end)
	s.served(nine.Add(-24 * time.Hour))
	return s
}

// end takes away what nobody collects here, since it would be looked at for ever.
func (s *timetable) end() {
	clock.SetTime(now)
	ctx := context.Background()
	err := rig.Client.Delete(ctx, s.TransferSchedule)
	err = errors.Join(err, rig.Client.DeleteAllOf(ctx, &residencyv1.DataTransfer{}, client.InNamespace(s.Namespace), client.MatchingLabels{residencyv1.ScheduleLabel: s.TransferSchedule.Name}))
	if err != nil {
		s.Error(err)
	}
}

// served says up to when nothing is due: the API server's clock is not ours.
func (s *timetable) served(at time.Time) {
	s.Helper()
	before := s.DeepCopyObject().(client.Object)
	s.Status.LastScheduleTime = metav1.NewTime(at)
	if err := rig.Client.Status().Patch(s.Context(), s.TransferSchedule, client.MergeFrom(before)); err != nil {
		s.Fatal(err)
	}
}

// at moves the clock and makes the manager look.
func (s *timetable) at(t time.Time) {
	s.Helper()
	clock.SetTime(t)
	before := s.DeepCopyObject().(client.Object)
	s.Spec.StartingDeadlineSeconds = 3600 + s.Spec.StartingDeadlineSeconds%2 + 1 // another generation, another look
	if err := rig.Client.Patch(s.Context(), s.TransferSchedule, client.MergeFrom(before)); err != nil {
		s.Fatal(err)
	}
	envtestrig.Eventually(s.T, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, s.TransferSchedule); err != nil {
			return err
		}
		if s.Status.ObservedGeneration != s.Generation {
			return errors.New("not looked at yet")
		}
		return nil
	})
}

func (s *timetable) says(status string, reason metav1alpha1.ConditionReason) {
	s.Helper()
	envtestrig.Eventually(s.T, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, s.TransferSchedule); err != nil {
			return err
		}
		return envtestrig.Says(s.Status.Conditions, "Ready", status, string(reason))
	})
}

// made lists the names of its transfers, in order.
func (s *timetable) made() []string {
	s.Helper()
	var list residencyv1.DataTransferList
	if err := rig.Client.List(s.Context(), &list, client.InNamespace(s.Namespace), client.MatchingLabels{residencyv1.ScheduleLabel: s.TransferSchedule.Name}); err != nil {
		s.Fatal(err)
	}
	var out []string
	for _, x := range list.Items {
		out = append(out, x.Name)
	}
	slices.Sort(out)
	return out
}

func (s *timetable) transfer(name string) *residencyv1.DataTransfer {
	return &residencyv1.DataTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}}
}

// complete ends a transfer well.
func (s *timetable) complete(name string) {
	s.Helper()
	x := s.transfer(name)
	waitStarted(s.T, x)
	answer(s.Namespace, x, &storev1.Transfer{State: "Complete", Persons: "40", NewlyCounted: "40",
		Manifest: &storev1.Manifest{Object: "cn/m.json", Sha256: fmt.Sprintf("%064d", 1), Rows: 40, Bytes: 9}})
	waitTransfer(s.T, x, "Complete", "True", metav1alpha1.ReasonComplete)
}

func wantMade(s *timetable, want ...string) {
	s.Helper()
	if got := s.made(); !slices.Equal(got, want) {
		s.Errorf("made %v, want %v", got, want)
	}
}

func TestAScheduleMakesOneTransferAtItsTime(t *testing.T) {
	s := newTimetable(t, nil)
	s.at(nine.Add(-time.Second))
	wantMade(s)
	s.says("True", residencyv1.ReasonWaitingForTime)
	if !s.Status.NextScheduleTime.Time.Equal(nine) {
		t.Errorf("next is %v", s.Status.NextScheduleTime)
	}
	s.at(nine)
	s.at(nine.Add(time.Minute))
	wantMade(s, "daily-202611241300")
	x := s.transfer("daily-202611241300")
	waitStarted(t, x)
	if !x.Spec.StartByTime.Time.Equal(nine.Add(24*time.Hour)) || !metav1.IsControlledBy(x, s.TransferSchedule) || x.Status.Decision != residencyv1.DecisionAllowed {
		t.Errorf("%+v, decision %s", x.ObjectMeta, x.Status.Decision)
	}
	s.says("True", residencyv1.ReasonTransferMade)
	s.complete(x.Name)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		_, err := get(ctx, s.TransferSchedule)
		if st := s.Status; err == nil && (st.LastSuccessfulTime.IsZero() || st.LastDecision != residencyv1.DecisionAllowed || st.LastTransfer != x.Name || !st.LastScheduleTime.Time.Equal(nine)) {
			err = fmt.Errorf("status %+v", st)
		}
		return err
	})
	s.says("True", residencyv1.ReasonWaitingForTime)
}

// TestAScheduleMakesNoSecondTransferAfterACrash: the transfer was made, and the status not written.
func TestAScheduleMakesNoSecondTransferAfterACrash(t *testing.T) {
	s := newTimetable(t, nil)
	s.at(nine)
	waitStarted(t, s.transfer("daily-202611241300"))
	s.served(nine.Add(-24 * time.Hour))
	s.at(nine.Add(time.Minute))
	wantMade(s, "daily-202611241300")
}

func TestAScheduleNeverRunsTwoAtOnce(t *testing.T) {
	s := newTimetable(t, nil)
	s.at(nine)
	first := "daily-202611241300"
	waitStarted(t, s.transfer(first))
	next := nine.Add(24 * time.Hour)
	s.at(next)
	wantMade(s, first)
	s.says("Unknown", residencyv1.ReasonTransferSkipped)
	if m := message(s.Status.Conditions, "Ready"); !strings.Contains(m, first) {
		t.Error(m)
	}
	clock.SetTime(next.Add(30 * time.Minute))
	s.complete(first)
	waitStarted(t, s.transfer("daily-202611251300")) // the end of the first makes the second
	wantMade(s, first, "daily-202611251300")
}

// TestARefusedTransferOfAScheduleDoesNotBeginLater: its time is over when the next one comes.
func TestARefusedTransferOfAScheduleDoesNotBeginLater(t *testing.T) {
	s := newTimetable(t, func(s *residencyv1.TransferScheduleSpec) {
		s.Template.Spec.ImpactAssessment = residencyv1.ImpactAssessment{}
	})
	s.at(nine)
	first := s.transfer("daily-202611241300")
	waitTransfer(t, first, "Stalled", "True", metav1alpha1.ReasonRefused)
	s.says("False", residencyv1.ReasonLastTransferRefused)
	if !slices.Equal(s.Status.LastRefusals, []string{"PIAMissing"}) {
		t.Errorf("refused by %v", s.Status.LastRefusals)
	}
	next := nine.Add(24 * time.Hour)
	s.at(next)
	second := s.transfer("daily-202611251300")
	waitTransfer(t, second, "Stalled", "True", metav1alpha1.ReasonRefused)
	poke(t, s.Namespace)
	waitTransfer(t, first, "Stalled", "True", residencyv1.ReasonStartByTimePassed)
	if first.Status.CompletionTime.IsZero() || !slices.Equal(codes(first), []string{"PIAMissing"}) || first.Status.Reserved != (residencyv1.TransferReservation{}) {
		t.Errorf("status %+v", first.Status)
	}
	noJob(t, s.Namespace, first.Name)
}

// poke makes the manager look at every transfer: a mechanism beside them changes.
func poke(t *testing.T, ns string) {
	t.Helper()
	m := &residencyv1.TransferMechanism{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "scc-zurich-2026"}}
	if _, err := get(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	before := m.DeepCopy()
	m.Spec.Scope.MaxPersons++
	if err := rig.Client.Patch(t.Context(), m, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestAScheduleServesTheNewestOfMissedTimes(t *testing.T) {
	s := newTimetable(t, nil)
	s.at(nine.Add(5*24*time.Hour + 10*time.Minute))
	waitStarted(t, s.transfer("daily-202611291300"))
	wantMade(s, "daily-202611291300")
	s.complete("daily-202611291300")
	s.at(nine.Add(8*24*time.Hour + 3*time.Hour)) // too late for any
	wantMade(s, "daily-202611291300")
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		list, err := rig.Events(ctx, s.TransferSchedule)
		missed := 0
		for _, e := range list {
			if e.Reason == string(residencyv1.ReasonTimeMissed) {
				missed++
			}
		}
		if err == nil && missed == 0 {
			err = errors.New("nobody was told")
		}
		return err
	})
}

func TestASuspendedScheduleMakesNothing(t *testing.T) {
	yes := true
	s := newTimetable(t, func(s *residencyv1.TransferScheduleSpec) { s.Suspend = &yes })
	s.at(nine)
	s.says("True", metav1alpha1.ReasonSuspended)
	wantMade(s)
	if !s.Status.NextScheduleTime.IsZero() {
		t.Errorf("next is %v", s.Status.NextScheduleTime)
	}
}

func TestAScheduleKeepsItsHistoryShort(t *testing.T) {
	s := newTimetable(t, func(s *residencyv1.TransferScheduleSpec) { s.HistoryLimit = 1 })
	var all []string
	for day := range 3 {
		s.at(nine.Add(time.Duration(day) * 24 * time.Hour))
		name := fmt.Sprintf("daily-202611%02d1300", 24+day)
		s.complete(name)
		all = append(all, name)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error {
		if got := s.made(); !slices.Equal(got, all[2:]) {
			return fmt.Errorf("kept %v", got)
		}
		return nil
	})
}

func TestAScheduleThatCannotBeRead(t *testing.T) {
	s := newTimetable(t, func(s *residencyv1.TransferScheduleSpec) { s.Schedule = "*/30 * * * *" })
	s.at(nine)
	s.says("False", metav1alpha1.ReasonInvalidSpec)
	if m := message(s.Status.Conditions, "Ready"); !strings.Contains(m, "at most once an hour") {
		t.Error(m)
	}
	wantMade(s)
}

// TestATransferOfSomebodyElseIsNotTakenOver: it has the name that the schedule would give.
func TestATransferOfSomebodyElseIsNotTakenOver(t *testing.T) {
	s := newTimetable(t, nil)
	x := blockedNamed(t, s.Namespace, "daily-202611241300")
	s.at(nine)
	s.says("False", metav1alpha1.ReasonInvalidSpec)
	if m := message(s.Status.Conditions, "Ready"); !strings.Contains(m, x.Name) {
		t.Error(m)
	}
	wantMade(s)
}

func blockedNamed(t *testing.T, ns, name string) *residencyv1.DataTransfer {
	t.Helper()
	x := sample(t, "60-transfer-blocked", "DataTransfer", ns, &residencyv1.DataTransfer{})
	x.Name = name
	ask(t, x)
	return x
}

// TestATemplateThatTheClusterRefusesIsAnAnswer: the schedule says what the API server said, and
// waits for its next time, or for somebody to change something.
func TestATemplateThatTheClusterRefusesIsAnAnswer(t *testing.T) {
	s := newTimetable(t, nil)
	lift := refuseTransfers(t, s.Namespace)
	before := looksThatFailed(t)
	s.at(nine)
	s.says("False", metav1alpha1.ReasonInvalidSpec)
	if err := envtestrig.Says(s.Status.Conditions, "Stalled", "True", string(metav1alpha1.ReasonInvalidSpec)); err != nil {
		t.Error(err)
	}
	if m := message(s.Status.Conditions, "Stalled"); !strings.HasPrefix(m, "`spec.template` is not accepted as a DataTransfer: ValidatingAdmissionPolicy") || !strings.HasSuffix(m, "none abroad before the audit") {
		t.Error(m)
	}
	wantMade(s)
	if n := looksThatFailed(t) - before; n != 0 {
		t.Errorf("%v looks failed, and were tried again at once", n)
	}
	lift()
	s.at(nine.Add(time.Minute))
	waitStarted(t, s.transfer("daily-202611241300"))
	s.says("True", residencyv1.ReasonTransferMade)
}

// refuseTransfers has the API server refuse every new transfer of a namespace until it is lifted.
func refuseTransfers(t *testing.T, ns string) (lift func()) {
	t.Helper()
	p, b := &arv1.ValidatingAdmissionPolicy{}, &arv1.ValidatingAdmissionPolicyBinding{}
	p.Name = rig.Name("no-transfers")
	b.Name, b.Spec.PolicyName, b.Spec.ValidationActions = p.Name, p.Name, []arv1.ValidationAction{arv1.Deny}
	p.Spec.MatchConstraints = &arv1.MatchResources{ResourceRules: []arv1.NamedRuleWithOperations{{RuleWithOperations: arv1.RuleWithOperations{
		Operations: []arv1.OperationType{arv1.Create},
		Rule:       arv1.Rule{APIGroups: []string{residencyv1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"datatransfers"}},
	}}}}
	p.Spec.Validations = []arv1.Validation{{Expression: fmt.Sprintf("object.metadata.namespace != '%s'", ns), Message: "none abroad before the audit"}}
	rig.Create(t, p, b)
	remove := func(ctx context.Context) error {
		return errors.Join(client.IgnoreNotFound(rig.Client.Delete(ctx, b)), client.IgnoreNotFound(rig.Client.Delete(ctx, p)))
	}
	t.Cleanup(func() {
		if err := remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	refused := func(want bool) { // the API server learns of a policy a moment after it is written
		t.Helper()
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
			x := sample(t, "60-transfer-blocked", "DataTransfer", ns, &residencyv1.DataTransfer{})
			if err := rig.Client.Create(ctx, x, client.DryRunAll); (err != nil) != want {
				return errors.Join(fmt.Errorf("want a refusal: %v", want), err)
			}
			return nil
		})
	}
	refused(true)
	return func() {
		t.Helper()
		if err := remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		refused(false)
	}
}

// looksThatFailed is how often a look at any schedule ended with an error, which makes the
// manager look again at once.
func looksThatFailed(t *testing.T) (n float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "controller_runtime_reconcile_errors_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "transferschedule" {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatal("the manager does not count what failed")
	return n
}
