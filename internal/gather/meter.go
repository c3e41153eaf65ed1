package gather

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// Meter reads what a processor's other stores have sent out, and what is on its way there.
// Each store counts its people exactly. Stores that share a counting key count together, each
// person once; the numbers of all others are added up, so that the sum is never below the truth.
type Meter struct {
	Cache client.Reader
	// Live reads transfers past the cache: a reservation that was just written must not be
	// missed.
	Live   client.Reader
	Stores Stores
}

// Beside is what is counted and reserved outside one store.
type Beside struct {
	Counted transfer.Counter // by the same processor, over the rule pack's window
	Recent  transfer.Counter // to the same recipient in twelve months, by anybody whose store answers

	// What transfers have reserved that were allowed after this one and have not started. They
	// give way; but until they did, one of them may be starting.
	laterCounted, laterRecent transfer.Counter
}

// WithLater adds what may still give way.
func (b Beside) WithLater() Beside {
	return Beside{Counted: b.Counted.Plus(b.laterCounted), Recent: b.Recent.Plus(b.laterRecent)}
}

// GovernedStore is a store with the processor whose policy governs it.
type GovernedStore struct {
	Store     *residencyv1.ConsentStore
	Processor string
}

// Beside adds up for a transfer. A store of the same processor that does not answer is an
// error: what it counted is not known.
//
// What is reserved is read first: a transfer that ends in between is in both numbers then,
// and otherwise would be in none.
func (m *Meter) Beside(ctx context.Context, x *residencyv1.DataTransfer, policy *residencyv1.ResidencyPolicy) (Beside, error) {
	all, err := GovernedStores(ctx, m.Cache)
	if err != nil {
		return Beside{}, err
	}
	own, others := apart(all, x)
	if len(others) == 0 {
		return Beside{}, nil
	}
	var out Beside
	if err := m.reserved(ctx, x, others, policy, &out); err != nil {
		return Beside{}, err
	}
	counts, err := m.askAll(ctx, others, x.Spec.Recipient.Name, policy.Spec.Processor.Name)
	if err != nil {
		return Beside{}, err
	}
	together := m.together(ctx, own)
	for i, o := range others {
		if o.Processor == policy.Spec.Processor.Name && !together.has(o.Store) {
			out.Counted = out.Counted.Plus(persons(counts[i].GetCounted()))
		}
		out.Recent = out.Recent.Plus(persons(counts[i].GetRecent()))
	}
	out.Counted = out.Counted.Plus(together.beyond)
	return out, nil
}

// askAll asks the stores at the same time. One of another processor may keep silent.
func (m *Meter) askAll(ctx context.Context, others []GovernedStore, recipient, processor string) ([]*storev1.GetCountersResponse, error) {
	counts := make([]*storev1.GetCountersResponse, len(others))
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, o := range others {
		g.Go(func() error {
			var err error
			if counts[i], err = m.ask(asking, o.Store, recipient); err != nil && o.Processor == processor {
				return fmt.Errorf("ask store %s/%s: %w", o.Store.Namespace, o.Store.Name, err)
			}
			return nil
		})
	}
	return counts, g.Wait()
}

// together is what the stores that a store counts with have counted beyond it. No store is
// in it where they could not be compared: then their numbers are added up.
type together struct {
	with   []string
	beyond transfer.Counter
}

func (t together) has(s *residencyv1.ConsentStore) bool {
	return slices.Contains(t.with, s.Namespace+"/"+s.Name)
}

func (m *Meter) together(ctx context.Context, own *residencyv1.ConsentStore) together {
	if own == nil {
		return together{}
	}
	n, err := Elsewhere(ctx, m.Stores, own)
	if err != nil {
		return together{}
	}
	return together{own.Status.Counting.With, n}
}

// errAlone says that a store counts with nobody.
var errAlone = errors.New("the store counts alone")

// Elsewhere asks a store how many people the stores that it counts with have counted beyond it.
func Elsewhere(ctx context.Context, stores Stores, s *residencyv1.ConsentStore) (transfer.Counter, error) {
	var peers []*storev1.Peer
	for _, with := range s.Status.Counting.With {
		if namespace, name, ok := strings.Cut(with, "/"); ok {
			peers = append(peers, &storev1.Peer{Namespace: namespace, Name: name, Address: desired.StoreAddress(namespace, name).Address})
		}
	}
	if len(peers) == 0 {
		return transfer.Counter{}, errAlone
	}
	c, err := stores.Control(ctx, s.Namespace, s.Name)
	if err != nil {
		return transfer.Counter{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, CountTimeout)
	defer cancel()
	answer, err := c.GetElsewhere(ctx, &storev1.GetElsewhereRequest{Peers: peers})
	if err != nil {
		return transfer.Counter{}, fmt.Errorf("compare counters: %w", err)
	}
	return persons(answer.GetCounted()), nil
}

func persons(p *storev1.Persons) transfer.Counter {
	return transfer.Counter{NonSensitive: p.GetNonSensitive(), Sensitive: p.GetSensitive()}
}

// apart parts a transfer's own store from the others.
func apart(all []GovernedStore, x *residencyv1.DataTransfer) (own *residencyv1.ConsentStore, others []GovernedStore) {
	for _, o := range all {
		if o.Store.Namespace == x.Namespace && o.Store.Name == x.Spec.StoreRef.Name {
			own = o.Store
		} else {
			others = append(others, o)
		}
	}
	return own, others
}

// GovernedStores lists the stores of the cluster that have a ledger and a policy.
func GovernedStores(ctx context.Context, c client.Reader) ([]GovernedStore, error) {
	var stores residencyv1.ConsentStoreList
	var namespaces corev1.NamespaceList
	var policies residencyv1.ResidencyPolicyList
	for _, l := range []client.ObjectList{&stores, &namespaces, &policies} {
		if err := c.List(ctx, l); err != nil {
			return nil, fmt.Errorf("list %T: %w", l, err)
		}
	}
	processors, governs := map[string]string{}, map[string]string{}
	for _, p := range policies.Items {
		processors[p.Name] = p.Spec.Processor.Name
	}
	for _, n := range namespaces.Items {
		governs[n.Name] = processors[n.Labels[metav1alpha1.PolicyLabel]]
	}
	var out []GovernedStore
	for i := range stores.Items {
		s := &stores.Items[i]
		if processor := governs[s.Namespace]; processor != "" && s.Status.LedgerID != "" {
			out = append(out, GovernedStore{s, processor})
		}
	}
	return out, nil
}

func (m *Meter) ask(ctx context.Context, s *residencyv1.ConsentStore, recipient string) (*storev1.GetCountersResponse, error) {
	c, err := m.Stores.Control(ctx, s.Namespace, s.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	return c.GetCounters(ctx, &storev1.GetCountersRequest{Recipient: recipient})
}

// reserved adds the declared maxima of transfers that run in the other stores, and of those
// that were allowed and will run. Each is written down before its transfer looks at the others:
// of two at the same time, one at least sees the other.
func (m *Meter) reserved(ctx context.Context, x *residencyv1.DataTransfer, others []GovernedStore, policy *residencyv1.ResidencyPolicy, out *Beside) error {
	var list residencyv1.DataTransferList
	if err := m.Live.List(ctx, &list); err != nil {
		return fmt.Errorf("list transfers: %w", err)
	}
	processors := map[client.ObjectKey]string{}
	for _, o := range others {
		processors[client.ObjectKeyFromObject(o.Store)] = o.Processor
	}
	for i := range list.Items {
		o := &list.Items[i]
		processor, beside := processors[client.ObjectKey{Namespace: o.Namespace, Name: o.Spec.StoreRef.Name}]
		if !beside || !open(o, x) {
			continue
		}
		asked, counted, recent := reservation(o), &out.Counted, &out.Recent
		if later(o, x) {
			counted, recent = &out.laterCounted, &out.laterRecent
		}
		if processor == policy.Spec.Processor.Name {
			*counted = counted.Plus(asked)
		}
		if o.Spec.Recipient.Name == x.Spec.Recipient.Name {
			*recent = recent.Plus(asked)
		}
	}
	return nil
}

// open tells whether o, another transfer than x, has set something aside.
func open(o, x *residencyv1.DataTransfer) bool {
	st := o.Status
	return o.UID != x.UID && st.CompletionTime.IsZero() && (!st.StartTime.IsZero() || st.Decision == residencyv1.DecisionAllowed)
}

// later tells whether o gives way to x: it has not started, and was allowed after x.
func later(o, x *residencyv1.DataTransfer) bool {
	theirs, mine := o.Status, x.Status
	switch {
	case !theirs.StartTime.IsZero() || mine.Decision != residencyv1.DecisionAllowed:
		return false
	case theirs.DecidedTime.Time.Equal(mine.DecidedTime.Time):
		return o.UID > x.UID
	}
	return theirs.DecidedTime.After(mine.DecidedTime.Time)
}

// reservation is what a transfer has set aside; one of an older manager that set nothing
// aside counts with its whole maximum.
func reservation(o *residencyv1.DataTransfer) transfer.Counter {
	r := o.Status.Reserved
	if r.NonSensitive == nil && r.Sensitive == nil {
		return transfer.Counter{NonSensitive: o.Spec.MaxPersons, Sensitive: o.Spec.MaxPersons}
	}
	return transfer.Counter{NonSensitive: deref(r.NonSensitive), Sensitive: deref(r.Sensitive)}
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
