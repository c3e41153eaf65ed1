package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// slim drops what nobody reads from what the cache holds. Pods and claims of all namespaces
// are watched, since the guard's mark may come to any of them: of those that are not ours
// only what tells where they are is kept.
func slim(in any) (any, error) {
	switch o := in.(type) {
	case *corev1.Pod:
		o.ManagedFields = nil
		if o.Labels[managedBy] != maodian {
			*o = slimPod(o)
		}
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

func slimMeta(o metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, DeletionTimestamp: o.DeletionTimestamp}
}
