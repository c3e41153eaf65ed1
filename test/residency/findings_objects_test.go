package residency_test

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// node is one as a kubelet writes it: the images that it holds are most of its size.
func (s *strays) node(name, region, providerID string) client.Object {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelTopologyRegion: region, corev1.LabelTopologyZone: region + "-h",
			corev1.LabelInstanceTypeStable: "ecs.g7.2xlarge", corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux",
		}},
		Spec: corev1.NodeSpec{ProviderID: providerID},
	}
	for i := range 50 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{SizeBytes: 1 << 26, Names: []string{
			fmt.Sprintf("registry.maodian.test/team/service-%d@sha256:%s", i, strings.Repeat("ab", 32)), fmt.Sprintf("registry.maodian.test/team/service-%d:v1.2.3", i),
		}})
	}
	return n
}

// pod is one as a Deployment with a sidecar makes it, with what a pod's status would add put
// into its environment: a second request for each would only take time.
func (s *strays) pod(i int, node string) client.Object {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: podName(i),
			Labels: map[string]string{
				"app.kubernetes.io/name": "storefront", "app.kubernetes.io/instance": "storefront-prod", "app.kubernetes.io/version": "1.2.3",
				"app.kubernetes.io/part-of": "shop", "pod-template-hash": "7c9d8f6b5",
			},
			Annotations: map[string]string{"checksum/config": strings.Repeat("ab", 32), "prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "storefront-7c9d8f6b5", UID: "2b7e1516-28ae-d2a6-abf7-158809cf4f3c",
				Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "storefront", Containers: []corev1.Container{container("web", 30), container("proxy", 15)},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "storefront"}}}},
				{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)},
			},
		},
	}
}

func container(name string, variables int) corev1.Container {
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}}
	c := corev1.Container{
		Name: name, Image: "registry.maodian.test/team/" + name + "@sha256:" + strings.Repeat("ab", 32), LivenessProbe: probe, ReadinessProbe: probe,
		Ports:        []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + name}, {Name: "tmp", MountPath: "/tmp"}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
		}},
	}
	for i := range variables {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_NUMBER_%d", i), Value: fmt.Sprintf("value-of-setting-%d", i)})
	}
	return c
}

// volume is one as the provisioner of a CSI driver abroad makes it.
func (s *strays) volume(i int) client.Object {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: volumeName(i), Annotations: map[string]string{
			"pv.kubernetes.io/provisioned-by": "disk.csi.test", "volume.kubernetes.io/provisioner-deletion-secret-name": "", "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
		}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: gibibytes(20), StorageClassName: "gp3",
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: "disk.csi.test", FSType: "ext4", VolumeHandle: fmt.Sprintf("d-%018d", i),
				VolumeAttributes: map[string]string{"storage.kubernetes.io/csiProvisionerIdentity": "1760000000000-5481-disk.csi.test", "type": "cloud_essd", "performanceLevel": "PL1", "regionId": "eu-central-1"},
			}},
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: s.namespace, Name: "data-" + strconv.Itoa(i)},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				envtestrig.In(corev1.LabelTopologyZone, "eu-central-1a"), envtestrig.In(corev1.LabelTopologyRegion, "eu-central-1"),
			}}}}},
		},
	}
}

// claim is one of a StatefulSet.
func (s *strays) claim(name, volume string) client.Object {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "orders", "app.kubernetes.io/instance": "orders-prod"},
			Annotations: map[string]string{
				"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
				"volume.kubernetes.io/storage-provisioner": "disk.csi.test", "volume.kubernetes.io/selected-node": "abroad-1",
			},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: ptr.To("gp3"), VolumeName: volume, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: gibibytes(20)},
		},
	}
}

func gibibytes(n int64) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(n<<30, resource.BinarySI)}
}
