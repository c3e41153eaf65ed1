package guard

import (
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// closing are what a rule of a network plugin may do without opening anything: what it lets
// pass goes on to the policies of Kubernetes.
const closing = "['Deny', 'Drop', 'Reject', 'Pass', 'Log']"

// opens tells whether a network policy of a plugin admits traffic. Policies of Kubernetes only
// add up, but a plugin asks its own before them or beside them (leaks.md L43). What has other
// fields than these, as a rule of Cilium or a redirection, counts as opening.
const opens = `(!request.kind.kind.endsWith('NetworkPolicy') || (request.kind.group == 'cilium.io' ?
  ([dyn(object).?spec.orValue({})] + dyn(object).?specs.orValue([])).exists(s, size(s.?ingress.orValue([])) + size(s.?egress.orValue([])) > 0) :
  (dyn(object).?spec.?ingress.orValue([]) + dyn(object).?spec.?egress.orValue([])).exists(r, !(r.?action.orValue('') in ` + closing + `))))`

var pluginChanged = named{"changed", changed.expression + " || dyn(object).?specs.orValue([]) != dyn(oldObject).?specs.orValue([])"}

// networkPlugins may close a governed namespace further; to open it is for network policies of
// Kubernetes, of which the guard knows what they say.
func (c compiler) networkPlugins() topic {
	return topic{
		name:  "network-plugins",
		where: governed,
		resources: []rule{
			{"cilium.io", write, []string{"ciliumnetworkpolicies", "ciliumlocalredirectpolicies", "ciliumenvoyconfigs"}},
			{"projectcalico.org", write, []string{"networkpolicies"}},
			{"crd.projectcalico.org", write, []string{"networkpolicies"}},
			{"crd.antrea.io", write, []string{"networkpolicies"}},
			{"networking.gke.io", write, []string{"fqdnnetworkpolicies"}},
		},
		conditions: []named{pluginChanged},
		checks: []check{{reason.NetworkNotInPolicy, "!" + opens + " || " + c.attests(),
			"'a network plugin\\'s own policy may only close a governed namespace: open what is needed by a NetworkPolicy of networking.k8s.io, or ask an attestor'"}},
	}
}

// keys are how a plugin names a namespace, by its mark and by its name.
type keys struct{ mark, name string }

var (
	namespaceKeys = keys{policyLabel, "kubernetes.io/metadata.name"}
	// Of pods, as Cilium labels them; without k8s: a label of another source could be meant.
	ciliumKeys = keys{"k8s:io.cilium.k8s.namespace.labels." + policyLabel, "k8s:io.kubernetes.pod.namespace"}
)

// apart tells whether a selector cannot choose a governed namespace: by the mark, or because
// it names others.
func (c compiler) apart(selector string, k keys) string {
	values := "e.?values.orValue([])"
	mark, label := quote(k.mark), quote(c.policy)
	return "(" + selector + ".?matchExpressions.orValue([]).exists(e, (e.key == " + mark + " && (e.operator == 'DoesNotExist' || (e.operator == 'NotIn' && " + label + " in " + values + ") || (e.operator == 'In' && !(" + label + " in " + values + ")))) || " +
		"(e.key == " + quote(k.name) + " && e.operator == 'In' && !" + values + ".exists(n, n in variables.governed))) || " +
		"!(" + selector + ".?matchLabels[?" + mark + "].orValue(" + label + ") == " + label + ") || " +
		"[" + selector + ".?matchLabels[?" + quote(k.name) + "].orValue('')].exists(n, n != '' && !(n in variables.governed)))"
}

// calicoApart tells the same of the texts in which Calico names namespaces; what it does not know
// counts as all of them.
func calicoApart() string {
	names := func(field, key string) string {
		return "[dyn(object).?spec.?" + field + ".orValue('')].exists(s, s.matches(" + quote(`^ *`+key+` *== *['"][a-z0-9-]+['"] *(&&[^|]*)?$`) + ") && " +
			`!variables.governed.exists(g, s.contains("'" + g + "'") || s.contains('"' + g + '"')))`
	}
	return "(" + names("namespaceSelector", `(projectcalico[.]org/name|kubernetes[.]io/metadata[.]name)`) + " || " +
		names("selector", `projectcalico[.]org/namespace`) + " || " + // no pod can give itself this label
		"[dyn(object).?spec.?namespaceSelector.orValue('')].exists(s, s == 'global()' || s.matches(" + quote(`^ *! *has[(] *`+strings.ReplaceAll(policyLabel, ".", "[.]")+` *[)] *(&&[^|]*)?$`) + ")))"
}

// clusterPolicies of the network may open nothing in a governed namespace: one that could must
// leave the mark out, by which a namespace of tomorrow is left out too.
func (c compiler) clusterPolicies() topic {
	const spec = "dyn(object).?spec"
	every := func(list, test string) string { // an empty list names everything
		return "[" + list + ".orValue([])].exists(l, size(l) > 0 && l.all(x, " + test + "))"
	}
	subject := spec + ".?subject.?namespaces.orValue(" + spec + ".?subject.?pods.?namespaceSelector.orValue({}))"
	specs := "([" + spec + ".orValue({})] + dyn(object).?specs.orValue([])).filter(s, size(s) > 0)"
	ofCilium := "request.kind.kind == 'CiliumClusterwideEnvoyConfig' ? " + spec + ".?services.orValue([]).all(s, !(s.?namespace.orValue('') in variables.governed)) : " +
		"request.kind.kind == 'CiliumEgressGatewayPolicy' ? " + every(spec+".?selectors", c.apart("x.?namespaceSelector.orValue({})", namespaceKeys)+" || "+c.apart("x.?podSelector.orValue({})", ciliumKeys)) + " : " +
		specs + ".all(s, (has(s.nodeSelector) && !has(s.endpointSelector)) || " + c.apart("s.?endpointSelector.orValue({})", ciliumKeys) + ")"
	ofAntrea := "request.kind.kind == 'Egress' ? " + c.apart(spec+".?appliedTo.?namespaceSelector.orValue({})", namespaceKeys) + " : " +
		every(spec+".?appliedTo", c.apart("x.?namespaceSelector.orValue({})", namespaceKeys))
	return topic{
		name: "cluster-network-policies",
		resources: []rule{
			{"policy.networking.k8s.io", write, []string{"adminnetworkpolicies", "clusternetworkpolicies"}},
			{"cilium.io", write, []string{"ciliumclusterwidenetworkpolicies", "ciliumclusterwideenvoyconfigs", "ciliumegressgatewaypolicies"}},
			{"projectcalico.org", write, []string{"globalnetworkpolicies"}},
			{"crd.projectcalico.org", write, []string{"globalnetworkpolicies"}},
			{"crd.antrea.io", write, []string{"clusternetworkpolicies", "egresses"}},
			{"k8s.ovn.org", write, []string{"egressips", "adminpolicybasedexternalroutes"}},
		},
		conditions: []named{pluginChanged},
		variables: []named{
			{"governed", list(c.marked)},
			{"opens", opens},
			{"apart", "request.kind.group == 'cilium.io' ? (" + ofCilium + ") : request.kind.group.endsWith('projectcalico.org') ? " + calicoApart() + " : request.kind.group == 'crd.antrea.io' ? (" + ofAntrea + ") : " +
				"request.kind.group == 'k8s.ovn.org' ? " + c.apart(spec+".?namespaceSelector.orValue("+spec+".?from.?namespaceSelector.orValue({}))", namespaceKeys) + " : " +
				spec + ".?tier.orValue('') == 'Baseline' || " + c.apart(subject, namespaceKeys)},
		},
		checks: []check{{reason.NetworkNotInPolicy, "!variables.opens || variables.apart || " + c.attests(),
			"'a network policy of the cluster that opens must leave out governed namespaces, by " + policyLabel + " DoesNotExist, or be written by an attestor'"}},
	}
}
