package guard

import "github.com/maodian-dev/maodian/internal/domain/reason"

// clusterControllers are the cluster's own, by the two ways in which they may sign in.
const clusterControllers = `(request.userInfo.username in ["system:kube-controller-manager", "system:cloud-controller-manager"] ||
request.userInfo.username.startsWith("system:serviceaccount:kube-system:"))`

// services closes the types that lead out of the cluster or open a port on every node, and
// addresses written by hand (leaks.md L35 to L38). Whoever writes a load balancer's address
// into the status makes every kube-proxy capture it.
func (c compiler) services() topic {
	const outside = reason.NetworkNotInPolicy
	return topic{
		name:       "services",
		where:      governed,
		resources:  []rule{{"", write, []string{"services", "services/status"}}},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec || object.?status != oldObject.?status || object.metadata.?annotations != oldObject.metadata.?annotations || object.metadata.?labels != oldObject.metadata.?labels"}},
		variables: []named{
			{"type", "object.spec.?type.orValue('ClusterIP')"},
			{"shared", `object.metadata.?annotations.orValue({}).map(k, k).filter(k, k.matches('^(io[.]cilium/|service[.]cilium[.]io/|skupper[.]io/|tailscale[.]com/|k8s[.]ngrok[.]com/|networking[.]gke[.]io/.*neg)')) +
object.metadata.?labels.orValue({}).map(k, k).filter(k, k.matches('^mirror[.]linkerd[.]io/'))`},
		},
		checks: []check{
			{outside, "variables.type in ['ClusterIP', 'LoadBalancer']",
				"'`type` ' + variables.type + ' is closed: ExternalName leads out of the cluster, NodePort opens every node of it; use ClusterIP'"},
			{outside, "variables.type != 'LoadBalancer' || (object.spec.?externalTrafficPolicy.orValue('') == 'Local' && !object.spec.?allocateLoadBalancerNodePorts.orValue(true))",
				"'a LoadBalancer must have `externalTrafficPolicy: Local` and `allocateLoadBalancerNodePorts: false`: other nodes would take its traffic'"},
			{outside, "size(object.spec.?externalIPs.orValue([])) == 0", "'`externalIPs` may not be set'"},
			{outside, "size(variables.shared) == 0", "'' + variables.shared.join(', ') + ' would share the Service with other clusters or networks'"},
			{outside, "size(object.spec.?selector.orValue({})) > 0", "'`selector` must be set: without it, addresses are written by hand'"},
			{outside, "request.operation == 'CREATE' || object.?status == oldObject.?status || " + clusterControllers,
				"'`status` is written by the load balancer\\'s controller only'"},
		},
	}
}

// endpoints are written by the cluster's own controllers: by hand they send the traffic of a
// Service to any address (leaks.md L38).
func (c compiler) endpoints() topic {
	return topic{
		name:  "endpoints",
		where: governed,
		resources: []rule{
			{"", write, []string{"endpoints"}},
			{"discovery.k8s.io", write, []string{"endpointslices"}},
		},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.metadata.?labels != oldObject.metadata.?labels || " +
			"['subsets', 'endpoints', 'ports'].exists(f, dyn(object)[?f] != dyn(oldObject)[?f])"}},
		checks: []check{
			// the controller that mirrors hand-written Endpoints is left out on purpose
			{reason.NetworkNotInPolicy, "request.userInfo.username in " + list([]string{
				"system:kube-controller-manager", "system:serviceaccount:kube-system:endpoint-controller", "system:serviceaccount:kube-system:endpointslice-controller",
			}), "'endpoints may not be written by hand: they follow the `selector` of a Service'"},
		},
	}
}
