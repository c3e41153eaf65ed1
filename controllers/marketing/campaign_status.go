package marketing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// record copies the plan once, and the outcomes each time.
func (s *campaignScope) record(now metav1.Time) {
	st, run := &s.campaign.Status, s.run
	st.RunID = string(s.campaign.UID)
	planned := st.Plan.PlannedTime
	if planned.IsZero() {
		planned = now
	}
	st.Plan = marketingv1.CampaignPlan{Audience: people(run.GetAudience()), Eligible: people(run.GetEligible()), PlannedTime: planned}
	for _, e := range run.GetExcluded() {
		st.Plan.Excluded = append(st.Plan.Excluded, metav1alpha1.ReasonCount{Reason: e.GetReason(), Count: people(e.GetPeople())})
	}
	slices.SortFunc(st.Plan.Excluded, func(a, b metav1alpha1.ReasonCount) int { return strings.Compare(a.Reason, b.Reason) })
	st.Deliveries = marketingv1.DeliveryCounts{
		Pending: people(run.GetPending()), Sent: people(run.GetSent()), Refused: people(run.GetRefused()),
		Failed: people(run.GetFailed()), Unknown: people(run.GetUnknown()),
	}
}

func people(n string) metav1alpha1.PeopleCount { return metav1alpha1.PeopleCount(n) }

// tally says the outcomes in one line.
func (s *campaignScope) tally() string {
	d := s.campaign.Status.Deliveries
	return fmt.Sprintf("sent %s of %s, refused %s, failed %s, unknown %s", d.Sent, s.campaign.Status.Plan.Eligible, d.Refused, d.Failed, d.Unknown)
}

// writeProgress keeps Planned and Complete in line with the outcome.
func (s *campaignScope) writeProgress(o conditions.Outcome, now time.Time) {
	c := s.campaign
	planned, why, message := metav1.ConditionUnknown, o.Reason, o.Message
	if c.Status.RunID != "" {
		planned, why, message = metav1.ConditionTrue, marketingv1.ReasonPlanned, "status.plan is of this run"
	}
	conditions.Set(&c.Status.Conditions, c.Generation, now, marketingv1.ConditionPlanned, planned, why, message)
	complete := metav1.ConditionFalse
	if !c.Status.CompletionTime.IsZero() {
		complete = metav1.ConditionTrue
	}
	conditions.Set(&c.Status.Conditions, c.Generation, now, metav1alpha1.ConditionComplete, complete, o.Reason, o.Message)
}

func stamp(t metav1.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Time)
}
