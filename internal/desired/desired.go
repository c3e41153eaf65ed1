// Package desired builds the children of our kinds: pure functions from a small input to
// apply configurations. Every pod goes through podTemplate, which holds the region pin, the
// security settings and the absence of Kubernetes credentials, so that no caller can
// forget them. The admission guard is the second lock, not the first.
package desired

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
)

// Component is one part of the data plane.
type Component string

// Components. Each is also a subcommand of the data plane's binary; a Transfer of counts runs
// another one.
const (
	Store    Component = "store"
	Gateway  Component = "gateway"
	Dispatch Component = "dispatch"
	Transfer Component = "transfer"
	Officer  Component = "officer" // of the pods that answer people's requests; nothing here makes them
)

// Ports of the data plane.
const (
	StorePort   = 8443
	GatewayPort = 8080
	HealthPort  = 8081

	// user and group of the image.
	user = 65532
)

// Placement is where pods may run.
type Placement struct {
	LabelKey     string // of the attested node label
	Jurisdiction string // its value
	Regions      []string
	Taint        string // key of the taint of nodes that are kept for what is governed; empty: none
}

// Platform is what all data-plane pods of an installation share.
type Platform struct {
	Image           string
	SystemNamespace string // of the manager
	ExtraCA         bool   // the ConfigMap ExtraCAName exists beside the pods
}

// Owner is the object that the children belong to.
type Owner struct {
	APIVersion, Kind, Name, Namespace string
	UID                               types.UID
}

func (o Owner) reference() *metaac.OwnerReferenceApplyConfiguration {
	return metaac.OwnerReference().WithAPIVersion(o.APIVersion).WithKind(o.Kind).WithName(o.Name).WithUID(o.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}

// Labels by which a child names its component and the object that it serves.
const (
	ComponentLabel = "app.kubernetes.io/component"
	InstanceLabel  = "app.kubernetes.io/instance"

	// StoreLabel names the store that a Job works with, and that an authority is of.
	StoreLabel = "residency.maodian.dev/store"
)

// Labels tell what belongs to what.
func Labels(c Component, instance string) map[string]string {
	l := Selector(c, instance)
	l["app.kubernetes.io/managed-by"] = "maodian"
	return l
}

// Selector finds the pods of one instance.
func Selector(c Component, instance string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": "maodian", ComponentLabel: string(c), InstanceLabel: instance}
}

// mount is a Secret or ConfigMap, read-only at a path.
type mount struct {
	name, path        string
	secret, configMap string
}

// workload is what differs between the pods of the components.
type workload struct {
	component Component
	part      string // subcommand of the binary; empty: the component's
	instance  string
	config    string // name of the ConfigMap
	hash      string // of what a running pod does not read again; empty: it does
	mounts    []mount
	ports     map[string]int32
	probes    bool
	restart   corev1.RestartPolicy
	claim     string // of the volume for data; empty: none
}

// Paths inside every pod.
const (
	configPath      = "/etc/maodian/config"
	tlsPath         = "/etc/maodian/tls"
	keyPath         = "/etc/maodian/key"
	countingPath    = "/etc/maodian/counting"
	peersPath       = "/etc/maodian/peers"
	credentialsPath = "/etc/maodian/credentials"
	caPath          = "/etc/maodian/ca"
	dataPath        = "/var/lib/maodian"
)

// CallbackPath is where a gateway takes the platform's callbacks.
const CallbackPath = "/wechat/callback"

// ExtraCAName is the ConfigMap with certificates that pods trust beside the well-known ones.
const ExtraCAName = "maodian-extra-ca"

// podTemplate is the only way to a pod.
func podTemplate(p Platform, at Placement, w workload) *corev1ac.PodTemplateSpecApplyConfiguration {
	mounts := append([]mount{{name: "config", path: configPath, configMap: w.config}}, w.mounts...)
	if p.ExtraCA && w.component != Store {
		mounts = append(mounts, mount{name: "extra-ca", path: caPath, configMap: ExtraCAName})
	}
	spec := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithRestartPolicy(w.restart).
		WithTerminationGracePeriodSeconds(30).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).WithFSGroup(user).
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithContainers(container(p, w, mounts)).
		WithVolumes(corev1ac.Volume().WithName("tmp").WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithMedium(corev1.StorageMediumMemory)))
	for _, m := range mounts {
		spec.WithVolumes(m.volume())
	}
	if w.claim != "" {
		spec.WithVolumes(corev1ac.Volume().WithName("data").WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(w.claim)))
	}
	pin(spec, at)
	template := corev1ac.PodTemplateSpec().WithLabels(Labels(w.component, w.instance)).WithSpec(spec)
	if w.hash != "" {
		template.WithAnnotations(map[string]string{"residency.maodian.dev/config-hash": w.hash})
	}
	return template
}

// pin keeps a pod inside: by the attested label, which is ANDed with everything else, and
// by the region as a second lock.
func pin(spec *corev1ac.PodSpecApplyConfiguration, at Placement) {
	spec.WithNodeSelector(map[string]string{at.LabelKey: at.Jurisdiction})
	if at.Taint != "" {
		spec.WithTolerations(corev1ac.Toleration().WithKey(at.Taint).WithOperator(corev1.TolerationOpExists).WithEffect(corev1.TaintEffectNoSchedule))
	}
	spec.WithAffinity(corev1ac.Affinity().WithNodeAffinity(corev1ac.NodeAffinity().
		WithRequiredDuringSchedulingIgnoredDuringExecution(corev1ac.NodeSelector().WithNodeSelectorTerms(
			corev1ac.NodeSelectorTerm().WithMatchExpressions(corev1ac.NodeSelectorRequirement().
				WithKey(corev1.LabelTopologyRegion).WithOperator(corev1.NodeSelectorOpIn).
				WithValues(slices.Sorted(slices.Values(at.Regions))...))))))
}

func container(p Platform, w workload, mounts []mount) *corev1ac.ContainerApplyConfiguration {
	c := corev1ac.Container().WithName(string(w.component)).WithImage(p.Image).WithImagePullPolicy(corev1.PullIfNotPresent).
		WithArgs(cmp.Or(w.part, string(w.component)), "--config="+configPath+"/config.yaml").
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).WithRunAsNonRoot(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithResources(corev1ac.ResourceRequirements().WithRequests(requests())).
		WithTerminationMessagePolicy(corev1.TerminationMessageReadFile).
		WithVolumeMounts(corev1ac.VolumeMount().WithName("tmp").WithMountPath("/tmp"))
	for _, m := range mounts {
		c.WithVolumeMounts(corev1ac.VolumeMount().WithName(m.name).WithMountPath(m.path).WithReadOnly(true))
	}
	if w.claim != "" {
		c.WithVolumeMounts(corev1ac.VolumeMount().WithName("data").WithMountPath(dataPath))
	}
	for _, name := range slices.Sorted(maps.Keys(w.ports)) {
		c.WithPorts(corev1ac.ContainerPort().WithName(name).WithContainerPort(w.ports[name]).WithProtocol(corev1.ProtocolTCP))
	}
	if w.probes {
		c.WithPorts(corev1ac.ContainerPort().WithName("health").WithContainerPort(HealthPort).WithProtocol(corev1.ProtocolTCP)).
			WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2)).
			WithLivenessProbe(probe("/livez").WithPeriodSeconds(10).WithFailureThreshold(6))
	}
	return c
}

func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithTimeoutSeconds(2).
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("health")))
}

func (m mount) volume() *corev1ac.VolumeApplyConfiguration {
	v := corev1ac.Volume().WithName(m.name)
	if m.secret != "" {
		return v.WithSecret(corev1ac.SecretVolumeSource().WithSecretName(m.secret).WithDefaultMode(0o440))
	}
	return v.WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(m.configMap))
}

// ExtraCA is the ConfigMap with the additional authorities. It belongs to no object, since
// several of one namespace use it.
func ExtraCA(namespace string, pem string) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(ExtraCAName, namespace).
		WithLabels(map[string]string{"app.kubernetes.io/name": "maodian", "app.kubernetes.io/managed-by": "maodian"}).
		WithData(map[string]string{"ca.crt": pem})
}
