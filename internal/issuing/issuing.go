// Package issuing keeps the certificates of stores and their clients in Secrets: one
// authority for each store, in the manager's own namespace, and short-lived leaves beside
// the pods that mount them.
package issuing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/pki"
)

// Keys of an authority's Secret beside those of kubernetes.io/tls.
const (
	managerCert = "manager.crt"
	managerKey  = "manager.key"
	caCert      = "ca.crt"

	namespaceLabel = "residency.maodian.dev/namespace"
)

// ErrNoAuthority says that a store has no authority yet.
var ErrNoAuthority = errors.New("the store has no authority yet")

// Issuer issues. Its client must not cache Secrets.
type Issuer struct {
	Client          client.Client
	SystemNamespace string
	Clock           clock.PassiveClock
}

// SecretName names the Secret of a store's authority.
func SecretName(namespace, store string) string { return "ca-" + namespace + "-" + store }

// EnsureAuthority makes the authority of a store where there is none, and keeps the
// manager's own leaf in the same Secret current.
func (i Issuer) EnsureAuthority(ctx context.Context, namespace, store string) error {
	s, err := i.secret(ctx, namespace, store)
	if errors.Is(err, ErrNoAuthority) {
		return i.create(ctx, namespace, store)
	}
	if err != nil {
		return err
	}
	authority, role := pair(s, corev1.TLSCertKey, corev1.TLSPrivateKeyKey), managerRole(namespace, store)
	if pki.Current(pair(s, managerCert, managerKey), authority, role, i.Clock.Now()) {
		return nil
	}
	leaf, err := pki.Issue(authority, role, i.Clock.Now())
	if err != nil {
		return fmt.Errorf("issue certificate of the manager: %w", err)
	}
	before := s.DeepCopy()
	s.Data[managerCert], s.Data[managerKey] = leaf.Cert, leaf.Key
	if err := i.Client.Patch(ctx, s, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("store certificate of the manager: %w", err)
	}
	return nil
}

func (i Issuer) create(ctx context.Context, namespace, store string) error {
	authority, err := pki.NewAuthority("maodian "+namespace+"/"+store, i.Clock.Now())
	if err != nil {
		return fmt.Errorf("make authority: %w", err)
	}
	leaf, err := pki.Issue(authority, managerRole(namespace, store), i.Clock.Now())
	if err != nil {
		return fmt.Errorf("issue certificate of the manager: %w", err)
	}
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: i.SystemNamespace, Name: SecretName(namespace, store),
			Labels: map[string]string{"app.kubernetes.io/managed-by": "maodian", namespaceLabel: namespace, desired.StoreLabel: store},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey: authority.Cert, corev1.TLSPrivateKeyKey: authority.Key,
			managerCert: leaf.Cert, managerKey: leaf.Key,
		},
	}
	if err := applying.IgnoreExists(i.Client.Create(ctx, s)); err != nil {
		return fmt.Errorf("store authority: %w", err)
	}
	return nil
}

// EnsureLeaf keeps a current certificate for role in a Secret that belongs to owner.
func (i Issuer) EnsureLeaf(ctx context.Context, role identity.Role, name string, owner desired.Owner, labels map[string]string) error {
	s, err := i.secret(ctx, role.Namespace, role.Store)
	if err != nil {
		return err
	}
	authority := pair(s, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	have, err := i.owned(ctx, role.Namespace, name, owner)
	if err != nil {
		return err
	}
	if string(have.Data[caCert]) == string(authority.Cert) && pki.Current(pair(have, corev1.TLSCertKey, corev1.TLSPrivateKeyKey), authority, role, i.Clock.Now()) {
		return nil
	}
	leaf, err := pki.Issue(authority, role, i.Clock.Now())
	if err != nil {
		return fmt.Errorf("issue certificate: %w", err)
	}
	return i.write(ctx, corev1ac.Secret(name, role.Namespace).WithLabels(labels).WithType(corev1.SecretTypeTLS).
		WithData(map[string][]byte{corev1.TLSCertKey: leaf.Cert, corev1.TLSPrivateKeyKey: leaf.Key, caCert: authority.Cert}), owner)
}

// owned reads a Secret that owner has, or will have; one of somebody else is refused.
func (i Issuer) owned(ctx context.Context, namespace, name string, owner desired.Owner) (*corev1.Secret, error) {
	var have corev1.Secret
	err := i.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &have)
	switch {
	case apierrors.IsNotFound(err):
		return &have, nil
	case err == nil && !metav1.IsControlledBy(&have, &metav1.ObjectMeta{UID: owner.UID}):
		err = applying.ErrForeign
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &have, nil
}

// write applies a Secret that belongs to owner.
func (i Issuer) write(ctx context.Context, s *corev1ac.SecretApplyConfiguration, owner desired.Owner) error {
	return applying.Children(ctx, i.Client, s.WithOwnerReferences(metaac.OwnerReference().
		WithAPIVersion(owner.APIVersion).WithKind(owner.Kind).WithName(owner.Name).WithUID(owner.UID).WithController(true).WithBlockOwnerDeletion(true)))
}

// EnsurePeers keeps, in one Secret beside a store, the certificates with which it asks other
// stores: each is of the other's authority, in three files whose names begin with PeerFile.
func (i Issuer) EnsurePeers(ctx context.Context, peers []desired.StorePeer, owner desired.Owner, labels map[string]string) error {
	name := desired.PeersTLSName(owner.Name)
	have, err := i.owned(ctx, owner.Namespace, name, owner)
	if err != nil {
		return err
	}
	want := map[string][]byte{}
	for _, p := range peers {
		if err := i.peer(ctx, p, owner, have.Data, want); err != nil {
			return err
		}
	}
	if have.Name != "" && maps.EqualFunc(have.Data, want, bytes.Equal) {
		return nil
	}
	return i.write(ctx, corev1ac.Secret(name, owner.Namespace).WithLabels(labels).WithType(corev1.SecretTypeOpaque).WithData(want), owner)
}

// peer adds the files for one peer: those there are, or new ones.
func (i Issuer) peer(ctx context.Context, p desired.StorePeer, owner desired.Owner, have, want map[string][]byte) error {
	s, err := i.secret(ctx, p.Namespace, p.Name)
	if err != nil {
		return err
	}
	file := desired.PeerFile(p)
	role := identity.Role{Kind: identity.Peer, Namespace: p.Namespace, Store: p.Name, Name: owner.Namespace, Run: owner.Name}
	authority, leaf := pair(s, corev1.TLSCertKey, corev1.TLSPrivateKeyKey), pki.Pair{Cert: have[file+".crt"], Key: have[file+".key"]}
	if !pki.Current(leaf, authority, role, i.Clock.Now()) {
		if leaf, err = pki.Issue(authority, role, i.Clock.Now()); err != nil {
			return fmt.Errorf("issue certificate: %w", err)
		}
	}
	want[file+".crt"], want[file+".key"], want[file+".ca"] = leaf.Cert, leaf.Key, authority.Cert
	return nil
}

// secret reads the authority of a store, and refuses one of another store: two pairs of
// names can join to the same name.
func (i Issuer) secret(ctx context.Context, namespace, store string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := i.Client.Get(ctx, client.ObjectKey{Namespace: i.SystemNamespace, Name: SecretName(namespace, store)}, &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, ErrNoAuthority
	case err != nil:
		return nil, fmt.Errorf("read authority: %w", err)
	case s.Labels[namespaceLabel] != namespace || s.Labels[desired.StoreLabel] != store:
		return nil, fmt.Errorf("read authority: %w", applying.ErrForeign)
	}
	return &s, nil
}

func managerRole(namespace, store string) identity.Role {
	return identity.Role{Kind: identity.Manager, Namespace: namespace, Store: store}
}

func pair(s *corev1.Secret, cert, key string) pki.Pair {
	return pki.Pair{Cert: s.Data[cert], Key: s.Data[key]}
}
