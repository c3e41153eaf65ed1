package guard

import (
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

const selectedNode = "volume.kubernetes.io/selected-node"

// classAnnotation is older than the field, and whoever makes or binds volumes reads it first.
const classAnnotation = "volume.beta.kubernetes.io/storage-class"

// annotatedClass is the class of a claim or volume, as the annotation says, or otherwise.
func annotatedClass(object, otherwise string) string {
	return object + ".metadata.?annotations[?" + quote(classAnnotation) + "].orValue(" + otherwise + ")"
}

// pinnedClass tells whether field or annotation names a class of the policy.
func (c compiler) pinnedClass(object string) string {
	return "(" + object + ".spec.?storageClassName.orValue('').startsWith(" + quote(c.classPrefix) + ") || " + annotatedClass(object, "''") + ".startsWith(" + quote(c.classPrefix) + "))"
}

// binders are who may bind a claim to a volume.
var binders = []string{"system:kube-controller-manager", "system:serviceaccount:kube-system:persistent-volume-binder"}

// claims keeps to classes whose name begins with the prefix: the name is a contract that
// classes keeps, so nothing has to be looked up (leaks.md L24 to L28).
func (c compiler) claims() topic {
	const node = "[?" + `"` + selectedNode + `"` + "].orValue('')"
	const outside = reason.StorageNotMainland
	return topic{
		name:      "claims",
		where:     governed,
		resources: []rule{{"", write, []string{"persistentvolumeclaims", "persistentvolumeclaims/status"}}},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec || object.metadata.?annotations" + node +
			" != oldObject.metadata.?annotations" + node + " || " + annotatedClass("object", "''") + " != " + annotatedClass("oldObject", "''")}},
		variables: []named{
			{"prefix", quote(c.classPrefix)},
			{"class", "object.spec.?storageClassName.orValue('')"},
			{"volume", "object.spec.?volumeName.orValue('')"},
			{"volumeBefore", "request.operation == 'CREATE' ? '' : oldObject.spec.?volumeName.orValue('')"},
			{"node", "object.metadata.?annotations" + node},
			{"nodeBefore", "request.operation == 'CREATE' ? '' : oldObject.metadata.?annotations" + node},
		},
		checks: []check{
			{outside, "variables.class.startsWith(variables.prefix)",
				"'`storageClassName` must begin with ' + variables.prefix + ', not \"' + variables.class + '\"'"},
			{outside, annotatedClass("object", "variables.class") + " == variables.class",
				"'the annotation " + classAnnotation + " wins over `storageClassName`: leave it out'"},
			{outside, "variables.volume == variables.volumeBefore || request.userInfo.username in " + list(binders),
				"'`volumeName` may not be set by hand: the cluster binds the claim'"},
			{outside, "!has(object.spec.selector)", "'`selector` may not be set: a volume is made for the claim'"},
			{outside, "variables.node in ['', variables.nodeBefore] || request.userInfo.username == " + quote(schedulerUser),
				"'the annotation " + selectedNode + " steers where the volume is made: the scheduler alone writes it'"},
			{outside, "!has(object.spec.dataSourceRef) || object.spec.dataSourceRef.?namespace.orValue(request.namespace) in ['', request.namespace]",
				"'`dataSourceRef` may not name another namespace'"},
			{outside, "!has(object.spec.dataSourceRef) || object.spec.dataSourceRef.kind in ['PersistentVolumeClaim', 'VolumeSnapshot']",
				"'`dataSourceRef` must name a claim or a snapshot, not a ' + object.spec.dataSourceRef.kind"},
			{outside, "object.spec.?volumeAttributesClassName.orValue('') == '' || object.spec.volumeAttributesClassName.startsWith(variables.prefix)",
				say("`volumeAttributesClassName` must begin with %s", c.classPrefix)},
		},
	}
}

// classes that carry the prefix are pinned. A driver's parameters can beat allowedTopologies
// (leaks.md F12), so one that names a place must name one inside, and servers and copies are
// closed (L30).
func (c compiler) classes() topic {
	const outside = reason.StorageNotMainland
	return topic{
		name:      "storage-classes",
		resources: []rule{{"storage.k8s.io", write, []string{"storageclasses"}}},
		conditions: []named{{"carries-the-prefix", "object.metadata.name.startsWith(" + quote(c.classPrefix) + ")"},
			{"changed", "request.operation == 'CREATE' || object.?allowedTopologies.orValue([]) != oldObject.?allowedTopologies.orValue([])"}}, // the rest never changes
		variables: []named{
			{"drivers", list(c.drivers)},
			{"places", lists(c.topology)},
			{"terms", "object.?allowedTopologies.orValue([])"},
			{"inside", list(slices.Concat(c.regions, c.zones))},
			{"closed", `object.?parameters.orValue({}).map(k, k).filter(k, k.lowerAscii().matches('(endpoint|server|replica|url)') || object.parameters[k].contains('://') ||
(k.lowerAscii().matches('(zone|region)') && !object.parameters[k].split(',').all(v, v in variables.inside)))`},
		},
		checks: []check{
			{outside, "object.provisioner in variables.drivers",
				"'`provisioner` must be one of ' + variables.drivers.join(', ') + ' (`spec.storage.drivers`), not ' + object.provisioner"},
			{outside, "object.?volumeBindingMode.orValue('Immediate') == 'WaitForFirstConsumer'",
				"'`volumeBindingMode` must be WaitForFirstConsumer: the pod\\'s place comes first'"},
			{outside, `size(variables.terms) > 0 && variables.terms.all(t, t.?matchLabelExpressions.orValue([]).exists(e,
  e.key in variables.places && e.values.all(v, v in variables.places[e.key])))`,
				"'every term of `allowedTopologies` must be limited to regions or zones of the policy (`spec.nodes`)'"},
			{outside, "size(variables.closed) == 0",
				"'`parameters` ' + variables.closed.join(', ') + ' may not be set: a driver may follow them instead of `allowedTopologies`'"},
		},
	}
}

// csiDrivers that serve governed pods are sent tokens of their accounts, for whatever audience
// the driver asks (leaks.md L13, L84).
func (c compiler) csiDrivers() topic {
	return topic{
		name:      "csi-drivers",
		resources: []rule{{"storage.k8s.io", write, []string{"csidrivers"}}},
		conditions: []named{
			{"driver-of-the-policy", "object.metadata.name in " + list(c.drivers)},
			{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec"},
		},
		checks: []check{{reason.CredentialsExposed, "object.spec.?tokenRequests.orValue([]).all(t, t.audience in " + list(append([]string{""}, c.audiences...)) + ") || " + c.attests(),
			"'`tokenRequests` may ask for an audience of `spec.identities.tokenAudiences` only: for another one the token of a pod can be the key to a cloud abroad'"}},
	}
}
