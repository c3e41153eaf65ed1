package guard

import (
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// bootstrap is the API server itself, which writes the roles that Kubernetes comes with.
const bootstrap = "request.userInfo.username == 'system:apiserver'"

// strong are roles that Kubernetes comes with and that reach around the guard: admin and edit
// may impersonate every service account where they hold.
const strong = "['cluster-admin', 'admin', 'edit']"

// strongest are those that nobody but the cluster's own parts needs.
const strongest = "^system:(node|node-bootstrapper|kube-scheduler|kube-controller-manager|kubelet-api-admin|aggregate-to-(admin|edit)|controller:.*|certificates[.]k8s[.]io:.*)$"

// identities closes the ways to become whom the guard trusts: rights to impersonate or to
// escalate, and roles that have them; and the ways around the guard: to write admission
// policies, and to speak to kubelets, whom no admission hears (leaks.md L42, L62).
func (c compiler) identities() topic {
	trusted := slices.Concat(c.attestors, c.breakGlass, []string{
		c.manager, c.prober, "system:masters", "system:nodes", schedulerUser, "system:kube-controller-manager", "system:cloud-controller-manager", "system:apiserver", "cluster-admin",
	})
	if name := c.manager[strings.LastIndex(c.manager, ":")+1:]; name != "" {
		trusted = append(trusted, name)
	}
	trusted = slices.Compact(slices.Sorted(slices.Values(trusted)))
	return topic{
		name:       "identities",
		resources:  []rule{{"rbac.authorization.k8s.io", write, []string{"clusterroles", "roles", "clusterrolebindings", "rolebindings"}}},
		conditions: []named{{"somebody", "!(" + bootstrap + ") && !" + clusterControllers + " && !" + c.attests()}},
		variables: []named{
			{"rules", "request.kind.kind in ['ClusterRole', 'Role'] && has(dyn(object).rules) && dyn(object).rules != null ? dyn(object).rules : []"},
			{"before", "request.operation == 'UPDATE' && request.kind.kind in ['ClusterRole', 'Role'] && has(dyn(oldObject).rules) && dyn(oldObject).rules != null ? dyn(oldObject).rules : []"},
			// who is named, and trusted by nobody, may be impersonated; an account by its name alone
			// is one of every namespace in a ClusterRole
			{"added", "variables.rules.filter(r, !(r in variables.before))"},
			{"dangerous", "variables.added.filter(r, r.verbs.exists(v, v in ['impersonate', 'escalate', 'bind', '*'] || v.startsWith('impersonate:')) && " +
				"r.?resources.orValue([]).exists(x, x in ['*', 'users', 'groups', 'serviceaccounts', 'clusterroles', 'roles'] || x.startsWith('userextras') || x == 'uids') && " +
				"(size(r.?resourceNames.orValue([])) == 0 || r.resourceNames.exists(n, n in " + list(trusted) + " || n.matches('^system:(node|serviceaccount:kube-system):')) || " +
				"('serviceaccounts' in r.?resources.orValue([]) && request.?namespace.orValue('') in " + list(append([]string{""}, c.trustedNamespaces()...)) + ")))"},
			{"reaching", "variables.added.filter(r, " +
				"(r.?apiGroups.orValue([]).exists(g, g in ['admissionregistration.k8s.io', '*']) && r.verbs.exists(v, v in ['create', 'update', 'patch', 'delete', 'deletecollection', '*']) && r.?resources.orValue([]).exists(x, x == '*' || x.startsWith('validatingadmissionpolic') || x.startsWith('mutatingadmissionpolic'))) || " +
				"(request.kind.kind == 'ClusterRole' && r.?apiGroups.orValue([]).exists(g, g in ['', '*']) && r.?resources.orValue([]).exists(x, x in ['*', '*/proxy', 'nodes/*', 'nodes/proxy'])) || " +
				"('request-serviceaccounts-token-audience' in r.verbs && !r.?resources.orValue([]).all(x, x in " + list(c.audiences) + ")))"},
			{"sameRole", "!request.kind.kind.endsWith('RoleBinding') || (request.kind.kind == 'RoleBinding' && !(request.namespace in " + list(c.trustedNamespaces()) + ")) || (request.operation == 'UPDATE' && dyn(object).?subjects.orValue([]) == dyn(oldObject).?subjects.orValue([]))"},
		},
		checks: []check{
			{reason.CredentialsExposed, "size(variables.dangerous) == 0",
				"'rights to impersonate, bind or escalate, or to do everything, are granted by an attestor: limit them by `resourceNames`'"},
			{reason.CredentialsExposed, "size(variables.reaching) == 0",
				"'rights to write admission policies, to reach kubelets (nodes/proxy, or everything of the core group) or to ask for tokens of an audience that is not listed are granted by an attestor'"},
			{reason.CredentialsExposed, "variables.sameRole || !(dyn(object).roleRef.name in " + strong + " || dyn(object).roleRef.name.matches(" + quote(strongest) + "))",
				"'cluster-admin, admin and edit, and roles of the cluster\\'s own parts, are given here by an attestor: with them one can become whom the guard trusts'"},
		},
	}
}

// certificates of clients can carry any group, and those of kubelets open what belongs to the
// pods of a node (leaks.md L62, F8).
func (c compiler) certificates() topic {
	return topic{
		name:       "certificates",
		resources:  []rule{{"certificates.k8s.io", []arv1.OperationType{arv1.Update}, []string{"certificatesigningrequests/approval"}}},
		conditions: []named{{"approves", "object.?status.?conditions.orValue([]).exists(c, c.type == 'Approved')"}},
		checks: []check{
			{reason.CredentialsExposed, "!(object.spec.signerName in ['kubernetes.io/kube-apiserver-client', 'kubernetes.io/legacy-unknown']) || " + c.attests(),
				"'a client certificate, which can carry any group, is approved by an attestor'"},
			{reason.CredentialsExposed, "object.spec.signerName != 'kubernetes.io/kube-apiserver-client-kubelet' || " + clusterControllers + " || " + c.attests(),
				"'the certificate of a kubelet, to which Secrets of its pods are open, is approved by the cluster\\'s controller or an attestor'"},
		},
	}
}

// policies guards this very policy: who may not attest may tighten it, and no more.
func (c compiler) policies() topic {
	fewer := func(field string) string {
		path := "spec.?" + strings.ReplaceAll(field, ".", ".?")
		return "object." + path + ".orValue([]).all(x, x in oldObject." + path + ".orValue([]))"
	}
	var lists []string
	for _, f := range []string{
		"nodes.regions", "nodes.zones", "nodes.runtimeClasses", "storage.drivers", "storage.topologyKeys", "images.registries", "network.hosts", "network.cidrs",
		"network.ingressClasses", "network.gatewayNamespaces", "identities.attestors", "identities.breakGlass", "identities.schedulers", "identities.tokenAudiences",
	} {
		lists = append(lists, fewer(f))
	}
	marked := "'namespaces still carry its name: take the label " + policyLabel + " from them first'"
	return topic{
		name:       "policies",
		resources:  []rule{{"residency.maodian.dev", []arv1.OperationType{arv1.Update, arv1.Delete}, []string{"residencypolicies"}}},
		conditions: []named{{"this", "oldObject.metadata.name == " + quote(c.policy)}},
		variables: []named{
			{"attestor", c.attests()},
			{"keeps", "request.operation == 'DELETE' ? [] : oldObject.metadata.?finalizers.orValue([]).filter(f, f.startsWith('residency.maodian.dev/') && !(f in object.metadata.?finalizers.orValue([])))"},
		},
		checks: []check{
			{reason.GovernedNamespace, "request.operation != 'DELETE' || variables.attestor", "'a ResidencyPolicy is deleted by an attestor'"},
			{reason.GovernedNamespace, "request.operation != 'DELETE' || " + boolean(len(c.marked) == 0), marked},
			{reason.GovernedNamespace, "request.operation == 'DELETE' || variables.attestor || (" + strings.Join(lists, " && ") + ")",
				"'a list of a ResidencyPolicy is made longer by an attestor'"},
			{reason.GovernedNamespace, "request.operation == 'DELETE' || variables.attestor || (object.spec.enforcement in ['Enforce', string(oldObject.spec.enforcement)] && object.spec.nodes.attestation in ['ProviderID', string(oldObject.spec.nodes.attestation)] && object.spec.storage.classPrefix == oldObject.spec.storage.classPrefix && object.spec.guardianConsentAge >= oldObject.spec.guardianConsentAge && object.spec.rulePack >= oldObject.spec.rulePack && " +
				"(object.spec.processor.ciioStatus in ['Unknown', string(oldObject.spec.processor.ciioStatus)] || oldObject.spec.processor.ciioStatus == 'No') && object.spec.nodes.?sharing.orValue('Shared') in ['Exclusive', string(oldObject.spec.nodes.?sharing.orValue('Shared'))] && " +
				"object.spec.nodes.?onLostAttestation.orValue('Report') in ['CordonAndEvict', string(oldObject.spec.nodes.?onLostAttestation.orValue('Report'))])",
				"'a ResidencyPolicy is loosened by an attestor'"},
			{reason.GovernedNamespace, "size(variables.keeps) == 0 || variables.attestor || request.userInfo.username == " + quote(c.manager),
				"'the finalizer ' + variables.keeps.join(', ') + ' is removed by the manager'"},
		},
	}
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// probes keeps the identity under which the manager tries attacks to trying: it may ask for
// anything as a dry run, and for nothing in earnest.
func (c compiler) probes() topic {
	return topic{
		name:       "prober",
		resources:  []rule{{"*", []arv1.OperationType{arv1.OperationAll}, []string{"*/*"}}},
		conditions: []named{{"prober", "request.userInfo.username == " + quote(c.prober)}},
		checks:     []check{{reason.CredentialsExposed, "request.?dryRun.orValue(false)", "'the prober may try, as a dry run, and do nothing'"}},
	}
}

// podStatus is written by who runs the pod: an address by hand becomes an endpoint of every
// Service that selects the pod (leaks.md L60).
func (c compiler) podStatus() topic {
	return topic{
		name:      "pod-status",
		where:     governed,
		resources: []rule{{"", []arv1.OperationType{arv1.Update}, []string{"pods/status"}}},
		checks: []check{{reason.NetworkNotInPolicy, "request.userInfo.username in ['system:node:' + object.spec.?nodeName.orValue(''), " + quote(schedulerUser) + "] || " + clusterControllers,
			"'the status of a pod is written by its own kubelet, the scheduler and the cluster\\'s controllers'"}},
	}
}

// nodeAddresses say where the API server sends exec and logs to (leaks.md L61).
func (c compiler) nodeAddresses() topic {
	addresses := func(object string) string {
		return object + ".?status.?addresses.orValue([]).map(a, a.type + '=' + a.address)"
	}
	return topic{
		name:       "node-addresses",
		resources:  []rule{{"", write, []string{"nodes", "nodes/status"}}},
		conditions: []named{{"inside", "object.metadata.?labels[?" + quote(regionKey) + "].orValue('') in " + list(c.regions)}},
		variables:  []named{{"now", addresses("object")}, {"before", "request.operation == 'CREATE' ? [] : " + addresses("oldObject")}},
		checks: []check{{reason.NetworkNotInPolicy, "variables.now == variables.before || request.userInfo.username == 'system:node:' + object.metadata.name || " + clusterControllers,
			"'the addresses of a node are written by itself and the cloud\\'s controller'"}},
	}
}

// nodeProxy reaches logs, shells and checkpoints of every pod of a node (leaks.md L42).
func (c compiler) nodeProxy() topic {
	return topic{
		name:      "node-proxy",
		resources: []rule{{"", []arv1.OperationType{arv1.Connect}, []string{"nodes/proxy"}}},
		checks:    []check{{reason.InteractiveAccessClosed, "false", "'nodes/proxy reaches every pod of the node: enter one pod instead'"}},
	}
}
