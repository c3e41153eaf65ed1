package residency_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/residency"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/issuing"
	"github.com/maodian-dev/maodian/internal/proving"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

var (
	rig    *envtestrig.Rig
	stores = &fakeStores{hung: map[string]*hungStore{}}
	proof  = &fakeEvidence{}
	gauges = prometheus.NewRegistry()
	now    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	clock  = clocktesting.NewFakePassiveClock(now)
)

const (
	policyName = "cn-mainland"
	labelKey   = "maodian.node-restriction.kubernetes.io/jurisdiction"
	driver     = "local.maodian.dev"
)

func TestMain(m *testing.M) {
	os.Exit(envtestrig.Run(m, &rig, envtestrig.Controllers(wire), world))
}

func wire(r *envtestrig.Rig, m ctrl.Manager) error {
	c := m.GetClient()
	var ids atomic.Int64
	prover, err := proving.NewProver(r.Config, envtestrig.Prober)
	if err != nil {
		return err
	}
	return residency.SetupWithManager(m, residency.Deps{
		Client: c, Scheme: r.Scheme, Clock: clock, Manager: envtestrig.Manager, Prover: prover, ProberUser: envtestrig.Prober, Stores: stores, ExtraCA: "PEM",
		Issuer: issuing.Issuer{Client: c, SystemNamespace: envtestrig.SystemNamespace, Clock: clock},
		Pusher: &gather.Pusher{Reader: c, Stores: stores, Clock: clock},
		Meter:  &gather.Meter{Cache: c, Live: m.GetAPIReader(), Stores: stores}, Resolver: names,
		Platform: desired.Platform{Image: "registry.maodian.test/maodian:dev", SystemNamespace: envtestrig.SystemNamespace, ExtraCA: true},
		NewID:    func() string { return fmt.Sprintf("ledger-%d", ids.Add(1)) },
		NewKey:   func() ([]byte, error) { return bytes.Repeat([]byte{7}, 32), nil },
		Recorder: m.GetEventRecorder("maodian-manager"),
		Evidence: proof, Metrics: gauges,
	})
}

// world makes what all tests share: the sample policy and four nodes of which two count.
func world(r *envtestrig.Rig) (func() error, error) {
	ctx := context.Background()
	for name, signals := range map[string][3]string{
		"hz1":  {"cn-hangzhou", "cn-hangzhou-h", "alicloud://cn-hangzhou.i-hz1"},
		"bj1":  {"cn-north-1", "cn-north-1a", "aws:///cn-north-1a/i-bj1"},
		"hk1":  {"cn-hongkong", "cn-hongkong-b", "alicloud://cn-hongkong.i-hk1"},
		"odd1": {"cn-hangzhou", "cn-hangzhou-h", "alicloud://cn-hongkong.i-odd1"},
	} {
		n := &corev1.Node{Spec: corev1.NodeSpec{ProviderID: signals[2]}}
		n.Name, n.Labels = name, map[string]string{corev1.LabelTopologyRegion: signals[0], corev1.LabelTopologyZone: signals[1]}
		if err := r.Client.Create(ctx, n); err != nil {
			return nil, err
		}
	}
	objects, err := envtestrig.Objects(sampleFile("00-policy"))
	if err != nil {
		return nil, err
	}
	return func() error { return nil }, r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(objects[0]), client.FieldOwner("git"))
}

func sampleFile(name string) string {
	return filepath.Join(envtestrig.Root(), "config", "samples", name+".yaml")
}

// fakeEvidence keeps what was recorded.
type fakeEvidence struct {
	mu      sync.Mutex
	entries []residency.Entry
}

func (f *fakeEvidence) Record(_ context.Context, e residency.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, e)
}

// of tells the entries about a policy as text, sorted.
func (f *fakeEvidence) of(policy string) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		if e.Policy == policy {
			out = append(out, fmt.Sprintf("%s %s %s %s", e.State, e.Object.Kind, e.Object.Name, e.Reason))
		}
	}
	slices.Sort(out)
	return out
}

// fakeStores answer by a state that tests write; one can be made to take pushes and to
// answer none.
type fakeStores struct {
	envtestrig.Stores

	mu   sync.Mutex
	hung map[string]*hungStore // by namespace
}

// hungStore does not even look at the deadline of a call.
type hungStore struct {
	storev1connect.ControlServiceClient

	asked, release chan struct{}
	once           sync.Once
}

func (h *hungStore) PushBundle(ctx context.Context, r *storev1.PushBundleRequest) (*storev1.PushBundleResponse, error) {
	h.once.Do(func() { close(h.asked) })
	<-h.release
	return h.ControlServiceClient.PushBundle(ctx, r)
}

// hang makes the store of a namespace hang until it is released.
func (s *fakeStores) hang(namespace string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &hungStore{ControlServiceClient: s.Of(namespace, "brand-store"), asked: make(chan struct{}), release: make(chan struct{})}
	s.hung[namespace] = h
	return func() { close(h.release) }
}

// hangs tells whether somebody waits for the store.
func (s *fakeStores) hangs(namespace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.hung[namespace].asked:
		return nil
	default:
		return errors.New("nobody has asked the store")
	}
}

func (s *fakeStores) Control(ctx context.Context, namespace, name string) (storev1connect.ControlServiceClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hung[namespace]; h != nil {
		return h, nil
	}
	return s.Stores.Control(ctx, namespace, name)
}

// sample reads the object of a kind from a sample, for a namespace of the test's own.
func sample[T client.Object](t *testing.T, file, kind, namespace string, into T) T {
	t.Helper()
	objects, err := envtestrig.Objects(sampleFile(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() != kind {
			continue
		}
		raw, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
		into.SetNamespace(namespace)
		return into
	}
	t.Fatalf("no %s in %s", kind, file)
	return into
}

// get reads an object again.
func get[T client.Object](ctx context.Context, o T) (T, error) {
	return o, rig.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
}

// readyStore makes the sample's store in namespace and does what a cluster would until it
// is Ready.
func readyStore(t *testing.T, namespace string) *residencyv1.ConsentStore {
	t.Helper()
	cs := newStore(t, namespace, nil)
	placeStore(t, cs, "hz1")
	rig.Bind(t, namespace, desired.StoreClaimName(cs.Name), driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	return cs
}

// newStore makes notice and store of the samples.
func newStore(t *testing.T, namespace string, change func(*residencyv1.ConsentStore)) *residencyv1.ConsentStore {
	t.Helper()
	rig.Create(t, sample(t, "10-notice", "PrivacyNotice", namespace, &residencyv1.PrivacyNotice{}))
	cs := sample(t, "20-store", "ConsentStore", namespace, &residencyv1.ConsentStore{})
	cs.Spec.Storage.StorageClassName = classOf(t, namespace)
	if change != nil {
		change(cs)
	}
	rig.Create(t, cs)
	return cs
}

// classOf is a class that the policy of a namespace allows.
func classOf(t *testing.T, namespace string) string {
	t.Helper()
	ns := &corev1.Namespace{}
	p := &residencyv1.ResidencyPolicy{}
	err := rig.Client.Get(t.Context(), client.ObjectKey{Name: namespace}, ns)
	if err == nil {
		err = rig.Client.Get(t.Context(), client.ObjectKey{Name: ns.Labels["residency.maodian.dev/policy"]}, p)
	}
	if err != nil {
		return "cn-mainland-ssd" // nothing governs it
	}
	return p.Spec.Storage.ClassPrefix + "ssd"
}

// placeStore waits for the claim and runs the pod on node.
func placeStore(t *testing.T, cs *residencyv1.ConsentStore, node string) *corev1.Pod {
	t.Helper()
	waitClaim(t, cs)
	p := rig.Pod(t, cs.Namespace, desired.StorePodName(cs.Name), desired.Labels(desired.Store, cs.Name))
	rig.Place(t, p, node)
	return p
}

func waitClaim(t *testing.T, cs *residencyv1.ConsentStore) *corev1.PersistentVolumeClaim {
	t.Helper()
	c := &corev1.PersistentVolumeClaim{}
	c.Namespace, c.Name = cs.Namespace, desired.StoreClaimName(cs.Name)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, c); err != nil {
			now, _ := get(ctx, cs.DeepCopy())
			return fmt.Errorf("%w; the store says %v", err, now.Status.Conditions)
		}
		return nil
	})
	return c
}

func waitStore(t *testing.T, cs *residencyv1.ConsentStore, kind, status string, reason any) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, cs); err != nil {
			return err
		}
		return envtestrig.Says(cs.Status.Conditions, kind, status, fmt.Sprint(reason))
	})
}

// attestor acts as somebody who may attest and let go.
func attestor(t *testing.T) client.Client {
	t.Helper()
	return rig.As(t, "somebody", "system:masters", "residency:attestors")
}
