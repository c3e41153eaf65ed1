package applying_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// desk is a store in an API server, and what is told about it.
type desk struct {
	t        *testing.T
	store    *residencyv1.ConsentStore
	recorder *events.FakeRecorder
	done     []applying.Event
	applying.Reporter
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := residencyv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cs := &residencyv1.ConsentStore{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s", Generation: 1}}
	recorder := events.NewFakeRecorder(10)
	d := &desk{t: t, store: cs, recorder: recorder, Reporter: applying.Reporter{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(cs).WithStatusSubresource(cs).Build(),
		Clock:  clocktesting.NewFakePassiveClock(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)), Recorder: recorder,
	}}
	d.read()
	return d
}

func (d *desk) read() {
	d.t.Helper()
	if err := d.Client.Get(d.t.Context(), client.ObjectKeyFromObject(d.store), d.store); err != nil {
		d.t.Fatal(err)
	}
}

// end reports on the object as it was last read.
func (d *desk) end(o *conditions.Outcome, err error) (ctrl.Result, error) {
	before := d.store.DeepCopy()
	return applying.End(d.t.Context(), d.Reporter, applying.Report[*residencyv1.ConsentStore]{
		Before: before, After: d.store, Conditions: &d.store.Status.Conditions, Observed: &d.store.Status.ObservedGeneration,
		Outcome: o, Err: err, Wait: time.Minute, Done: d.done, Events: readiness,
	})
}

func readiness(before, after *residencyv1.ConsentStore) []applying.Event {
	was, is := conditions.Get(before.Status.Conditions, metav1alpha1.ConditionReady), conditions.Get(after.Status.Conditions, metav1alpha1.ConditionReady)
	if was.Status == is.Status {
		return nil
	}
	return []applying.Event{applying.Normal("Changed", "Look", "Ready is %s", is.Status)}
}

func (d *desk) told() (out []string) {
	for {
		select {
		case e := <-d.recorder.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

func (d *desk) ready() metav1.Condition {
	d.read()
	return conditions.Get(d.store.Status.Conditions, metav1alpha1.ConditionReady)
}

func TestAChangeIsToldOnce(t *testing.T) {
	d := newDesk(t)
	for range 3 {
		res, err := d.end(conditions.Done("Fine", "all well"), nil)
		if err != nil || res.RequeueAfter != time.Minute {
			t.Fatalf("%v, %v", res, err)
		}
	}
	if got := d.told(); len(got) != 1 || got[0] != "Normal Changed Ready is True" {
		t.Errorf("told %v", got)
	}
	if c := d.ready(); c.Status != metav1.ConditionTrue || d.store.Status.ObservedGeneration != 1 {
		t.Errorf("ready = %+v", c)
	}
}

func TestAStatusThatIsNotWrittenTellsNothing(t *testing.T) {
	d := newDesk(t)
	d.store.ResourceVersion = "1" // somebody was faster
	if res, err := d.end(conditions.Done("Fine", ""), nil); err != nil || res.RequeueAfter == 0 || res.RequeueAfter >= time.Minute {
		t.Errorf("%v, %v", res, err)
	}
	if got := d.told(); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}

// The next look finds it done, and would have nothing to tell.
func TestWhatWasDoneIsToldThoughTheStatusIsNotWritten(t *testing.T) {
	d := newDesk(t)
	d.done = []applying.Event{applying.Warning("PodsEvicted", "Evict", "1 pod")}
	const want = "Warning PodsEvicted 1 pod"
	if _, err := d.end(nil, errors.New("half done")); err == nil {
		t.Error("no error")
	}
	if got := d.told(); len(got) != 2 || got[0] != want {
		t.Errorf("beside an error: told %v", got)
	}
	d.store.ResourceVersion = "1" // somebody was faster
	if _, err := d.end(conditions.Done("Fine", ""), nil); err != nil {
		t.Error(err)
	}
	if got := d.told(); len(got) != 1 || got[0] != want {
		t.Errorf("beside a conflict: told %v", got)
	}
}

func TestAnUnexpectedErrorShowsWithoutItsText(t *testing.T) {
	const text = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"
	gr := schema.GroupResource{Resource: "pods"}
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"of ours":           {errors.New(text), "did not expect"},
		"of the API server": {fmt.Errorf("apply: %w", apierrors.NewForbidden(gr, text, errors.New(text))), "the API server answers Forbidden"},
		"of a webhook":      {&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReason(text), Message: text}}, "did not expect"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if _, err := d.end(conditions.Done("Fine", ""), nil); err != nil {
				t.Fatal(err)
			}
			d.store.Generation = 2
			if _, err := d.end(nil, c.err); !errors.Is(err, c.err) {
				t.Errorf("err = %v", err)
			}
			ready := d.ready()
			if ready.Status != metav1.ConditionFalse || ready.Reason != string(metav1alpha1.ReasonInternalError) || ready.ObservedGeneration != 2 {
				t.Errorf("ready = %+v", ready)
			}
			if !strings.Contains(ready.Message, c.says) || strings.Contains(ready.Message, text) {
				t.Errorf("message = %q", ready.Message)
			}
			if d.store.Status.ObservedGeneration != 1 {
				t.Error("a spec that could not be looked at counts as observed")
			}
		})
	}
}

func TestARaceLeavesTheStatusAsItIs(t *testing.T) {
	gr := schema.GroupResource{Resource: "pods"}
	for _, err := range []error{apierrors.NewConflict(gr, "p", errors.New("x")), apierrors.NewAlreadyExists(gr, "p"), fmt.Errorf("list: %w", context.Canceled)} {
		d := newDesk(t)
		if _, err := d.end(conditions.Done("Fine", ""), nil); err != nil {
			t.Fatal(err)
		}
		if _, got := d.end(nil, err); !errors.Is(got, err) {
			t.Errorf("err = %v", got)
		}
		if c := d.ready(); c.Reason != "Fine" {
			t.Errorf("%v shows as %s", err, c.Reason)
		}
	}
}
