package applying

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// Reporter writes how reconciliations end.
type Reporter struct {
	Client   client.Client
	Clock    clock.PassiveClock
	Recorder events.EventRecorder
}

// Report is what one reconciliation has to tell.
type Report[T client.Object] struct {
	Before, After T                   // as the object was read, and as it is now
	Conditions    *[]metav1.Condition // of After
	Observed      *int64              // of After: the generation that its status describes
	Outcome       *conditions.Outcome // what was found out; nil beside an error
	Err           error               // what nobody expected
	Wait          time.Duration       // when to look again; zero means not by itself

	// Done is what was done to other objects: it is told even where the status could not be
	// written, for the next look finds it done and would not tell.
	Done []Event

	// Events compares the two; nil tells nothing.
	Events func(before, after T) []Event
}

// End writes the status by one patch, tells what has changed, and says when to look again.
// An error shows as InternalError: an old condition beside it would claim what nobody knows.
func End[T client.Object](ctx context.Context, w Reporter, r Report[T]) (ctrl.Result, error) {
	now, generation := w.Clock.Now(), r.After.GetGeneration()
	switch {
	case r.Err != nil && !passing(r.Err):
		internalError(r.Err).Write(r.Conditions, generation, now)
	case r.Err == nil && r.Outcome != nil:
		*r.Observed = generation
		r.Outcome.Write(r.Conditions, generation, now)
	}
	w.tell(r.After, r.Done)
	retry, err := Status(ctx, w.Client, r.Before, r.After)
	if err == nil && retry == 0 && r.Events != nil {
		w.tell(r.After, r.Events(r.Before, r.After))
	}
	if err := FirstError(r.Err, err); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: Sooner(retry, r.Wait)}, nil
}

// passing tells whether an error is only a race: the next look sees what is there now.
func passing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || errors.Is(err, context.Canceled)
}

// internalError is what of an unexpected error may be read by everybody: its text may hold
// anything, the API server's word for it is one of these.
func internalError(err error) conditions.Outcome {
	const tries = "the manager tries again; its log tells more"
	switch word := apierrors.ReasonForError(err); word {
	case metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonNotFound, metav1.StatusReasonUnauthorized, metav1.StatusReasonTimeout,
		metav1.StatusReasonServerTimeout, metav1.StatusReasonTooManyRequests, metav1.StatusReasonServiceUnavailable, metav1.StatusReasonInternalError:
		return conditions.NotReady(metav1alpha1.ReasonInternalError, fmt.Sprintf("the API server answers %s; %s", word, tries))
	default:
		return conditions.NotReady(metav1alpha1.ReasonInternalError, "an error that the manager did not expect; "+tries)
	}
}

// Event is a change that people should hear of once, told by names, codes and rounded
// counts: what is written into it, everybody can read.
type Event struct {
	Type   string
	Reason metav1alpha1.ConditionReason
	Action string
	Note   string
}

// Normal is an event that nobody has to act upon.
func Normal(reason metav1alpha1.ConditionReason, action, format string, args ...any) Event {
	return Event{corev1.EventTypeNormal, reason, action, fmt.Sprintf(format, args...)}
}

// Warning is an event that somebody should look at.
func Warning(reason metav1alpha1.ConditionReason, action, format string, args ...any) Event {
	return Event{corev1.EventTypeWarning, reason, action, fmt.Sprintf(format, args...)}
}

// maxNote is what the API server takes.
const maxNote = 1024

func (w Reporter) tell(about client.Object, list []Event) {
	for _, e := range list {
		w.Recorder.Eventf(about, nil, e.Type, string(e.Reason), e.Action, "%s", conditions.Truncate(e.Note, maxNote))
	}
}
