package residency

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

func exclusive(jurisdiction string, sharing residencyv1.Sharing) residencyv1.ResidencyPolicy {
	p := residencyv1.ResidencyPolicy{}
	p.Spec.Jurisdiction = jurisdiction
	p.Spec.Nodes = residencyv1.PolicyNodes{Regions: []string{"cn-hangzhou"}, Zones: []string{"cn-hangzhou-h"}, Attestation: residencyv1.AttestationProviderID, Sharing: sharing}
	return p
}

func TestOnlyNodesThatAPolicyWantsAloneAreTainted(t *testing.T) {
	ours := corev1.Taint{Key: "residency.maodian.dev/cn", Effect: corev1.TaintEffectNoSchedule}
	second := corev1.Taint{Key: "residency.maodian.dev/cn-b", Effect: corev1.TaintEffectNoSchedule}
	others := corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}
	alone, shared := exclusive("cn", residencyv1.SharingExclusive), exclusive("cn", residencyv1.SharingShared)
	going := exclusive("cn", residencyv1.SharingExclusive)
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, c := range map[string]struct {
		region   string
		have     []corev1.Taint
		policies []residencyv1.ResidencyPolicy
		want     []corev1.Taint
	}{
		"inside, and wanted alone":              {"cn-hangzhou", nil, []residencyv1.ResidencyPolicy{alone}, []corev1.Taint{ours}},
		"tainted already":                       {"cn-hangzhou", []corev1.Taint{ours}, []residencyv1.ResidencyPolicy{alone}, []corev1.Taint{ours}},
		"other people's taints stay":            {"cn-hangzhou", []corev1.Taint{others}, []residencyv1.ResidencyPolicy{alone}, []corev1.Taint{others, ours}},
		"outside":                               {"cn-hongkong", []corev1.Taint{others, ours}, []residencyv1.ResidencyPolicy{alone}, []corev1.Taint{others}},
		"shared again":                          {"cn-hangzhou", []corev1.Taint{ours}, []residencyv1.ResidencyPolicy{shared}, nil},
		"the policy goes":                       {"cn-hangzhou", []corev1.Taint{ours}, []residencyv1.ResidencyPolicy{going}, nil},
		"one of two with its jurisdiction asks": {"cn-hangzhou", nil, []residencyv1.ResidencyPolicy{shared, alone}, []corev1.Taint{ours}},
		"two jurisdictions, in a stable order":  {"cn-hangzhou", nil, []residencyv1.ResidencyPolicy{exclusive("cn-b", residencyv1.SharingExclusive), alone}, []corev1.Taint{ours, second}},
	} {
		t.Run(name, func(t *testing.T) {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{corev1.LabelTopologyRegion: c.region, corev1.LabelTopologyZone: c.region + "-h"}}}
			n.Spec.ProviderID, n.Spec.Taints = "alicloud://"+c.region+".i-1", c.have
			got := tainted(n, c.policies)
			if len(got) == 0 {
				got = nil
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
