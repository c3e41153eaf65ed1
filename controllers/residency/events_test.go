package residency

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
)

func TestARefusalIsToldOnceForEachSetOfCodes(t *testing.T) {
	refused := func(codes ...string) *residencyv1.DataTransfer {
		x := &residencyv1.DataTransfer{}
		x.Status.Decision = residencyv1.DecisionRefused
		for _, c := range codes {
			x.Status.Refusals = append(x.Status.Refusals, residencyv1.Refusal{Code: c, Message: "a text"})
		}
		return x
	}
	allowed := &residencyv1.DataTransfer{}
	allowed.Status.Decision = residencyv1.DecisionAllowed
	both := []applying.Event{applying.Warning(metav1alpha1.ReasonRefused, "Decide", "refused by PolicyStale, ConsentMissing")}
	for name, c := range map[string]struct {
		before, after *residencyv1.DataTransfer
		want          []applying.Event
	}{
		"undecided, then refused":  {&residencyv1.DataTransfer{}, refused("PolicyStale", "ConsentMissing"), both},
		"refused for more reasons": {refused("PolicyStale"), refused("PolicyStale", "ConsentMissing"), both},
		"refused as before":        {refused("PolicyStale"), refused("PolicyStale"), nil},
		"refused, then allowed":    {refused("PolicyStale"), allowed, nil},
	} {
		if d := cmp.Diff(c.want, transferEvents(c.before, c.after)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestAPlaceIsToldWhenItChanges(t *testing.T) {
	store := func(o *conditions.Outcome) *residencyv1.ConsentStore {
		cs := &residencyv1.ConsentStore{}
		if o != nil {
			conditions.Set(&cs.Status.Conditions, 1, time.Time{}, residencyv1.ConditionPlaced, o.Status, o.Reason, o.Message)
		}
		return cs
	}
	proven := conditions.Done(residencyv1.ReasonPlacementProven, "proven")
	none := conditions.Fail(residencyv1.ReasonNoEligibleNode, "add a node")
	coming := conditions.Wait(residencyv1.ReasonStoreUnplaced, "the pod has no node yet")
	outside := conditions.Stall(residencyv1.ReasonPlacementNotMainland, "outside")
	for name, c := range map[string]struct {
		before, after *conditions.Outcome
		want          string
	}{
		"on its way":                 {nil, coming, ""},
		"placed":                     {coming, proven, "Normal PlacementProven"},
		"placed as before":           {proven, proven, ""},
		"no node takes it":           {coming, none, "Warning NoEligibleNode"},
		"no node takes it any more":  {proven, none, "Warning NoEligibleNode"},
		"no node takes it, as ever":  {none, none, ""},
		"a pod is made anew":         {proven, coming, ""},
		"what was inside is outside": {proven, outside, "Warning PlacementNotMainland"},
	} {
		var got string
		for _, e := range storeEvents(store(c.before), store(c.after)) {
			got += e.Type + " " + string(e.Reason)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
