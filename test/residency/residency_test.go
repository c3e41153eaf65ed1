package residency_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/restmapper"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/test/residency"
)

const (
	manager    = "system:serviceaccount:maodian-system:maodian-manager"
	prober     = "system:serviceaccount:maodian-system:maodian-prober"
	policyName = "cn-mainland"
)

var rig *envtestrig.Rig

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	flag.Parse()
	setup := []envtestrig.Setup{envtestrig.Scheduler}
	if run := flag.Lookup("test.run"); run != nil && run.Value.String() == "^$" { // benchmarks alone, beside which nothing works
		setup = nil
	}
	os.Exit(envtestrig.Run(m, &rig, setup...))
}

// policy has every field that a case could need.
func policy() *residencyv1.ResidencyPolicy {
	return &residencyv1.ResidencyPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: policyName, Finalizers: []string{"residency.maodian.dev/guard"}},
		Spec: residencyv1.ResidencyPolicySpec{
			Jurisdiction: "cn-mainland", Enforcement: residencyv1.EnforcementEnforce, RulePack: "cn-2026-01", GuardianConsentAge: 18,
			Processor: residencyv1.ProcessorIdentity{Name: "acme-china", Contact: "privacy@acme.example", CIIOStatus: residencyv1.CIIONo},
			Nodes: residencyv1.PolicyNodes{
				Regions: []string{"cn-hangzhou", "cn-north-1"}, Zones: []string{"cn-hangzhou-h", "cn-north-1a"}, Attestation: residencyv1.AttestationProviderID,
				LabelKey: "maodian.node-restriction.kubernetes.io/jurisdiction", Sharing: residencyv1.SharingExclusive, OnLostAttestation: residencyv1.LostAttestationCordonAndEvict, RuntimeClasses: []string{"gvisor"},
			},
			Storage: residencyv1.PolicyStorage{
				ClassPrefix: "cn-mainland-", Drivers: []string{"disk.csi.test", "driver.longhorn.io", "rook-ceph.rbd.csi.ceph.com"},
				TopologyKeys: []string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone"},
			},
			Images: residencyv1.PolicyImages{Registries: []string{"registry.maodian.test/"}},
			Network: residencyv1.PolicyNetwork{
				Hosts: []string{"sh.api.weixin.qq.com", ".cn-hangzhou.example.com"}, CIDRs: []string{"10.0.0.0/8"},
				IngressClasses: []string{"cn-nginx"}, GatewayNamespaces: []string{"gateways"},
			},
			Identities: residencyv1.PolicyIdentities{
				Attestors: []string{"residency:attestors"}, BreakGlass: []string{"residency:break-glass"}, Schedulers: []string{"default-scheduler"},
				TokenAudiences: []string{"vault.cn"},
			},
		},
	}
}

// kinds of others that cases name; their schema is open.
var kinds = []struct {
	group, version, kind, plural string
	cluster                      bool
}{
	{"snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots", false},
	{"snapshot.storage.k8s.io", "v1", "VolumeSnapshotClass", "volumesnapshotclasses", true},
	{"snapshot.storage.k8s.io", "v1", "VolumeSnapshotContent", "volumesnapshotcontents", true},
	{"groupsnapshot.storage.k8s.io", "v1", "VolumeGroupSnapshot", "volumegroupsnapshots", false},
	{"groupsnapshot.storage.k8s.io", "v1", "VolumeGroupSnapshotClass", "volumegroupsnapshotclasses", true},
	{"groupsnapshot.storage.k8s.io", "v1", "VolumeGroupSnapshotContent", "volumegroupsnapshotcontents", true},
	{"velero.io", "v1", "Backup", "backups", false},
	{"velero.io", "v1", "Schedule", "schedules", false},
	{"velero.io", "v1", "Restore", "restores", false},
	{"velero.io", "v1", "BackupStorageLocation", "backupstoragelocations", false},
	{"velero.io", "v1", "VolumeSnapshotLocation", "volumesnapshotlocations", false},
	{"velero.io", "v1", "PodVolumeBackup", "podvolumebackups", false},
	{"velero.io", "v1", "PodVolumeRestore", "podvolumerestores", false},
	{"velero.io", "v2alpha1", "DataUpload", "datauploads", false},
	{"velero.io", "v2alpha1", "DataDownload", "datadownloads", false},
	{"postgresql.cnpg.io", "v1", "Cluster", "clusters", false},
	{"barmancloud.cnpg.io", "v1", "ObjectStore", "objectstores", false},
	{"volsync.backube", "v1alpha1", "ReplicationSource", "replicationsources", false},
	{"kafka.strimzi.io", "v1", "KafkaMirrorMaker2", "kafkamirrormaker2s", false},
	{"replication.storage.openshift.io", "v1alpha1", "VolumeReplication", "volumereplications", false},
	{"ramendr.openshift.io", "v1alpha1", "VolumeReplicationGroup", "volumereplicationgroups", false},
	{"longhorn.io", "v1beta2", "RecurringJob", "recurringjobs", false},
	{"longhorn.io", "v1beta2", "BackupTarget", "backuptargets", false},
	{"longhorn.io", "v1beta2", "Setting", "settings", false},
	{"stork.libopenstorage.org", "v1alpha1", "Migration", "migrations", false},
	{"ceph.rook.io", "v1", "CephBlockPool", "cephblockpools", false},
	{"ceph.rook.io", "v1", "CephFilesystem", "cephfilesystems", false},
	{"ceph.rook.io", "v1", "CephRBDMirror", "cephrbdmirrors", false},
	{"ceph.rook.io", "v1", "CephFilesystemMirror", "cephfilesystemmirrors", false},
	{"cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", false},
	{"cilium.io", "v2", "CiliumLocalRedirectPolicy", "ciliumlocalredirectpolicies", false},
	{"cilium.io", "v2", "CiliumEnvoyConfig", "ciliumenvoyconfigs", false},
	{"cilium.io", "v2", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", true},
	{"cilium.io", "v2", "CiliumClusterwideEnvoyConfig", "ciliumclusterwideenvoyconfigs", true},
	{"cilium.io", "v2", "CiliumEgressGatewayPolicy", "ciliumegressgatewaypolicies", true},
	{"projectcalico.org", "v3", "NetworkPolicy", "networkpolicies", false},
	{"projectcalico.org", "v3", "GlobalNetworkPolicy", "globalnetworkpolicies", true},
	{"crd.projectcalico.org", "v1", "NetworkPolicy", "networkpolicies", false},
	{"crd.projectcalico.org", "v1", "GlobalNetworkPolicy", "globalnetworkpolicies", true},
	{"crd.antrea.io", "v1beta1", "NetworkPolicy", "networkpolicies", false},
	{"crd.antrea.io", "v1beta1", "ClusterNetworkPolicy", "clusternetworkpolicies", true},
	{"crd.antrea.io", "v1beta1", "Egress", "egresses", true},
	{"networking.gke.io", "v1alpha1", "FQDNNetworkPolicy", "fqdnnetworkpolicies", false},
	{"policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies", true},
	{"policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies", true},
	{"k8s.ovn.org", "v1", "EgressIP", "egressips", true},
	{"k8s.ovn.org", "v1", "AdminPolicyBasedExternalRoute", "adminpolicybasedexternalroutes", true},
	{"gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", false},
	{"gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes", false},
	{"gateway.networking.k8s.io", "v1", "TLSRoute", "tlsroutes", false},
	{"gateway.networking.k8s.io", "v1", "ListenerSet", "listenersets", false},
	{"gateway.networking.k8s.io", "v1", "Gateway", "gateways", false},
	{"gateway.networking.k8s.io", "v1", "ReferenceGrant", "referencegrants", false},
	{"karpenter.sh", "v1", "NodePool", "nodepools", true},
	{"karpenter.sh", "v1", "NodeClaim", "nodeclaims", true},
	{"multicluster.x-k8s.io", "v1alpha1", "ServiceExport", "serviceexports", false},
	{"multicluster.x-k8s.io", "v1alpha1", "ServiceImport", "serviceimports", false},
	{"networking.istio.io", "v1", "ServiceEntry", "serviceentries", false},
	{"networking.istio.io", "v1", "WorkloadEntry", "workloadentries", false},
	{"networking.istio.io", "v1", "VirtualService", "virtualservices", false},
	{"networking.istio.io", "v1", "DestinationRule", "destinationrules", false},
	{"networking.istio.io", "v1", "Sidecar", "sidecars", false},
	{"extensions.istio.io", "v1alpha1", "WasmPlugin", "wasmplugins", false},
	{"offloading.liqo.io", "v1beta1", "NamespaceOffloading", "namespaceoffloadings", false},
	{"workload.linkerd.io", "v1beta1", "ExternalWorkload", "externalworkloads", false},
	{"policy.linkerd.io", "v1alpha1", "EgressNetwork", "egressnetworks", false},
	{"networking.istio.io", "v1", "WorkloadGroup", "workloadgroups", false},
	{"networking.istio.io", "v1", "Gateway", "gateways", false},
	{"skupper.io", "v2alpha1", "Site", "sites", false},
	{"skupper.io", "v2alpha1", "Link", "links", false},
	{"external-secrets.io", "v1alpha1", "PushSecret", "pushsecrets", false},
	{"secretgen.carvel.dev", "v1alpha1", "SecretExport", "secretexports", false},
	{"networking.istio.io", "v1", "EnvoyFilter", "envoyfilters", false},
	{"argoproj.io", "v1alpha1", "Application", "applications", false},
	{"argoproj.io", "v1alpha1", "AppProject", "appprojects", false},
	{"kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", false},
	{"helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", false},
}

// installKinds makes the definitions and waits until they are served.
func installKinds(t *testing.T, r *envtestrig.Rig) {
	t.Helper()
	if err := apiextensionsv1.AddToScheme(r.Scheme); err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		scope := apiextensionsv1.NamespaceScoped
		if k.cluster {
			scope = apiextensionsv1.ClusterScoped
		}
		open := &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: k.plural + "." + k.group}}
		if k.group == "gateway.networking.k8s.io" || k.group == "snapshot.storage.k8s.io" || k.group == "groupsnapshot.storage.k8s.io" || k.group == "multicluster.x-k8s.io" || k.group == "policy.networking.k8s.io" {
			crd.Annotations = map[string]string{"api-approved.kubernetes.io": "unapproved, a stand-in for tests"}
		}
		crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
			Group: k.group, Scope: scope,
			Names:    apiextensionsv1.CustomResourceDefinitionNames{Kind: k.kind, Plural: k.plural},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: k.version, Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: open}}},
		}
		r.Create(t, crd)
	}
	found, err := discovery.NewDiscoveryClientForConfig(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error {
		groups, err := restmapper.GetAPIGroupResources(found)
		if err != nil {
			return err
		}
		mapper := restmapper.NewDiscoveryRESTMapper(groups)
		for _, k := range kinds { // an established one may not be discovered yet
			if _, err := mapper.RESTMapping(schema.GroupKind{Group: k.group, Kind: k.kind}, k.version); err != nil {
				return fmt.Errorf("%s is not served yet: %w", k.kind, err)
			}
		}
		return nil
	})
}

// suite is everything that the test works with.
type suite struct {
	files    []conformance.File
	governed string // namespace
	runner   *conformance.Runner
	compile  func(*testing.T) guard.Guard // anew each time: applying writes into what it is given
}

func prepare(t *testing.T) *suite {
	t.Helper()
	files, err := residency.Cases()
	if err != nil {
		t.Fatal(err)
	}
	installKinds(t, rig)
	p := policy()
	where := conformance.Where{
		Governed: rig.Namespace(t, p.Name), Free: rig.Namespace(t, ""), Manager: manager, Prober: prober,
		Values: residency.Values(p),
	}
	maps.Copy(where.Values, conformance.Values{"exceptedUser": "bob", "exception": "incident"})
	runner, err := conformance.NewRunner(rig.Config, where)
	if err != nil {
		t.Fatal(err)
	}
	rig.Create(t, p)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // the guard of a test before may hold for a moment
		if err := runner.Prepare(ctx, files); err != nil {
			return err
		}
		if absent := runner.Absent(); len(absent) > 0 {
			return fmt.Errorf("a guard is in force: %v", absent)
		}
		return nil
	})
	options := guardOptions(where.Governed)
	return &suite{files: files, governed: where.Governed, runner: runner, compile: func(t *testing.T) guard.Guard {
		t.Helper()
		g, err := guard.Compile(p, options)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}}
}

// guardOptions have exceptions of which one is in force, and the other over.
func guardOptions(governed string) guard.Options {
	excuse := func(name string, end time.Time) guard.Exception {
		return guard.Exception{Name: name, Users: []string{"bob"}, Namespaces: []string{governed}, Topics: guard.Excusable, NotAfter: end}
	}
	return guard.Options{
		Manager: manager, Prober: prober, Governed: []string{governed},
		Exceptions: []guard.Exception{excuse("incident", time.Now().Add(time.Hour)), excuse("over", time.Now().Add(-time.Hour))},
	}
}

func (s *suite) install(t *testing.T) {
	t.Helper()
	applyAll(t, s.compile(t))
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return s.enforced(ctx) })
}

// enforced waits until the first attack of every topic is refused.
func (s *suite) enforced(ctx context.Context) error {
	var errs []error
	for _, f := range s.files {
		seen := map[string]bool{}
		one := f
		one.Cases = nil
		for _, c := range f.Cases {
			if c.Attack() && !seen[c.Topic] {
				seen[c.Topic] = true
				one.Cases = append(one.Cases, c)
			}
		}
		report, err := s.runner.Run(ctx, []conformance.File{one})
		if err != nil {
			return err
		}
		for _, x := range report.Failed() {
			errs = append(errs, fmt.Errorf("%s: %s: %s", x.Topic, x.Case, x.Why))
		}
	}
	return errors.Join(errs...)
}

// check fails the test for each case that did not go as it must.
func check(t *testing.T, r conformance.Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Failed() {
		t.Errorf("%s %s: %s: %s", x.Topic, x.Leak, x.Case, x.Why)
	}
}

// leastCases is how many the suite promises.
const leastCases = 150

func TestTheGuardAgainstEveryCase(t *testing.T) {
	s := prepare(t)
	t.Run("every attack succeeds without the guard", func(t *testing.T) {
		r, err := s.runner.RunUnguarded(t.Context(), s.files)
		check(t, r, err)
	})
	if t.Failed() {
		return
	}
	s.install(t)
	t.Run("under the guard attacks are refused and ordinary work passes", func(t *testing.T) {
		r, err := s.runner.Run(t.Context(), s.files)
		check(t, r, err)
		if n := r.Count(conformance.Passed); n < leastCases {
			t.Errorf("%d cases, want at least %d", n, leastCases)
		}
		for _, x := range r.Results {
			if x.Verdict == conformance.Skipped {
				t.Errorf("%s %s: skipped: %s", x.Topic, x.Case, x.Why)
			}
		}
	})
	t.Run("large objects pass too", func(t *testing.T) { s.largeObjects(t) })
	t.Run("each policy of the guard is needed", func(t *testing.T) { s.eachIsNeeded(t) })
	t.Run("another policy beside it disturbs nothing", func(t *testing.T) { s.besideAnother(t) })
	if err := s.runner.Clean(t.Context()); err != nil {
		t.Error(err)
	}
	t.Run("an attestor gets out without a manager", func(t *testing.T) { s.getOutAlone(t) })
	t.Run("the guard holds while the manager is gone", func(t *testing.T) { whileTheManagerIsGone(t, s.files) })
}

// besideAnother installs the guard of a second policy: ordinary work must pass both.
func (s *suite) besideAnother(t *testing.T) {
	p := second()
	g, err := guard.Compile(p, guard.Options{Manager: manager, Prober: prober, Governed: []string{rig.Namespace(t, "")}})
	if err != nil {
		t.Fatal(err)
	}
	applyAll(t, g)
	defer removeAll(t, g)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // the last one to be applied
		class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: p.Spec.Storage.ClassPrefix + "x"}, Provisioner: "x"}
		if rig.Client.Create(ctx, class, client.DryRunAll) == nil {
			return errors.New("not enforced yet")
		}
		return nil
	})
	var ordinary []conformance.File
	for _, f := range s.files {
		if f.Topic == "webhooks" {
			continue // one must leave out the namespaces of both policies
		}
		f.Cases = slices.DeleteFunc(slices.Clone(f.Cases), conformance.Case.Attack)
		ordinary = append(ordinary, f)
	}
	r, err := s.runner.Run(t.Context(), ordinary)
	check(t, r, err)
}
