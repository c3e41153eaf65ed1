package watching_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/watching"
)

// held passes an object through the transform that the cache has for its kind.
func held[T client.Object](t *testing.T, o T) client.Object {
	t.Helper()
	for kind, options := range watching.CacheOptions().ByObject {
		if _, ok := kind.(T); ok {
			out, err := options.Transform(o.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			return out.(client.Object)
		}
	}
	t.Fatalf("%T has no transform", o)
	return nil
}

func fullMeta(labels map[string]string) metav1.ObjectMeta {
	going := metav1.NewTime(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	return metav1.ObjectMeta{
		Namespace: "n", Name: "a", UID: "u", ResourceVersion: "7", DeletionTimestamp: &going, Labels: labels,
		Annotations: map[string]string{
			"kubectl.kubernetes.io/last-applied-configuration": "long", corev1.MirrorPodAnnotationKey: "m", "pv.kubernetes.io/provisioned-by": "local.test",
		},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "x"}},
		OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", Controller: ptr.To(true)}, {Kind: "Other", Name: "o"}},
	}
}

func keptMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u", ResourceVersion: "7", DeletionTimestamp: fullMeta(nil).DeletionTimestamp}
}

func TestTheCacheKeepsOfForeignPodsAndClaimsOnlyWhatIsJudged(t *testing.T) {
	meta := fullMeta(map[string]string{"app": "x"})
	pod := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{NodeName: "hz1", NodeSelector: map[string]string{"k": "v"}, Containers: []corev1.Container{{Name: "c"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"}}
	wantPod := &corev1.Pod{ObjectMeta: keptMeta(), Spec: corev1.PodSpec{NodeName: "hz1", NodeSelector: map[string]string{"k": "v"}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	wantPod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "m"}
	wantPod.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", Controller: ptr.To(true)}}
	class := ptr.To("cn-mainland-a")
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v", StorageClassName: class, VolumeMode: ptr.To(corev1.PersistentVolumeBlock)}}
	wantClaim := &corev1.PersistentVolumeClaim{ObjectMeta: keptMeta(), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v", StorageClassName: class}}
	for _, c := range []struct{ got, want client.Object }{{held(t, pod), wantPod}, {held(t, claim), wantClaim}} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Error(d)
		}
	}
}

func TestTheCacheKeepsOfVolumesWhereTheirBytesLieAndWhoseTheyAre(t *testing.T) {
	place := &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "k", Operator: corev1.NodeSelectorOpIn, Values: []string{"v"}}},
	}}}}
	full := func(from corev1.PersistentVolumeSource) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{ObjectMeta: fullMeta(map[string]string{"app": "x"}), Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			ClaimRef:         &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "n", Name: "c", UID: "u", ResourceVersion: "3"},
			StorageClassName: "cn-a", MountOptions: []string{"ro"}, NodeAffinity: place, PersistentVolumeSource: from,
		}, Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound}}
	}
	kept := func(annotations map[string]string, from corev1.PersistentVolumeSource) *corev1.PersistentVolume {
		v := &corev1.PersistentVolume{ObjectMeta: keptMeta(), Spec: corev1.PersistentVolumeSpec{
			ClaimRef: &corev1.ObjectReference{Namespace: "n", Name: "c", UID: "u"}, StorageClassName: "cn-a", NodeAffinity: place, PersistentVolumeSource: from,
		}}
		v.Annotations = annotations
		return v
	}
	csi := corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h", VolumeAttributes: map[string]string{"server": "s"}}}
	csiFull := csi.DeepCopy()
	csiFull.CSI.FSType, csiFull.CSI.NodeStageSecretRef = "ext4", &corev1.SecretReference{Name: "s"}
	local := corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/x"}}
	share := corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "abroad", Path: "/"}}
	maker := map[string]string{"pv.kubernetes.io/provisioned-by": "local.test"}
	for name, c := range map[string]struct{ got, want client.Object }{
		"of a CSI driver":    {held(t, full(*csiFull)), kept(nil, csi)},
		"local":              {held(t, full(local)), kept(maker, local)},
		"of another kind":    {held(t, full(share)), kept(maker, share)},
		"of nobody, nowhere": {held(t, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}}), &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}}},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestTheCacheKeepsOfNodesAllButTheirStatus(t *testing.T) {
	meta := fullMeta(map[string]string{"k": "v"})
	want := meta
	want.ManagedFields, want.Annotations = nil, nil
	spec := corev1.NodeSpec{ProviderID: "p", Unschedulable: true, Taints: []corev1.Taint{{Key: "t"}}}
	got := held(t, &corev1.Node{ObjectMeta: meta, Spec: spec, Status: corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"i"}}}}})
	if d := cmp.Diff(client.Object(&corev1.Node{ObjectMeta: want, Spec: spec}), got); d != "" {
		t.Error(d)
	}
}

func TestTheCacheKeepsOurOwnPodsAndClaims(t *testing.T) {
	meta := fullMeta(map[string]string{"app.kubernetes.io/managed-by": "maodian"})
	want := meta
	want.ManagedFields = nil
	pod := corev1.Pod{ObjectMeta: meta, Status: corev1.PodStatus{PodIP: "10.0.0.1"}}
	claim := corev1.PersistentVolumeClaim{ObjectMeta: meta, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}
	for _, c := range []struct{ got, want client.Object }{
		{held(t, &pod), &corev1.Pod{ObjectMeta: want, Status: pod.Status}}, {held(t, &claim), &corev1.PersistentVolumeClaim{ObjectMeta: want, Status: claim.Status}},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Error(d)
		}
	}
}
