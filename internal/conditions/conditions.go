// Package conditions writes the conditions of our kinds, so that all of them keep the same
// contract with kstatus: Ready always, Reconciling while the operator works by itself,
// Stalled when somebody must edit something, the last two absent otherwise.
package conditions

import (
	"fmt"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// maxMessage keeps messages readable in a terminal.
const maxMessage = 1024

// progress says who has to act next.
type progress int

const (
	settled     progress = iota // nobody
	reconciling                 // the operator
	stalled                     // a person
)

// Outcome is what a reconciliation found out.
type Outcome struct {
	Status   metav1.ConditionStatus
	Reason   metav1alpha1.ConditionReason
	Message  string
	progress progress
}

// Ready says: the object does what it is for.
func Ready(reason metav1alpha1.ConditionReason, message string) Outcome {
	return Outcome{metav1.ConditionTrue, reason, message, settled}
}

// Waiting says: the operator goes on by itself.
func Waiting(reason metav1alpha1.ConditionReason, message string) Outcome {
	return Outcome{metav1.ConditionUnknown, reason, message, reconciling}
}

// NotReady says: it does not do what it is for, and what is missing may come by itself.
func NotReady(reason metav1alpha1.ConditionReason, message string) Outcome {
	return Outcome{metav1.ConditionFalse, reason, message, settled}
}

// Stalled says: nothing changes until somebody edits something.
func Stalled(reason metav1alpha1.ConditionReason, message string) Outcome {
	return Outcome{metav1.ConditionFalse, reason, message, stalled}
}

// Wait is Waiting with a format, for phases that end with an outcome or go on.
func Wait(reason metav1alpha1.ConditionReason, format string, args ...any) *Outcome {
	o := Waiting(reason, fmt.Sprintf(format, args...))
	return &o
}

// Fail is NotReady with a format.
func Fail(reason metav1alpha1.ConditionReason, format string, args ...any) *Outcome {
	o := NotReady(reason, fmt.Sprintf(format, args...))
	return &o
}

// Stall is Stalled with a format.
func Stall(reason metav1alpha1.ConditionReason, format string, args ...any) *Outcome {
	o := Stalled(reason, fmt.Sprintf(format, args...))
	return &o
}

// Done is Ready with a format.
func Done(reason metav1alpha1.ConditionReason, format string, args ...any) *Outcome {
	o := Ready(reason, fmt.Sprintf(format, args...))
	return &o
}

// IsReady tells whether the outcome is a good one.
func (o Outcome) IsReady() bool { return o.Status == metav1.ConditionTrue }

// IsWaiting tells whether the operator goes on by itself.
func (o Outcome) IsWaiting() bool { return o.progress == reconciling }

// Write sets Ready, and Reconciling or Stalled.
func (o Outcome) Write(list *[]metav1.Condition, generation int64, now time.Time) {
	Set(list, generation, now, metav1alpha1.ConditionReady, o.Status, o.Reason, o.Message)
	for kind, is := range map[metav1alpha1.ConditionType]progress{
		metav1alpha1.ConditionReconciling: reconciling, metav1alpha1.ConditionStalled: stalled,
	} {
		if o.progress == is {
			Set(list, generation, now, kind, metav1.ConditionTrue, o.Reason, o.Message)
		} else {
			Remove(list, kind)
		}
	}
}

// Set writes one condition.
func Set(list *[]metav1.Condition, generation int64, now time.Time, kind metav1alpha1.ConditionType, status metav1.ConditionStatus, reason metav1alpha1.ConditionReason, message string) {
	meta.SetStatusCondition(list, metav1.Condition{
		Type: string(kind), Status: status, Reason: string(reason), Message: Truncate(message, maxMessage),
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
	})
}

// Remove takes one condition away.
func Remove(list *[]metav1.Condition, kind metav1alpha1.ConditionType) {
	meta.RemoveStatusCondition(list, string(kind))
}

// True tells whether another object says so of its present spec. A controller does not ask
// it about its own object.
func True(list []metav1.Condition, kind metav1alpha1.ConditionType, generation int64) bool {
	c := meta.FindStatusCondition(list, string(kind))
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
}

// Get returns one condition; an empty one where there is none.
func Get(list []metav1.Condition, kind metav1alpha1.ConditionType) metav1.Condition {
	if c := meta.FindStatusCondition(list, string(kind)); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// Truncate cuts s to at most n bytes at a character's border.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
