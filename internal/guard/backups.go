package guard

import (
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// backupLocations whose name begins with the class prefix are inside: backups of governed
// namespaces may use those and no others, so the name is a contract (leaks.md L50).
func (c compiler) backupLocations() topic {
	const address = "variables.config[k]"
	return topic{
		name:       "backup-locations",
		resources:  []rule{{"velero.io", write, []string{"backupstoragelocations", "volumesnapshotlocations"}}},
		conditions: []named{{"carries-the-prefix", "object.metadata.name.startsWith(" + quote(c.classPrefix) + ")"}, changed},
		variables:  []named{{"regions", list(c.regions)}, {"config", "object.?spec.?config.orValue({})"}},
		checks: []check{
			{reason.StorageNotMainland, "variables.config[?'region'].orValue('') in variables.regions",
				say("`config.region` must be one of %s: without it the client asks its cloud", anyOf(c.regions))},
			{reason.StorageNotMainland, "variables.config.all(k, !(k.lowerAscii().matches('(url|uri|endpoint)') || variables.config[k].contains('://')) || " + c.insideHost(hostOf(address)) + ")",
				"'an address in `config` must be a host of the policy (`spec.network.hosts`)'"},
		},
	}
}

// backups of a governed namespace go to a location inside, which they name; a wildcard, or no
// list, takes every namespace, and the volumes of all come with the cluster's own objects
// (leaks.md L51, L52). The parts that Velero makes of a backup can be made by hand, too.
func (c compiler) backups() topic {
	return topic{
		name: "backups",
		resources: []rule{{"velero.io", write, []string{"backups", "schedules", "restores",
			"podvolumebackups", "datauploads", "podvolumerestores", "datadownloads"}}},
		conditions: []named{changed},
		variables: []named{
			{"prefix", quote(c.classPrefix)},
			{"governed", list(c.marked)},
			{"spec", "request.kind.kind == 'Schedule' ? dyn(object).?spec.?template.orValue({}) : dyn(object).?spec.orValue({})"},
			{"included", "variables.spec.?includedNamespaces.orValue([])"},
			{"allVolumes", "variables.spec.?includeClusterResources.orValue(false) == true || variables.spec.?includedClusterScopedResources.orValue([]).exists(r, r.lowerAscii().matches('^([*]|pv|persistentvolumes?)([.]|$)'))"},
			{"source", "request.kind.kind == 'PodVolumeBackup' ? variables.spec.?pod.?namespace.orValue('') : variables.spec.?sourceNamespace.orValue('')"},
			{"target", "request.kind.kind == 'PodVolumeRestore' ? variables.spec.?pod.?namespace.orValue('') : variables.spec.?targetVolume.?namespace.orValue('')"},
			{"touches", "request.kind.kind in ['Backup', 'Schedule'] && (variables.allVolumes || size(variables.included) == 0 || variables.included.exists(n, n.matches('[*?{]') || n.contains('[') || n in variables.governed))"},
			{"mapping", "variables.spec.?namespaceMapping.orValue({})"},
		},
		checks: []check{
			{reason.StorageNotMainland, "!variables.touches || (variables.spec.?storageLocation.orValue('').startsWith(variables.prefix) && variables.spec.?volumeSnapshotLocations.orValue([]).all(l, l.startsWith(variables.prefix)))",
				say("a backup that takes a governed namespace must name a `storageLocation` %s*: name other namespaces in `includedNamespaces`, without a wildcard, and no volumes of the whole cluster", c.classPrefix)},
			{reason.StorageNotMainland, "!(request.kind.kind in ['PodVolumeBackup', 'DataUpload']) || !(variables.source in variables.governed) || variables.spec.?backupStorageLocation.orValue('').startsWith(variables.prefix)",
				say("a volume of a governed namespace may be copied to a `backupStorageLocation` %s* only", c.classPrefix)},
			{reason.StorageNotMainland, "!(request.kind.kind in ['PodVolumeRestore', 'DataDownload']) || !(variables.source in variables.governed) || variables.target in variables.governed",
				"'a volume of a governed namespace may be restored into a governed one only'"},
			{reason.StorageNotMainland, "variables.mapping.all(k, !(k in variables.governed) || variables.mapping[k] in variables.governed)",
				"'`namespaceMapping` may restore a governed namespace only into a governed one'"},
		},
	}
}

// databases of CloudNativePG keep their volumes, backups and replicas inside (leaks.md L53).
func (c compiler) databases() topic {
	const outside = reason.StorageNotMainland
	store := func(e string) string {
		return "(!has(" + e + ".barmanObjectStore) || " + c.store(e+".barmanObjectStore") + ")"
	}
	host := func(key string) string { // libpq takes a list, and prefers hostaddr
		return "e.?connectionParameters[?'" + key + "'].orValue('localhost').split(',').all(x, " + c.insideHost("x") + ")"
	}
	class := func(e string) string {
		return e + ".?storageClass.orValue('').startsWith(" + quote(c.classPrefix) + ")"
	}
	return topic{
		name:       "databases",
		where:      governed,
		resources:  []rule{{"postgresql.cnpg.io", write, []string{"clusters"}}},
		conditions: []named{changed},
		checks: []check{
			{outside, "!has(object.spec.backup) || " + store("object.spec.backup"),
				"'`barmanObjectStore.endpointURL` must be set, to a host of the policy, and `destinationPath` be a bucket there: without it the client goes to its own cloud'"},
			{outside, "object.spec.?externalClusters.orValue([]).all(e, " + host("host") + " && " + host("hostaddr") + " && " + store("e") + ")",
				"'`externalClusters` must be hosts of the policy or of the cluster'"},
			{outside, "has(object.spec.storage) && " + class("object.spec.storage") + " && (!has(object.spec.walStorage) || " + class("object.spec.walStorage") + ") && object.spec.?tablespaces.orValue([]).all(t, " + "has(t.storage) && " + class("t.storage") + ")",
				say("every volume must name a `storageClass` %s*", c.classPrefix)},
			{reason.NetworkNotInPolicy, "object.spec.?managed.?services.?additional.orValue([]).all(s, s.?serviceTemplate.?spec.?type.orValue('ClusterIP') == 'ClusterIP')",
				"'`managed.services` must be of type ClusterIP'"},
		},
	}
}

// store tells whether a bucket lies at a host of the policy: a path of another scheme than s3
// is the address itself, or makes the client go to its own cloud.
func (c compiler) store(e string) string {
	path := e + ".?destinationPath.orValue('s3://')"
	return "(" + c.insideHost(hostOf(e+".?endpointURL.orValue('missing.invalid')")) + " && (" + path + ".startsWith('s3://') || (" + path + ".matches('^https?://') && " + c.insideHost(hostOf(path)) + ")))"
}

// objectStores are where the plugin of CloudNativePG sends backups.
func (c compiler) objectStores() topic {
	return topic{
		name:       "object-stores",
		where:      governed,
		resources:  []rule{{"barmancloud.cnpg.io", write, []string{"objectstores"}}},
		conditions: []named{changed},
		variables:  []named{{"configuration", "object.?spec.?configuration.orValue({})"}},
		checks: []check{{reason.StorageNotMainland, c.store("variables.configuration"),
			"'`configuration.endpointURL` must be set, to a host of the policy, and `destinationPath` be a bucket there'"}},
	}
}

// replication of storage systems copies volumes to another place (leaks.md L90).
func (c compiler) replication() topic {
	return topic{
		name:  "replication",
		where: governed,
		resources: []rule{
			{"replication.storage.openshift.io", write, []string{"volumereplications", "volumegroupreplications"}},
			{"volsync.backube", write, []string{"replicationsources", "replicationdestinations"}},
			{"ramendr.openshift.io", write, []string{"volumereplicationgroups"}},
			{"kafka.strimzi.io", write, []string{"kafkamirrormaker2s", "kafkamirrormakers"}},
			{"longhorn.io", write, []string{"backuptargets", "backups", "recurringjobs"}},
			{"stork.libopenstorage.org", write, []string{"migrations", "migrationschedules", "applicationbackups", "applicationbackupschedules", "clusterpairs"}},
		},
		conditions: []named{changed},
		checks:     []check{{reason.StorageNotMainland, "false", "'' + request.kind.kind + ' would copy data of the namespace to a place that cannot be told'"}},
	}
}

// Drivers of storage systems that can copy volumes to another place by objects of their own.
const (
	longhorn = "driver.longhorn.io"
	ceph     = ".csi.ceph.com" // with the operator's namespace before it
)

// storageCopies are where a storage system that a policy lists sends copies of every volume: its
// objects stand in a namespace of its own (leaks.md L90). There is no such topic for others.
func (c compiler) storageCopies() (out []topic) {
	attested := func(t topic, says string) topic {
		t.checks = []check{{reason.StorageNotMainland, c.attests(), says}}
		return t
	}
	if slices.Contains(c.drivers, longhorn) {
		target := func(object string) string {
			return "dyn(" + object + ").?spec.?backupTargetURL.orValue(dyn(" + object + ").?value.orValue(''))"
		}
		out = append(out, attested(topic{
			name:      "longhorn-targets",
			resources: []rule{{"longhorn.io", write, []string{"backuptargets", "settings"}}},
			conditions: []named{
				{"a-target", "request.kind.kind == 'BackupTarget' || object.metadata.name == 'backup-target'"},
				{"leads-somewhere", target("object") + " != '' && (request.operation == 'CREATE' || " + target("object") + " != " + target("oldObject") + ")"},
			},
		}, "'the backup target of Longhorn takes volumes of governed namespaces, so an attestor sets it'"))
	}
	if slices.ContainsFunc(c.drivers, func(d string) bool { return strings.HasSuffix(d, ceph) }) {
		mirrors := func(object string) string {
			return "dyn(" + object + ").?spec.?mirroring.orValue({})"
		}
		out = append(out, attested(topic{
			name:      "ceph-mirrors",
			resources: []rule{{"ceph.rook.io", write, []string{"cephblockpools", "cephfilesystems", "cephrbdmirrors", "cephfilesystemmirrors"}}},
			conditions: []named{{"mirrors", "request.kind.kind.endsWith('Mirror') ? " + changed.expression + " : (" + mirrors("object") + ".?enabled.orValue(false) == true && " +
				"(request.operation == 'CREATE' || " + mirrors("object") + " != " + mirrors("oldObject") + "))"}},
		}, "'a mirror of Ceph takes volumes of governed namespaces to another cluster, so an attestor sets it up'"))
	}
	return out
}

// nodePools may not give the attested label to machines elsewhere (leaks.md L57).
func (c compiler) nodePools() topic {
	inside := list(slices.Concat(c.regions, c.zones))
	return topic{
		name:       "node-pools",
		resources:  []rule{{"karpenter.sh", write, []string{"nodepools", "nodeclaims"}}},
		conditions: []named{{"changed", changed.expression + " || object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({})"}},
		variables: []named{
			{"key", quote(c.labelKey)},
			{"labels", "request.kind.kind == 'NodePool' ? dyn(object).?spec.?template.?metadata.?labels.orValue({}) : dyn(object).metadata.?labels.orValue({})"},
			{"requirements", "request.kind.kind == 'NodePool' ? dyn(object).?spec.?template.?spec.?requirements.orValue([]) : dyn(object).?spec.?requirements.orValue([])"},
			// whatever a requirement admits, a pod that asks for it gets
			{"stamps", "variables.labels[?variables.key].orValue('') == " + quote(c.jurisdiction) +
				" || variables.requirements.exists(r, r.key == variables.key && (r.?operator.orValue('') != 'In' || " + quote(c.jurisdiction) + " in r.?values.orValue([])))"},
		},
		checks: []check{{reason.PlacementNotMainland, "!variables.stamps || variables.requirements.exists(r, r.key in " + list([]string{regionKey, zoneKey}) + " && r.?operator.orValue('') == 'In' && size(r.?values.orValue([])) > 0 && r.values.all(v, v in " + inside + "))",
			say("a pool that gives nodes the label %s must be limited to regions or zones of the policy in `requirements`", c.labelKey)}},
	}
}

// deliveries keep the workload of a governed namespace in this cluster (leaks.md L64).
func (c compiler) deliveries() topic {
	return topic{
		name: "deliveries",
		resources: []rule{
			{"argoproj.io", write, []string{"applications", "appprojects"}},
			{"kustomize.toolkit.fluxcd.io", write, []string{"kustomizations"}},
			{"helm.toolkit.fluxcd.io", write, []string{"helmreleases"}},
		},
		conditions: []named{changed},
		variables: []named{
			{"governed", list(c.marked)},
			{"here", list([]string{"https://kubernetes.default.svc", "in-cluster"})},
			{"destinations", "request.kind.kind == 'Application' ? [dyn(object).?spec.?destination.orValue({})] : request.kind.kind == 'AppProject' ? dyn(object).?spec.?destinations.orValue([]) : []"},
			// values and substitutes are read where the object stands
			{"touches", "request.namespace in variables.governed || dyn(object).?spec.?targetNamespace.orValue('') in variables.governed"},
		},
		checks: []check{
			{reason.PlacementNotMainland, "variables.destinations.all(d, !(d.?namespace.orValue('') in variables.governed) || (d.?server.orValue('https://kubernetes.default.svc') in variables.here && d.?name.orValue('in-cluster') in variables.here))",
				"'what is delivered into a governed namespace may be delivered to this cluster only'"},
			{reason.PlacementNotMainland, "!(request.kind.kind in ['Kustomization', 'HelmRelease']) || !variables.touches || !has(dyn(object).spec.kubeConfig)",
				"'`kubeConfig` may not send what belongs to a governed namespace to another cluster'"},
		},
	}
}
