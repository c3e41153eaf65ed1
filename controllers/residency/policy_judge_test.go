package residency

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/watching"
)

// scope is a look at namespace n under a policy of one region, with one node inside and one
// outside.
func scope(change func(*residencyv1.ResidencyPolicy)) *policyScope {
	p := rules("cn", residencyv1.AttestationProviderID, "cn-hangzhou")
	p.Spec.Storage.ClassPrefix = "cn-"
	p.Spec.Enforcement = residencyv1.EnforcementEnforce
	if change != nil {
		change(&p)
	}
	in, out := node("cn-hangzhou", "cn"), node("cn-hongkong", "")
	in.Name, out.Name = "in", "out"
	s := &policyScope{
		policy: &p, policies: []residencyv1.ResidencyPolicy{p}, findings: newFindings(time.Unix(0, 0)), handles: placement.NewHandles(),
		nodes: []corev1.Node{*kept(in), *kept(out)}, namespaces: []string{"n"}, blocked: map[placement.Object]bool{},
	}
	s.nodesBy = s.places()
	return s
}

func (s *policyScope) told20() (out []string) {
	for _, o := range s.tally.Worst() {
		out = append(out, fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.Reason))
	}
	return out
}

func pod(name, on string, change func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: "u"}, Spec: corev1.PodSpec{NodeName: on}}
	if change != nil {
		change(&p)
	}
	return p
}

// kept is an object as the manager's cache holds it: all that the judge looks at is in it.
func kept[T client.Object](o T) T {
	for kind, options := range watching.CacheOptions().ByObject {
		if _, ok := kind.(T); ok {
			out, err := options.Transform(o.DeepCopyObject())
			if err != nil {
				panic(err)
			}
			return out.(T)
		}
	}
	return o
}

// walk is what judgePods gets.
func walk(pods ...corev1.Pod) iter.Seq[*corev1.Pod] {
	cached := make([]*corev1.Pod, len(pods))
	for i := range pods {
		cached[i] = kept(&pods[i])
	}
	return func(yield func(*corev1.Pod) bool) {
		for _, p := range cached {
			if !yield(p) {
				return
			}
		}
	}
}

func pin(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: "cn"} }

func TestAPodIsJudgedByWhereItIs(t *testing.T) {
	s := scope(nil)
	s.judgePods(walk(
		pod("at-home", "in", nil), pod("abroad", "out", pin), pod("nowhere", "gone", pin), pod("waiting", "", pin), pod("loose", "", nil),
		pod("done", "out", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), pod("failed", "out", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
		pod("pinned-elsewhere", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: "other"} }),
	))
	want := []string{"Pod abroad PlacementNotMainland", "Pod loose PlacementNotMainland", "Pod nowhere RegionUnknown", "Pod pinned-elsewhere PlacementNotMainland"}
	if d := cmp.Diff(want, s.told20()); d != "" {
		t.Error(d)
	}
}

func TestANodeWhoseLabelIsNotWrittenDoesNotCountYet(t *testing.T) {
	s := scope(nil)
	fresh := node("cn-hangzhou", "")
	fresh.Name = "fresh"
	s.nodes = append(s.nodes, *fresh)
	s.nodesBy = s.places()
	s.fillNodes()
	if *s.policy.Status.EligibleNodeCount != 1 || *s.policy.Status.RefusedNodeCount != 2 {
		t.Errorf("status = %+v", s.policy.Status)
	}
	if s.nodesBy["fresh"].lost {
		t.Error("it never had what it would have lost")
	}
}

func TestALabelWithoutADecisionIsReported(t *testing.T) {
	s := scope(nil)
	forged, other := node("cn-hongkong", "cn"), node("cn-hongkong", "else")
	forged.Name, other.Name = "forged", "other"
	s.nodes = append(s.nodes, *forged, *other)
	s.judgeLabels()
	if d := cmp.Diff([]string{"Node forged PlacementNotMainland"}, s.told20()); d != "" {
		t.Error(d)
	}
	s = scope(nil)
	sh := node("cn-shanghai", "cn")
	s.nodes = append(s.nodes, *sh)
	s.policies = append(s.policies, rules("cn", residencyv1.AttestationProviderID, "cn-shanghai"))
	if s.judgeLabels(); s.tally.Total() != 0 {
		t.Error("another policy finds the node inside")
	}
}

func volume(name string, change func(*corev1.PersistentVolume)) corev1.PersistentVolume {
	v := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		StorageClassName: "cn-a", PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: name}},
		ClaimRef: &corev1.ObjectReference{Namespace: "n", Name: name},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyRegion, Operator: corev1.NodeSelectorOpIn, Values: []string{"cn-hangzhou"}}},
		}}}},
	}}
	if change != nil {
		change(&v)
	}
	return v
}

func claimOf(name, class, volume string) corev1.PersistentVolumeClaim {
	c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: volume}}
	if class != "" {
		c.Spec.StorageClassName = ptr.To(class)
	}
	return c
}

func TestAClaimAndItsVolumeAreOneViolation(t *testing.T) {
	for name, c := range map[string]struct {
		volume *corev1.PersistentVolume
		claim  corev1.PersistentVolumeClaim
		want   []string
	}{
		"both inside":                   {ptr.To(volume("v", nil)), claimOf("v", "cn-a", "v"), nil},
		"not bound yet":                 {nil, claimOf("v", "cn-a", ""), nil},
		"no class":                      {nil, claimOf("v", "", ""), []string{"PersistentVolumeClaim v StorageNotMainland"}},
		"a class without the prefix":    {nil, claimOf("v", "a", ""), []string{"PersistentVolumeClaim v StorageNotMainland"}},
		"the volume does not exist":     {nil, claimOf("v", "cn-a", "v"), []string{"PersistentVolumeClaim v RegionUnknown"}},
		"the volume is another claim's": {ptr.To(volume("w", nil)), claimOf("v", "cn-a", "w"), []string{"PersistentVolumeClaim v StorageNotMainland"}},
		"the volume is another claim's, and outside": {ptr.To(volume("w", func(v *corev1.PersistentVolume) { v.Spec.NodeAffinity = nil })), claimOf("v", "cn-a", "w"),
			[]string{"PersistentVolume w RegionUnknown", "PersistentVolumeClaim v StorageNotMainland"}},
		"the volume's class has no prefix": {ptr.To(volume("v", func(v *corev1.PersistentVolume) { v.Spec.StorageClassName = "a" })), claimOf("v", "a", "v"),
			[]string{"PersistentVolume v StorageNotMainland"}},
		"the volume lies on a server": {ptr.To(volume("v", func(v *corev1.PersistentVolume) {
			v.Annotations = map[string]string{watching.ProvisionedBy: "d"}
			v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "abroad"}}
		})), claimOf("v", "cn-a", "v"), []string{"PersistentVolume v StorageNotMainland"}},
		"the volume names a server": {ptr.To(volume("v", func(v *corev1.PersistentVolume) {
			v.Spec.CSI.VolumeAttributes = map[string]string{"S3Endpoint": "abroad"}
		})), claimOf("v", "cn-a", "v"), []string{"PersistentVolume v StorageNotMainland"}},
		"a volume of an ungoverned namespace": {ptr.To(volume("w", func(v *corev1.PersistentVolume) {
			v.Spec.ClaimRef.Namespace, v.Spec.NodeAffinity = "else", nil
		})), claimOf("v", "cn-a", ""), nil},
	} {
		s := scope(nil)
		if c.volume != nil {
			s.volumes = []corev1.PersistentVolume{*kept(c.volume)}
		}
		s.judgeVolumes([]corev1.PersistentVolumeClaim{*kept(&c.claim)})
		if d := cmp.Diff(c.want, s.told20()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestAKindThatCannotBeReadCountsAsBefore(t *testing.T) {
	s := scope(nil)
	s.policy.Status.Violations = residencyv1.ViolationSummary{
		ByKind: []residencyv1.KindCount{{Kind: "Backup", Count: 3}, {Kind: "Pod", Count: 7}},
		Worst:  []residencyv1.Violation{{Kind: "Backup", Namespace: "v", Name: "b", Reason: "StorageNotMainland", Message: "m"}},
	}
	s.carry(placement.BackupObject)
	s.carry(placement.RestoreObject)
	s.fillViolations()
	if v := s.policy.Status.Violations; *v.Count != 3 || len(v.Worst) != 1 || v.Worst[0].Message != "m" {
		t.Errorf("violations = %+v", v)
	}
	if c := s.compliance(); c.Reason != residencyv1.ReasonViolationsFound || !strings.Contains(c.Message, "not read, and counted as before: Backup, Restore") {
		t.Errorf("%+v", c)
	}
	s = scope(nil)
	s.carry(placement.RestoreObject)
	if c := s.compliance(); c.Status != metav1.ConditionUnknown || c.Reason != residencyv1.ReasonKindsUnread {
		t.Errorf("%+v", c)
	}
	if s.wait() != retryInterval {
		t.Error("it is not looked at again soon")
	}
}

func TestAPolicyTellsWhatIsNew(t *testing.T) {
	of := func(kinds ...string) *residencyv1.ResidencyPolicy {
		p := &residencyv1.ResidencyPolicy{}
		for _, k := range kinds {
			p.Status.Violations.ByKind = append(p.Status.Violations.ByKind, residencyv1.KindCount{Kind: k, Count: 1})
		}
		conditions.Set(&p.Status.Conditions, 1, time.Time{}, residencyv1.ConditionCompliant, metav1.ConditionFalse, "R", "message")
		return p
	}
	found := []applying.Event{applying.Warning(residencyv1.ReasonViolationsFound, "Judge", "message")}
	for name, c := range map[string]struct {
		before, after *residencyv1.ResidencyPolicy
		want          []applying.Event
	}{
		"nothing, still":             {of(), of(), nil},
		"the first":                  {of(), of("Pod"), found},
		"two kinds at once":          {of(), of("PersistentVolume", "Pod"), found},
		"a kind joins":               {of("Pod"), of("PersistentVolume", "Pod"), found},
		"the same":                   {of("Pod"), of("Pod"), nil},
		"a kind leaves":              {of("PersistentVolume", "Pod"), of("Pod"), nil},
		"the last one goes":          {of("Pod"), of(), []applying.Event{applying.Normal(residencyv1.ReasonNoViolations, "Judge", "message")}},
		"one goes, and another came": {of("Pod"), of("Backup"), found},
	} {
		if d := cmp.Diff(c.want, policyEvents(c.before, c.after)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestEvidenceIsRecordedOnce(t *testing.T) {
	f := func(kind placement.Kind, name string) finding {
		return finding{placement.Object{Kind: kind, Name: name}, reason.RegionUnknown}
	}
	var b book
	t0, t1 := time.Unix(0, 0), time.Unix(60, 0)
	found, cleared := b.compare("p", page{f(placement.Pod, "a"): t0, f(placement.BackupObject, "b"): t0}, nil)
	if len(found) != 2 || len(cleared) != 0 {
		t.Errorf("first look: %v %v", found, cleared)
	}
	found, cleared = b.compare("p", page{f(placement.Pod, "a"): t1, f(placement.Pod, "c"): t1}, map[placement.Kind]bool{placement.BackupObject: true})
	if d := cmp.Diff(page{f(placement.Pod, "c"): t1}, found, cmp.AllowUnexported(finding{})); d != "" || len(cleared) != 0 {
		t.Errorf("second look: %s %v", d, cleared)
	}
	found, cleared = b.compare("p", page{}, nil)
	want := page{f(placement.Pod, "a"): t0, f(placement.Pod, "c"): t1, f(placement.BackupObject, "b"): t0}
	if d := cmp.Diff(want, cleared, cmp.AllowUnexported(finding{})); d != "" || len(found) != 0 {
		t.Errorf("third look: %s %v", d, found)
	}
}

func TestOnlyAPolicyThatAsksForItRepairs(t *testing.T) {
	asks := func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationCordonAndEvict
	}
	for name, c := range map[string]struct {
		change func(*residencyv1.ResidencyPolicy)
		want   bool
	}{
		"says nothing": {nil, false},
		"asks for a report": {func(p *residencyv1.ResidencyPolicy) {
			p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationReport
		}, false},
		"asks for it":                 {asks, true},
		"asks, and only audits":       {func(p *residencyv1.ResidencyPolicy) { asks(p); p.Spec.Enforcement = residencyv1.EnforcementAudit }, false},
		"asks, and is on its way out": {func(p *residencyv1.ResidencyPolicy) { asks(p); p.DeletionTimestamp = ptr.To(metav1.Unix(1, 0)) }, false},
	} {
		s := scope(c.change)
		s.judgePods(walk(pod("a", "out", pin)))
		if got := len(s.stranded) > 0; got != c.want {
			t.Errorf("%s: repairs %t", name, got)
		}
	}
}

func TestWhichPodsLeaveAndWhichNodesAreClosed(t *testing.T) {
	controller := func(kind string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Controller: ptr.To(true)}}
		}
	}
	for name, c := range map[string]struct {
		pod     corev1.Pod
		label   string // on the node outside
		counted bool   // the node is in the last status
		leaves  bool
		closed  bool
	}{
		"a pinned pod":                            {pod("a", "out", pin), "", false, true, true},
		"one from before the mark":                {pod("a", "out", nil), "", false, true, false},
		"the same, where the node counted before": {pod("a", "out", nil), "", true, true, true},
		"the same, where the label is still on":   {pod("a", "out", nil), "cn", false, true, true},
		"one that goes already":                   {pod("a", "out", func(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.Unix(1, 0)) }), "", false, false, false},
		"a static pod":                            {pod("a", "out", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }), "", false, false, false},
		"of a DaemonSet":                          {pod("a", "out", controller("DaemonSet")), "", false, true, false},
		"of one that would come back":             {pod("a", "out", controller("DaemonSet")), "cn", false, false, true},
		"of a ReplicaSet":                         {pod("a", "out", controller("ReplicaSet")), "cn", false, true, true},
	} {
		s := scope(func(p *residencyv1.ResidencyPolicy) {
			p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationCordonAndEvict
		})
		if c.label != "" {
			s.nodes[1].Labels[key] = c.label
			s.nodesBy = s.places()
		}
		if c.counted {
			s.policy.Status.EligibleNodes = []string{"in", "out"}
		}
		s.judgePods(walk(c.pod))
		if at := s.stranded["out"]; at == nil || (len(at.pods) == 1) != c.leaves || at.carried != c.closed {
			t.Errorf("%s: %+v", name, at)
		}
	}
	s := scope(func(p *residencyv1.ResidencyPolicy) {
		p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationCordonAndEvict
	})
	s.judgePods(walk(pod("a", "in", nil), pod("b", "gone", pin), pod("c", "", nil)))
	if len(s.stranded) != 0 {
		t.Errorf("stranded = %+v", s.stranded)
	}
}

func TestFiftyThousandViolationsStaySmall(t *testing.T) {
	s := scope(nil)
	batch := make([]corev1.Pod, 1000)
	for n := range 50 {
		for i := range batch {
			batch[i] = pod(fmt.Sprintf("p-%d", n*len(batch)+i), "out", pin)
		}
		s.judgePods(walk(batch...))
	}
	s.fillViolations()
	v := s.policy.Status.Violations
	if *v.Count != 50000 || len(v.Worst) != maxViolations || v.Worst[0].Name != "p-0" || len(s.stranded) != 0 {
		t.Errorf("%d counted, worst = %+v", *v.Count, v.Worst)
	}
	one := walk(pod("p-0", "out", pin))
	if n := testing.AllocsPerRun(100, func() { s.judgePods(one) }); n > 2 {
		t.Errorf("%v allocations to judge one pod", n)
	}
}

func TestGaugesReadAsPublished(t *testing.T) {
	var g gauges
	registry := prometheus.NewRegistry()
	for range 2 { // a second manager of the process takes the place of the first
		if err := g.register(registry); err != nil {
			t.Fatal(err)
		}
	}
	g.put("cn", reading{[]placement.Count{{Kind: placement.Pod, Reason: reason.RegionUnknown, N: 2}}, map[string]int{nodesAttested: 3, nodesRefused: 1}})
	g.put("gone", reading{nil, map[string]int{nodesAttested: 9}})
	g.forget("gone")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			line := f.GetName()
			for _, l := range m.GetLabel() {
				line += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
			}
			got = append(got, fmt.Sprintf("%s %v", line, m.GetGauge().GetValue()))
		}
	}
	want := []string{
		"maodian_residency_nodes policy=cn state=attested 3", "maodian_residency_nodes policy=cn state=refused 1",
		"maodian_residency_violations kind=Pod policy=cn reason=RegionUnknown 2",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
