package issuing_test

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/issuing"
	"github.com/maodian-dev/maodian/internal/pki"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var (
	storeRole = identity.Role{Kind: identity.Store, Namespace: "brand-cn", Store: "brand-store"}
	owner     = desired.Owner{APIVersion: "residency.maodian.dev/v1alpha1", Kind: "ConsentStore", Name: "brand-store", Namespace: "brand-cn", UID: "u-1"}
)

type world struct {
	t      *testing.T
	clock  *clocktesting.FakePassiveClock
	issuer issuing.Issuer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clocktesting.NewFakePassiveClock(start)
	return &world{t, c, issuing.Issuer{Client: fake.NewClientBuilder().WithScheme(scheme.Scheme).Build(), SystemNamespace: "maodian-system", Clock: c}}
}

func (w *world) secret(namespace, name string) *corev1.Secret {
	w.t.Helper()
	var s corev1.Secret
	if err := w.issuer.Client.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return &s
}

func (w *world) ensure() {
	w.t.Helper()
	err := errors.Join(
		w.issuer.EnsureAuthority(w.t.Context(), "brand-cn", "brand-store"),
		w.issuer.EnsureLeaf(w.t.Context(), storeRole, "brand-store-store-tls", owner, nil),
	)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) authority() *corev1.Secret {
	return w.secret("maodian-system", issuing.SecretName("brand-cn", "brand-store"))
}
func (w *world) leaf() *corev1.Secret { return w.secret("brand-cn", "brand-store-store-tls") }

func TestALeafIsOfItsAuthorityAndRole(t *testing.T) {
	w := newWorld(t)
	w.ensure()
	a, l := w.authority(), w.leaf()
	if !pki.Current(pki.Pair{Cert: l.Data["tls.crt"], Key: l.Data["tls.key"]}, pki.Pair{Cert: a.Data["tls.crt"], Key: a.Data["tls.key"]}, storeRole, start) {
		t.Error("the leaf is not one of the authority for this role")
	}
	if string(l.Data["ca.crt"]) != string(a.Data["tls.crt"]) || l.Data["ca.key"] != nil {
		t.Error("the leaf must come with its authority's certificate, without the key")
	}
	if len(a.OwnerReferences) != 0 || len(l.OwnerReferences) != 1 {
		t.Errorf("owners: authority %v, leaf %v", a.OwnerReferences, l.OwnerReferences)
	}
}

func TestNothingIsIssuedBeforeItsTime(t *testing.T) {
	w := newWorld(t)
	w.ensure()
	a, l := w.authority(), w.leaf()
	w.clock.SetTime(start.Add(pki.LeafLife / 2))
	w.ensure()
	if string(w.leaf().Data["tls.crt"]) != string(l.Data["tls.crt"]) || string(w.authority().Data["manager.crt"]) != string(a.Data["manager.crt"]) {
		t.Error("issued anew too early")
	}
	w.clock.SetTime(start.Add(pki.LeafLife * 3 / 4))
	w.ensure()
	if string(w.leaf().Data["tls.crt"]) == string(l.Data["tls.crt"]) || string(w.authority().Data["manager.crt"]) == string(a.Data["manager.crt"]) {
		t.Error("not renewed in time")
	}
	if string(w.authority().Data["tls.crt"]) != string(a.Data["tls.crt"]) {
		t.Error("the authority was made anew")
	}
}

func TestALostAuthorityGivesNewLeaves(t *testing.T) {
	w := newWorld(t)
	w.ensure()
	before := w.leaf()
	if err := w.issuer.Client.Delete(t.Context(), w.authority()); err != nil {
		t.Fatal(err)
	}
	if err := w.issuer.EnsureLeaf(t.Context(), storeRole, "brand-store-store-tls", owner, nil); !errors.Is(err, issuing.ErrNoAuthority) {
		t.Errorf("err = %v", err)
	}
	w.ensure()
	if string(w.leaf().Data["ca.crt"]) == string(before.Data["ca.crt"]) {
		t.Error("the leaf is still of the lost authority")
	}
}

func TestTwoStoresNeverShareAnAuthority(t *testing.T) {
	w := newWorld(t)
	if err := w.issuer.EnsureAuthority(t.Context(), "a-b", "c"); err != nil {
		t.Fatal(err)
	}
	if err := w.issuer.EnsureAuthority(t.Context(), "a", "b-c"); !errors.Is(err, applying.ErrForeign) {
		t.Errorf("err = %v, want a refusal", err)
	}
}

func TestASecretOfSomebodyElseIsNotOverwritten(t *testing.T) {
	w := newWorld(t)
	s := &corev1.Secret{Data: map[string][]byte{"tls.crt": []byte("theirs")}}
	s.Namespace, s.Name = "brand-cn", "brand-store-store-tls"
	if err := w.issuer.Client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := w.issuer.EnsureAuthority(t.Context(), "brand-cn", "brand-store"); err != nil {
		t.Fatal(err)
	}
	if err := w.issuer.EnsureLeaf(t.Context(), storeRole, s.Name, owner, nil); !errors.Is(err, applying.ErrForeign) {
		t.Errorf("err = %v, want a refusal", err)
	}
}

func TestTheDialerKeepsAClientWhileItsCertificateStays(t *testing.T) {
	w := newWorld(t)
	d := &issuing.Dialer{Issuer: w.issuer}
	if _, err := d.Control(t.Context(), "brand-cn", "brand-store"); !errors.Is(err, issuing.ErrNoAuthority) {
		t.Errorf("err = %v", err)
	}
	w.ensure()
	first, err := d.Control(t.Context(), "brand-cn", "brand-store")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Control(t.Context(), "brand-cn", "brand-store"); err != nil || again != first {
		t.Errorf("a second client was made: %v", err)
	}
	w.clock.SetTime(start.Add(pki.LeafLife * 3 / 4))
	w.ensure()
	if renewed, err := d.Control(t.Context(), "brand-cn", "brand-store"); err != nil || renewed == first {
		t.Errorf("the old certificate is still used: %v", err)
	}
}

// peers reads the Secret with the certificates for other stores, made anew where needed.
func (w *world) peers(list ...desired.StorePeer) *corev1.Secret {
	w.t.Helper()
	if err := w.issuer.EnsurePeers(w.t.Context(), list, owner, nil); err != nil {
		w.t.Fatal(err)
	}
	return w.secret("brand-cn", "brand-store-peers-tls")
}

func TestAPeerGetsACertificateOfEachOther(t *testing.T) {
	w := newWorld(t)
	outlet, airport := desired.StorePeer{Namespace: "outlet-cn", Name: "outlet"}, desired.StorePeer{Namespace: "airport-cn", Name: "airport"}
	for _, p := range []desired.StorePeer{outlet, airport} {
		if err := w.issuer.EnsureAuthority(t.Context(), p.Namespace, p.Name); err != nil {
			t.Fatal(err)
		}
	}
	s := w.peers(outlet, airport)
	a := w.secret("maodian-system", issuing.SecretName("outlet-cn", "outlet"))
	role := identity.Role{Kind: identity.Peer, Namespace: "outlet-cn", Store: "outlet", Name: "brand-cn", Run: "brand-store"}
	leaf := pki.Pair{Cert: s.Data["outlet-cn.outlet.crt"], Key: s.Data["outlet-cn.outlet.key"]}
	if len(s.Data) != 6 || !pki.Current(leaf, pki.Pair{Cert: a.Data["tls.crt"], Key: a.Data["tls.key"]}, role, start) {
		t.Errorf("%d files; the leaf is not one of the other's authority for this role", len(s.Data))
	}
	w.clock.SetTime(start.Add(pki.LeafLife / 2))
	if again := w.peers(outlet, airport); again.ResourceVersion != s.ResourceVersion {
		t.Error("written anew though nothing changed")
	}
	w.clock.SetTime(start.Add(pki.LeafLife * 3 / 4))
	if renewed := w.peers(outlet, airport); string(renewed.Data["outlet-cn.outlet.crt"]) == string(leaf.Cert) {
		t.Error("not renewed in time")
	}
	if left := w.peers(airport); len(left.Data) != 3 || left.Data["airport-cn.airport.ca"] == nil {
		t.Errorf("%d files are left of a peer that is gone", len(left.Data))
	}
	if none := w.peers(); len(none.Data) != 0 { // the pod mounts it, so it must be there
		t.Errorf("%d files for nobody", len(none.Data))
	}
}

func TestAPeerWithoutAuthorityHasNoCertificate(t *testing.T) {
	w := newWorld(t)
	if err := w.issuer.EnsurePeers(t.Context(), []desired.StorePeer{{Namespace: "outlet-cn", Name: "outlet"}}, owner, nil); !errors.Is(err, issuing.ErrNoAuthority) {
		t.Errorf("err = %v", err)
	}
}
