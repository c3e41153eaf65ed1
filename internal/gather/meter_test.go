package gather_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
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
	got := beside(t, e, transferOf("a", "x", 0), func() *residencyv1.DataTransfer {
		o := transferOf("b", "o", 500)
		o.Status.StartTime = metav1.Now()
		if e.ended() {
			o.Status.CompletionTime = metav1.Now()
		}
		return o
	})
	if got.Counted.NonSensitive < e.reserve || got.Recent.NonSensitive < e.reserve {
		t.Errorf("%+v; want at least %d", got, e.reserve)
	}
}

// TestMeter_OfTwoAtOnceOneSeesTheOther: both write down what they set aside before they look. Who
// was allowed later is not counted by who was earlier, but until they gave way they are there.
func TestMeter_OfTwoAtOnceOneSeesTheOther(t *testing.T) {
	at := metav1.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	soon := metav1.NewTime(at.Add(time.Second))
	for name, c := range map[string]struct {
		mine        *metav1.Time // nil: this one has set nothing aside yet
		change      func(*residencyv1.DataTransfer)
		now, before int64 // counted, and with who gives way
	}{
		"not allowed":                      {&at, func(o *residencyv1.DataTransfer) { o.Status.Decision = "" }, 0, 0},
		"allowed before":                   {&soon, func(o *residencyv1.DataTransfer) { o.Status.DecidedTime = at }, 70, 70},
		"allowed later":                    {&at, func(o *residencyv1.DataTransfer) { o.Status.DecidedTime = soon }, 0, 70},
		"allowed later, and started":       {&at, func(o *residencyv1.DataTransfer) { o.Status.DecidedTime, o.Status.StartTime = soon, soon }, 70, 70},
		"allowed at once, by a lower name": {&at, func(o *residencyv1.DataTransfer) { o.UID, o.Status.DecidedTime = "a", at }, 70, 70},
		"allowed at once, by a higher one": {&at, func(o *residencyv1.DataTransfer) { o.UID, o.Status.DecidedTime = "z", at }, 0, 70},
		"allowed, before this one is":      {nil, func(o *residencyv1.DataTransfer) { o.Status.DecidedTime = soon }, 70, 70},
		"ended":                            {&at, func(o *residencyv1.DataTransfer) { o.Status.CompletionTime = soon }, 0, 0},
	} {
		x := transferOf("a", "x", 50)
		if c.mine != nil {
			x.Status.Decision, x.Status.DecidedTime = residencyv1.DecisionAllowed, *c.mine
		}
		got := beside(t, &ending{}, x, func() *residencyv1.DataTransfer {
			o := transferOf("b", "o", 70)
			o.Status.Decision = residencyv1.DecisionAllowed
			c.change(o)
			return o
		})
		if n, all := got.Counted.NonSensitive, got.WithLater().Counted.NonSensitive; n != c.now || all != c.before {
			t.Errorf("%s: %d counted, %d with who gives way; want %d and %d", name, n, all, c.now, c.before)
		}
		if n, all := got.Recent.NonSensitive, got.WithLater().Recent.NonSensitive; n != c.now || all != c.before {
			t.Errorf("%s: recent %d and %d; want %d and %d", name, n, all, c.now, c.before)
		}
	}
}

func transferOf(namespace, name string, reserved int64) *residencyv1.DataTransfer {
	o := &residencyv1.DataTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	o.Spec.StoreRef.Name = "s"
	o.Status.Reserved.NonSensitive = &reserved
	return o
}

// beside asks what is beside x in a cluster of two stores, where other is the one other transfer.
func beside(t *testing.T, stores gather.Stores, x *residencyv1.DataTransfer, other func() *residencyv1.DataTransfer) gather.Beside {
	t.Helper()
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
	live := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			list.(*residencyv1.DataTransferList).Items = []residencyv1.DataTransfer{*other()}
			return nil
		},
	}).Build()
	m := gather.Meter{Cache: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), Live: live, Stores: stores}
	got, err := m.Beside(t.Context(), x, policy)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
