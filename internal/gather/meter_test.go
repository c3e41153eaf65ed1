package gather_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/gather"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// ending is a cluster in which the other store's transfer ends between the two things that a
// meter reads: its reservation, and its store's counter.
type ending struct {
	storev1connect.ControlServiceClient

	reads   int
	reserve int64
}

// ended is so from the second read on.
func (e *ending) ended() bool {
	e.reads++
	return e.reads > 1
}

func (e *ending) Control(context.Context, string, string) (storev1connect.ControlServiceClient, error) {
	return e, nil
}

func (e *ending) GetCounters(context.Context, *storev1.GetCountersRequest) (*storev1.GetCountersResponse, error) {
	if !e.ended() {
		return &storev1.GetCountersResponse{}, nil
	}
	n := &storev1.Persons{NonSensitive: e.reserve}
	return &storev1.GetCountersResponse{Counted: n, Recent: n}, nil
}

// TestMeter_MissesNoTransferThatEndsMeanwhile: it may be counted twice for a moment, never not
// at all.
func TestMeter_MissesNoTransferThatEndsMeanwhile(t *testing.T) {
	e := &ending{reserve: 500}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{residencyv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	policy := &residencyv1.ResidencyPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	policy.Spec.Processor.Name = "acme"
	objects := []client.Object{policy}
	for _, ns := range []string{"a", "b"} {
		s := &residencyv1.ConsentStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "s"}, Status: residencyv1.ConsentStoreStatus{LedgerID: "l"}}
		objects = append(objects, s, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{metav1alpha1.PolicyLabel: "p"}}})
	}
	cache := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	live := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			o := residencyv1.DataTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "o", UID: "o"}}
			o.Spec.StoreRef.Name = "s"
			o.Status.StartTime, o.Status.Reserved.NonSensitive = metav1.Now(), &e.reserve
			if e.ended() {
				o.Status.CompletionTime = metav1.Now()
			}
			list.(*residencyv1.DataTransferList).Items = []residencyv1.DataTransfer{o}
			return nil
		},
	}).Build()
	x := &residencyv1.DataTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x", UID: "x"}}
	x.Spec.StoreRef.Name = "s"
	m := gather.Meter{Cache: cache, Live: live, Stores: e}
	got, err := m.Beside(t.Context(), x, policy)
	if err != nil || got.Counted.NonSensitive < e.reserve || got.Recent.NonSensitive < e.reserve {
		t.Errorf("%+v, %v; want at least %d", got, err, e.reserve)
	}
}
