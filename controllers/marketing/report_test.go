package marketing_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/marketing"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// internalError reconciles an object whose neighbours cannot be read, and looks what its
// status says of that.
func internalError[T client.Object](t *testing.T, o T, list func(T) []metav1.Condition, reconciler func(marketing.Deps) reconcile.ObjectReconciler[T]) {
	t.Helper()
	const text = "a text that nobody may read"
	broken := false
	c := fake.NewClientBuilder().WithScheme(rig.Scheme).WithObjects(o).WithStatusSubresource(o).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			if broken {
				return errors.New(text)
			}
			return c.Get(ctx, key, into, opts...)
		},
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New(text)
		},
	}).Build()
	d := marketing.Deps{Client: c, Scheme: rig.Scheme, Clock: frozen(), Recorder: events.NewFakeRecorder(10)}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
	broken = true
	if _, err := reconciler(d).Reconcile(t.Context(), o); err == nil {
		t.Errorf("%T: no error", o)
	}
	broken = false
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
	ready := conditions.Get(list(o), metav1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionFalse || ready.Reason != string(metav1alpha1.ReasonInternalError) || strings.Contains(ready.Message, text) {
		t.Errorf("%T: Ready is %s %s (%s)", o, ready.Status, ready.Reason, ready.Message)
	}
}

func TestAnUnexpectedErrorIsInTheStatusOfEveryKind(t *testing.T) {
	internalError(t, sample(t, "30-account", "WeChatAccount", "n", &marketingv1.WeChatAccount{}), accountConditions,
		func(d marketing.Deps) reconcile.ObjectReconciler[*marketingv1.WeChatAccount] {
			return &marketing.AccountReconciler{Deps: d}
		})
	internalError(t, sample(t, "40-leads", "Audience", "n", &marketingv1.Audience{}), audienceConditions,
		func(d marketing.Deps) reconcile.ObjectReconciler[*marketingv1.Audience] {
			return &marketing.AudienceReconciler{Deps: d}
		})
	internalError(t, sample(t, "40-leads", "LeadModel", "n", &marketingv1.LeadModel{}), modelConditions,
		func(d marketing.Deps) reconcile.ObjectReconciler[*marketingv1.LeadModel] {
			return &marketing.LeadModelReconciler{Deps: d}
		})
	internalError(t, sample(t, "50-campaign", "PushCampaign", "n", &marketingv1.PushCampaign{}), campaignConditions,
		func(d marketing.Deps) reconcile.ObjectReconciler[*marketingv1.PushCampaign] {
			return &marketing.CampaignReconciler{Deps: d}
		})
	internalError(t, sample(t, "51-sendhold", "SendHold", "n", &marketingv1.SendHold{}), holdConditions,
		func(d marketing.Deps) reconcile.ObjectReconciler[*marketingv1.SendHold] {
			return &marketing.SendHoldReconciler{Deps: d}
		})
}
