package gather

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// Stores connects to stores. Tests put a store of their own behind it.
type Stores interface {
	Control(ctx context.Context, namespace, store string) (storev1connect.ControlServiceClient, error)
}

// Bounds of calls to a store.
const (
	CallTimeout = 10 * time.Second
	PlanTimeout = 2 * time.Minute // a plan decides about everybody
)

// Errors of a push.
var (
	ErrNoPolicy = errors.New("the namespace names no existing policy")
	ErrNoLedger = errors.New("the store has no ledger yet")
)

// Pusher gives stores their view of the cluster. Controllers that need a store to know of
// a change push it themselves before they report it as obeyed.
type Pusher struct {
	Reader client.Reader
	Stores Stores
	Clock  clock.PassiveClock

	locks sync.Map // of *sync.Mutex, by store
}

// Push gathers and sends the bundle, and returns its hash. Gathering and sending are one
// step per store, so that an older view never arrives after a newer one.
func (p *Pusher) Push(ctx context.Context, store *residencyv1.ConsentStore) (string, error) {
	if store.Status.LedgerID == "" {
		return "", ErrNoLedger
	}
	lock, _ := p.locks.LoadOrStore(types.NamespacedName{Namespace: store.Namespace, Name: store.Name}, &sync.Mutex{})
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	in, err := bundleInput(ctx, p.Reader, store)
	if err != nil {
		return "", err
	}
	if in.Policy == nil {
		return "", ErrNoPolicy
	}
	in.Now = p.Clock.Now()
	c, err := p.Stores.Control(ctx, store.Namespace, store.Name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	res, err := c.PushBundle(ctx, &storev1.PushBundleRequest{LedgerId: store.Status.LedgerID, Bundle: Bundle(in)})
	if err != nil {
		return "", fmt.Errorf("push bundle: %w", err)
	}
	return res.GetHash(), nil
}
