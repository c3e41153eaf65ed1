package residency_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/residency"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// internalError reconciles an object whose neighbours cannot be read, and looks what its
// status says of that.
func internalError[T client.Object](t *testing.T, o T, list func(T) []metav1.Condition, reconciler func(residency.Deps) reconcile.ObjectReconciler[T]) {
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
	d := residency.Deps{Client: c, Scheme: rig.Scheme, Clock: clocktesting.NewFakePassiveClock(now), Recorder: events.NewFakeRecorder(10)}
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
	internalError(t, sample(t, "20-store", "ConsentStore", "n", &residencyv1.ConsentStore{}),
		func(o *residencyv1.ConsentStore) []metav1.Condition { return o.Status.Conditions },
		func(d residency.Deps) reconcile.ObjectReconciler[*residencyv1.ConsentStore] {
			return &residency.StoreReconciler{Deps: d}
		})
	internalError(t, sample(t, "61-transfer-allowed", "DataTransfer", "n", &residencyv1.DataTransfer{}),
		func(o *residencyv1.DataTransfer) []metav1.Condition { return o.Status.Conditions },
		func(d residency.Deps) reconcile.ObjectReconciler[*residencyv1.DataTransfer] {
			return &residency.TransferReconciler{Deps: d}
		})
	internalError(t, sample(t, "70-hold", "RegulatoryHold", "", &residencyv1.RegulatoryHold{}),
		func(o *residencyv1.RegulatoryHold) []metav1.Condition { return o.Status.Conditions },
		func(d residency.Deps) reconcile.ObjectReconciler[*residencyv1.RegulatoryHold] {
			return &residency.HoldReconciler{Deps: d}
		})
}
