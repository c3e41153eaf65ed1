package watching

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// managedBy marks the objects that the manager made.
const (
	managedBy = "app.kubernetes.io/managed-by"
	maodian   = "maodian"
)

// ProvisionedBy is the annotation by which a volume names what made it.
const ProvisionedBy = "pv.kubernetes.io/provisioned-by"

// CacheOptions keep small what is held. Of kinds that everybody uses only our own objects are
// watched. Of those that are judged all are, since the guard's mark may come to any
// namespace, and there may be tens of thousands: of them only what is judged is kept.
// Whoever reads another field of them adds it here; tests of controllers run with these
// options, and see what the manager sees.
func CacheOptions() cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{managedBy: maodian})}
	judged := cache.ByObject{Transform: slim}
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}: ours, &corev1.Service{}: ours, &appsv1.StatefulSet{}: ours,
			&appsv1.Deployment{}: ours, &batchv1.Job{}: ours, &networkingv1.NetworkPolicy{}: ours,
			&corev1.Node{}: judged, &corev1.Pod{}: judged, &corev1.PersistentVolume{}: judged, &corev1.PersistentVolumeClaim{}: judged,
		},
	}
}

// slim drops what nobody reads from what the cache holds. Pods and claims that the manager
// made stay whole.
func slim(in any) (any, error) {
	switch o := in.(type) {
	case *corev1.Node:
		o.ManagedFields, o.Annotations = nil, nil
		o.Status = corev1.NodeStatus{} // its list of images may be longer than all the rest
	case *corev1.Pod:
		o.ManagedFields = nil
		if o.Labels[managedBy] != maodian {
			*o = slimPod(o)
		}
	case *corev1.PersistentVolume:
		*o = slimVolume(o)
	case *corev1.PersistentVolumeClaim:
		o.ManagedFields = nil
		if o.Labels[managedBy] != maodian {
			*o = corev1.PersistentVolumeClaim{TypeMeta: o.TypeMeta, ObjectMeta: slimMeta(o.ObjectMeta), Spec: corev1.PersistentVolumeClaimSpec{
				VolumeName: o.Spec.VolumeName, StorageClassName: o.Spec.StorageClassName,
			}}
		}
	}
	return in, nil
}

func slimPod(o *corev1.Pod) corev1.Pod {
	out := corev1.Pod{
		TypeMeta: o.TypeMeta, ObjectMeta: slimMeta(o.ObjectMeta),
		Spec:   corev1.PodSpec{NodeName: o.Spec.NodeName, NodeSelector: o.Spec.NodeSelector},
		Status: corev1.PodStatus{Phase: o.Status.Phase},
	}
	if mirror, ok := o.Annotations[corev1.MirrorPodAnnotationKey]; ok {
		out.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: mirror}
	}
	if owner := metav1.GetControllerOf(o); owner != nil {
		out.OwnerReferences = []metav1.OwnerReference{{Kind: owner.Kind, Name: owner.Name, Controller: owner.Controller}}
	}
	return out
}

// slimVolume keeps every source of the bytes as it is, and drops size, modes and secrets.
func slimVolume(o *corev1.PersistentVolume) corev1.PersistentVolume {
	out := corev1.PersistentVolume{TypeMeta: o.TypeMeta, ObjectMeta: slimMeta(o.ObjectMeta), Spec: corev1.PersistentVolumeSpec{
		PersistentVolumeSource: o.Spec.PersistentVolumeSource, StorageClassName: o.Spec.StorageClassName, NodeAffinity: o.Spec.NodeAffinity,
	}}
	if by, ok := o.Annotations[ProvisionedBy]; ok && o.Spec.CSI == nil {
		out.Annotations = map[string]string{ProvisionedBy: by}
	}
	if c := o.Spec.CSI; c != nil {
		out.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: c.Driver, VolumeHandle: c.VolumeHandle, VolumeAttributes: c.VolumeAttributes}
	}
	if ref := o.Spec.ClaimRef; ref != nil {
		out.Spec.ClaimRef = &corev1.ObjectReference{Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}
	}
	return out
}

func slimMeta(o metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, DeletionTimestamp: o.DeletionTimestamp}
}
