package marketing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/marketing"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/issuing"
)

var (
	rig      *envtestrig.Rig
	stores   = &envtestrig.Stores{}
	gateways = &fakeGateways{}
	now      = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

const policyName = "cn-mainland"

func TestMain(m *testing.M) {
	os.Exit(envtestrig.Run(m, &rig, envtestrig.Controllers(wire), world))
}

func frozen() clock.PassiveClock { return clocktesting.NewFakePassiveClock(now) }

// seen reads what the controllers see, which may be older than what the API server has.
var seen client.Reader

func wire(r *envtestrig.Rig, m ctrl.Manager) error {
	c := m.GetClient()
	seen = c
	return marketing.SetupWithManager(m, marketing.Deps{
		Client: c, Scheme: r.Scheme, Clock: frozen(), Stores: stores, Gateways: gateways,
		Issuer:   issuing.Issuer{Client: c, SystemNamespace: envtestrig.SystemNamespace, Clock: frozen()},
		Pusher:   &gather.Pusher{Reader: c, Stores: stores, Clock: frozen()},
		Platform: desired.Platform{Image: "registry.maodian.test/maodian:dev", SystemNamespace: envtestrig.SystemNamespace},
		Recorder: m.GetEventRecorder("maodian-manager"),
	})
}

func world(r *envtestrig.Rig) (func() error, error) {
	objects, err := envtestrig.Objects(sampleFile("00-policy"))
	if err != nil {
		return nil, err
	}
	return func() error { return nil }, r.Client.Apply(context.Background(), client.ApplyConfigurationFromUnstructured(objects[0]), client.FieldOwner("git"))
}

// fakeGateways answers for every gateway by the address of its pod.
type fakeGateways struct {
	mu   sync.Mutex
	says map[string]marketing.GatewayStatus
}

func (g *fakeGateways) Status(_ context.Context, podIP string) (marketing.GatewayStatus, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.says[podIP]; ok {
		return s, nil
	}
	return marketing.GatewayStatus{}, errors.New("nobody listens")
}

func (g *fakeGateways) set(podIP string, s marketing.GatewayStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.says == nil {
		g.says = map[string]marketing.GatewayStatus{}
	}
	g.says[podIP] = s
}

func sampleFile(name string) string {
	return filepath.Join(envtestrig.Root(), "config", "samples", name+".yaml")
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

func get[T client.Object](ctx context.Context, o T) (T, error) {
	return o, rig.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
}

// storeIn makes a ConsentStore that says it is ready, as its own controller would.
func storeIn(t *testing.T, namespace string) *residencyv1.ConsentStore {
	t.Helper()
	cs := sample(t, "20-store", "ConsentStore", namespace, &residencyv1.ConsentStore{})
	rig.Create(t, cs)
	issuer := issuing.Issuer{Client: rig.Client, SystemNamespace: envtestrig.SystemNamespace, Clock: frozen()}
	if err := issuer.EnsureAuthority(t.Context(), namespace, cs.Name); err != nil {
		t.Fatal(err)
	}
	readyStore(t, cs, conditions.Ready(residencyv1.ReasonPlacementProven, "by hand"))
	return cs
}

func readyStore(t *testing.T, cs *residencyv1.ConsentStore, o conditions.Outcome) {
	t.Helper()
	if _, err := get(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	cs.Status.LedgerID = "ledger-" + cs.Namespace
	o.Write(&cs.Status.Conditions, cs.Generation, now)
	if err := rig.Client.Status().Update(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
}

// says waits until an object's condition has this status and reason.
func says[T client.Object](t *testing.T, o T, list func(T) []metav1.Condition, kind, status string, reason any) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, o); err != nil {
			return err
		}
		return envtestrig.Says(list(o), kind, status, fmt.Sprint(reason))
	})
}
