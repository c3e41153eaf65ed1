package netpolicy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func pod(namespace, name, ip, node string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning},
	}
}

func compile(t *testing.T, objects ...any) string {
	t.Helper()
	pods, namespaces, policies := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}),
		cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}), cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, o := range objects {
		var err error
		switch o.(type) {
		case *corev1.Pod:
			err = pods.Add(o)
		case *corev1.Namespace:
			err = namespaces.Add(o)
		case *networkingv1.NetworkPolicy:
			err = policies.Add(o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := &compiler{
		node: "hz1", pods: corelisters.NewPodLister(pods), namespaces: corelisters.NewNamespaceLister(namespaces),
		policies: networkinglisters.NewNetworkPolicyLister(policies),
	}
	rules, err := c.ruleset()
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func app(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func policy(name, of string, types []networkingv1.PolicyType, in []networkingv1.NetworkPolicyIngressRule, out []networkingv1.NetworkPolicyEgressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: *app(of), PolicyTypes: types, Ingress: in, Egress: out},
	}
}

func port(proto corev1.Protocol, p any) networkingv1.NetworkPolicyPort {
	out := networkingv1.NetworkPolicyPort{Protocol: &proto}
	switch v := p.(type) {
	case int:
		n := intstr.FromInt32(int32(v))
		out.Port = &n
	case string:
		n := intstr.FromString(v)
		out.Port = &n
	}
	return out
}

// TestRuleset pins every kind of peer and port to the rules that it becomes.
func TestRuleset(t *testing.T) {
	end := int32(8099)
	ranged := port(corev1.ProtocolTCP, 8090)
	ranged.EndPort = &end
	done, host := pod("data", "done", "10.244.1.9", "hz1"), pod("data", "host", "10.99.0.11", "hz1")
	done.Status.Phase, host.Spec.HostNetwork = corev1.PodSucceeded, true
	got := compile(t,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "data"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", Labels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}}},
		pod("kube-system", "dns", "10.244.2.2", "hk1"),
		pod("data", "store", "10.244.1.2", "hz1", corev1.ContainerPort{Name: "api", ContainerPort: 8443, Protocol: corev1.ProtocolTCP}),
		pod("data", "gateway", "10.244.1.3", "hz1"),
		pod("data", "elsewhere", "10.244.2.3", "hk1"),
		pod("data", "free", "10.244.1.4", "hz1"),
		done, host,
		policy("store", "store", []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			[]networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: app("gateway")}},
				Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, "api"), port(corev1.ProtocolTCP, "unknown")},
			}}, nil),
		policy("gateway", "gateway", []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, nil,
			[]networkingv1.NetworkPolicyEgressRule{
				{
					To:    []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}}, PodSelector: app("dns")}},
					Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53)},
				},
				{
					To:    []networkingv1.NetworkPolicyPeer{{PodSelector: app("store")}},
					Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, "api"), ranged, port(corev1.ProtocolSCTP, nil)},
				},
				{
					To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16", "10.2.0.0/16"}}}},
				},
			}),
		policy("elsewhere", "elsewhere", []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, nil, nil),
		policy("open", "done", []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, []networkingv1.NetworkPolicyIngressRule{{}}, nil),
	)
	golden(t, "ruleset.nft", got)
}

func TestRuleset_WithoutPolicies(t *testing.T) {
	golden(t, "open.nft", compile(t, pod("data", "free", "10.244.1.4", "hz1")))
}

// TestFollow_LoadsOnlyWhatChanged runs on a fake clock.
func TestFollow_LoadsOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		changed, rules, broken := make(chan struct{}, 1), "a", true
		var loads []string
		done := make(chan error, 1)
		go func() {
			done <- follow(ctx, changed, func() (string, error) { return rules, nil }, func(_ context.Context, r string) error {
				loads = append(loads, r)
				if broken {
					broken = false
					return errors.New("nft is busy")
				}
				return nil
			})
		}()
		for _, next := range []string{"a", "b", "b"} {
			rules = next
			changed <- struct{}{}
			synctest.Wait()
			<-time.After(2 * retry)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
		if d := cmp.Diff([]string{"a", "a", "b"}, loads); d != "" {
			t.Errorf("loads (-want +got):\n%s", d)
		}
	})
}
