package residency

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/storeclient"
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
		conditions.Remove(&cs.Status.Conditions, residencyv1.ConditionCountedTogether)
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

// findPeers lists the stores of the same processor that say they have the same key. One that
// comes or goes is seen at the next look: until then it is added up.
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

// tellCounting takes down which key the store has, and compares once, so that people see whether it works before a transfer depends on it.
func (r *StoreReconciler) tellCounting(ctx context.Context, s *storeScope) {
	cs := s.store
	if cs.Spec.Counting.KeySecretRef.Name == "" {
		return
	}
	if id := s.answer.GetCountingKeyId(); id != cs.Status.Counting.KeyID { // the peers are those of another key
		cs.Status.Counting, s.peers = residencyv1.CountingState{KeyID: id}, nil
	}
	status, why := metav1.ConditionFalse, residencyv1.ReasonNoPeer
	message := "no other store of processor " + s.policy.Spec.Processor.Name + " is known to hold this key (`status.counting.keyID`)"
	if len(s.peers) > 0 {
		_, err := gather.Elsewhere(ctx, r.Stores, cs)
		switch {
		case err == nil:
			status, why, message = metav1.ConditionTrue, residencyv1.ReasonCountersCompared, fmt.Sprintf("everybody counts once in these %d stores", len(s.peers)+1)
		case storeclient.Word(err) == string(residencyv1.ReasonCountingDiffers):
			why, message = residencyv1.ReasonCountingDiffers, "a store of `status.counting.with` holds another key or counts for another processor; until that is mended their numbers are added up"
		default:
			why, message = residencyv1.ReasonPeerUnavailable, "a store of `status.counting.with` cannot be asked; their numbers are added up until it can (new certificates take about a minute to arrive)"
		}
	}
	conditions.Set(&cs.Status.Conditions, cs.Generation, r.Clock.Now(), residencyv1.ConditionCountedTogether, status, why, message)
}
