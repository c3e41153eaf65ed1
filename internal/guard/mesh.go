package guard

import "github.com/maodian-dev/maodian/internal/domain/reason"

// mesh routes traffic by names: each must be a host of the policy or of the cluster, or Istio
// sends there what an application meant for another (leaks.md L63).
func (c compiler) mesh() topic {
	const routes = "(object.?spec.?http.orValue([]) + object.?spec.?tcp.orValue([]) + object.?spec.?tls.orValue([]))"
	host := func(e string) string { return c.insideHost(e + ".orValue('localhost')") }
	ofRoutes := routes + ".all(r, r.?route.orValue([]).all(d, " + host("d.?destination.?host") + ") && r.?mirrors.orValue([]).all(m, " + host("m.?destination.?host") + ") && " +
		"[r.?mirror.?host.orValue('localhost'), r.?redirect.?authority.orValue('localhost'), r.?rewrite.?authority.orValue('localhost')].all(h, " + c.insideHost("h") + ") && r.?delegate.?namespace.orValue('') in ['', request.namespace])"
	ofRule := c.insideHost("object.?spec.?host.orValue('missing.invalid')") + " && " + tunnels("object") + ".all(h, " + c.insideHost("h") + ")"
	// egress of a Sidecar is namespace/name, where a star stands for a part or for every name
	ofSidecar := "object.?spec.?egress.orValue([]).all(e, e.?hosts.orValue([]).all(h, h.endsWith('/*') || " + c.insideHost("h.split('/')[size(h.split('/')) - 1].replace('*.', 'any.')") + ")) && " +
		host("object.?spec.?outboundTrafficPolicy.?egressProxy.?host")
	return topic{
		name:       "mesh",
		where:      governed,
		resources:  []rule{{"networking.istio.io", write, []string{"virtualservices", "destinationrules", "sidecars"}}},
		conditions: []named{changed},
		checks: []check{
			{reason.NetworkNotInPolicy, "request.kind.kind != 'VirtualService' || " + ofRoutes,
				"'a VirtualService may send, mirror and redirect to hosts of the cluster and of the policy (`spec.network.hosts`) only, and delegate within the namespace'"},
			{reason.NetworkNotInPolicy, "request.kind.kind != 'DestinationRule' || (" + ofRule + ")",
				"'a DestinationRule may name, and tunnel to, hosts of the cluster and of the policy (`spec.network.hosts`) only'"},
			{reason.NetworkNotInPolicy, "request.kind.kind != 'Sidecar' || (" + ofSidecar + ")",
				"'a Sidecar may name hosts of the cluster and of the policy (`spec.network.hosts`) only'"},
		},
	}
}

// tunnels lists where a DestinationRule tunnels to.
func tunnels(object string) string {
	return "([" + object + ".?spec.?trafficPolicy.orValue({})] + " + object + ".?spec.?subsets.orValue([]).map(s, s.?trafficPolicy.orValue({})))" +
		".map(t, t.?tunnel.?targetHost.orValue('localhost'))"
}

// meshElsewhere keeps other namespaces from changing where the name of a governed Service leads:
// what they do not keep to themselves holds for every client in the mesh.
func (c compiler) meshElsewhere() topic {
	return topic{
		name:       "mesh-elsewhere",
		where:      others,
		resources:  []rule{{"networking.istio.io", write, []string{"virtualservices", "destinationrules", "serviceentries"}}},
		conditions: []named{changed, {"leads-elsewhere", "request.kind.kind != 'DestinationRule' || " + tunnels("object") + ".exists(h, h != 'localhost')"}},
		variables: []named{
			{"governed", list(c.marked)},
			{"exported", "size(object.?spec.?exportTo.orValue([])) == 0 || object.spec.exportTo.exists(n, n == '*' || n in variables.governed)"},
			{"meshed", "request.kind.kind != 'VirtualService' || size(object.?spec.?gateways.orValue([])) == 0 || 'mesh' in object.spec.gateways"},
			{"names", "request.kind.kind == 'DestinationRule' ? [object.?spec.?host.orValue('')] : object.?spec.?hosts.orValue([])"},
		},
		checks: []check{{reason.NetworkNotInPolicy, "!variables.exported || !variables.meshed || " +
			"variables.names.all(h, !(h in ['*', '*.local', '*.cluster.local', '*.svc.cluster.local', '*.svc']) && !(h.contains('.') && h.split('.')[1] in variables.governed))",
			"'this would change where the name of a governed Service leads: set `exportTo` to [.] or name other hosts'"}},
	}
}
