package guard

import (
	arv1 "k8s.io/api/admissionregistration/v1"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// topics are what the guard refuses, one policy for each concern.
func (c compiler) topics() []topic {
	out := []topic{
		// what runs, and where
		c.podPlacement(), c.podHost(), c.podVolumes(), c.images(), c.podEndpoints(), c.components(), c.binding(), c.nodes(), c.nodePools(),
		// what rests, and where it is copied to
		c.claims(), c.foreignClaims(), c.classes(), c.attributeClasses(), c.csiDrivers(), c.volumes(), c.snapshots(), c.snapshotClasses(), c.snapshotContents(),
		c.backupLocations(), c.backups(), c.databases(), c.objectStores(), c.replication(),
		// what flows
		c.services(), c.endpoints(), c.ingressObjects(), c.routes(), c.grants(), c.networkPolicies(), c.networkPolicyRemoval(), c.networkPlugins(), c.clusterPolicies(),
		c.crossCluster(), c.mesh(), c.meshElsewhere(),
		c.webhooks(), c.apis(), c.podStatus(), c.nodeAddresses(),
		// who may do what
		c.interactive(), c.nodeProxy(), c.tokens(), c.trustedTokens(), c.copies(), c.copiesElsewhere(), c.roles(), c.identities(), c.certificates(),
		c.personalData(), c.configMaps(), c.ownKinds(),
		// the guard itself
		c.namespaces(), c.policies(), c.exceptionMarks(), c.exceptionObjects(), c.deliveries(),
	}
	out = append(out, c.storageCopies()...)
	if c.exclusive {
		out = append(out, c.keepOff())
	}
	if c.prober != "" {
		out = append(out, c.probes())
	}
	return out
}

// AgentsLabel marks namespaces whose pods may run on nodes that a policy keeps for itself.
const AgentsLabel = "residency.maodian.dev/node-agents"

// changed spares what is older than the policy: it must still lose its finalizers.
var changed = named{"changed", "request.operation == 'CREATE' || object.?spec.orValue({}) != oldObject.?spec.orValue({})"}

var write = []arv1.OperationType{arv1.Create, arv1.Update}

// binding closes the ways around the scheduler. The API server has written the node's own
// region into the binding before this is evaluated, except where the node is unknown or
// has no region: hence the rule on who may bind.
func (c compiler) binding() topic {
	const outside = reason.PlacementNotMainland
	t := topic{
		name:      "binding",
		where:     governed,
		resources: []rule{{"", []arv1.OperationType{arv1.Create}, []string{"pods/binding", "bindings"}}},
		variables: []named{
			{"regions", list(c.regions)},
			{"labels", "object.?metadata.?labels.orValue({})"},
			{"region", "variables.labels[?" + quote(regionKey) + "].orValue('')"},
		},
		checks: []check{
			{outside, "request.?subResource.orValue('') == 'binding'", "'the legacy resource bindings is closed: use pods/binding'"},
			{outside, "request.userInfo.username == " + quote(schedulerUser), "'only the scheduler may bind pods, not ' + request.userInfo.username"},
			{outside, "variables.labels.all(k, k in " + list([]string{regionKey, zoneKey}) + ")", "'a binding may not rewrite labels of the pod'"},
		},
	}
	if c.minor >= regionInBindings {
		t.checks = append(t.checks, check{outside, "variables.region in variables.regions",
			"'node ' + object.target.name + ' lies in region \"' + variables.region + '\", which the policy does not list'"})
	}
	return t
}

// nodes keeps the attested label in the hands of the manager and the attestors, and the place
// of a node as it is: a kubelet may write its own region and zone (leaks.md F10, L19, L20).
// The status subresource writes labels too. Without its taint, a node that is kept for what is
// governed is open to pods that tolerate nothing (L23).
func (c compiler) nodes() topic {
	label := func(object, key string) string { return object + ".metadata.?labels[?" + key + "].orValue('')" }
	before := func(key string) string { return "request.operation == 'CREATE' ? '' : " + label("oldObject", key) }
	kept := func(object string) string { // for what is governed
		return object + ".spec.?taints.orValue([]).exists(t, t.key == " + quote(TaintKey(c.jurisdiction)) + " && t.effect != 'PreferNoSchedule')"
	}
	t := topic{
		name:      "nodes",
		resources: []rule{{"", write, []string{"nodes", "nodes/status"}}},
		variables: []named{
			{"key", quote(c.labelKey)},
			{"regions", list(c.regions)},
			{"now", label("object", "variables.key")},
			{"before", before("variables.key")},
			{"region", label("object", quote(regionKey))},
			{"regionBefore", before(quote(regionKey))},
			{"zone", label("object", quote(zoneKey))},
			{"zoneBefore", before(quote(zoneKey))},
			{"attestor", c.attests()},
		},
		checks: []check{
			{reason.NotAttested, "variables.now == variables.before || variables.attestor || request.userInfo.username == " + quote(c.manager),
				say("the node label %s is written by the manager and the attestors only", c.labelKey)},
			{reason.RegionSignalsDisagree, `variables.attestor || !(variables.region in variables.regions || variables.regionBefore in variables.regions) ||
(variables.regionBefore in ['', variables.region] && variables.zoneBefore in ['', variables.zone])`,
				"'region and zone of a node do not change once they are set: an attestor may change them, or join the node anew'"},
		},
	}
	if c.exclusive {
		t.checks = append(t.checks, check{reason.NodeReserved, "request.operation == 'CREATE' || !" + kept("oldObject") + " || " + kept("object") + " || variables.attestor || request.userInfo.username == " + quote(c.manager),
			"'the taint that keeps a node for governed pods is taken away by the manager and the attestors only'"})
	}
	return t
}

// namespaces keeps the mark, and with the namespace its data. A selector would look at the
// new labels only and miss the request that removes the mark. What already has content is
// put under a policy by an attestor: nobody has looked at that content (leaks.md L47 to L49).
func (c compiler) namespaces() topic {
	mark := func(object, key string) string { return object + ".metadata.?labels[?" + quote(key) + "].orValue('')" }
	return topic{
		name: "namespaces",
		resources: []rule{{"", []arv1.OperationType{arv1.Create, arv1.Update, arv1.Delete},
			[]string{"namespaces", "namespaces/status", "namespaces/finalize"}}},
		variables: []named{
			{"now", "request.operation == 'DELETE' ? '' : " + mark("object", policyLabel)},
			{"before", "request.operation == 'CREATE' ? '' : " + mark("oldObject", policyLabel)},
			{"agents", "request.operation == 'DELETE' ? '' : " + mark("object", AgentsLabel)},
			{"agentsBefore", "request.operation == 'CREATE' ? '' : " + mark("oldObject", AgentsLabel)},
			{"attestor", c.attests()},
			{"policy", quote(c.policy)},
		},
		checks: []check{
			{reason.GovernedNamespace, "request.operation == 'DELETE' || variables.before != variables.policy || variables.now == variables.policy || variables.attestor",
				"'the label " + policyLabel + " of a governed namespace is changed by an attestor only'"},
			{reason.GovernedNamespace, "request.operation != 'UPDATE' || variables.now != variables.policy || variables.before == variables.policy || variables.attestor",
				"'a namespace that exists is put under a policy by an attestor, who looks at what it holds; a new one is created with the label'"},
			{reason.GovernedNamespace, "request.operation != 'DELETE' || variables.before != variables.policy || variables.attestor",
				"'a governed namespace is deleted by an attestor only, since its data goes with it'"},
			{reason.GovernedNamespace, "request.operation == 'DELETE' || variables.agents == variables.agentsBefore || variables.attestor || " + boolean(!c.exclusive),
				"'the label " + AgentsLabel + " is written by an attestor only'"},
		},
	}
}
