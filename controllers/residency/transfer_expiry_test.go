package residency_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// TestATransferWhoseJobWasMadeIsFollowedPastItsTime: the manager crashed between making the
// Job and writing that to the status, and comes back when the transfer should have started.
func TestATransferWhoseJobWasMadeIsFollowedPastItsTime(t *testing.T) {
	_, ns := transferWorld(t)
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
	x.Spec.StartByTime = metav1.NewTime(now.Add(time.Hour))
	ask(t, x)
	waitStarted(t, x)
	job := x.Status.JobName
	t.Cleanup(func() { clock.SetTime(now) })
	clock.SetTime(now.Add(2 * time.Hour))
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, x); err != nil {
			return err
		}
		before := x.DeepCopy()
		x.Status.StartTime, x.Status.JobName = metav1.Time{}, ""
		return rig.Client.Status().Patch(ctx, x, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	poke(t, ns)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, x); err != nil {
			return err
		}
		if !x.Status.CompletionTime.IsZero() {
			t.Fatalf("ended: %s", message(x.Status.Conditions, "Stalled"))
		}
		if x.Status.StartTime.IsZero() || x.Status.JobName != job {
			return fmt.Errorf("started %v, Job %q", x.Status.StartTime, x.Status.JobName)
		}
		return nil
	})
	answer(ns, x, &storev1.Transfer{
		State: "Complete", Persons: "612", NewlyCounted: "600",
		Manifest: &storev1.Manifest{Object: "cn/manifest.json", Sha256: fmt.Sprintf("%064d", 1), Rows: 612, Bytes: 99},
	})
	waitTransfer(t, x, "Complete", "True", metav1alpha1.ReasonComplete)
}
