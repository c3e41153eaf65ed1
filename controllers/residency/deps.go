// Package residency holds the controllers of the group residency.maodian.dev: one file set
// a kind, each of the same shape: gather, decide, apply, and one status patch at the end.
package residency

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/issuing"
	"github.com/maodian-dev/maodian/internal/proving"
	"github.com/maodian-dev/maodian/internal/watching"
)

// Deps is what the controllers of this group work with.
type Deps struct {
	Client   client.Client // must not cache Secrets
	Scheme   *runtime.Scheme
	Clock    clock.PassiveClock
	Issuer   issuing.Issuer
	Stores   gather.Stores
	Pusher   *gather.Pusher
	Meter    *gather.Meter
	Platform desired.Platform
	Resolver Resolver
	// ExtraCA is PEM that data-plane pods trust beside the well-known authorities.
	ExtraCA string
	// Manager is the user name under which the manager acts.
	Manager string
	// Prover tries whether the guard is in force, under the user name ProberUser.
	Prover     Prover
	ProberUser string
	// NewID makes identities of ledgers, NewKey 32 random bytes.
	NewID  func() string
	NewKey func() ([]byte, error)

	Recorder events.EventRecorder
	// Evidence keeps what was found outside; nil keeps nothing.
	Evidence Evidence
	// Metrics is where the gauges are registered; nil shows none.
	Metrics prometheus.Registerer
}

// Prover asks the API servers what they refuse.
type Prover interface {
	// Minor returns the minor version of the server, 37 of 1.37.
	Minor() (int, error)
	// Prove tries an attack for each topic in a governed namespace; with an empty one only
	// what stands in no namespace.
	Prove(ctx context.Context, p *residencyv1.ResidencyPolicy, namespace string) (proving.Proof, error)
}

func (d Deps) reporter() applying.Reporter {
	return applying.Reporter{Client: d.Client, Clock: d.Clock, Recorder: d.Recorder}
}

// Waits. Objects and stores that cannot be watched are looked at again after them.
const (
	storeInterval  = 30 * time.Second // bundles go out at least every minute
	retryInterval  = 5 * time.Second
	policyInterval = time.Minute
)

// SetupWithManager registers every controller of the group.
func SetupWithManager(m ctrl.Manager, d Deps) error {
	return errors.Join(
		(&PolicyReconciler{Deps: d}).setup(m),
		(&StoreReconciler{d}).setup(m),
		(&NoticeReconciler{d}).setup(m),
		(&MechanismReconciler{d}).setup(m),
		(&ExceptionReconciler{d}).setup(m),
		(&HoldReconciler{d}).setup(m),
		(&TransferReconciler{d}).setup(m),
		(&ScheduleReconciler{d}).setup(m),
	)
}

// governedBy maps an object of a namespace to the policy that the namespace names.
func governedBy(c client.Reader) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		var ns corev1.Namespace
		if err := c.Get(ctx, client.ObjectKey{Name: o.GetNamespace()}, &ns); err != nil {
			return nil
		}
		return watching.Named("", ns.Labels[metav1alpha1.PolicyLabel])
	}
}

// labelled maps an object to the policy that its own label names.
func labelled() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return watching.Named("", o.GetLabels()[metav1alpha1.PolicyLabel])
	})
}
