package guard

import (
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// interactive closes the ways into a running container (leaks.md L18, L41). kubectl cp is
// an exec; a proxied request reaches a port as if from inside.
func (c compiler) interactive() topic {
	return topic{
		name:     "interactive",
		governed: true,
		resources: []rule{
			{"", []arv1.OperationType{arv1.Connect}, []string{"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"}},
			{"", []arv1.OperationType{arv1.Update}, []string{"pods/ephemeralcontainers"}},
		},
		checks: []check{
			{reason.InteractiveAccessClosed, c.breaksGlass(), "request.subResource + ' is open to the groups in `spec.identities.breakGlass` only'"},
		},
	}
}

func (c compiler) breaksGlass() string {
	return "request.userInfo.?groups.orValue([]).exists(g, g in " + list(c.breakGlass) + ")"
}

// tokens of a governed service account are asked for by kubelets, for the pods that mount
// them (leaks.md L44).
func (c compiler) tokens() topic {
	return topic{
		name:      "tokens",
		governed:  true,
		resources: []rule{{"", []arv1.OperationType{arv1.Create}, []string{"serviceaccounts/token"}}},
		checks: []check{
			{reason.CredentialsExposed, "request.userInfo.?groups.orValue([]).exists(g, g == 'system:nodes') || " + clusterControllers + " || " + c.breaksGlass(),
				"'tokens are asked for by kubelets only: mount one into the pod'"},
		},
	}
}

// copies closes long-lived tokens, and annotations by which known controllers copy an object
// into other namespaces (leaks.md L44, L45).
func (c compiler) copies() topic {
	return topic{
		name:      "copies",
		governed:  true,
		resources: []rule{{"", write, []string{"secrets", "configmaps"}}},
		variables: []named{{"replicators", `object.metadata.?annotations.orValue({}).map(k, k).filter(k,
  k.matches('^(reflector[.]v1[.]k8s[.]emberstack[.]com|replicator[.]v1[.]mittwald[.]de|kubed[.]appscode[.]com)/'))`}},
		checks: []check{
			{reason.CredentialsExposed, "request.kind.kind != 'Secret' || dyn(object).?type.orValue('Opaque') != 'kubernetes.io/service-account-token'",
				"'a Secret of `type` kubernetes.io/service-account-token does not expire: mount a token into the pod'"},
			{reason.CredentialsExposed, "size(variables.replicators) == 0",
				"'the annotation ' + variables.replicators.join(', ') + ' would copy this object into other namespaces'"},
		},
	}
}

// roles keeps rights in a governed namespace with its own service accounts and the manager,
// and from groups that hold everybody (leaks.md L56).
func (c compiler) roles() topic {
	namespace, name := "", ""
	if parts := strings.Split(c.manager, ":"); len(parts) == 4 {
		namespace, name = parts[2], parts[3]
	}
	return topic{
		name:      "roles",
		governed:  true,
		resources: []rule{{"rbac.authorization.k8s.io", write, []string{"rolebindings"}}},
		variables: []named{{"subjects", "object.?subjects.orValue([])"}},
		checks: []check{
			{reason.CredentialsExposed, "variables.subjects.all(s, s.kind != 'ServiceAccount' || s.?namespace.orValue('') in ['', request.namespace] || (s.namespace == " + quote(namespace) + " && s.name == " + quote(name) + "))",
				"'a service account of another namespace may not have rights here'"},
			{reason.CredentialsExposed, "variables.subjects.all(s, s.kind != 'Group' || !(s.name.startsWith('system:serviceaccounts') || s.name in ['system:authenticated', 'system:unauthenticated']))",
				"'a group that holds everybody may not have rights here: name whom you mean'"},
		},
	}
}
