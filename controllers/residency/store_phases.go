package residency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/issuing"
)

// keyBytes is the size of the key that wraps the key of each person.
const keyBytes = 32

func (r *StoreReconciler) gather(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	cs := s.store
	var err error
	if s.policy, err = gather.Policy(ctx, r.Client, cs.Namespace); err != nil {
		return nil, err
	}
	if s.notice, err = gather.Find[residencyv1.PrivacyNotice](ctx, r.Client, cs.Namespace, cs.Spec.NoticeRef.Name); err != nil {
		return nil, err
	}
	if s.claim, err = gather.Find[corev1.PersistentVolumeClaim](ctx, r.Client, cs.Namespace, desired.StoreClaimName(cs.Name)); err != nil {
		return nil, err
	}
	if s.pod, err = gather.Find[corev1.Pod](ctx, r.Client, cs.Namespace, desired.StorePodName(cs.Name)); err != nil {
		return nil, err
	}
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	s.nodes = nodes.Items
	if s.claim != nil && s.claim.Spec.VolumeName != "" {
		s.volume, err = gather.Find[corev1.PersistentVolume](ctx, r.Client, "", s.claim.Spec.VolumeName)
	}
	return nil, err
}

// check refuses what can never work. Nothing is made before it passes.
func (r *StoreReconciler) check(_ context.Context, s *storeScope) (*conditions.Outcome, error) {
	spec := s.store.Spec
	switch {
	case s.policy == nil:
		return conditions.Stall(metav1alpha1.ReasonPolicyMissing, "label the namespace with %s=<name of an existing ResidencyPolicy>", metav1alpha1.PolicyLabel), nil
	case spec.Engine != residencyv1.EngineSQLite:
		return conditions.Stall(residencyv1.ReasonEngineUnsupported, "`spec.engine` %s is not supported by this version: use SQLite", spec.Engine), nil
	case !strings.HasPrefix(spec.Storage.StorageClassName, s.policy.Spec.Storage.ClassPrefix):
		s.volumeTrouble = conditions.Stall(residencyv1.ReasonStorageNotMainland, "`spec.storage.storageClassName` must begin with %q, as the policy says", s.policy.Spec.Storage.ClassPrefix)
	}
	switch { // a store that runs goes on getting its bundles, holds above all
	case s.volumeTrouble != nil && !s.runs():
		return s.volumeTrouble, nil
	case s.notice == nil && s.claim == nil:
		return noticeMissing(s), nil
	}
	return nil, nil
}

func noticeMissing(s *storeScope) *conditions.Outcome {
	return conditions.Stall(residencyv1.ReasonNoticeMissing, "no PrivacyNotice %s in this namespace", s.store.Spec.NoticeRef.Name)
}

// ensureClaim makes the volume once. What is gone afterwards is never made anew: a new
// key opens nothing, and an empty ledger would deny what was promised to people.
func (r *StoreReconciler) ensureClaim(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	cs := s.store
	if s.claim == nil {
		if cs.Status.LedgerID != "" {
			return conditions.Stall(residencyv1.ReasonLedgerMissing, "claim %s is gone, and with it ledger %s: restore the volume, or create another ConsentStore",
				desired.StoreClaimName(cs.Name), cs.Status.LedgerID), nil
		}
		in, err := r.input(s, r.NewID(), true)
		if err != nil {
			return nil, err
		}
		s.claim = desired.StoreClaim(in)
		if err := r.Client.Create(ctx, s.claim); err != nil {
			return nil, fmt.Errorf("create claim: %w", err)
		}
	}
	have := s.claim.Annotations[desired.LedgerIDAnnotation]
	if have == "" || (cs.Status.LedgerID != "" && have != cs.Status.LedgerID) {
		return conditions.Stall(residencyv1.ReasonLedgerMissing, "claim %s does not hold the expected ledger %s: restore the volume", s.claim.Name, cs.Status.LedgerID), nil
	}
	cs.Status.LedgerID = have
	return nil, r.growClaim(ctx, s)
}

func (r *StoreReconciler) ensureKey(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	name := s.store.Spec.Encryption.KeySecretRef.Name
	key, err := gather.Find[corev1.Secret](ctx, r.Client, s.store.Namespace, name)
	switch {
	case err != nil:
		return nil, err
	case key != nil && len(key.Data["key"]) == keyBytes:
		return nil, nil
	case key != nil:
		return conditions.Stall(residencyv1.ReasonEncryptionKeyMissing, "Secret %s must hold %d bytes under `key`", name, keyBytes), nil
	case s.claim != nil || s.store.Status.LedgerID != "":
		return conditions.Stall(residencyv1.ReasonEncryptionKeyMissing, "Secret %s is gone: restore it from a backup; a new key could open nothing", name), nil
	}
	raw, err := r.NewKey()
	if err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	secret := &corev1.Secret{ // no owner: it outlives the ConsentStore, as the volume does
		ObjectMeta: metav1.ObjectMeta{Namespace: s.store.Namespace, Name: name, Labels: desired.Labels(desired.Store, s.store.Name)},
		Data:       map[string][]byte{"key": raw},
	}
	if err := r.Client.Create(ctx, secret); err != nil {
		return nil, fmt.Errorf("create key: %w", err)
	}
	return nil, nil
}

// growClaim passes a larger size on. Where that is refused, the class cannot grow, and the
// store goes on with what it has.
func (r *StoreReconciler) growClaim(ctx context.Context, s *storeScope) error {
	want, err := resource.ParseQuantity(s.store.Spec.Storage.Size)
	if err != nil {
		return fmt.Errorf("read size: %w", err)
	}
	if have := s.claim.Spec.Resources.Requests[corev1.ResourceStorage]; want.Cmp(have) <= 0 {
		return nil
	}
	patch := fmt.Appendf(nil, `{"spec":{"resources":{"requests":{"storage":%q}}}}`, want.String())
	err = r.Client.Patch(ctx, s.claim, client.RawPatch(types.MergePatchType, patch))
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
		if s.volumeTrouble == nil {
			s.volumeTrouble = conditions.Fail(residencyv1.ReasonClaimNotGrown, "claim %s may not grow to %s (the API server answers %s): does StorageClass %s allow volume expansion?",
				s.claim.Name, want.String(), apierrors.ReasonForError(err), s.store.Spec.Storage.StorageClassName)
		}
	case err != nil:
		return fmt.Errorf("grow claim: %w", err)
	}
	return nil
}

func (r *StoreReconciler) ensureCertificates(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	cs := s.store
	if err := r.Issuer.EnsureAuthority(ctx, cs.Namespace, cs.Name); err != nil {
		if errors.Is(err, applying.ErrForeign) {
			return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "another store has the name of this one joined with its namespace: rename one (Secret %s)",
				issuing.SecretName(cs.Namespace, cs.Name)), nil
		}
		return nil, err
	}
	owner, err := applying.OwnerOf(cs, r.Scheme)
	if err != nil {
		return nil, err
	}
	for kind, secret := range map[identity.Kind]string{identity.Store: desired.StoreTLSName(cs.Name), identity.Officer: desired.OfficerTLSName(cs.Name)} {
		role := identity.Role{Kind: kind, Namespace: cs.Namespace, Store: cs.Name}
		if err := r.Issuer.EnsureLeaf(ctx, role, secret, owner, desired.Labels(desired.Store, cs.Name)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (r *StoreReconciler) input(s *storeScope, ledger string, create bool) (desired.StoreInput, error) {
	owner, err := applying.OwnerOf(s.store, r.Scheme)
	if err != nil {
		return desired.StoreInput{}, err
	}
	size, err := resource.ParseQuantity(s.store.Spec.Storage.Size)
	if err != nil {
		return desired.StoreInput{}, fmt.Errorf("read size: %w", err)
	}
	return desired.StoreInput{
		Owner: owner, Placement: gather.Placement(s.policy), Platform: r.Platform, StorageClass: s.store.Spec.Storage.StorageClassName, Size: size,
		CountingSecret: s.store.Spec.Counting.KeySecretRef.Name, Peers: s.peers,
		KeySecret: s.store.Spec.Encryption.KeySecretRef.Name, Algorithm: string(s.store.Spec.Encryption.Algorithm), LedgerID: ledger, CreateLedger: create,
	}, nil
}

func (r *StoreReconciler) applyChildren(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	create := s.claim.Annotations[desired.LedgerStateAnnotation] == desired.LedgerCreating
	in, err := r.input(s, s.store.Status.LedgerID, create)
	if err != nil {
		return nil, err
	}
	children, err := desired.StoreChildren(in)
	if err != nil {
		return nil, err
	}
	if r.ExtraCA != "" {
		children = append(children, desired.ExtraCA(s.store.Namespace, r.ExtraCA))
	}
	s.store.Status.Endpoint = desired.StoreDNS(s.store.Namespace, s.store.Name)
	return nil, applying.Children(ctx, r.Client, children...)
}

// push gives the store its view and asks how it is. A store that does not answer is not an
// error: the proof of placement tells more about why.
func (r *StoreReconciler) push(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	cs := s.store
	if s.pod == nil || s.pod.Spec.NodeName == "" {
		return nil, nil
	}
	hash, err := r.Pusher.Push(ctx, cs)
	if err != nil {
		return s.either(r.unanswered(s, err)), nil
	}
	if cs.Status.Bundle.Hash != hash {
		cs.Status.Bundle = residencyv1.BundleState{Hash: hash, PushedTime: metav1.NewTime(r.Clock.Now())}
	}
	if s.answer, err = storeStatus(ctx, r.Stores, cs); err != nil {
		return s.either(r.unanswered(s, err)), nil
	}
	if s.answer.GetLedgerId() != cs.Status.LedgerID {
		return conditions.Stall(residencyv1.ReasonLedgerMissing, "the store answers with another ledger than %s: restore the volume", cs.Status.LedgerID), nil
	}
	size, bytes := s.answer.GetLogSize(), s.answer.GetSizeBytes()
	cs.Status.Ledger = residencyv1.LedgerState{
		Size: &size, RootHash: s.answer.GetLogRoot(), SizeBytes: &bytes, VerifierKey: s.answer.GetVerifierKey(), Checkpoint: s.answer.GetCheckpoint(),
	}
	cs.Status.Subjects = metav1alpha1.PeopleCount(s.answer.GetSubjects())
	r.tellRequests(s)
	r.tellRecipients(s)
	r.tellCounting(ctx, s)
	cs.Status.Notice = takenNotice(s.answer)
	return nil, r.settleLedger(ctx, s)
}

// settleLedger notes beside the volume that the ledger is there: from now on a store that
// finds none refuses to start.
func (r *StoreReconciler) settleLedger(ctx context.Context, s *storeScope) error {
	if s.troubled || s.claim.Annotations[desired.LedgerStateAnnotation] == desired.LedgerCreated {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{desired.LedgerStateAnnotation: desired.LedgerCreated}}})
	if err != nil {
		return fmt.Errorf("render ledger state: %w", err)
	}
	if err := r.Client.Patch(ctx, s.claim, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("note ledger state: %w", err)
	}
	return nil
}

// either prefers what is known about the place to what is known about the answer.
func (s *storeScope) either(other *conditions.Outcome) *conditions.Outcome {
	if s.placed != nil {
		return s.placed
	}
	return other
}

func (r *StoreReconciler) conclude(_ context.Context, s *storeScope) (*conditions.Outcome, error) {
	switch {
	case s.placed != nil:
		return s.placed, nil
	case s.volumeTrouble != nil && s.volumeTrouble.Reason == residencyv1.ReasonStorageNotMainland:
		return s.volumeTrouble, nil
	case s.notice == nil:
		return noticeMissing(s), nil
	case s.answer.GetNoticeRefused():
		return noticeRefused(s), nil
	}
	p := s.store.Status.ProofOfPlacement
	o := conditions.Ready(residencyv1.ReasonPlacementProven, fmt.Sprintf("runs on node %s in %s, rests on volume %s", p.Node, p.NodeRegion, p.PersistentVolume))
	return &o, nil
}
