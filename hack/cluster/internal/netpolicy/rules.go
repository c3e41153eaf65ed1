// Package netpolicy enforces networking.k8s.io/v1 NetworkPolicy on one node of the local cluster: on every change it
// computes the rules of the node's own pods and loads them as one nftables table, all or nothing. It covers IPv4, pod
// and namespace selectors, ipBlock with exceptions, named ports and port ranges, in both directions. A pod is guarded
// from the moment its address is known to the API server, which is some milliseconds after it starts.
package netpolicy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
)

const table = "inet maodian-netpolicy"

// compiler turns what the listers hold into rules.
type compiler struct {
	node       string
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
}

// direction is the side of the pod that a rule guards.
type direction struct {
	kind  networkingv1.PolicyType
	chain string
	self  string // how a packet names the guarded pod
	peer  string // how it names the other side
}

func directions() []direction {
	return []direction{
		{networkingv1.PolicyTypeEgress, "egress", "saddr", "daddr"},
		{networkingv1.PolicyTypeIngress, "ingress", "daddr", "saddr"},
	}
}

// ruleset is the text for "nft -f": it replaces the table as one transaction.
func (c *compiler) ruleset() (string, error) {
	policies, err := c.policies.List(labels.Everything())
	if err != nil {
		return "", fmt.Errorf("list policies: %w", err)
	}
	pods, err := c.pods.List(labels.Everything())
	if err != nil {
		return "", fmt.Errorf("list pods: %w", err)
	}
	policies, pods = slices.Clone(policies), slices.Clone(pods)
	slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	var chains, jumps strings.Builder
	for _, p := range pods {
		if p.Spec.NodeName != c.node || !routed(p) {
			continue
		}
		for _, d := range directions() {
			rules, isolated := c.guard(p, policies, d)
			if !isolated {
				continue
			}
			name := d.chain + "_" + strings.ReplaceAll(p.Status.PodIP, ".", "_")
			fmt.Fprintf(&chains, "  chain %s {\n", name)
			for _, r := range rules {
				fmt.Fprintf(&chains, "    %s\n", r)
			}
			fmt.Fprintf(&chains, "    counter drop comment %q\n  }\n", clip(p.Namespace+"/"+p.Name))
			fmt.Fprintf(&jumps, "    ip %s %s jump %s\n", d.self, p.Status.PodIP, name)
		}
	}
	return "table " + table + "\ndelete table " + table + "\ntable " + table + " {\n" + chains.String() +
		"  chain forward {\n    type filter hook forward priority filter - 1; policy accept;\n" +
		"    ct state established,related accept\n" + jumps.String() + "  }\n}\n", nil
}

// clip keeps a comment within what nft takes; a longer one would make it refuse the whole table.
func clip(s string) string { return s[:min(len(s), 120)] }

// guard returns the rules of one pod in one direction, and whether any policy isolates it there at all.
func (c *compiler) guard(p *corev1.Pod, policies []*networkingv1.NetworkPolicy, d direction) (rules []string, isolated bool) {
	for _, pol := range policies {
		if pol.Namespace != p.Namespace || !selector(&pol.Spec.PodSelector).Matches(labels.Set(p.Labels)) || !slices.Contains(pol.Spec.PolicyTypes, d.kind) {
			continue
		}
		isolated = true
		if d.kind == networkingv1.PolicyTypeIngress {
			for _, r := range pol.Spec.Ingress {
				rules = append(rules, c.allow(pol.Namespace, p, d, r.From, r.Ports)...)
			}
			continue
		}
		for _, r := range pol.Spec.Egress {
			rules = append(rules, c.allow(pol.Namespace, p, d, r.To, r.Ports)...)
		}
	}
	return rules, isolated
}

// allow renders one rule of a policy: every peer with every port.
func (c *compiler) allow(namespace string, self *corev1.Pod, d direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) []string {
	var out []string
	// a named port means the port of the pod that is connected to, which is self for incoming traffic
	add := func(address string, peer *corev1.Pod) {
		target := peer
		if d.kind == networkingv1.PolicyTypeIngress {
			target = self
		}
		for _, m := range portMatches(ports, target) {
			out = append(out, strings.Join(strings.Fields(address+" "+m+" return"), " "))
		}
	}
	if len(peers) == 0 {
		add("", nil)
	}
	for _, p := range peers {
		if p.IPBlock != nil {
			match := "ip " + d.peer + " " + p.IPBlock.CIDR
			if len(p.IPBlock.Except) > 0 {
				match += " ip " + d.peer + " != { " + strings.Join(p.IPBlock.Except, ", ") + " }"
			}
			add(match, nil)
			continue
		}
		for _, q := range c.selected(namespace, p) {
			add("ip "+d.peer+" "+q.Status.PodIP, q)
		}
	}
	return out
}

// selected are the pods that a peer means, by their address.
func (c *compiler) selected(namespace string, p networkingv1.NetworkPolicyPeer) []*corev1.Pod {
	names := map[string]bool{namespace: true}
	if p.NamespaceSelector != nil {
		names = map[string]bool{}
		found, err := c.namespaces.List(selector(p.NamespaceSelector))
		if err != nil {
			return nil // a cache does not fail; no peer is the safe answer
		}
		for _, n := range found {
			names[n.Name] = true
		}
	}
	which := labels.Everything()
	if p.PodSelector != nil {
		which = selector(p.PodSelector)
	}
	pods, err := c.pods.List(which)
	if err != nil {
		return nil
	}
	pods = slices.DeleteFunc(slices.Clone(pods), func(q *corev1.Pod) bool { return !names[q.Namespace] || !routed(q) })
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	return pods
}

// routed tells whether the pod has an address of its own that packets may carry.
func routed(p *corev1.Pod) bool {
	return p.Status.PodIP != "" && !p.Spec.HostNetwork && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// selector never fails: the API server has checked it, and matching nothing is the safe answer.
func selector(s *metav1.LabelSelector) labels.Selector {
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return sel
}

// portMatches renders the ports of a rule. No port at all means every port; a named port that the target does not
// have means none.
func portMatches(ports []networkingv1.NetworkPolicyPort, target *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var out []string
	for _, p := range ports {
		proto := corev1.ProtocolTCP
		if p.Protocol != nil {
			proto = *p.Protocol
		}
		word := strings.ToLower(string(proto))
		switch {
		case p.Port == nil:
			out = append(out, "meta l4proto "+word)
		case p.Port.StrVal != "":
			if n := namedPort(target, p.Port.StrVal, proto); n > 0 {
				out = append(out, fmt.Sprintf("%s dport %d", word, n))
			}
		case p.EndPort != nil:
			out = append(out, fmt.Sprintf("%s dport %d-%d", word, p.Port.IntVal, *p.EndPort))
		default:
			out = append(out, fmt.Sprintf("%s dport %d", word, p.Port.IntVal))
		}
	}
	return out
}

func namedPort(p *corev1.Pod, name string, proto corev1.Protocol) int32 {
	if p == nil {
		return 0
	}
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == name && (port.Protocol == proto || port.Protocol == "" && proto == corev1.ProtocolTCP) {
				return port.ContainerPort
			}
		}
	}
	return 0
}
