package gather

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// Meter reads what a processor's other stores have sent out, and what is on its way there.
// Each store counts its people exactly; across stores the same person may be counted in
// each, so that the sum is never below the truth.
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
}

// Beside adds up for a transfer. A store of the same processor that does not answer is an
// error: what it counted is not known.
func (m *Meter) Beside(ctx context.Context, x *residencyv1.DataTransfer, policy *residencyv1.ResidencyPolicy) (Beside, error) {
	others, err := m.others(ctx, x)
	if err != nil || len(others) == 0 {
		return Beside{}, err
	}
	var out Beside
	counts := make([]*storev1.GetCountersResponse, len(others))
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, o := range others {
		g.Go(func() error {
			var err error
			if counts[i], err = m.ask(asking, o.store, x.Spec.Recipient.Name); err != nil && o.processor == policy.Spec.Processor.Name {
				return fmt.Errorf("ask store %s/%s: %w", o.store.Namespace, o.store.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Beside{}, err
	}
	for i, o := range others {
		if o.processor == policy.Spec.Processor.Name {
			out.Counted = out.Counted.Plus(persons(counts[i].GetCounted()))
		}
		out.Recent = out.Recent.Plus(persons(counts[i].GetRecent()))
	}
	err = m.reserved(ctx, x, others, policy, &out)
	return out, err
}

func persons(p *storev1.Persons) transfer.Counter {
	return transfer.Counter{NonSensitive: p.GetNonSensitive(), Sensitive: p.GetSensitive()}
}

// other is a store beside the one that a transfer is of.
type other struct {
	store     *residencyv1.ConsentStore
	processor string
}

// others lists the stores of the cluster that have a ledger and a policy, but for the
// transfer's own.
func (m *Meter) others(ctx context.Context, x *residencyv1.DataTransfer) ([]other, error) {
	var stores residencyv1.ConsentStoreList
	if err := m.Cache.List(ctx, &stores); err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	var namespaces corev1.NamespaceList
	var policies residencyv1.ResidencyPolicyList
	for _, l := range []client.ObjectList{&namespaces, &policies} {
		if err := m.Cache.List(ctx, l); err != nil {
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
	var out []other
	for i := range stores.Items {
		s := &stores.Items[i]
		own := s.Namespace == x.Namespace && s.Name == x.Spec.StoreRef.Name
		if processor := governs[s.Namespace]; !own && processor != "" && s.Status.LedgerID != "" {
			out = append(out, other{s, processor})
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
// that were allowed before this one and will run. Two that are decided at the same time
// therefore cannot both believe to be alone.
func (m *Meter) reserved(ctx context.Context, x *residencyv1.DataTransfer, others []other, policy *residencyv1.ResidencyPolicy, out *Beside) error {
	var list residencyv1.DataTransferList
	if err := m.Live.List(ctx, &list); err != nil {
		return fmt.Errorf("list transfers: %w", err)
	}
	processors := map[client.ObjectKey]string{}
	for _, o := range others {
		processors[client.ObjectKeyFromObject(o.store)] = o.processor
	}
	for i := range list.Items {
		o := &list.Items[i]
		processor, beside := processors[client.ObjectKey{Namespace: o.Namespace, Name: o.Spec.StoreRef.Name}]
		if !beside || !open(o, x) {
			continue
		}
		asked := reservation(o)
		if processor == policy.Spec.Processor.Name {
			out.Counted = out.Counted.Plus(asked)
		}
		if o.Spec.Recipient.Name == x.Spec.Recipient.Name {
			out.Recent = out.Recent.Plus(asked)
		}
	}
	return nil
}

// open tells whether o takes its share before x does: it has started, or it was allowed and
// is the older of the two.
func open(o, x *residencyv1.DataTransfer) bool {
	st := o.Status
	switch {
	case !st.CompletionTime.IsZero() || o.UID == x.UID:
		return false
	case !st.StartTime.IsZero():
		return true
	case st.Decision != residencyv1.DecisionAllowed:
		return false
	}
	mine := x.Status.DecidedTime
	if x.Status.Decision != residencyv1.DecisionAllowed || st.DecidedTime.Time.Equal(mine.Time) {
		return x.Status.Decision != residencyv1.DecisionAllowed || o.UID < x.UID
	}
	return st.DecidedTime.Time.Before(mine.Time)
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
