package residency_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// largeObjects must pass: the API server stops an expression that costs too much, and refuses.
func (s *suite) largeObjects(t *testing.T) {
	for name, o := range map[string]client.Object{
		"a role of 200 rules with 20 resources each":           largeRole(),
		"a VirtualService of 300 routes with two destinations": s.largeRoutes(),
		"an AdminNetworkPolicy of 100 rules, with 100 names":   largePolicy(),
		"a Sidecar that sees 500 hosts":                        s.largeSidecar(),
		"a ConfigMap of 256 KiB in one explained part":         s.largeBytes(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := rig.As(t, "alice", "system:masters").Create(t.Context(), o, client.DryRunAll); err != nil {
				t.Error(err)
			}
		})
	}
}

func largeRole() *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "cases-maodian-large"}}
	for i := range 200 {
		rule := rbacv1.PolicyRule{APIGroups: []string{"", "apps", fmt.Sprintf("group%d.example", i)}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}}
		for j := range 20 {
			rule.Resources = append(rule.Resources, fmt.Sprintf("resources%d-%d/status", i, j))
		}
		role.Rules = append(role.Rules, rule)
	}
	return role
}

func foreign(apiVersion, kind, namespace string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec}}
	o.SetName("cases-maodian-large")
	o.SetNamespace(namespace)
	return o
}

func (s *suite) largeRoutes() client.Object {
	var routes []any
	for i := range 300 {
		to := func(version string) any {
			return map[string]any{"destination": map[string]any{"host": fmt.Sprintf("service-%d-%s.%s.svc.cluster.local", i, version, s.governed)}}
		}
		routes = append(routes, map[string]any{"route": []any{to("v1"), to("v2")}})
	}
	return foreign("networking.istio.io/v1", "VirtualService", s.governed, map[string]any{"hosts": []any{"web"}, "http": routes})
}

func largePolicy() client.Object {
	var rules, names []any
	for i := range 100 {
		rules = append(rules, map[string]any{"action": "Allow", "to": []any{map[string]any{"networks": []any{fmt.Sprintf("192.0.2.%d/32", i)}}}})
		names = append(names, fmt.Sprintf("team-%d", i))
	}
	only := map[string]any{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}
	return foreign("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "", map[string]any{
		"priority": int64(20), "subject": map[string]any{"namespaces": map[string]any{"matchExpressions": []any{only}}}, "egress": rules,
	})
}

func (s *suite) largeSidecar() client.Object {
	var hosts []any
	for i := range 500 {
		hosts = append(hosts, fmt.Sprintf("*/service-%d.%s.svc.cluster.local", i, s.governed))
	}
	return foreign("networking.istio.io/v1", "Sidecar", s.governed, map[string]any{"egress": []any{map[string]any{"hosts": hosts}}})
}

func (s *suite) largeBytes() client.Object {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.governed, Name: "large", Annotations: map[string]string{"residency.maodian.dev/not-personal-data": "a file that a tool has made of code"}},
		BinaryData: map[string][]byte{"file": []byte(strings.Repeat("\xff\x00", 1<<17))},
	}
}
