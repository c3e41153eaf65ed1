package residency

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/explain"
	"github.com/maodian-dev/maodian/internal/gather"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// States of a transfer, as a store tells them.
const (
	stateRefused  = "Refused"
	stateStarted  = "Started"
	stateComplete = "Complete"
	stateStopped  = "Stopped"
)

// explainStore says what a store objects to.
func explainStore(p *law.Pack, in []*storev1.Refusal) []residencyv1.Refusal {
	var objections []transfer.Refusal
	for _, r := range in {
		objections = append(objections, transfer.Refusal{Code: reason.Code(r.GetCode()), Field: r.GetField(), Message: r.GetMessage()})
	}
	return explain.Refusals(p, objections)
}

// refuse writes a refusal; its time moves only when the refusal does.
func (s *transferScope) refuse(refusals []residencyv1.Refusal, now time.Time) *conditions.Outcome {
	st := &s.transfer.Status
	if st.Decision != residencyv1.DecisionRefused || !equality.Semantic.DeepEqual(st.Refusals, refusals) {
		st.Decision, st.DecidedTime, st.Refusals = residencyv1.DecisionRefused, metav1.NewTime(now), refusals
	}
	st.Reserved = residencyv1.TransferReservation{}
	return conditions.Stall(metav1alpha1.ReasonRefused, "refused by %s; status.refusals tells the article and the remedy of each", codesOf(refusals))
}

func codesOf(refusals []residencyv1.Refusal) string {
	return strings.Join(explain.Codes(refusals), ", ")
}

// transferEvents tells of a refusal, once for each set of codes.
func transferEvents(before, after *residencyv1.DataTransfer) []applying.Event {
	was, is := before.Status, after.Status
	if is.Decision != residencyv1.DecisionRefused || (was.Decision == is.Decision && codesOf(was.Refusals) == codesOf(is.Refusals)) {
		return nil
	}
	return []applying.Event{applying.Warning(metav1alpha1.ReasonRefused, "Decide", "refused by %s", codesOf(is.Refusals))}
}

// record copies the numbers that the store tells.
func (s *transferScope) record(x *storev1.Transfer) {
	st := &s.transfer.Status
	st.DecisionID = x.GetDecision()
	if x.GetState() != stateComplete && x.GetState() != stateStopped {
		return
	}
	st.Reserved = residencyv1.TransferReservation{}
	m := x.GetManifest()
	if len(s.transfer.Spec.Aggregates) > 0 { // nobody's record left: there are no people to tell of
		st.Aggregates = released(x.GetReleased())
		st.Manifest = residencyv1.TransferManifest{Object: m.GetObject(), SHA256: m.GetSha256()}
		return
	}
	st.Persons, st.PersonsCounted = metav1alpha1.PeopleCount(x.GetPersons()), metav1alpha1.PeopleCount(x.GetNewlyCounted())
	st.Excluded = excluded(x.GetExcluded())
	if m == nil {
		return
	}
	st.Manifest = residencyv1.TransferManifest{Object: m.GetObject(), SHA256: m.GetSha256(), Rows: metav1alpha1.PeopleCount(subject.People(m.GetRows()))}
	if m.GetRows() >= subject.Few { // the size of a small object tells about few people
		size := m.GetBytes()
		st.Manifest.Bytes = &size
	}
}

// released says how much of each table was told, and never a number of people.
func released(in []*storev1.ReleasedTable) []residencyv1.ReleasedAggregate {
	var out []residencyv1.ReleasedAggregate
	for _, r := range in {
		out = append(out, residencyv1.ReleasedAggregate{
			Name: residencyv1.AggregateName(r.GetName()), Cells: ptr.To(int32(r.GetCells())), Suppressed: ptr.To(int32(r.GetSuppressed())),
			CountedTime: metav1.NewTime(r.GetCountedAt().AsTime()),
		})
	}
	return first(out, 8)
}

func excluded(in []*storev1.Excluded) []metav1alpha1.ReasonCount {
	var out []metav1alpha1.ReasonCount
	for _, e := range in {
		out = append(out, metav1alpha1.ReasonCount{Reason: e.GetReason(), Count: metav1alpha1.PeopleCount(e.GetPeople())})
	}
	slices.SortFunc(out, func(a, b metav1alpha1.ReasonCount) int { return strings.Compare(a.Reason, b.Reason) })
	return first(out, 64)
}

// observe tells how the transfer stands. What has ended gets its time.
func (s *transferScope) observe(x *storev1.Transfer, now time.Time) *conditions.Outcome {
	st := &s.transfer.Status
	switch x.GetState() {
	case stateComplete:
		st.CompletionTime = metav1.NewTime(now)
		o := conditions.Ready(metav1alpha1.ReasonComplete, s.left(x))
		return &o
	case stateStopped:
		st.CompletionTime = metav1.NewTime(now)
		tells := "the manifest"
		if len(s.transfer.Spec.Aggregates) > 0 {
			tells = "status.aggregates"
		}
		return conditions.Stall(residencyv1.ReasonTransferStopped, "stopped midway by %s; %s tells what had left", x.GetManifest().GetStoppedBy(), tells)
	case stateRefused: // the store decided again before the first byte
		st.CompletionTime = metav1.NewTime(now)
		return s.refuse(explainStore(s.pack(), x.GetRefusals()), now)
	}
	if gather.JobFailed(s.job) {
		return conditions.Stall(metav1alpha1.ReasonFailed, "Job %s gave up; its pod's log tells why. What it reserved of the year is free when this DataTransfer is deleted", s.job.Name)
	}
	if x.GetState() == stateStarted {
		o := conditions.Ready(residencyv1.ReasonTransferring, s.leaving())
		return &o
	}
	return conditions.Wait(residencyv1.ReasonTransferStarting, "the Job has not begun yet")
}

// left says what a complete transfer sent.
func (s *transferScope) left(x *storev1.Transfer) string {
	if len(s.transfer.Spec.Aggregates) > 0 {
		return "tables of counts left, and nobody's record; status.aggregates tells which"
	}
	return "records of " + x.GetPersons() + " people left, each with consent and ledger entry"
}

func (s *transferScope) leaving() string {
	if len(s.transfer.Spec.Aggregates) > 0 {
		return "tables of counts are being sent"
	}
	return "records are being sent"
}

// writeComplete keeps Complete in line with the outcome.
func (s *transferScope) writeComplete(o conditions.Outcome, now time.Time) {
	status := metav1.ConditionFalse
	if o.Reason == metav1alpha1.ReasonComplete {
		status = metav1.ConditionTrue
	}
	conditions.Set(&s.transfer.Status.Conditions, s.transfer.Generation, now, metav1alpha1.ConditionComplete, status, o.Reason, o.Message)
}
