package residency_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/residency"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// broken are dependencies of a reconciler that only needs its client, until that fails.
func broken(c client.Client) residency.Deps {
	return residency.Deps{Client: c, Scheme: rig.Scheme, Clock: clocktesting.NewFakePassiveClock(now), Recorder: events.NewFakeRecorder(10)}
}

func TestAnUnexpectedErrorIsInTheStatusOfEveryKind(t *testing.T) {
	envtestrig.ErrorShows(t, rig, sample(t, "00-policy", "ResidencyPolicy", "", &residencyv1.ResidencyPolicy{}),
		func(o *residencyv1.ResidencyPolicy) []metav1.Condition { return o.Status.Conditions },
		func(c client.Client) reconcile.ObjectReconciler[*residencyv1.ResidencyPolicy] {
			return &residency.PolicyReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "20-store", "ConsentStore", "n", &residencyv1.ConsentStore{}),
		func(o *residencyv1.ConsentStore) []metav1.Condition { return o.Status.Conditions },
		func(c client.Client) reconcile.ObjectReconciler[*residencyv1.ConsentStore] {
			return &residency.StoreReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "61-transfer-allowed", "DataTransfer", "n", &residencyv1.DataTransfer{}),
		func(o *residencyv1.DataTransfer) []metav1.Condition { return o.Status.Conditions },
		func(c client.Client) reconcile.ObjectReconciler[*residencyv1.DataTransfer] {
			return &residency.TransferReconciler{Deps: broken(c)}
		})
	envtestrig.ErrorShows(t, rig, sample(t, "70-hold", "RegulatoryHold", "", &residencyv1.RegulatoryHold{}),
		func(o *residencyv1.RegulatoryHold) []metav1.Condition { return o.Status.Conditions },
		func(c client.Client) reconcile.ObjectReconciler[*residencyv1.RegulatoryHold] {
			return &residency.HoldReconciler{Deps: broken(c)}
		})
}
