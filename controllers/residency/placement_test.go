package residency

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

const key = "a.node-restriction.kubernetes.io/j"

func rules(jurisdiction string, by residencyv1.Attestation, regions ...string) residencyv1.ResidencyPolicy {
	return residencyv1.ResidencyPolicy{Spec: residencyv1.ResidencyPolicySpec{
		Jurisdiction: jurisdiction,
		Nodes:        residencyv1.PolicyNodes{Regions: regions, Attestation: by, LabelKey: key},
		Storage:      residencyv1.PolicyStorage{Drivers: []string{"d"}, TopologyKeys: []string{corev1.LabelTopologyRegion, corev1.LabelTopologyZone}},
	}}
}

func node(region, attested string) *corev1.Node {
	n := &corev1.Node{Spec: corev1.NodeSpec{ProviderID: "alicloud://" + region + ".i-1"}}
	n.Labels = map[string]string{corev1.LabelTopologyRegion: region}
	if attested != "" {
		n.Labels[key] = attested
	}
	return n
}

func TestTheAttestedLabelFollowsTheSignals(t *testing.T) {
	hz, sh := rules("cn", residencyv1.AttestationProviderID, "cn-hangzhou"), rules("cn", residencyv1.AttestationProviderID, "cn-shanghai")
	byHand := rules("cn", residencyv1.AttestationAdministrator, "cn-hangzhou")
	leaving := hz
	gone := metav1.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	leaving.DeletionTimestamp = &gone
	for name, c := range map[string]struct {
		node     *corev1.Node
		policies []residencyv1.ResidencyPolicy
		want     []label
	}{
		"inside and unmarked: written":                         {node("cn-hangzhou", ""), []residencyv1.ResidencyPolicy{hz}, []label{{key, "cn"}}},
		"inside and marked: nothing":                           {node("cn-hangzhou", "cn"), []residencyv1.ResidencyPolicy{hz}, nil},
		"outside and marked: taken away":                       {node("cn-hongkong", "cn"), []residencyv1.ResidencyPolicy{hz}, []label{{key, ""}}},
		"outside and unmarked: nothing":                        {node("cn-hongkong", ""), []residencyv1.ResidencyPolicy{hz}, nil},
		"marked for another jurisdiction: left alone":          {node("cn-hangzhou", "other"), []residencyv1.ResidencyPolicy{hz}, nil},
		"inside for one of two policies: written":              {node("cn-shanghai", ""), []residencyv1.ResidencyPolicy{hz, sh}, []label{{key, "cn"}}},
		"inside for one of two policies and marked: it stays":  {node("cn-shanghai", "cn"), []residencyv1.ResidencyPolicy{hz, sh}, nil},
		"attested by an administrator: nothing is written":     {node("cn-hangzhou", ""), []residencyv1.ResidencyPolicy{byHand}, nil},
		"attested by an administrator: nothing is taken away":  {node("cn-hongkong", "cn"), []residencyv1.ResidencyPolicy{byHand, hz}, nil},
		"of a policy that goes: taken away":                    {node("cn-hangzhou", "cn"), []residencyv1.ResidencyPolicy{leaving}, []label{{key, ""}}},
		"of a policy that goes, while another one stays: kept": {node("cn-hangzhou", "cn"), []residencyv1.ResidencyPolicy{leaving, hz}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, attest(c.node, c.policies), cmp.AllowUnexported(label{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAVolumeIsInsideOnlyWhenEveryTermSaysSo(t *testing.T) {
	p := rules("cn", residencyv1.AttestationProviderID, "cn-hangzhou")
	p.Spec.Nodes.Zones = []string{"cn-hangzhou-h"}
	in := func(key string, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}}
	}
	for name, c := range map[string]struct {
		driver string
		terms  []corev1.NodeSelectorTerm
		inside bool
	}{
		"by region":                             {"d", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyRegion, "cn-hangzhou")}, true},
		"by zone":                               {"d", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyZone, "cn-hangzhou-h")}, true},
		"two terms, both inside":                {"d", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyRegion, "cn-hangzhou"), in(corev1.LabelTopologyZone, "cn-hangzhou-h")}, true},
		"two terms, one outside":                {"d", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyRegion, "cn-hangzhou"), in(corev1.LabelTopologyRegion, "cn-hongkong")}, false},
		"a region that looks alike":             {"d", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyRegion, "cn-hangzhou-2")}, false},
		"a label that the policy does not know": {"d", []corev1.NodeSelectorTerm{in("kubernetes.io/hostname", "cn-hangzhou")}, false},
		"no value":                              {"d", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyRegion)}, false},
		"no term":                               {"d", nil, false},
		"another driver":                        {"other", []corev1.NodeSelectorTerm{in(corev1.LabelTopologyRegion, "cn-hangzhou")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := &corev1.PersistentVolume{}
			v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: c.driver}
			v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: c.terms}}
			if got, _ := volumeVerdict(v, &p); got.Eligible != c.inside {
				t.Errorf("inside is %t: %s %s", got.Eligible, got.Reason, got.Message)
			}
		})
	}
	if got, _ := volumeVerdict(&corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d"}}}}, &p); got.Eligible {
		t.Error("a volume without affinity counts as inside")
	}
}

func TestASumOfCountersHidesNobodyAndNoThreshold(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want metav1alpha1.PeopleCount
	}{
		"one store with few":   {[]string{"<20"}, "<20"},
		"one store with many":  {[]string{"731"}, "731"},
		"few and none":         {[]string{"<20", "0"}, "<20"},
		"few and many":         {[]string{"<20", "100"}, "119"},
		"two stores with few":  {[]string{"<20", "<20"}, "38"},
		"two stores with many": {[]string{"100", "200"}, "300"},
	} {
		if got := total(c.in); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestCountersOfOlderYearsStay(t *testing.T) {
	known := []residencyv1.TransferCounter{
		{Processor: "p", Year: 2026, NonSensitivePersons: "50", SensitivePersons: "<20"},
		{Processor: "p", Year: 2025, NonSensitivePersons: "900", SensitivePersons: "<20"},
	}
	got := merge(known, "p", []*storev1.GetStatusResponse{{Year: 2026, NonSensitivePersons: "60", SensitivePersons: "<20"}, {Year: 2025, NonSensitivePersons: "1", SensitivePersons: "1"}})
	want := []residencyv1.TransferCounter{
		{Processor: "p", Year: 2026, NonSensitivePersons: "60", SensitivePersons: "<20"},
		{Processor: "p", Year: 2025, NonSensitivePersons: "900", SensitivePersons: "<20"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(known, merge(known, "p", nil)); d != "" {
		t.Errorf("without answers:\n%s", d)
	}
}
