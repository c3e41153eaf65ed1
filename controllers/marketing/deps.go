// Package marketing holds the controllers of the group marketing.maodian.dev: one file set
// a kind, each of the same shape: gather, decide, apply, and one status patch at the end.
package marketing

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/issuing"
)

// Deps is what the controllers of this group work with.
type Deps struct {
	Client   client.Client // must not cache Secrets
	Scheme   *runtime.Scheme
	Clock    clock.PassiveClock
	Issuer   issuing.Issuer
	Stores   gather.Stores
	Pusher   *gather.Pusher
	Platform desired.Platform
	Gateways Gateways
	Recorder events.EventRecorder
}

func (d Deps) reporter() applying.Reporter {
	return applying.Reporter{Client: d.Client, Clock: d.Clock, Recorder: d.Recorder}
}

// Gateways asks a gateway what the platform answered to it. The manager never calls the
// platform: it may stand outside the region.
type Gateways interface {
	Status(ctx context.Context, podIP string) (GatewayStatus, error)
}

// GatewayStatus is what a gateway tells of its last check: a code and its class, no text.
type GatewayStatus struct {
	PlatformCode int32  `json:"platformCode"`
	Class        string `json:"class"`
}

// Waits. Secrets, gateways and stores are not watched; they are looked at again after them.
const (
	quietInterval  = time.Minute
	retryInterval  = 5 * time.Second
	followInterval = 2500 * time.Millisecond
)

// SetupWithManager registers every controller of the group.
func SetupWithManager(m ctrl.Manager, d Deps) error {
	return errors.Join(
		(&AccountReconciler{d}).setup(m),
		(&LeadModelReconciler{d}).setup(m),
		(&AudienceReconciler{d}).setup(m),
		(&CampaignReconciler{d}).setup(m),
		(&SendHoldReconciler{d}).setup(m),
	)
}

// storeOf finds the store that an object refers to, and tells whether it can be asked.
func (d Deps) storeOf(ctx context.Context, namespace, name string) (*residencyv1.ConsentStore, *conditions.Outcome, error) {
	cs, err := gather.Find[residencyv1.ConsentStore](ctx, d.Client, namespace, name)
	switch {
	case err != nil:
		return nil, nil, err
	case cs == nil:
		return nil, conditions.Stall(metav1alpha1.ReasonStoreMissing, "no ConsentStore %s in this namespace", name), nil
	case !conditions.True(cs.Status.Conditions, metav1alpha1.ConditionReady, cs.Generation):
		return cs, conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s is not ready", name), nil
	}
	return cs, nil, nil
}
