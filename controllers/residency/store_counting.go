package residency

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
)

// maxTogether bounds how many stores count together, as `status.counting.with` does.
const maxTogether = 64

// ensureCounting finds the stores that count people together with this one, and keeps the
// certificates by which it asks them. The key is the platform team's: nobody else could give
// the same one to several namespaces.
func (r *StoreReconciler) ensureCounting(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	cs := s.store
	name := cs.Spec.Counting.KeySecretRef.Name
	if name == "" {
		cs.Status.Counting = residencyv1.CountingState{}
		return nil, nil
	}
	key, err := gather.Find[corev1.Secret](ctx, r.Client, cs.Namespace, name)
	if err != nil {
		return nil, err
	}
	if key == nil || len(key.Data["key"]) != keyBytes {
		return conditions.Stall(residencyv1.ReasonCountingKeyMissing,
			"Secret %s must hold %d bytes under `key`, the same as in the namespaces of the other stores; or take `spec.counting` away", name, keyBytes), nil
	}
	if err := r.findPeers(ctx, s); err != nil {
		return nil, err
	}
	cs.Status.Counting.With = nil
	for _, p := range s.peers {
		cs.Status.Counting.With = append(cs.Status.Counting.With, p.String())
	}
	owner, err := applying.OwnerOf(cs, r.Scheme)
	if err != nil {
		return nil, err
	}
	return nil, r.Issuer.EnsurePeers(ctx, s.peers, owner, desired.Labels(desired.Store, cs.Name))
}

// findPeers lists the stores of the same processor that say they have the same key.
func (r *StoreReconciler) findPeers(ctx context.Context, s *storeScope) error {
	all, err := gather.GovernedStores(ctx, r.Client)
	if err != nil {
		return fmt.Errorf("find peers: %w", err)
	}
	id := s.store.Status.Counting.KeyID
	for _, o := range all {
		st := o.Store
		itself := st.Namespace == s.store.Namespace && st.Name == s.store.Name
		if id == "" || itself || o.Processor != s.policy.Spec.Processor.Name || st.Status.Counting.KeyID != id || st.Spec.Counting.KeySecretRef.Name == "" {
			continue
		}
		s.peers = append(s.peers, desired.StorePeer{Namespace: st.Namespace, Name: st.Name})
	}
	slices.SortFunc(s.peers, func(a, b desired.StorePeer) int { return strings.Compare(a.String(), b.String()) })
	s.peers = first(s.peers, maxTogether)
	return nil
}
