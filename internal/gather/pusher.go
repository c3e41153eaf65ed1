package gather

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
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
	CallTimeout  = 5 * time.Second
	CountTimeout = 20 * time.Second // counting looks at everybody
	PlanTimeout  = 2 * time.Minute  // a plan decides about everybody and writes it down

	// atOnce is how many stores are pushed to at a time. They do not cost: they wait.
	atOnce = 64
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

	turns sync.Map // of chan struct{}, by store: who holds its one place may push
}

// PushAll pushes to several stores at the same time, so that one that hangs keeps no hold
// from the others. The errors are in the order of the stores.
func (p *Pusher) PushAll(ctx context.Context, stores []residencyv1.ConsentStore) []error {
	errs := make([]error, len(stores))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range stores {
		g.Go(func() error {
			_, errs[i] = p.Push(ctx, &stores[i])
			return nil
		})
	}
	_ = g.Wait() // each store has its own error
	return errs
}

// Push gathers and sends the bundle, and returns its hash. Gathering and sending are one
// step per store, so that an older view never arrives after a newer one. It takes at most
// CallTimeout, the wait for another push to the same store included.
func (p *Pusher) Push(ctx context.Context, store *residencyv1.ConsentStore) (string, error) {
	if store.Status.LedgerID == "" {
		return "", ErrNoLedger
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	done, err := p.turn(ctx, types.NamespacedName{Namespace: store.Namespace, Name: store.Name})
	if err != nil {
		return "", err
	}
	defer done()
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
	res, err := c.PushBundle(ctx, &storev1.PushBundleRequest{LedgerId: store.Status.LedgerID, Bundle: Bundle(in)})
	if err != nil {
		return "", fmt.Errorf("push bundle: %w", err)
	}
	return res.GetHash(), nil
}

// turn waits until nobody else pushes to the store.
func (p *Pusher) turn(ctx context.Context, store types.NamespacedName) (done func(), err error) {
	place, _ := p.turns.LoadOrStore(store, make(chan struct{}, 1))
	turn := place.(chan struct{})
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another push: %w", ctx.Err())
	}
}
