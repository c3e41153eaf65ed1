package gather_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/gather"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// fakeStores answer at once, except the dead one, which takes calls until their deadline.
type fakeStores struct {
	mu    sync.Mutex
	taken map[string]time.Time // when each store took its bundle
}

type fakeStore struct {
	storev1connect.ControlServiceClient

	all  *fakeStores
	name string
}

func (s *fakeStores) Control(_ context.Context, _, name string) (storev1connect.ControlServiceClient, error) {
	return &fakeStore{all: s, name: name}, nil
}

func (s *fakeStore) PushBundle(ctx context.Context, _ *storev1.PushBundleRequest) (*storev1.PushBundleResponse, error) {
	if s.name == "dead" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.all.taken[s.name] = time.Now()
	return &storev1.PushBundleResponse{Hash: "h"}, nil
}

// pusher works on a governed namespace with stores of these names.
func pusher(t *testing.T, s *fakeStores, names ...string) (*gather.Pusher, []residencyv1.ConsentStore) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), residencyv1.AddToScheme(scheme), marketingv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	policy := sample[residencyv1.ResidencyPolicy](t, "00-policy", "ResidencyPolicy")
	ns := &corev1.Namespace{}
	ns.Name, ns.Labels = "brand-cn", map[string]string{"residency.maodian.dev/policy": policy.Name}
	var stores []residencyv1.ConsentStore
	for _, name := range names {
		cs := sample[residencyv1.ConsentStore](t, "20-store", "ConsentStore")
		cs.Namespace, cs.Name, cs.Status.LedgerID = ns.Name, name, "l-1"
		stores = append(stores, cs)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(ns, &policy).Build()
	return &gather.Pusher{Reader: c, Stores: s, Clock: clocktesting.NewFakePassiveClock(now)}, stores
}

func TestADeadStoreDelaysNoPushToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStores{taken: map[string]time.Time{}}
		p, stores := pusher(t, s, "dead", "a", "b")
		start := time.Now()
		errs := p.PushAll(t.Context(), stores)
		if errs[0] == nil || errs[1] != nil || errs[2] != nil {
			t.Errorf("errors = %v", errs)
		}
		if d := time.Since(start); d != gather.CallTimeout {
			t.Errorf("all of it took %v", d)
		}
		for _, name := range []string{"a", "b"} {
			if at, ok := s.taken[name]; !ok || !at.Equal(start) {
				t.Errorf("store %s took its bundle %v late", name, at.Sub(start))
			}
		}
	})
}

func TestPushesToOneDeadStoreDoNotQueueUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stores := pusher(t, &fakeStores{}, "dead", "dead", "dead")
		start := time.Now()
		for i, err := range p.PushAll(t.Context(), stores) {
			if err == nil {
				t.Errorf("push %d succeeded", i)
			}
		}
		if d := time.Since(start); d != gather.CallTimeout {
			t.Errorf("three pushes took %v", d)
		}
	})
}
