package guard

import (
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// podTopic is about the specs of pods, and of whatever makes pods: refused early in the
// template, where people look, and for certain in the pod.
func podTopic(name string, subresources ...string) topic {
	return topic{
		name:     name,
		governed: true,
		resources: []rule{
			{"", write, append([]string{"pods", "replicationcontrollers", "podtemplates"}, subresources...)},
			{"apps", write, []string{"deployments", "replicasets", "statefulsets", "daemonsets"}},
			{"batch", write, []string{"jobs", "cronjobs"}},
		},
		// an object older than the policy must still lose its finalizers
		conditions: []named{{"spec-changed", "request.operation == 'CREATE' || request.kind.kind == 'PodTemplate' || object.spec != oldObject.spec"}},
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
		{outside, "request.operation != 'CREATE' || variables.spec.?nodeName.orValue('') == ''",
			"'`spec.nodeName` may not be set by hand: leave the node to the scheduler'"},
		{outside, "variables.isPod || request.kind.kind == 'DaemonSet' ? variables.pinned == variables.jurisdiction : variables.pinned in ['', variables.jurisdiction]",
			"'`nodeSelector` ' + variables.key + ' must be ' + variables.jurisdiction + ', not \"' + variables.pinned + '\": leave it out'"},
		{outside, `!variables.isPod || (size(variables.terms) > 0 && variables.terms.all(t, t.?matchExpressions.orValue([]).exists(e,
  e.key == variables.regionKey && e.operator == 'In' && e.values.all(v, v in variables.regions))))`,
			"'every nodeSelectorTerm must require one of the regions ' + variables.regions.join(', ') + ', because terms are ORed'"},
		{outside, "variables.spec.?schedulerName.orValue('default-scheduler') in variables.schedulers",
			"'`schedulerName` must be one of ' + variables.schedulers.join(', ')"},
		{outside, "variables.spec.?runtimeClassName.orValue('') == ''",
			"'`runtimeClassName` may not be set: a runtime class can run the pod on another machine'"},
	}
	return t
}

// podHost closes what steps around network policies and name rules (leaks.md L09).
func (c compiler) podHost() topic {
	t := podTopic("pod-host")
	t.variables = append(t.variables, named{"containers", "variables.spec.?containers.orValue([]) + variables.spec.?initContainers.orValue([])"})
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
	)
	t.checks = []check{
		{reason.StorageNotMainland, "variables.volumes.all(v, " + inside + ")",
			"'the type of volume ' + variables.volumes.filter(v, !" + inside + ").map(v, v.name).join(', ') + ' is closed: use a claim of a class ' + variables.prefix + '*'"},
		{reason.StorageNotMainland, `variables.volumes.all(v, !has(v.ephemeral) || (
  v.ephemeral.volumeClaimTemplate.spec.?storageClassName.orValue('').startsWith(variables.prefix) &&
  v.ephemeral.volumeClaimTemplate.spec.?volumeName.orValue('') == '' &&
  !has(v.ephemeral.volumeClaimTemplate.spec.dataSource) && !has(v.ephemeral.volumeClaimTemplate.spec.dataSourceRef)))`,
			"'an ephemeral volume must name a storage class ' + variables.prefix + '* and no source'"},
		{reason.StorageNotMainland, "size(variables.spec.?resourceClaims.orValue([])) == 0",
			"'`resourceClaims` may not be set: a claimed device may be attached over a network'"},
		{reason.ImageNotInPolicy, "variables.volumes.all(v, !has(v.image) || variables.registries.exists(r, v.image.?reference.orValue('').startsWith(r)))",
			"'an image volume must come from one of ' + variables.registries.join(', ')"},
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
