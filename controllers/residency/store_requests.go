package residency

import (
	"strings"

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

// tellRecipients shows who must be told of people, in rounded numbers.
func (r *StoreReconciler) tellRecipients(s *storeScope) {
	st := &s.store.Status
	st.Recipients = nil
	var late []string
	for _, x := range first(s.answer.GetRecipients(), 256) {
		if x.GetAnyOverdue() {
			late = append(late, x.GetRecipient())
		}
		if !x.GetAnyOpen() {
			continue
		}
		state := residencyv1.RecipientState{Recipient: x.GetRecipient(), Open: metav1alpha1.PeopleCount(x.GetOpen()), Overdue: metav1alpha1.PeopleCount(x.GetOverdue())}
		if x.GetNextDue() != nil {
			state.NextDueTime = metav1.NewTime(x.GetNextDue().AsTime())
		}
		st.Recipients = append(st.Recipients, state)
	}
	status, why, message := metav1.ConditionTrue, residencyv1.ReasonRecipientsInTime, "no recipient waits past the due date to be told of somebody"
	if len(late) > 0 {
		status, why = metav1.ConditionFalse, residencyv1.ReasonRecipientsOverdue
		message = "tell " + strings.Join(first(late, 10), ", ") + " in the region who withdrew, was erased or corrected (`maodian officer --do tell`)"
	}
	conditions.Set(&st.Conditions, s.store.Generation, r.Clock.Now(), residencyv1.ConditionRecipientsTold, status, why, message)
}
