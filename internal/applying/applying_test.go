package applying_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/maodian-dev/maodian/internal/applying"
)

func TestJitterStaysNearItsBaseAndWithItsObject(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 100 {
		uid := types.UID(fmt.Sprint("object-", i))
		d := applying.Jitter(uid, time.Minute)
		if d < 54*time.Second || d > 66*time.Second {
			t.Errorf("%v is too far from a minute", d)
		}
		if d != applying.Jitter(uid, time.Minute) {
			t.Error("the same object gets another wait")
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 objects share %d waits", len(seen))
	}
}

func TestSoonerIgnoresWhatNobodyAskedFor(t *testing.T) {
	for _, c := range []struct{ a, b, want time.Duration }{{0, 0, 0}, {0, 3, 3}, {3, 0, 3}, {3, 5, 3}, {5, 3, 3}} {
		if got := applying.Sooner(c.a, c.b); got != c.want {
			t.Errorf("Sooner(%d, %d) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestAStatusIsPatchedOnlyWhereItDiffers(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(pod).WithStatusSubresource(pod).Build()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	version := pod.ResourceVersion
	if retry, err := applying.Status(t.Context(), c, pod.DeepCopy(), pod); err != nil || retry != 0 || pod.ResourceVersion != version {
		t.Errorf("nothing to write, yet: %v %v %s", retry, err, pod.ResourceVersion)
	}
	before := pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	if retry, err := applying.Status(t.Context(), c, before, pod); err != nil || retry != 0 || pod.ResourceVersion == version {
		t.Errorf("not written: %v %v %s", retry, err, pod.ResourceVersion)
	}
	stale := before.DeepCopy()
	stale.Status.Phase = corev1.PodFailed
	if retry, err := applying.Status(t.Context(), c, before, stale); err != nil || retry == 0 {
		t.Errorf("a conflict must be tried again quietly: %v %v", retry, err)
	}
}

func TestFirstErrorIsTheFirst(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	if got := applying.FirstError(nil, a, b); !errors.Is(got, a) || errors.Is(got, b) {
		t.Errorf("got %v", got)
	}
	if got := applying.FirstError(nil, nil); got != nil {
		t.Errorf("got %v", got)
	}
}
