package residency_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// TestRequestsOfPeopleShowInNumbers: what waits for an answer is seen outside the region,
// without whose it is, and an overdue one without the store being unwell.
func TestRequestsOfPeopleShowInNumbers(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	due := time.Date(2026, 12, 15, 16, 0, 0, 0, time.UTC)
	s := stores.Of(ns, "brand-store")
	s.Set(func(s *envtestrig.StoreState) {
		s.Requests = &storev1.RequestCounts{Open: "<20", Overdue: "<20", NextDue: timestamppb.New(due)}
	})
	cs := readyStore(t, ns)
	waitStore(t, cs, string(residencyv1.ConditionRequestsAnswered), "True", residencyv1.ReasonRequestsInTime)
	if r := cs.Status.Requests; r.Open != "<20" || r.Overdue != "<20" || !r.NextDueTime.Time.Equal(due) {
		t.Errorf("requests = %+v", r)
	}
	s.Set(func(s *envtestrig.StoreState) { s.Requests.Open, s.Requests.AnyOverdue = "23", true })
	touch(t, cs)
	waitStore(t, cs, string(residencyv1.ConditionRequestsAnswered), "False", residencyv1.ReasonRequestsOverdue)
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	if cs.Status.Requests.Open != "23" {
		t.Errorf("requests = %+v", cs.Status.Requests)
	}
	s.Set(func(s *envtestrig.StoreState) { s.Requests = &storev1.RequestCounts{Open: "<20", Overdue: "<20"} })
	touch(t, cs)
	waitStore(t, cs, string(residencyv1.ConditionRequestsAnswered), "True", residencyv1.ReasonRequestsInTime)
	if !cs.Status.Requests.NextDueTime.IsZero() {
		t.Errorf("nothing is open, and due is %v", cs.Status.Requests.NextDueTime)
	}
}
