package residency

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// tellRequests shows what people wait for, in rounded numbers, and whether any waits too
// long: then somebody in the region has to act. The store itself is well all the same.
func (r *StoreReconciler) tellRequests(s *storeScope) {
	n := s.answer.GetRequests()
	if n == nil {
		return // a store of an earlier version
	}
	st := &s.store.Status
	st.Requests = residencyv1.RequestState{Open: metav1alpha1.PeopleCount(n.GetOpen()), Overdue: metav1alpha1.PeopleCount(n.GetOverdue())}
	if n.GetNextDue() != nil {
		st.Requests.NextDueTime = metav1.NewTime(n.GetNextDue().AsTime())
	}
	status, why, message := metav1.ConditionTrue, residencyv1.ReasonRequestsInTime, "no request of a person is open past its due date"
	if n.GetAnyOverdue() {
		status, why = metav1.ConditionFalse, residencyv1.ReasonRequestsOverdue
		message = "requests of people about their own data are open past their due date: have them answered in the region"
	}
	conditions.Set(&st.Conditions, s.store.Generation, r.Clock.Now(), residencyv1.ConditionRequestsAnswered, status, why, message)
}
