package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func fullMeta(labels map[string]string) metav1.ObjectMeta {
	going := metav1.NewTime(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	return metav1.ObjectMeta{
		Namespace: "n", Name: "a", UID: "u", ResourceVersion: "7", DeletionTimestamp: &going, Labels: labels,
		Annotations:     map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "long", corev1.MirrorPodAnnotationKey: "m"},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "x"}},
		OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", Controller: ptr.To(true)}, {Kind: "Other", Name: "o"}},
	}
}

func TestTheCacheKeepsOfForeignPodsAndClaimsOnlyWhatIsJudged(t *testing.T) {
	meta := fullMeta(map[string]string{"app": "x"})
	kept := metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u", ResourceVersion: "7", DeletionTimestamp: meta.DeletionTimestamp}
	pod := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{NodeName: "hz1", NodeSelector: map[string]string{"k": "v"}, Containers: []corev1.Container{{Name: "c"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"}}
	wantPod := &corev1.Pod{ObjectMeta: kept, Spec: corev1.PodSpec{NodeName: "hz1", NodeSelector: map[string]string{"k": "v"}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	wantPod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "m"}
	wantPod.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", Controller: ptr.To(true)}}
	class := ptr.To("cn-mainland-a")
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v", StorageClassName: class, VolumeMode: ptr.To(corev1.PersistentVolumeBlock)}}
	wantClaim := &corev1.PersistentVolumeClaim{ObjectMeta: kept, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v", StorageClassName: class}}
	for _, c := range []struct{ in, want any }{{pod, wantPod}, {claim, wantClaim}} {
		if got, err := slim(c.in); err != nil || cmp.Diff(c.want, got) != "" {
			t.Errorf("%v\n%s", err, cmp.Diff(c.want, got))
		}
	}
}

func TestTheCacheKeepsOurOwnPodsAndClaims(t *testing.T) {
	meta := fullMeta(map[string]string{managedBy: maodian})
	want := meta
	want.ManagedFields = nil
	pod := corev1.Pod{ObjectMeta: meta, Status: corev1.PodStatus{PodIP: "10.0.0.1"}}
	claim := corev1.PersistentVolumeClaim{ObjectMeta: meta, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}
	for _, c := range []struct{ in, want any }{
		{pod.DeepCopy(), &corev1.Pod{ObjectMeta: want, Status: pod.Status}}, {claim.DeepCopy(), &corev1.PersistentVolumeClaim{ObjectMeta: want, Status: claim.Status}},
	} {
		if got, err := slim(c.in); err != nil || cmp.Diff(c.want, got) != "" {
			t.Errorf("%v\n%s", err, cmp.Diff(c.want, got))
		}
	}
}
