package residency

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	domain "github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/explain"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/law"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// expire ends a transfer that had not started by its time. The Job is looked for first: one
// that was made is followed, even where a crash kept the status from saying so.
func (r *TransferReconciler) expire(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	t, err := s.transfer, error(nil)
	if s.job, err = gather.Find[batchv1.Job](ctx, r.Client, t.Namespace, desired.TransferName(t.Name)); err != nil {
		return nil, err
	}
	s.looked = true
	by, now := t.Spec.StartByTime, r.Clock.Now()
	if s.started() || by.IsZero() || now.Before(by.Time) {
		return nil, nil
	}
	t.Status.CompletionTime, t.Status.Reserved = metav1.NewTime(now), residencyv1.TransferReservation{}
	return conditions.Stall(residencyv1.ReasonStartByTimePassed, "had not started by %s, and will not any more; status.refusals tells what was in its way, if a rule was", stamp(by.Time)), nil
}

func (r *TransferReconciler) gather(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	t, err := s.transfer, error(nil)
	if s.policy, err = gather.Policy(ctx, r.Client, t.Namespace); err != nil {
		return nil, err
	}
	if s.store, err = gather.Find[residencyv1.ConsentStore](ctx, r.Client, t.Namespace, t.Spec.StoreRef.Name); err != nil {
		return nil, err
	}
	if s.mechanism, err = gather.Find[residencyv1.TransferMechanism](ctx, r.Client, t.Namespace, t.Spec.MechanismRef.Name); err != nil {
		return nil, err
	}
	var holds residencyv1.RegulatoryHoldList
	if err := r.Client.List(ctx, &holds); err != nil {
		return nil, fmt.Errorf("list regulatory holds: %w", err)
	}
	s.holds = holds.Items
	if s.store == nil {
		return conditions.Stall(metav1alpha1.ReasonStoreMissing, "no ConsentStore %s in this namespace: correct `spec.storeRef` in another DataTransfer", t.Spec.StoreRef.Name), nil
	}
	if s.notice, err = gather.PublishedNotice(ctx, r.Client, s.store); err != nil {
		return nil, err
	}
	if s.leadModel, err = r.leadModelOf(ctx, s.store); err != nil {
		return nil, err
	}
	if s.policy != nil && !conditions.True(s.store.Status.Conditions, metav1alpha1.ConditionReady, s.store.Generation) {
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s is not ready", s.store.Name), nil
	}
	return nil, nil
}

// leadModelOf names the model that scores a store's people; the first one by name counts.
func (r *TransferReconciler) leadModelOf(ctx context.Context, cs *residencyv1.ConsentStore) (string, error) {
	var models marketingv1.LeadModelList
	if err := r.Client.List(ctx, &models, client.InNamespace(cs.Namespace)); err != nil {
		return "", fmt.Errorf("list lead models: %w", err)
	}
	var names []string
	for _, m := range models.Items {
		if m.Spec.StoreRef.Name == cs.Name {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return slices.Min(names), nil
}

// pack is the rules by which the policy decides, nil when they are not known.
func (s *transferScope) pack() *domain.Pack {
	if s.policy == nil {
		return nil
	}
	return law.Named(s.policy.Spec.RulePack)
}

// started tells whether the Job was made: from then on the decision stands.
func (s *transferScope) started() bool { return s.job != nil || !s.transfer.Status.StartTime.IsZero() }

func (r *TransferReconciler) decide(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	if s.started() {
		return nil, nil
	}
	in := gather.TransferInput{Now: r.Clock.Now(), Transfer: s.transfer, Policy: s.policy, Notice: s.notice, Mechanism: s.mechanism, Holds: s.holds}
	if s.policy != nil {
		facts, err := r.facts(ctx, s)
		if err != nil {
			return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not tell the facts of this transfer yet", s.store.Name), nil //nolint:nilerr // waiting for the store is an outcome
		}
		in.Store = facts
		if s.beside, err = r.Meter.Beside(ctx, s.transfer, s.policy); err != nil {
			return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "another ConsentStore of the processor does not tell its counters, so that the year is not known"), nil //nolint:nilerr // waiting for the store is an outcome
		}
		in.Beside = s.beside
	}
	f := gather.TransferFacts(in)
	d := transfer.Decide(f)
	s.decided = true
	st := &s.transfer.Status
	st.Mechanism, st.Ground, st.Warnings = d.Mechanism, d.Ground, explain.Refusals(s.pack(), d.Warnings)
	if !d.Allowed() {
		return s.refuse(explain.Refusals(s.pack(), d.Public()), r.Clock.Now()), nil
	}
	if outcome := s.reserve(f.Asked(), r.Clock.Now()); outcome != nil {
		return outcome, nil
	}
	in.Beside = in.Beside.WithLater()
	if s.contested = !transfer.Decide(gather.TransferFacts(in)).Allowed(); s.contested {
		return conditions.Wait(residencyv1.ReasonTransferStarting, "allowed; another transfer that was allowed a moment later gives way first, as both together would cross a line"), nil
	}
	return nil, nil
}

// release gives back what was reserved where nothing could be decided: others would wait for a
// transfer that cannot go on.
func (s *transferScope) release() {
	if st := &s.transfer.Status; s.looked && !s.decided && !s.started() && st.CompletionTime.IsZero() && st.Decision == residencyv1.DecisionAllowed {
		st.Decision, st.DecidedTime, st.Reserved = "", metav1.Time{}, residencyv1.TransferReservation{}
	}
}

// reserve writes down what the transfer takes of the year, before anything is done by it.
// The next look decides again, with everything that others wrote down meanwhile.
func (s *transferScope) reserve(asked transfer.Counter, now time.Time) *conditions.Outcome {
	st := &s.transfer.Status
	held := st.Decision == residencyv1.DecisionAllowed
	st.Reserved = residencyv1.TransferReservation{NonSensitive: &asked.NonSensitive, Sensitive: &asked.Sensitive}
	if held {
		return nil
	}
	st.Decision, st.DecidedTime, st.Refusals = residencyv1.DecisionAllowed, metav1.NewTime(now), nil
	s.reserved = true
	return conditions.Wait(residencyv1.ReasonTransferStarting, "allowed; the year's counters are reserved")
}

func (r *TransferReconciler) facts(ctx context.Context, s *transferScope) (*storev1.GetTransferFactsResponse, error) {
	// the store decides by its own view: it must be no older than ours
	if _, err := r.Pusher.Push(ctx, s.store); err != nil {
		return nil, err
	}
	c, err := r.Stores.Control(ctx, s.store.Namespace, s.store.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, gather.CountTimeout)
	defer cancel()
	return c.GetTransferFacts(ctx, &storev1.GetTransferFactsRequest{Spec: gather.TransferSpec(s.transfer, s.leadModel)})
}

// declare tells the store, which decides by itself. What cannot run is refused before.
func (r *TransferReconciler) declare(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	if s.started() {
		return nil, nil
	}
	t := s.transfer
	p, err := targetOf(t.Spec.Destination)
	if err != nil {
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "`spec.destination` cannot be used: its address has no valid host and port"), nil
	}
	if outcome, err := r.credentials(ctx, t.Namespace, p); err != nil || outcome != nil {
		return outcome, err
	}
	c, err := r.Stores.Control(ctx, t.Namespace, s.store.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, gather.CallTimeout)
	defer cancel()
	answer, err := c.DeclareTransfer(ctx, &storev1.DeclareTransferRequest{
		Spec:      gather.TransferSpec(t, s.leadModel),
		Elsewhere: &storev1.Persons{NonSensitive: s.beside.Counted.NonSensitive, Sensitive: s.beside.Counted.Sensitive},
	})
	if err != nil {
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not take the declaration yet", s.store.Name), nil
	}
	if answer.GetTransfer().GetState() == stateRefused {
		return s.refuse(explainStore(s.pack(), answer.GetTransfer().GetRefusals()), r.Clock.Now()), nil
	}
	return nil, nil
}

// start makes the Job, and with it the decision final.
func (r *TransferReconciler) start(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	t, now := s.transfer, metav1.NewTime(r.Clock.Now())
	if s.policy == nil { // taken away since: nothing may be pinned any more, so nothing is made
		return conditions.Stall(metav1alpha1.ReasonPolicyMissing, "label the namespace with %s=<name of an existing ResidencyPolicy>", metav1alpha1.PolicyLabel), nil
	}
	owner, err := applying.OwnerOf(t, r.Scheme)
	if err != nil {
		return nil, err
	}
	role := identity.Role{Kind: kindOf(t), Namespace: t.Namespace, Store: s.store.Name, Name: t.Name, Run: string(t.UID)}
	if err := r.Issuer.EnsureLeaf(ctx, role, desired.TransferTLSName(t.Name), owner, desired.Labels(desired.Transfer, t.Name)); err != nil {
		return nil, err
	}
	in, p, err := r.wanted(s, owner)
	if err != nil {
		return nil, err
	}
	if s.job != nil { // its template is immutable: what was made is followed, not made anew
		t.Status.JobName = s.job.Name
		s.allowed(now)
		return nil, r.reroute(ctx, s, in, p)
	}
	if err := r.locate(ctx, &p, nil); err != nil {
		return conditions.Wait(residencyv1.ReasonDestinationUnreachable, "the name of the destination has no address outside: correct its DNS, or name its networks in `spec.destination.cidrs` of another DataTransfer"), nil //nolint:nilerr // waiting for a name is an outcome
	}
	in.Destination = p.Destination
	children, err := desired.TransferChildren(in)
	if err != nil {
		return nil, err
	}
	if err := applying.Children(ctx, r.Client, children...); err != nil {
		return nil, err
	}
	t.Status.JobName = desired.TransferName(t.Name)
	s.allowed(now)
	return nil, nil
}

// kindOf is the role of the Job's certificate: a transfer of counts gets one that opens no row.
func kindOf(t *residencyv1.DataTransfer) identity.Kind {
	if len(t.Spec.Aggregates) > 0 {
		return identity.Aggregate
	}
	return identity.Transfer
}

// wanted is what the children are made of, but for the addresses of the destination.
func (r *TransferReconciler) wanted(s *transferScope, owner desired.Owner) (desired.TransferInput, target, error) {
	t := s.transfer
	p, err := targetOf(t.Spec.Destination)
	in := desired.TransferInput{
		Owner: owner, Placement: gather.Placement(s.policy), Platform: r.Platform, Store: s.store.Name, TransferID: string(t.UID),
		Recipient: t.Spec.Recipient.Name, Format: string(t.Spec.Format), Destination: p.Destination, CredentialsSecret: p.secret,
		Limits: desired.TransferLimits{Bytes: t.Spec.Limits.Bytes, BytesPerSecond: t.Spec.Limits.BytesPerSecond, People: int(t.Spec.Limits.PeoplePerObject)},
	}
	for _, f := range t.Spec.Fields {
		in.Fields = append(in.Fields, string(f))
	}
	for _, a := range t.Spec.Aggregates {
		in.Aggregates = append(in.Aggregates, string(a))
	}
	for _, k := range t.Spec.EncryptFor {
		in.EncryptFor = append(in.EncryptFor, string(k))
	}
	return in, p, err
}

// allowed notes the decision once, with the start that makes it final.
func (s *transferScope) allowed(now metav1.Time) {
	if st := &s.transfer.Status; st.StartTime.IsZero() {
		st.StartTime, st.Decision, st.Refusals = now, residencyv1.DecisionAllowed, nil
		if st.DecidedTime.IsZero() {
			st.DecidedTime = now
		}
	}
}

// follow asks the store how far the transfer is.
func (r *TransferReconciler) follow(ctx context.Context, s *transferScope) (*conditions.Outcome, error) {
	c, err := r.Stores.Control(ctx, s.transfer.Namespace, s.store.Name)
	if err != nil {
		return nil, err
	}
	x, err := getTransfer(ctx, c, string(s.transfer.UID))
	if err != nil {
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not answer", s.store.Name), nil //nolint:nilerr // waiting for the store is an outcome
	}
	s.record(x)
	return s.observe(x, r.Clock.Now()), nil
}

func getTransfer(ctx context.Context, c storev1connect.ControlServiceClient, id string) (*storev1.Transfer, error) {
	ctx, cancel := context.WithTimeout(ctx, gather.CallTimeout)
	defer cancel()
	answer, err := c.GetTransfer(ctx, &storev1.GetTransferRequest{TransferId: id})
	return answer.GetTransfer(), err
}

// wait tells when to look again at what cannot be watched, and at the time by which the
// transfer must have started.
func (s *transferScope) wait(now time.Time) time.Duration {
	st := s.transfer.Status
	switch {
	case !st.CompletionTime.IsZero():
		return 0
	case s.reserved:
		return atOnce
	case s.contested:
		return contestInterval
	case s.started():
		return applying.Jitter(s.transfer.UID, followInterval)
	}
	by := next(now, s.transfer.Spec.StartByTime.Time)
	if st.Decision == residencyv1.DecisionRefused { // people may agree or withdraw
		return applying.Sooner(by, applying.Jitter(s.transfer.UID, policyInterval))
	}
	return applying.Sooner(by, applying.Jitter(s.transfer.UID, retryInterval))
}

const (
	followInterval = 3 * time.Second
	atOnce         = time.Millisecond // what was just written down is looked at again

	contestInterval = 500 * time.Millisecond // until who was allowed later has looked again
)
