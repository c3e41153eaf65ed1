package marketing_test

import (
	"testing"

	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/marketing"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// broken are dependencies of a reconciler that only needs its client, until that fails.
func broken(c client.Client) marketing.Deps {
	return marketing.Deps{Client: c, Scheme: rig.Scheme, Clock: frozen(), Recorder: events.NewFakeRecorder(10)}
}

func TestAnUnexpectedErrorIsInTheStatusOfEveryKind(t *testing.T) {
	envtestrig.ErrorShows(t, rig, sample(t, "30-account", "WeChatAccount", "n", &marketingv1.WeChatAccount{}), accountConditions,
		func(c client.Client) reconcile.ObjectReconciler[*marketingv1.WeChatAccount] {
			return &marketing.AccountReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "40-leads", "Audience", "n", &marketingv1.Audience{}), audienceConditions,
		func(c client.Client) reconcile.ObjectReconciler[*marketingv1.Audience] {
			return &marketing.AudienceReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "40-leads", "LeadModel", "n", &marketingv1.LeadModel{}), modelConditions,
		func(c client.Client) reconcile.ObjectReconciler[*marketingv1.LeadModel] {
			return &marketing.LeadModelReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "50-campaign", "PushCampaign", "n", &marketingv1.PushCampaign{}), campaignConditions,
		func(c client.Client) reconcile.ObjectReconciler[*marketingv1.PushCampaign] {
			return &marketing.CampaignReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "51-sendhold", "SendHold", "n", &marketingv1.SendHold{}), holdConditions,
		func(c client.Client) reconcile.ObjectReconciler[*marketingv1.SendHold] {
			return &marketing.SendHoldReconciler{Deps: broken(c)}
		})
}
