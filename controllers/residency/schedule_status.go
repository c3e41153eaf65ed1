package residency

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/schedule"
)

// defaultZone is where the processors are.
const defaultZone = "Asia/Shanghai"

// timesOf reads a schedule. Every transfer is a decision of law, so more than one an hour is
// a mistake.
func timesOf(s residencyv1.TransferScheduleSpec) (schedule.Times, error) {
	if strings.Contains(s.Schedule, "=") {
		return nil, errors.New("`spec.schedule` must not name a time zone: put it into `spec.timeZone`")
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(s.Schedule)
	times, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return nil, errors.New("`spec.schedule` must have the five fields of cron, as `0 9 * * 1` for Mondays at nine")
	}
	const star = 1 << 63 // says how the field was written; no minute
	if bits.OnesCount64(times.Minute&^star) != 1 {
		return nil, errors.New("`spec.schedule` must name one minute: a transfer is asked for at most once an hour")
	}
	zone := s.TimeZone
	if zone == "" {
		zone = defaultZone
	}
	if times.Location, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		return nil, fmt.Errorf("`spec.timeZone` %s is not known: use a name as Asia/Shanghai or UTC", zone)
	}
	return times, nil
}

func latenessOf(s residencyv1.TransferScheduleSpec) time.Duration {
	if s.StartingDeadlineSeconds == 0 {
		return lateness
	}
	return time.Duration(s.StartingDeadlineSeconds) * time.Second
}

// transferAt names the transfer of a time, to the minute, in UTC.
func transferAt(schedule string, t time.Time) string {
	return schedule + "-" + t.UTC().Format("200601021504")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// refusalOf is what the API server objects to, without the name of the object before it. What a
// policy of the cluster objects to has no field.
func refusalOf(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && len(status.Status().Details.Causes) > 0 {
		c := status.Status().Details.Causes[0]
		if c.Field == "" {
			return c.Message
		}
		return c.Field + ": " + c.Message
	}
	return err.Error()
}

// follow copies how the newest transfer stands.
func (s *scheduleScope) follow() {
	st := &s.schedule.Status
	for _, t := range s.made {
		if done := t.Status.CompletionTime; conditions.Get(t.Status.Conditions, metav1alpha1.ConditionComplete).Status == metav1.ConditionTrue && done.After(st.LastSuccessfulTime.Time) {
			st.LastSuccessfulTime = done
		}
	}
	if len(s.made) == 0 {
		return
	}
	last := s.made[0]
	st.LastTransfer, st.LastDecision, st.LastRefusals = last.Name, last.Status.Decision, nil
	if last.Status.Decision == residencyv1.DecisionRefused {
		for _, r := range last.Status.Refusals {
			st.LastRefusals = append(st.LastRefusals, r.Code)
		}
	}
}

// standing tells how the last transfer went.
func (s *scheduleScope) standing() *conditions.Outcome {
	st := s.schedule.Status
	var o conditions.Outcome
	switch {
	case len(s.made) == 0 || st.LastTransfer != s.made[0].Name:
		o = conditions.Ready(residencyv1.ReasonWaitingForTime, "the next transfer is due at "+stamp(s.due.Next))
		if st.LastTransfer != "" {
			o = conditions.Ready(residencyv1.ReasonTransferMade, st.LastTransfer+" was made; the next one is due at "+stamp(s.due.Next))
		}
	default:
		o = standingOf(s.made[0], s.due.Next)
	}
	return &o
}

func standingOf(t residencyv1.DataTransfer, next time.Time) conditions.Outcome {
	ready, complete := conditions.Get(t.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(t.Status.Conditions, metav1alpha1.ConditionComplete)
	stalled := conditions.Get(t.Status.Conditions, metav1alpha1.ConditionStalled).Status == metav1.ConditionTrue
	due := "; the next one is due at " + stamp(next)
	switch {
	case t.Status.Decision == residencyv1.DecisionRefused:
		return conditions.NotReady(residencyv1.ReasonLastTransferRefused, t.Name+": "+ready.Message+due+" and decided anew")
	case complete.Status == metav1.ConditionTrue:
		return conditions.Ready(residencyv1.ReasonWaitingForTime, t.Name+" is complete"+due)
	case stalled:
		return conditions.NotReady(residencyv1.ReasonLastTransferStopped, t.Name+": "+ready.Message+due)
	}
	return conditions.Ready(residencyv1.ReasonTransferMade, t.Name+" is on its way"+due)
}

// events tells of times that passed, once each.
func (s *scheduleScope) events(before, after *residencyv1.TransferSchedule) []applying.Event {
	var out []applying.Event
	if s.late && !before.Status.LastScheduleTime.Equal(&after.Status.LastScheduleTime) {
		out = append(out, applying.Warning(residencyv1.ReasonTimeMissed, "Schedule", "a time of the schedule passed without a transfer: the manager was away for longer than `spec.startingDeadlineSeconds`, or the transfer before took too long"))
	}
	was := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady)
	if is := conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady); s.skipped && was.Message != is.Message {
		out = append(out, applying.Warning(residencyv1.ReasonTransferSkipped, "Schedule", "%s", is.Message))
	}
	return out
}
