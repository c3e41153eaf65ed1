package provisioner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func node(region, zone string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{
		corev1.LabelHostname: "n1", corev1.LabelTopologyRegion: region, corev1.LabelTopologyZone: zone,
	}}}
}

func options(terms ...corev1.TopologySelectorTerm) controller.ProvisionOptions {
	retain := corev1.PersistentVolumeReclaimRetain
	return controller.ProvisionOptions{
		StorageClass:     &storagev1.StorageClass{ReclaimPolicy: &retain, AllowedTopologies: terms},
		PVName:           "pvc-1",
		SelectedNodeName: "n1",
		PVC: &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")}},
		}},
	}
}

func term(pairs ...string) corev1.TopologySelectorTerm {
	var t corev1.TopologySelectorTerm
	for i := 0; i < len(pairs); i += 2 {
		t.MatchLabelExpressions = append(t.MatchLabelExpressions, corev1.TopologySelectorLabelRequirement{Key: pairs[i], Values: []string{pairs[i+1]}})
	}
	return t
}

func TestProvision_PinsTheVolume(t *testing.T) {
	root := t.TempDir()
	p := New(fake.NewClientset(node("cn-north-1", "cn-north-1a")), root)
	pv, state, err := p.Provision(t.Context(), options(term(corev1.LabelTopologyRegion, "cn-north-1")))
	if err != nil || state != controller.ProvisioningFinished {
		t.Fatal(state, err)
	}
	in := func(key, value string) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}
	}
	want := []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
		in(corev1.LabelTopologyRegion, "cn-north-1"), in(corev1.LabelTopologyZone, "cn-north-1a"), in(corev1.LabelHostname, "n1"),
	}}}
	if d := cmp.Diff(want, pv.Spec.NodeAffinity.Required.NodeSelectorTerms); d != "" {
		t.Errorf("node affinity (-want +got):\n%s", d)
	}
	if pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("reclaim policy = %s", pv.Spec.PersistentVolumeReclaimPolicy)
	}
	if want := filepath.Join(root, "n1", "pv", "pvc-1"); pv.Spec.Local.Path != want {
		t.Errorf("path = %s, want %s", pv.Spec.Local.Path, want)
	}
	if _, err := os.Stat(pv.Spec.Local.Path); err != nil {
		t.Error(err)
	}
	if err := p.Delete(t.Context(), pv); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(pv.Spec.Local.Path); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestProvision_Refuses(t *testing.T) {
	unlabelled := node("cn-north-1", "cn-north-1a")
	delete(unlabelled.Labels, corev1.LabelTopologyZone)
	nobody := options()
	nobody.SelectedNodeName = ""
	for name, c := range map[string]struct {
		node *corev1.Node
		o    controller.ProvisionOptions
		want controller.ProvisioningState
	}{
		"a class that binds at once":       {node("r", "z"), nobody, controller.ProvisioningFinished},
		"a node of another region":         {node("cn-hongkong", "b"), options(term(corev1.LabelTopologyRegion, "cn-north-1")), controller.ProvisioningReschedule},
		"a right region with a wrong zone": {node("cn-north-1", "b"), options(term(corev1.LabelTopologyRegion, "cn-north-1", corev1.LabelTopologyZone, "a")), controller.ProvisioningReschedule},
		"a node without a zone":            {unlabelled, options(), controller.ProvisioningFinished},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			pv, state, err := New(fake.NewClientset(c.node), root).Provision(t.Context(), c.o)
			if err == nil || pv != nil || state != c.want {
				t.Errorf("volume %v, state %s, error %v; want none, %s and an error", pv, state, err, c.want)
			}
			if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestAllows_AnyTerm(t *testing.T) {
	terms := []corev1.TopologySelectorTerm{term("region", "a"), term("region", "b", "zone", "1")}
	for name, c := range map[string]struct {
		labels map[string]string
		want   bool
	}{
		"the first term":          {map[string]string{"region": "a"}, true},
		"the second term":         {map[string]string{"region": "b", "zone": "1"}, true},
		"half of the second term": {map[string]string{"region": "b"}, false},
		"neither":                 {nil, false},
	} {
		if got := allows(terms, c.labels); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestDelete_RefusesStrangePaths(t *testing.T) {
	p := New(fake.NewClientset(), t.TempDir())
	for _, pv := range []*corev1.PersistentVolume{
		{ObjectMeta: metav1.ObjectMeta{Name: "pvc-1"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "pvc-1", Annotations: map[string]string{nodeAnnotation: "../.."}}},
	} {
		if err := p.Delete(t.Context(), pv); err == nil {
			t.Errorf("annotations %v are taken", pv.Annotations)
		}
	}
}
