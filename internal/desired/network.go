package desired

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"
)

// policy denies both directions for one instance, except what is listed.
func policy(o Owner, c Component, in []*networkingac.NetworkPolicyIngressRuleApplyConfiguration, out []*networkingac.NetworkPolicyEgressRuleApplyConfiguration) *networkingac.NetworkPolicyApplyConfiguration {
	return networkingac.NetworkPolicy(o.Name+"-"+string(c), o.Namespace).WithLabels(Labels(c, o.Name)).WithOwnerReferences(o.reference()).
		WithSpec(networkingac.NetworkPolicySpec().
			WithPodSelector(metaac.LabelSelector().WithMatchLabels(Selector(c, o.Name))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(in...).WithEgress(out...))
}

func port(n int32, protocol corev1.Protocol) *networkingac.NetworkPolicyPortApplyConfiguration {
	return networkingac.NetworkPolicyPort().WithPort(intstr.FromInt32(n)).WithProtocol(protocol)
}

func namespacePeer(name string) *networkingac.NetworkPolicyPeerApplyConfiguration {
	return networkingac.NetworkPolicyPeer().WithNamespaceSelector(metaac.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: name}))
}

func componentPeer(c Component) *networkingac.NetworkPolicyPeerApplyConfiguration {
	return networkingac.NetworkPolicyPeer().WithPodSelector(metaac.LabelSelector().WithMatchLabels(
		map[string]string{"app.kubernetes.io/name": "maodian", ComponentLabel: string(c)}))
}

// storePolicy: the store is asked, and asks nobody but the stores that it counts people with.
func storePolicy(in StoreInput) *networkingac.NetworkPolicyApplyConfiguration {
	asks := networkingac.NetworkPolicyIngressRule().WithPorts(port(StorePort, corev1.ProtocolTCP)).
		WithFrom(componentPeer(Gateway), componentPeer(Dispatch), componentPeer(Transfer), componentPeer(Officer), namespacePeer(in.Platform.SystemNamespace))
	if len(in.Peers) == 0 {
		return policy(in.Owner, Store, []*networkingac.NetworkPolicyIngressRuleApplyConfiguration{asks}, nil)
	}
	toPeers := networkingac.NetworkPolicyEgressRule().WithPorts(port(StorePort, corev1.ProtocolTCP))
	for _, p := range in.Peers {
		asks.WithFrom(storePeer(p))
		toPeers.WithTo(storePeer(p))
	}
	return policy(in.Owner, Store, []*networkingac.NetworkPolicyIngressRuleApplyConfiguration{asks}, []*networkingac.NetworkPolicyEgressRuleApplyConfiguration{toPeers, dnsEgress()})
}

// storePeer is the pod of one store, in any namespace.
func storePeer(p StorePeer) *networkingac.NetworkPolicyPeerApplyConfiguration {
	return namespacePeer(p.Namespace).WithPodSelector(metaac.LabelSelector().WithMatchLabels(Selector(Store, p.Name)))
}

// dnsEgress reaches the cluster's DNS.
func dnsEgress() *networkingac.NetworkPolicyEgressRuleApplyConfiguration {
	return networkingac.NetworkPolicyEgressRule().WithPorts(port(53, corev1.ProtocolUDP), port(53, corev1.ProtocolTCP)).WithTo(namespacePeer("kube-system"))
}

// officerPolicy lets the pods of a Job that somebody makes for the desk reach the store, and
// nothing else: the guard closes everything that no policy opens.
func officerPolicy(in StoreInput) *networkingac.NetworkPolicyApplyConfiguration {
	return policy(in.Owner, Officer, nil, innerEgress(in.Owner.Name))
}

func gatewayPolicy(in GatewayInput) *networkingac.NetworkPolicyApplyConfiguration {
	callbacks := networkingac.NetworkPolicyIngressRule().WithPorts(port(GatewayPort, corev1.ProtocolTCP))
	status := networkingac.NetworkPolicyIngressRule().WithPorts(port(HealthPort, corev1.ProtocolTCP)).WithFrom(namespacePeer(in.Platform.SystemNamespace))
	return policy(in.Owner, Gateway, []*networkingac.NetworkPolicyIngressRuleApplyConfiguration{callbacks, status}, platformEgress(in.Store, in.CIDRs))
}

func dispatchPolicy(in DispatchInput) *networkingac.NetworkPolicyApplyConfiguration {
	return policy(in.Owner, Dispatch, nil, platformEgress(in.Store, in.CIDRs))
}

// innerEgress reaches the store and the cluster's DNS.
func innerEgress(store string) []*networkingac.NetworkPolicyEgressRuleApplyConfiguration {
	toStore := networkingac.NetworkPolicyEgressRule().WithPorts(port(StorePort, corev1.ProtocolTCP)).
		WithTo(networkingac.NetworkPolicyPeer().WithPodSelector(metaac.LabelSelector().WithMatchLabels(Selector(Store, store))))
	return []*networkingac.NetworkPolicyEgressRuleApplyConfiguration{toStore, dnsEgress()}
}

// platformEgress adds what the policy lets governed pods reach outside.
func platformEgress(store string, cidrs []string) []*networkingac.NetworkPolicyEgressRuleApplyConfiguration {
	return append(innerEgress(store), outside(443, cidrs)...)
}

// outside reaches one port of networks outside. No network is no rule, since a rule without
// peers would open everything.
func outside(to int32, cidrs []string) []*networkingac.NetworkPolicyEgressRuleApplyConfiguration {
	if len(cidrs) == 0 {
		return nil
	}
	rule := networkingac.NetworkPolicyEgressRule().WithPorts(port(to, corev1.ProtocolTCP))
	for _, c := range slices.Sorted(slices.Values(cidrs)) {
		rule.WithTo(networkingac.NetworkPolicyPeer().WithIPBlock(networkingac.IPBlock().WithCIDR(c)))
	}
	return []*networkingac.NetworkPolicyEgressRuleApplyConfiguration{rule}
}
