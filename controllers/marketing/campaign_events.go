package marketing

import (
	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// campaignEvents tells of the start and of the end, in numbers that status shows as well.
func campaignEvents(before, after *marketingv1.PushCampaign) (out []applying.Event) {
	was, is := before.Status, after.Status
	if was.StartTime.IsZero() && !is.StartTime.IsZero() {
		out = append(out, applying.Normal(marketingv1.ReasonSending, "Dispatch", "Job %s begins to send to %s people", is.JobName, is.Plan.Eligible))
	}
	if was.CompletionTime.IsZero() && !is.CompletionTime.IsZero() {
		end := conditions.Get(is.Conditions, metav1alpha1.ConditionReady)
		out = append(out, applying.Normal(metav1alpha1.ConditionReason(end.Reason), "Complete", "%s", end.Message))
	}
	return out
}
