package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
)

// StoreInput is what the children of a ConsentStore are made of.
type StoreInput struct {
	Owner        Owner
	Placement    Placement
	Platform     Platform
	StorageClass string
	Size         resource.Quantity
	KeySecret    string
	Algorithm    string
	LedgerID     string
	CreateLedger bool
	// CountingSecret holds the key by which people are counted together with Peers; empty: this
	// store counts alone.
	CountingSecret string
	Peers          []StorePeer
}

// StorePeer is another store of the same processor.
type StorePeer struct{ Namespace, Name string }

// String is how a status names a store.
func (p StorePeer) String() string { return p.Namespace + "/" + p.Name }

// Annotations of a store's claim. They outlive the ConsentStore, as the volume does.
const (
	LedgerIDAnnotation    = "residency.maodian.dev/ledger-id"
	LedgerStateAnnotation = "residency.maodian.dev/ledger-state"

	LedgerCreating = "Creating" // the store may make the ledger
	LedgerCreated  = "Created"  // the store has answered with this ledger: it must be there
)

// StoreClaimName names the claim of a store's volume.
func StoreClaimName(store string) string { return "data-" + store + "-0" }

// StorePodName names the store's one pod.
func StorePodName(store string) string { return store + "-0" }

// OfficerTLSName names the Secret of the certificate with which people's requests are
// answered, by a Job that somebody starts in the region.
func OfficerTLSName(store string) string { return store + "-officer-tls" }

// StoreTLSName names the Secret of the store's certificate.
func StoreTLSName(store string) string { return store + "-store-tls" }

// PeersTLSName names the Secret of the certificates with which a store asks its peers.
func PeersTLSName(store string) string { return store + "-peers-tls" }

// PeerFile is the beginning of the names of a peer's three files: .crt, .key and .ca follow.
func PeerFile(p StorePeer) string { return p.Namespace + "." + p.Name }

// StoreDNS is the name under which a store answers in the cluster.
func StoreDNS(namespace, name string) string { return name + "." + namespace + ".svc" }

func storeConfigName(store string) string { return store + "-store-config" }

// StoreClaim is the pinned volume. It has no owner: deleting a ConsentStore deletes no data.
// It is created, never applied: the ledger's identity is written once.
func StoreClaim(in StoreInput) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{}
	c.Name, c.Namespace, c.Labels = StoreClaimName(in.Owner.Name), in.Owner.Namespace, Labels(Store, in.Owner.Name)
	c.Annotations = map[string]string{LedgerIDAnnotation: in.LedgerID, LedgerStateAnnotation: LedgerCreating}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.StorageClassName = &in.StorageClass
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: in.Size}
	return c
}

// StoreChildren are the children that are applied, in order.
func StoreChildren(in StoreInput) ([]runtime.ApplyConfiguration, error) {
	config := storeConfig{
		Namespace: in.Owner.Namespace, Name: in.Owner.Name, Listen: ":8443", HealthListen: ":8081", DataDir: dataPath,
		LedgerID: in.LedgerID, CreateLedger: in.CreateLedger, KeyFile: keyPath + "/key", Algorithm: in.Algorithm, TLS: files(),
	}
	if in.CountingSecret != "" {
		config.CountingKeyFile, config.PeersDir = countingPath+"/key", peersPath
	}
	cm, _, err := configMap(in.Owner, Store, storeConfigName(in.Owner.Name), config)
	if err != nil {
		return nil, err
	}
	return []runtime.ApplyConfiguration{storePolicy(in), officerPolicy(in), cm, storeService(in), storeStatefulSet(in)}, nil
}

func storeService(in StoreInput) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(in.Owner.Name, in.Owner.Namespace).WithLabels(Labels(Store, in.Owner.Name)).WithOwnerReferences(in.Owner.reference()).
		WithSpec(corev1ac.ServiceSpec().WithSelector(Selector(Store, in.Owner.Name)).
			WithPublishNotReadyAddresses(true). // the first bundle makes a store ready
			WithPorts(corev1ac.ServicePort().WithName("rpc").WithPort(StorePort).WithTargetPort(intstr.FromInt32(StorePort)).WithProtocol(corev1.ProtocolTCP)))
}

// storeStatefulSet names the claim rather than a claim template: from a template, Kubernetes
// would make a new, empty volume in the place of one that is gone.
func storeStatefulSet(in StoreInput) *appsac.StatefulSetApplyConfiguration {
	mounts := []mount{{name: "tls", path: tlsPath, secret: StoreTLSName(in.Owner.Name)}, {name: "key", path: keyPath, secret: in.KeySecret}}
	if in.CountingSecret != "" {
		mounts = append(mounts,
			mount{name: "counting", path: countingPath, secret: in.CountingSecret},
			mount{name: "peers", path: peersPath, secret: PeersTLSName(in.Owner.Name)})
	}
	template := podTemplate(in.Platform, in.Placement, workload{
		component: Store, instance: in.Owner.Name, config: storeConfigName(in.Owner.Name), mounts: mounts,
		ports: map[string]int32{"rpc": StorePort}, probes: true, restart: corev1.RestartPolicyAlways, claim: StoreClaimName(in.Owner.Name),
	})
	return appsac.StatefulSet(in.Owner.Name, in.Owner.Namespace).WithLabels(Labels(Store, in.Owner.Name)).WithOwnerReferences(in.Owner.reference()).
		WithSpec(appsac.StatefulSetSpec().WithReplicas(1).WithServiceName(in.Owner.Name).
			WithSelector(metaac.LabelSelector().WithMatchLabels(Selector(Store, in.Owner.Name))).
			WithTemplate(template))
}

// requests are small: the scheduler needs a number, and the data plane is I/O bound.
func requests() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
}
