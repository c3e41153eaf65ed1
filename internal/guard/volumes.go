package guard

import (
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// addressing are words in the names of parameters that point somewhere.
const addressing = "(endpoint|server|url|replica|remote|peer)"

// volumes of a pinned class lie inside: node affinity says who may mount one, driver and
// source say where its bytes are (leaks.md L29, L31, L32).
func (c compiler) volumes() topic {
	const outside = reason.StorageNotMainland
	return topic{
		name:      "volumes",
		resources: []rule{{"", write, []string{"persistentvolumes", "persistentvolumes/status"}}},
		conditions: []named{
			{"pinned", c.pinnedClass("object") + " || (request.operation == 'UPDATE' && " + c.pinnedClass("oldObject") + ")"},
			{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec || " + annotatedClass("object", "''") + " != " + annotatedClass("oldObject", "''")}, // a finalizer may go
		},
		variables: []named{
			{"drivers", list(c.drivers)},
			{"places", lists(c.topology)},
			{"terms", "object.spec.?nodeAffinity.?required.?nodeSelectorTerms.orValue([])"},
			{"claimed", "object.spec.?claimRef.?namespace.orValue('')"},
			{"claimedBefore", "request.operation == 'CREATE' ? '' : oldObject.spec.?claimRef.?namespace.orValue('')"},
			{"governed", list(c.marked)},
		},
		checks: []check{
			{outside, "has(object.spec.csi) ? object.spec.csi.driver in variables.drivers : (has(object.spec.local) && object.metadata.?annotations[?'pv.kubernetes.io/provisioned-by'].orValue('') in variables.drivers)",
				say("a volume of this class must be made by one of %s (`spec.storage.drivers`)", anyOf(c.drivers))},
			{outside, "object.spec.?csi.?volumeAttributes.orValue({}).all(k, !k.lowerAscii().matches(" + quote(addressing) + ") && !object.spec.csi.volumeAttributes[k].contains('://'))",
				"'`volumeAttributes` may not name a server'"},
			{outside, "size(variables.terms) > 0 && variables.terms.all(t, t.?matchExpressions.orValue([]).exists(e, e.operator == 'In' && e.key in variables.places && e.values.all(v, v in variables.places[e.key])))",
				"'every term of `nodeAffinity` must lie in a region or zone of the policy, because terms are ORed'"},
			{outside, annotatedClass("object", "object.spec.?storageClassName.orValue('')") + " == object.spec.?storageClassName.orValue('')",
				"'the annotation " + classAnnotation + " wins over `storageClassName`: leave it out'"},
			{outside, "request.operation == 'CREATE' || object.spec.?storageClassName.orValue('') == oldObject.spec.?storageClassName.orValue('')",
				"'`storageClassName` of a pinned volume may not change'"},
			{outside, "variables.claimed == '' || variables.claimed == variables.claimedBefore || variables.claimed in variables.governed",
				"'`claimRef` must name a claim of a namespace that the policy governs'"},
		},
	}
}

// foreignClaims keeps the pinned classes to governed namespaces: a released volume would
// otherwise be bound, with what is on it, to a claim elsewhere (leaks.md L29, F14).
func (c compiler) foreignClaims() topic {
	return topic{
		name:       "foreign-claims",
		where:      others,
		resources:  []rule{{"", write, []string{"persistentvolumeclaims", "persistentvolumeclaims/status"}}},
		conditions: []named{{"pinned", c.pinnedClass("object") + " && (request.operation == 'CREATE' || !" + c.pinnedClass("oldObject") + ")"}}, // a class may come later
		checks: []check{{reason.StorageNotMainland, "false",
			"'the class ' + " + annotatedClass("object", "object.spec.?storageClassName.orValue('')") + " + ' is for namespaces that carry the label " + policyLabel + "'"}},
	}
}

// snapshots are made by a pinned class, from a volume of the namespace (leaks.md L33).
func (c compiler) snapshots() topic {
	return topic{
		name:  "snapshots",
		where: governed,
		resources: []rule{
			{"snapshot.storage.k8s.io", write, []string{"volumesnapshots"}},
			{"groupsnapshot.storage.k8s.io", write, []string{"volumegroupsnapshots"}},
		},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec"}},
		variables: []named{{"class", "request.kind.kind == 'VolumeGroupSnapshot' ? object.spec.?volumeGroupSnapshotClassName.orValue('') : object.spec.?volumeSnapshotClassName.orValue('')"},
			{"prefix", quote(c.classPrefix)},
			{"controller", clusterControllers}}, // it makes the members of a group
		checks: []check{
			{reason.StorageNotMainland, "variables.controller || variables.class.startsWith(variables.prefix)",
				"'the snapshot class must begin with ' + variables.prefix + ', not \"' + variables.class + '\"'"},
			{reason.StorageNotMainland, "variables.controller || (object.spec.?source.?volumeSnapshotContentName.orValue('') == '' && object.spec.?source.?volumeGroupSnapshotContentName.orValue('') == '')",
				"'`source` must be a claim: content made beforehand can come from anywhere'"},
		},
	}
}

// snapshotClasses that carry the prefix stay with the policy's drivers and copy nothing.
func (c compiler) snapshotClasses() topic {
	harmless := []string{"csi.storage.k8s.io/snapshotter-secret-name", "csi.storage.k8s.io/snapshotter-secret-namespace",
		"csi.storage.k8s.io/snapshotter-list-secret-name", "csi.storage.k8s.io/snapshotter-list-secret-namespace", "retentionDays"}
	return topic{
		name: "snapshot-classes",
		resources: []rule{
			{"snapshot.storage.k8s.io", write, []string{"volumesnapshotclasses"}},
			{"groupsnapshot.storage.k8s.io", write, []string{"volumegroupsnapshotclasses"}},
		},
		conditions: []named{{"carries-the-prefix", "object.metadata.name.startsWith(" + quote(c.classPrefix) + ")"},
			{"changed", "request.operation == 'CREATE' || object.?driver.orValue('') != oldObject.?driver.orValue('') || object.?parameters.orValue({}) != oldObject.?parameters.orValue({})"}},
		variables: []named{{"drivers", list(c.drivers)}, {"foreign", "object.?parameters.orValue({}).map(k, k).filter(k, !(k in " + list(harmless) + "))"}},
		checks: []check{
			{reason.StorageNotMainland, "object.?driver.orValue('') in variables.drivers", say("`driver` must be one of %s", anyOf(c.drivers))},
			{reason.StorageNotMainland, "size(variables.foreign) == 0", "'`parameters` ' + variables.foreign.join(', ') + ' may not be set: they can copy snapshots to other regions'"},
		},
	}
}

// snapshotContents name a snapshot of the storage system by a handle: by hand, one of a
// governed volume could be brought into any namespace (leaks.md L34).
func (c compiler) snapshotContents() topic {
	return topic{
		name:      "snapshot-contents",
		resources: []rule{{"snapshot.storage.k8s.io", write, []string{"volumesnapshotcontents"}}, {"groupsnapshot.storage.k8s.io", write, []string{"volumegroupsnapshotcontents"}}},
		conditions: []named{
			{"driver-of-the-policy", "object.spec.driver in " + list(c.drivers) + " || (request.operation == 'UPDATE' && oldObject.spec.driver in " + list(c.drivers) + ")"},
			{"changed", "request.operation == 'CREATE' || object.spec != oldObject.spec"},
		},
		variables: []named{{"controller", clusterControllers}},
		checks: []check{
			{reason.StorageNotMainland, "request.operation == 'UPDATE' || variables.controller",
				"'a snapshot may not be imported, or taken, by a handle: the snapshot controller alone does'"},
			{reason.StorageNotMainland, "request.operation == 'CREATE' || variables.controller", "'the content of a snapshot may not be changed by hand'"},
		},
	}
}

// attributeClasses change how a volume is kept: one with the prefix may not name a place.
func (c compiler) attributeClasses() topic {
	inside := list(slices.Concat(c.regions, c.zones))
	return topic{
		name:      "attribute-classes",
		resources: []rule{{"storage.k8s.io", write, []string{"volumeattributesclasses"}}},
		conditions: []named{{"carries-the-prefix", "object.metadata.name.startsWith(" + quote(c.classPrefix) + ")"},
			{"changed", "request.operation == 'CREATE' || object.?parameters.orValue({}) != oldObject.?parameters.orValue({})"}},
		variables: []named{{"drivers", list(c.drivers)}, {"closed", "object.?parameters.orValue({}).map(k, k).filter(k, k.lowerAscii().matches(" + quote(addressing) +
			") || object.parameters[k].contains('://') || (k.lowerAscii().matches('(zone|region)') && !object.parameters[k].split(',').all(v, v in " + inside + ")))"}},
		checks: []check{
			{reason.StorageNotMainland, "object.driverName in variables.drivers", say("`driverName` must be one of %s", anyOf(c.drivers))},
			{reason.StorageNotMainland, "size(variables.closed) == 0", "'`parameters` ' + variables.closed.join(', ') + ' may not be set: a driver may copy the volume there'"},
		},
	}
}
