package guard

import (
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// ingressObjects use a class of the policy, and forward nothing elsewhere (leaks.md L39).
func (c compiler) ingressObjects() topic {
	return topic{
		name:       "ingresses",
		where:      governed,
		resources:  []rule{{"networking.k8s.io", write, []string{"ingresses"}}},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec || object.metadata.?annotations != oldObject.metadata.?annotations"}},
		variables: []named{
			{"class", "object.spec.?ingressClassName.orValue('')"},
			{"classes", list(c.ingresses)},
			// redirects to HTTPS, and names told to a name server, send nothing elsewhere
			{"forwarding", `object.metadata.?annotations.orValue({}).map(k, k).filter(k,
  k.matches('(snippet|mirror|middleware|plugins|/actions[.]|auth-url|auth-signin|proxy-pass|upstream-vhost|external|redirect|kubernetes[.]io/ingress[.]class)') &&
  !k.matches('(/(ssl|force-ssl|from-to-www)-redirect|^external-dns[.]alpha[.]kubernetes[.]io/(hostname|ttl))$'))`},
		},
		checks: []check{
			{reason.NetworkNotInPolicy, "variables.class in variables.classes",
				"'`ingressClassName` must be one of [' + variables.classes.join(', ') + '] (`spec.network.ingressClasses`), not \"' + variables.class + '\"'"},
			{reason.NetworkNotInPolicy, "size(variables.forwarding) == 0", "'the annotation ' + variables.forwarding.join(', ') + ' may not be set: it can send requests elsewhere'"},
			{reason.NetworkNotInPolicy, "object.spec.?rules.orValue([]).all(r, r.?http.?paths.orValue([]).all(p, !has(p.backend.resource))) && (!has(object.spec.defaultBackend) || !has(object.spec.defaultBackend.resource))",
				"'a backend must be a Service of the namespace, not a `resource`'"},
		},
	}
}

// routes lead to Services of their namespace (leaks.md L40).
func (c compiler) routes() topic {
	const closed = "['RequestMirror', 'ExtensionRef', 'ExternalAuth']"
	filters := func(ok string) string { // of rules and of backends
		return "variables.rules.all(r, r.?filters.orValue([]).all(f, " + ok + ") && r.?backendRefs.orValue([]).all(b, b.?filters.orValue([]).all(f, " + ok + ")))"
	}
	return topic{
		name:       "routes",
		where:      governed,
		resources:  []rule{{"gateway.networking.k8s.io", write, []string{"httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes"}}},
		conditions: []named{changed},
		variables: []named{
			{"rules", "object.spec.?rules.orValue([])"},
			{"gateways", list(c.gateways)},
		},
		checks: []check{
			{reason.NetworkNotInPolicy, "object.spec.?parentRefs.orValue([]).all(p, p.?namespace.orValue(request.namespace) in variables.gateways + [request.namespace])",
				"'`parentRefs` may name Gateways of the namespace and of `spec.network.gatewayNamespaces` only'"},
			{reason.NetworkNotInPolicy, "variables.rules.all(r, r.?backendRefs.orValue([]).all(b, b.?namespace.orValue(request.namespace) == request.namespace && b.?kind.orValue('Service') == 'Service'))",
				"'`backendRefs` may name Services of the namespace only'"},
			{reason.NetworkNotInPolicy, filters("!(f.?type.orValue('') in " + closed + ")"), "'filters that mirror requests, or ask others about them, may not be set'"},
			{reason.NetworkNotInPolicy, filters(c.insideHost("f.?requestRedirect.?hostname.orValue('localhost')")),
				"'a redirect must lead to a host of the policy (`spec.network.hosts`)'"},
		},
	}
}

// grants: what opens the namespace to others is made outside of it (leaks.md L40).
func (c compiler) grants() topic {
	return topic{
		name:       "gateways",
		where:      governed,
		resources:  []rule{{"gateway.networking.k8s.io", write, []string{"referencegrants", "gateways", "listenersets"}}},
		conditions: []named{changed},
		checks: []check{{reason.NetworkNotInPolicy, "false",
			"'' + request.kind.kind + ' is closed here: make it in one of the namespaces of `spec.network.gatewayNamespaces`'"}},
	}
}

// denyName is the network policy that closes a governed namespace.
func (c compiler) denyName() string { return c.name("default-deny") }

// defaultDeny closes every governed namespace in both directions; what is open, another
// network policy says (leaks.md L43).
func (c compiler) defaultDeny() (out []Object) {
	for _, namespace := range c.marked {
		np := networkingac.NetworkPolicy(c.denyName(), namespace).WithLabels(Labels(c.policy)).
			WithSpec(networkingac.NetworkPolicySpec().WithPodSelector(metaac.LabelSelector()).
				WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress))
		out = append(out, Object{Kind: "NetworkPolicy", Namespace: namespace, Name: c.denyName(), Apply: np})
	}
	return out
}

// networkPolicies add up: one that is broad opens the namespace, so each is looked at. Those
// of the manager open the one destination of an approved transfer (leaks.md L43).
func (c compiler) networkPolicies() topic {
	manager := "request.userInfo.username == " + quote(c.manager)
	near := slices.Compact(slices.Sorted(slices.Values(append([]string{"kube-system", c.managerNamespace()}, c.gateways...))))
	deny := "object.metadata.name == " + quote(c.denyName())
	return topic{
		name:       "network-policies",
		where:      governed,
		resources:  []rule{{"networking.k8s.io", write, []string{"networkpolicies"}}},
		conditions: []named{{"not-the-manager", "!(" + manager + ")"}, {"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec"}},
		variables: []named{
			{"cidrs", list(c.cidrs)},
			{"peers", "object.spec.?egress.orValue([]).map(e, e.?to.orValue([])) + object.spec.?ingress.orValue([]).map(i, i[?'from'].orValue([]))"},
		},
		checks: []check{
			{reason.NetworkNotInPolicy, "variables.peers.all(l, size(l) > 0)", "'a rule must name its peers: without them it opens every address'"},
			{reason.NetworkNotInPolicy, "variables.peers.all(l, l.all(p, !has(p.ipBlock) || (isCIDR(p.ipBlock.cidr) && variables.cidrs.exists(n, cidr(n).containsCIDR(cidr(p.ipBlock.cidr))))))",
				say("`ipBlock` must lie in %s (`spec.network.cidrs`)", anyOf(c.cidrs))},
			{reason.NetworkNotInPolicy, "variables.peers.all(l, l.all(p, !has(p.namespaceSelector) || p.namespaceSelector.?matchLabels[?" + quote(policyLabel) + "].orValue('') == " + quote(c.policy) +
				" || p.namespaceSelector.?matchLabels[?'kubernetes.io/metadata.name'].orValue('') in " + list(near) + "))",
				"'`namespaceSelector` must name the policy, or one of " + strings.Join(near, ", ") + " by its name'"},
			{reason.NetworkNotInPolicy, "!(" + deny + ") || (size(variables.peers) == 0 && 'Egress' in object.spec.?policyTypes.orValue([]) && 'Ingress' in object.spec.?policyTypes.orValue([]) && size(object.spec.?podSelector.?matchLabels.orValue({})) == 0 && size(object.spec.?podSelector.?matchExpressions.orValue([])) == 0)",
				"'this network policy must deny everything'"},
		},
	}
}

// networkPolicyRemoval keeps the default deny where it is.
func (c compiler) networkPolicyRemoval() topic {
	return topic{
		name:       "network-policy-removal",
		where:      governed,
		resources:  []rule{{"networking.k8s.io", []arv1.OperationType{arv1.Delete}, []string{"networkpolicies"}}},
		conditions: []named{{"default-deny", "oldObject.metadata.name == " + quote(c.denyName())}},
		checks: []check{{reason.NetworkNotInPolicy, "request.userInfo.username in " + list([]string{c.manager, "system:serviceaccount:kube-system:namespace-controller", "system:kube-controller-manager"}),
			"'the network policy that closes a governed namespace may not be deleted'"}},
	}
}

// webhooks are called by the API server with whole objects (leaks.md L55, F22).
func (c compiler) webhooks() topic {
	const all = "['*', '*/*', 'secrets', 'secrets/*', 'configmaps', 'configmaps/*', 'pods/exec', 'pods/*']"
	trusted := list([]string{"kube-system", c.managerNamespace()})
	return topic{
		name:       "webhooks",
		resources:  []rule{{"admissionregistration.k8s.io", write, []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"}}},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.?webhooks != oldObject.?webhooks"}},
		variables:  []named{{"hooks", "object.?webhooks.orValue([])"}},
		checks: []check{
			{reason.NetworkNotInPolicy, "variables.hooks.all(w, !has(w.clientConfig.url))",
				"'`clientConfig.url` may not be set: the API server would send whole objects to any host; use a `service`'"},
			{reason.NetworkNotInPolicy, "variables.hooks.all(w, !w.?rules.orValue([]).exists(r, r.?apiGroups.orValue([]).exists(g, g in ['', '*']) && r.?resources.orValue([]).exists(x, x in " + all + ")) || " +
				"w.clientConfig.?service.?namespace.orValue('') in " + trusted + " || w.?namespaceSelector.?matchExpressions.orValue([]).exists(e, e.key == " + quote(policyLabel) +
				" && (e.operator == 'DoesNotExist' || (e.operator == 'NotIn' && " + quote(c.policy) + " in e.?values.orValue([])))))",
				"'a webhook that sees Secrets or ConfigMaps must leave out governed namespaces: `namespaceSelector` " + policyLabel + " DoesNotExist'"},
		},
	}
}

// apis are served, or converted, by others, who are sent whole objects (leaks.md L55).
func (c compiler) apis() topic {
	trusted := []string{"kube-system", c.managerNamespace()}
	return topic{
		name: "apis",
		resources: []rule{
			{"apiregistration.k8s.io", write, []string{"apiservices"}},
			{"apiextensions.k8s.io", write, []string{"customresourcedefinitions"}},
		},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec"}},
		checks: []check{
			{reason.NetworkNotInPolicy, "request.kind.kind != 'CustomResourceDefinition' || dyn(object).spec.?conversion.?webhook.?clientConfig.?url.orValue('') == ''",
				"'a conversion webhook by `url` would be sent every object of the kind'"},
			{reason.NetworkNotInPolicy, "request.kind.kind != 'APIService' || dyn(object).spec.?service.?namespace.orValue('kube-system') in " + list(trusted),
				"'an aggregated API must be served from " + strings.Join(trusted, " or ") + "'"},
		},
	}
}

// crossCluster closes what shares Services with other clusters (leaks.md L63).
func (c compiler) crossCluster() topic {
	return topic{
		name:  "cross-cluster",
		where: governed,
		resources: []rule{
			{"multicluster.x-k8s.io", write, []string{"serviceexports", "serviceimports"}},
			{"networking.istio.io", write, []string{"serviceentries", "workloadentries", "workloadgroups", "envoyfilters", "gateways"}},
			{"extensions.istio.io", write, []string{"wasmplugins"}},
			{"skupper.io", write, []string{"sites", "connectors", "listeners", "links"}},
			{"offloading.liqo.io", write, []string{"namespaceoffloadings"}},
			{"workload.linkerd.io", write, []string{"externalworkloads"}},
			{"policy.linkerd.io", write, []string{"egressnetworks"}},
		},
		conditions: []named{changed},
		checks:     []check{{reason.NetworkNotInPolicy, "false", "'' + request.kind.kind + ' would carry traffic of the namespace out of the cluster'"}},
	}
}

func (c compiler) managerNamespace() string {
	if parts := strings.Split(c.manager, ":"); len(parts) == 4 {
		return parts[2]
	}
	return ""
}
