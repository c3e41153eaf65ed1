package guard

import (
	arv1 "k8s.io/api/admissionregistration/v1"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// interactive closes the ways into a running container (leaks.md L18, L41). kubectl cp is
// an exec; a proxied request reaches a port as if from inside.
func (c compiler) interactive() topic {
	return topic{
		name:  "interactive",
		where: governed,
		resources: []rule{
			{"", []arv1.OperationType{arv1.Connect}, []string{"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"}},
			{"", []arv1.OperationType{arv1.Update}, []string{"pods/ephemeralcontainers"}},
		},
		checks: []check{{reason.InteractiveAccessClosed, "false",
			"request.subResource + ' is closed: an attestor can open it by a ResidencyException, for a day at most, to a member of `spec.identities.breakGlass`'"}},
	}
}

// breaksGlass is true for members of a group that an exception may let in.
func (c compiler) breaksGlass() string {
	return "request.userInfo.?groups.orValue([]).exists(g, g in " + list(c.breakGlass) + ")"
}

// tokens of a governed service account are asked for by kubelets, for the pods that mount
// them (leaks.md L44). The API server has filled in its own audience before this is evaluated,
// and the compiler does not know that one. So kubelets are not held to the list here: the API
// server holds them to what their pods mount and their drivers ask for (ServiceAccountNodeAudienceRestriction,
// on since 1.33), and pod-volumes and csi-drivers look at that.
func (c compiler) tokens() topic {
	const kubelet = "request.userInfo.?groups.orValue([]).exists(g, g == 'system:nodes')"
	return topic{
		name:      "tokens",
		where:     governed,
		resources: []rule{{"", []arv1.OperationType{arv1.Create}, []string{"serviceaccounts/token"}}},
		checks: []check{
			{reason.CredentialsExposed, kubelet + " || " + clusterControllers, "'tokens are asked for by kubelets only: mount one into the pod'"},
			{reason.CredentialsExposed, kubelet + " || object.spec.?audiences.orValue([]).all(a, a in " + list(c.audiences) + ")",
				"'the audience must be one of `spec.identities.tokenAudiences`: for another one the token can be the key to a cloud abroad'"},
		},
	}
}

// trustedTokens are those of accounts that the guard trusts: the cluster's own and the manager's
// (leaks.md L62, L81). Pods of these namespaces get theirs from the kubelet, as everywhere.
func (c compiler) trustedTokens() topic {
	const kubelet = "request.userInfo.?groups.orValue([]).exists(g, g == 'system:nodes')"
	return topic{
		name: "trusted-tokens",
		resources: []rule{
			{"", []arv1.OperationType{arv1.Create}, []string{"serviceaccounts/token"}},
			{"", []arv1.OperationType{arv1.Create}, []string{"secrets"}},
		},
		conditions: []named{
			{"trusted-namespace", "request.?namespace.orValue('') in " + list(c.trustedNamespaces())},
			{"a-token", "request.kind.kind == 'TokenRequest' || dyn(object).?type.orValue('') == 'kubernetes.io/service-account-token'"},
		},
		checks: []check{{reason.CredentialsExposed, kubelet + " || " + clusterControllers + " || " + c.attests(),
			"'the guard trusts accounts of this namespace, so an attestor asks for their tokens'"}},
	}
}

// trustedNamespaces hold the accounts that the guard trusts.
func (c compiler) trustedNamespaces() []string {
	if ns := c.managerNamespace(); ns != "" {
		return []string{"kube-system", ns}
	}
	return []string{"kube-system"}
}

// copies closes long-lived tokens, and what makes known controllers copy an object into
// other namespaces or to other keepers of secrets (leaks.md L44, L45).
func (c compiler) copies() topic {
	return topic{
		name:  "copies",
		where: governed,
		resources: []rule{
			{"", write, []string{"secrets", "configmaps"}},
			{"external-secrets.io", write, []string{"pushsecrets"}},
			{"secretgen.carvel.dev", write, []string{"secretexports"}},
		},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.metadata.?annotations != oldObject.metadata.?annotations || dyn(object).?spec != dyn(oldObject).?spec"}},
		variables: []named{{"replicators", `object.metadata.?annotations.orValue({}).map(k, k).filter(k,
  k.matches('^(reflector[.]v1[.]k8s[.]emberstack[.]com|replicator[.]v1[.]mittwald[.]de|kubed[.]appscode[.]com)/'))`}},
		checks: []check{
			{reason.CredentialsExposed, "request.kind.kind in ['Secret', 'ConfigMap']", "request.kind.kind + ' would copy Secrets of the namespace elsewhere'"},
			{reason.CredentialsExposed, "request.kind.kind != 'Secret' || dyn(object).?type.orValue('Opaque') != 'kubernetes.io/service-account-token'",
				"'a Secret of `type` kubernetes.io/service-account-token does not expire: mount a token into the pod'"},
			{reason.CredentialsExposed, "size(variables.replicators) == 0",
				"'the annotation ' + variables.replicators.join(', ') + ' would copy this object into other namespaces'"},
		},
	}
}

// copiesElsewhere closes requests of other namespaces for a copy of a governed object.
func (c compiler) copiesElsewhere() topic {
	return topic{
		name:      "copies-elsewhere",
		where:     others,
		resources: []rule{{"", write, []string{"secrets", "configmaps"}}},
		variables: []named{{"governed", list(c.marked)}, {"annotations", "object.metadata.?annotations.orValue({})"}},
		checks: []check{{reason.CredentialsExposed, "variables.annotations.all(k, !k.matches('(reflects|replicate-from)$') || !(variables.annotations[k].split('/')[0] in variables.governed))",
			"'this object asks for a copy of an object of a governed namespace'"}},
	}
}

// roles keeps rights in a governed namespace with its own service accounts and the manager,
// and from groups that hold everybody (leaks.md L56).
func (c compiler) roles() topic {
	const account = "'system:serviceaccount:'" // as a user, it is the same account
	manager := quote(c.manager)
	return topic{
		name:       "roles",
		where:      governed,
		resources:  []rule{{"rbac.authorization.k8s.io", write, []string{"rolebindings"}}},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.?subjects != oldObject.?subjects"}},
		variables: []named{
			{"subjects", "object.?subjects.orValue([])"},
			{"users", "variables.subjects.filter(s, s.kind != 'Group').map(s, s.kind == 'User' ? s.name : " + account + " + s.?namespace.orValue(request.namespace) + ':' + s.name)"},
		},
		checks: []check{
			{reason.CredentialsExposed, "variables.users.all(u, !u.startsWith(" + account + ") || u.startsWith(" + account + " + request.namespace + ':') || u == " + manager + ")",
				"'a service account of another namespace may not have rights here'"},
			{reason.CredentialsExposed, "!('system:anonymous' in variables.users) && variables.subjects.all(s, s.kind != 'Group' || !(s.name.startsWith('system:serviceaccounts') || s.name in ['system:authenticated', 'system:unauthenticated']))",
				"'a group that holds everybody may not have rights here: name whom you mean'"},
		},
	}
}
