package guard

import (
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// podTopic is about the specs of pods, and of whatever makes pods: refused early in the
// template, where people look, and for certain in the pod.
func podTopic(name string, subresources ...string) topic {
	return topic{
		name:  name,
		where: governed,
		resources: []rule{
			{"", write, append([]string{"pods", "replicationcontrollers", "podtemplates"}, subresources...)},
			{"apps", write, []string{"deployments", "replicasets", "statefulsets", "daemonsets"}},
			{"batch", write, []string{"jobs", "cronjobs"}},
		},
		// an object older than the policy must still lose its finalizers, and its replicas
		conditions: []named{{"template-changed", "request.operation == 'CREATE' || (request.kind.kind == 'Pod' ? object.spec != oldObject.spec : " +
			"request.kind.kind == 'CronJob' ? object.spec.jobTemplate != oldObject.spec.jobTemplate : " +
			"request.kind.kind == 'PodTemplate' ? object.template != oldObject.template : object.spec.template != oldObject.spec.template)"}},
		variables: []named{{"spec", `request.kind.kind == 'Pod' ? object.spec :
request.kind.kind == 'CronJob' ? object.spec.jobTemplate.spec.template.spec :
request.kind.kind == 'PodTemplate' ? object.template.spec : object.spec.template.spec`}},
	}
}

// podPlacement refuses what the pin cannot mend.
func (c compiler) podPlacement() topic {
	t := podTopic("pod-placement")
	t.variables = append(t.variables,
		named{"key", quote(c.labelKey)},
		named{"jurisdiction", quote(c.jurisdiction)},
		named{"regionKey", quote(regionKey)},
		named{"regions", list(c.regions)},
		named{"schedulers", list(c.schedulers)},
		named{"isPod", "request.kind.kind == 'Pod'"},
		named{"pinned", "variables.spec.?nodeSelector[?variables.key].orValue('')"},
		named{"terms", "variables.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])"},
	)
	const outside = reason.PlacementNotMainland
	t.checks = []check{
		{outside, "(variables.isPod && request.operation != 'CREATE') || variables.spec.?nodeName.orValue('') == ''",
			"'`spec.nodeName` may not be set by hand: leave the node to the scheduler'"},
		{outside, "variables.isPod || request.kind.kind == 'DaemonSet' ? variables.pinned == variables.jurisdiction : variables.pinned in ['', variables.jurisdiction]",
			"'`nodeSelector` ' + variables.key + ' must be ' + variables.jurisdiction + ', not \"' + variables.pinned + '\": leave it out'"},
		{outside, `!variables.isPod || (size(variables.terms) > 0 && variables.terms.all(t, t.?matchExpressions.orValue([]).exists(e,
  e.key == variables.regionKey && e.operator == 'In' && e.values.all(v, v in variables.regions))))`,
			say("every nodeSelectorTerm must require one of the regions %s, because terms are ORed", anyOf(c.regions))},
		{outside, "variables.spec.?schedulerName.orValue('default-scheduler') in variables.schedulers",
			say("`schedulerName` must be one of %s", anyOf(c.schedulers))},
		{outside, "variables.spec.?runtimeClassName.orValue('') in " + list(append([]string{""}, c.runtimes...)),
			"'`runtimeClassName` may not be set, but to one of `spec.nodes.runtimeClasses`: a runtime class can run the pod on another machine'"},
	}
	return t
}

// podHost closes what steps around network policies and name rules (leaks.md L09).
func (c compiler) podHost() topic {
	t := podTopic("pod-host", "pods/ephemeralcontainers")
	t.variables = append(t.variables, named{"containers", "variables.spec.?containers.orValue([]) + variables.spec.?initContainers.orValue([]) + variables.spec.?ephemeralContainers.orValue([])"})
	const host = reason.HostAccessClosed
	t.checks = []check{
		{host, "!variables.spec.?hostNetwork.orValue(false) && !variables.spec.?hostPID.orValue(false) && !variables.spec.?hostIPC.orValue(false)",
			"'`hostNetwork`, `hostPID` and `hostIPC` may not be set: network policies do not see such a pod'"},
		{host, "variables.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))",
			"'`hostPort` may not be set: use a Service'"},
		{host, "variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))",
			"'`privileged` may not be set: such a container can leave its node\\'s confinement'"},
		{host, "variables.spec.?dnsPolicy.orValue('ClusterFirst') == 'ClusterFirst' && !has(variables.spec.dnsConfig)",
			"'`dnsPolicy` must be ClusterFirst, without a `dnsConfig`: names are resolved inside the cluster'"},
		{host, "size(variables.spec.?hostAliases.orValue([])) == 0",
			"'`hostAliases` may not be set: they can point an allowed name at an address abroad'"},
	}
	return t
}

// podVolumes admits what lives in the API server, on the pinned node, or behind a pinned
// claim, and no other type (leaks.md L10 to L12, L84).
func (c compiler) podVolumes() topic {
	t := podTopic("pod-volumes")
	const inside = "(has(v.configMap) || has(v.secret) || has(v.emptyDir) || has(v.downwardAPI) || has(v.projected) || has(v.persistentVolumeClaim) || has(v.ephemeral) || has(v.image))"
	t.variables = append(t.variables,
		named{"volumes", "variables.spec.?volumes.orValue([])"},
		named{"registries", list(c.registries)},
		named{"prefix", quote(c.classPrefix)},
		named{"audiences", list(append([]string{""}, c.audiences...))},
	)
	t.checks = []check{
		{reason.StorageNotMainland, "variables.volumes.all(v, " + inside + ")",
			"'the type of volume ' + variables.volumes.filter(v, !" + inside + ").map(v, v.name).join(', ') + ' is closed: use a claim of a class ' + variables.prefix + '*'"},
		{reason.StorageNotMainland, `variables.volumes.all(v, !has(v.ephemeral) || (
  v.ephemeral.volumeClaimTemplate.spec.?storageClassName.orValue('').startsWith(variables.prefix) &&
  v.ephemeral.volumeClaimTemplate.spec.?volumeName.orValue('') == '' &&
  !has(v.ephemeral.volumeClaimTemplate.spec.dataSource) && !has(v.ephemeral.volumeClaimTemplate.spec.dataSourceRef)))`,
			say("an ephemeral volume must name a storage class %s* and no source", c.classPrefix)},
		{reason.StorageNotMainland, "size(variables.spec.?resourceClaims.orValue([])) == 0",
			"'`resourceClaims` may not be set: a claimed device may be attached over a network'"},
		{reason.ImageNotInPolicy, "variables.volumes.all(v, !has(v.image) || variables.registries.exists(r, v.image.?reference.orValue('').startsWith(r)))",
			say("an image volume must come from one of %s", anyOf(c.registries))},
		{reason.CredentialsExposed, "variables.volumes.all(v, !has(v.projected) || v.projected.?sources.orValue([]).all(s, s.?serviceAccountToken.?audience.orValue('') in variables.audiences))",
			"'the audience of a projected token must be one of `spec.identities.tokenAudiences`: for another one it can be the key to a cloud abroad'"},
	}
	return t
}

// images come from registries of the policy. A prefix ends in a slash, so a look-alike host
// does not match (leaks.md L14).
func (c compiler) images() topic {
	t := podTopic("images", "pods/ephemeralcontainers")
	t.variables = append(t.variables,
		named{"registries", list(c.registries)},
		named{"images", `variables.spec.?containers.orValue([]).map(c, c.?image.orValue('')) +
variables.spec.?initContainers.orValue([]).map(c, c.?image.orValue('')) +
variables.spec.?ephemeralContainers.orValue([]).map(c, c.?image.orValue(''))`},
		named{"foreign", "variables.images.filter(i, !variables.registries.exists(r, i.startsWith(r)))"},
	)
	t.checks = []check{
		{reason.ImageNotInPolicy, "size(variables.foreign) == 0",
			"'image ' + variables.foreign.join(', ') + ' must come from one of ' + variables.registries.join(', ') + ' (`spec.images.registries`)'"},
	}
	return t
}

// podEndpoints trips over addresses that stand in the open. It is no wall: values of
// ConfigMaps and Secrets, and code, are not seen (leaks.md L16, L17).
func (c compiler) podEndpoints() topic {
	t := podTopic("pod-endpoints", "pods/ephemeralcontainers")
	const (
		words  = "(c.?command.orValue([]) + c.?args.orValue([]) + c.?env.orValue([]).map(e, e.?value.orValue('')))"
		bucket = "'(^|[^a-zA-Z0-9])(s3[an]?|gs)://'"
	)
	t.variables = append(t.variables,
		named{"regions", list(c.regions)},
		named{"containers", "variables.spec.?containers.orValue([]) + variables.spec.?initContainers.orValue([]) + variables.spec.?ephemeralContainers.orValue([])"},
		named{"texts", "variables.containers.map(c, " + words + ".filter(s, s.contains('://')).join(' '))"},
		named{"buckets", "variables.containers.filter(c, " + words + ".exists(s, s.contains('://') && s.matches(" + bucket + ")))"},
	)
	t.checks = []check{
		{reason.NetworkNotInPolicy, "variables.texts.all(s, s.findAll('[a-zA-Z][a-zA-Z0-9+.-]*://[^/ \"\\',;?#]+').all(u, " + c.insideHost(hostOf("u")) + "))",
			"'`command`, `args` or `env` names an address outside of `spec.network`'"},
		{reason.NetworkNotInPolicy, "variables.buckets.all(c, " + words + ".exists(s, s.matches('https?://') || variables.regions.exists(r, s.contains(r))))",
			"'`command`, `args` or `env` names a bucket and not where it is: name its address or region too'"},
	}
	return t
}

// components are labels by which network policies of ours let a pod reach the store, and a
// transfer its destination: the manager and attestors write them into templates, and the
// cluster's controllers into pods (leaks.md L54).
func (c compiler) components() topic {
	t := podTopic("components", "pods/status", "pods/resize", "pods/ephemeralcontainers")
	t.conditions = nil
	in := func(object, path string) string {
		return "(request.kind.kind == 'Pod' ? " + object + path + " : request.kind.kind == 'CronJob' ? " + object + ".?spec.?jobTemplate.?spec.?template" + path + " : " +
			"request.kind.kind == 'PodTemplate' ? " + object + ".?template" + path + " : " + object + ".?spec.?template" + path + ")"
	}
	labels := func(object string) string { return in(object, ".?metadata.?labels.orValue({})") }
	spec := func(object string) string { return in(object, ".?spec.orValue({})") }
	const ours = "['app.kubernetes.io/name', 'app.kubernetes.io/component', 'app.kubernetes.io/instance'].map(k, variables.%s[?k].orValue(''))"
	t.variables = []named{
		{"labels", labels("dyn(object)")},
		{"labelsBefore", "request.operation == 'CREATE' ? {} : " + labels("dyn(oldObject)")},
		{"now", strings.Replace(ours, "%s", "labels", 1)},
		{"before", strings.Replace(ours, "%s", "labelsBefore", 1)},
	}
	ownWriters := "request.userInfo.username == " + quote(c.manager) + " || " + clusterControllers + " || " + c.attests() // who may look into the store as well
	t.checks = []check{
		{reason.NetworkNotInPolicy, "variables.now == variables.before || !('maodian' in [variables.now[0], variables.before[0]]) || " + ownWriters,
			"'the labels of Maodian\\'s own pods open ways that are theirs alone: use another app.kubernetes.io/name'"},
		{reason.NetworkNotInPolicy, "request.operation == 'CREATE' || variables.before[0] != 'maodian' || request.?subResource.orValue('') != '' || " +
			spec("dyn(object)") + " == " + spec("dyn(oldObject)") + " || " + ownWriters,
			"'what runs in Maodian\\'s own pods is set by the manager, since ways are open to them: change the object that asks for them'"},
	}
	return t
}

// TaintKey marks the nodes that a policy keeps for itself.
func TaintKey(jurisdiction string) string { return "residency.maodian.dev/" + jurisdiction }

// keepOff keeps pods of other namespaces off the nodes inside: a node agent there can read
// volumes and logs of governed pods (leaks.md L23, L72). Nothing but the scheduler looks at
// taints, so others may bind to nodes elsewhere only.
func (c compiler) keepOff() topic {
	t := podTopic("keep-off")
	t.where = strangers
	t.resources = append(t.resources, rule{"", []arv1.OperationType{arv1.Create}, []string{"pods/binding", "bindings"}})
	t.conditions = append(t.conditions,
		named{"not-a-mirror-pod-of-its-own-node", "!(request.kind.kind == 'Pod' && has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations && request.userInfo.username == 'system:node:' + object.spec.?nodeName.orValue(''))"})
	t.variables[0].expression = "request.kind.kind == 'Binding' ? {} : " + t.variables[0].expression
	region := "''" // what a client says of a node is not believed
	if c.minor >= regionInBindings {
		region = "request.kind.kind in ['Pod', 'Binding'] && request.resource.resource == 'pods' ? dyn(object).metadata.?labels[?" + quote(regionKey) + "].orValue('') : ''"
	}
	t.variables = append(t.variables,
		named{"regions", list(c.regions)},
		named{"taint", quote(TaintKey(c.jurisdiction))},
		named{"region", region},
		named{"abroad", "variables.region != '' && !(variables.region in variables.regions)"})
	inside := anyOf(c.regions) + ", or one whose region is not known"
	t.checks = []check{
		{reason.NodeReserved, "!variables.spec.?tolerations.orValue([]).exists(t, t.?key.orValue('') == variables.taint || (t.?key.orValue('') == '' && t.?effect.orValue('NoSchedule') == 'NoSchedule'))",
			say("the taint %s may be tolerated in governed namespaces, and in those with the label %s: approved", TaintKey(c.jurisdiction), AgentsLabel)},
		{reason.NodeReserved, "(request.kind.kind == 'Pod' && request.operation != 'CREATE') || variables.spec.?nodeName.orValue('') == '' || variables.abroad",
			say("`spec.nodeName` may not name a node of %s", inside)},
		{reason.NodeReserved, "request.kind.kind != 'Binding' || variables.abroad || request.userInfo.username == " + quote(schedulerUser),
			say("only the scheduler may bind a pod to a node of %s", inside)},
	}
	return t
}
