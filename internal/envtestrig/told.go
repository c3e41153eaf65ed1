package envtestrig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// Told waits until events with these reasons, sorted, and no others are about an object,
// each once.
func (r *Rig) Told(t *testing.T, o client.Object, want ...string) {
	t.Helper()
	Eventually(t, Soon, func(ctx context.Context) error {
		list, err := r.Events(ctx, o)
		var got []string
		for _, e := range list {
			got = append(got, e.Reason)
			if e.Series != nil {
				err = errors.Join(err, fmt.Errorf("%s was told %d times", e.Reason, e.Series.Count))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			err = errors.Join(err, fmt.Errorf("events = %v, want %v", got, want))
		}
		return err
	})
}

// Events reads the events about an object; those about one of the cluster are in default.
func (r *Rig) Events(ctx context.Context, o client.Object) (about []eventsv1.Event, err error) {
	var list eventsv1.EventList
	err = r.Client.List(ctx, &list, client.InNamespace(cmp.Or(o.GetNamespace(), metav1.NamespaceDefault)))
	for _, e := range list.Items {
		if e.Regarding.UID == o.GetUID() {
			about = append(about, e)
		}
	}
	return about, err
}

// ErrorShows reconciles an object whose neighbours cannot be read, and fails the test unless
// its status says InternalError without the error's text.
func ErrorShows[T client.Object](t *testing.T, r *Rig, o T, list func(T) []metav1.Condition, reconciler func(client.Client) reconcile.ObjectReconciler[T]) {
	t.Helper()
	const text = "a text that nobody may read"
	broken := false
	c := fake.NewClientBuilder().WithScheme(r.Scheme).WithObjects(o).WithStatusSubresource(o).WithInterceptorFuncs(interceptor.Funcs{
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
	read := func() {
		t.Helper()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
	}
	read()
	broken = true
	if _, err := reconciler(c).Reconcile(t.Context(), o); err == nil {
		t.Errorf("%T: no error", o)
	}
	broken = false
	read()
	ready := conditions.Get(list(o), metav1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionFalse || ready.Reason != string(metav1alpha1.ReasonInternalError) || strings.Contains(ready.Message, text) {
		t.Errorf("%T: Ready is %s %s (%s)", o, ready.Status, ready.Reason, ready.Message)
	}
}
