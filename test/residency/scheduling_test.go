package residency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
)

// The nodes among which the scheduler chooses. All are ready and carry no taint.
const (
	shanghai  = "shanghai"           // in cn-shanghai, and attested
	frankfurt = "frankfurt"          // in eu-central-1, and by far the roomiest: a scheduler left to itself prefers it
	homeless  = "homeless"           // tells no region
	pretender = "cn-shanghai-worker" // labels say Shanghai, but nobody has attested it
)

// nowhere says that a pod stays Pending.
const nowhere = ""

// scenario is a pod that somebody asks for, and the node it is placed on.
type scenario struct {
	asks string // empty: a tenant who holds every right
	pod  func(*corev1.Pod)
	// unguarded is where it runs without the guard. Somewhere abroad, or the case would prove nothing.
	unguarded string
	// guarded is where it runs under the guard.
	guarded string
}

var scenarios = map[string]scenario{
	"a plain pod": {unguarded: frankfurt, guarded: shanghai, pod: func(*corev1.Pod) {}},
	"a pod that may run in Shanghai or in Frankfurt, by two terms of which one suffices": {unguarded: frankfurt, guarded: shanghai, pod: func(p *corev1.Pod) {
		p.Spec.Affinity = requires(inRegion("cn-shanghai"), inRegion("eu-central-1"))
	}},
	"a pod that must run in Frankfurt, by its affinity": {unguarded: frankfurt, guarded: nowhere, pod: func(p *corev1.Pod) {
		p.Spec.Affinity = requires(inRegion("eu-central-1"))
	}},
	"a pod that must run in Frankfurt, by its selector": {unguarded: frankfurt, guarded: nowhere, pod: func(p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{corev1.LabelTopologyRegion: "eu-central-1"}
	}},
	"a pod that prefers Frankfurt": {unguarded: frankfurt, guarded: shanghai, pod: func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 100, Preference: inRegion("eu-central-1")}},
		}}
	}},
	"a pod that tolerates every taint": {unguarded: frankfurt, guarded: shanghai, pod: func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	}},
	"a pod that is too big for the node in Shanghai": {unguarded: frankfurt, guarded: nowhere, pod: func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("5")}
	}},
	"a pod that must run on a node that tells no region": {unguarded: homeless, guarded: nowhere, pod: func(p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: homeless}
	}},
	"a pod that must run on the node that only pretends to be in Shanghai": {unguarded: pretender, guarded: nowhere, pod: func(p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: pretender}
	}},
	"a pod of a ReplicaSet": {asks: "replicaset-controller", unguarded: frankfurt, guarded: shanghai, pod: ownedBy("ReplicaSet")},
	"a pod of a DaemonSet for the node in Frankfurt": {asks: "daemon-set-controller", unguarded: frankfurt, guarded: nowhere, pod: func(p *corev1.Pod) {
		ownedBy("DaemonSet")(p)
		p.Spec.Affinity = requires(named(frankfurt))
		p.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
	}},
	"a pod of a DaemonSet for the node in Shanghai": {asks: "daemon-set-controller", unguarded: shanghai, guarded: shanghai, pod: func(p *corev1.Pod) {
		ownedBy("DaemonSet")(p)
		p.Spec.Affinity = requires(named(shanghai))
	}},
}

func requires(terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
}

func inRegion(region string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{envtestrig.In(corev1.LabelTopologyRegion, region)}}
}

// named is how the DaemonSet controller names the node of a pod.
func named(node string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{envtestrig.In("metadata.name", node)}}
}

func ownedBy(kind string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "campaign"}
		p.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: appsv1.SchemeGroupVersion.String(), Kind: kind, Name: "campaign", UID: "c0ffee", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
		}}
	}
}

// placing is a world with one namespace, first without and then under the guard.
type placing struct {
	policy    *residencyv1.ResidencyPolicy
	namespace string
	guard     guard.Guard
	unbound   *corev1.Pod // by which to try whether the guard is in force
}

func newPlacing(t *testing.T) *placing {
	t.Helper()
	p := policy()
	p.Name = rig.Name("placing")
	p.Spec.Storage.ClassPrefix = p.Name + "-"
	p.Spec.Nodes.LabelKey, p.Spec.Nodes.Sharing = "placing.node-restriction.kubernetes.io/jurisdiction", residencyv1.SharingShared
	p.Spec.Nodes.Regions, p.Spec.Nodes.Zones = []string{"cn-shanghai"}, []string{"cn-shanghai-b"}
	w := &placing{policy: p, namespace: rig.Namespace(t, p.Name)}
	var err error
	if w.guard, err = guard.Compile(p, guard.Options{Manager: manager, Prober: prober, Governed: []string{w.namespace}}); err != nil {
		t.Fatal(err)
	}
	place := func(region, zone string) map[string]string {
		return map[string]string{corev1.LabelTopologyRegion: region, corev1.LabelTopologyZone: zone}
	}
	attested := place("cn-shanghai", "cn-shanghai-b")
	attested[p.Spec.Nodes.LabelKey] = p.Spec.Jurisdiction
	readyNode(t, shanghai, "4", attested)
	readyNode(t, frankfurt, "256", place("eu-central-1", "eu-central-1a"))
	readyNode(t, homeless, "4", map[string]string{})
	readyNode(t, pretender, "4", place("cn-shanghai", "cn-shanghai-b"))
	w.unbound = w.waiting(t)
	return w
}

// readyNode does what a kubelet and the node controller would: the node has room, says that
// it is ready, and loses the taint with which every node begins.
func readyNode(t *testing.T, name, cpus string, labels map[string]string) {
	t.Helper()
	labels[corev1.LabelHostname] = name
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	rig.Create(t, n)
	t.Cleanup(func() { _ = rig.Client.Delete(context.Background(), n) })
	cpu := resource.MustParse(cpus)
	n.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: cpu, corev1.ResourceMemory: *resource.NewQuantity(cpu.Value()<<31, resource.BinarySI), corev1.ResourcePods: resource.MustParse("110"),
	}
	n.Status.Allocatable = n.Status.Capacity
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}
	if err := rig.Client.Status().Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	n.Spec.Taints = nil
	if err := rig.Client.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// pod is one that any node takes. It asks for cpu and memory, so that the scheduler prefers
// the node with the most room.
func (w *placing) pod() *corev1.Pod {
	app := corev1.Container{Name: "app", Image: "registry.maodian.test/app:1"}
	app.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("400Mi")}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: rig.Name("campaign")},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{app}},
	}
}

// waiting is a pod that no node takes, so that others can try to bind it.
func (w *placing) waiting(t *testing.T) *corev1.Pod {
	t.Helper()
	p := w.pod()
	p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "of-no-node"}
	rig.Create(t, p)
	return p
}

// asker is a tenant who holds every right, or a controller with those that Kubernetes gives it.
func asker(t *testing.T, controller string) client.Client {
	t.Helper()
	if controller == "" {
		return rig.As(t, "alice", "system:masters")
	}
	return rig.As(t, "system:serviceaccount:kube-system:"+controller, "system:serviceaccounts", "system:serviceaccounts:kube-system")
}

// try makes the pod of a scenario and waits for what the scheduler does with it.
func (w *placing) try(t *testing.T, s scenario, want string) {
	t.Helper()
	p := w.pod()
	s.pod(p)
	if err := asker(t, s.asks).Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	placed(t, p, want)
}

// placed waits until the scheduler has bound a pod to a node, or has said that it cannot.
func placed(t *testing.T, p *corev1.Pod, want string) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		if p.Spec.NodeName != "" && p.Spec.NodeName != want {
			t.Fatalf("the pod was placed on %q, want %q", p.Spec.NodeName, want)
		}
		if want != nowhere {
			if p.Spec.NodeName == "" {
				return fmt.Errorf("the pod is not placed yet: %+v", p.Status.Conditions)
			}
			return nil
		}
		return stays(ctx, p)
	})
}

// stays tells whether a pod is Pending because the scheduler has found no node, and says so.
func stays(ctx context.Context, p *corev1.Pod) error {
	if p.Status.Phase != corev1.PodPending || !envtestrig.Unplaced(p) {
		return fmt.Errorf("the scheduler has not decided yet: %+v", p.Status)
	}
	events, err := rig.Events(ctx, p)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Reason == "FailedScheduling" {
			return nil
		}
	}
	return errors.New("no event FailedScheduling")
}

// bind is a request to run a pod on a node.
func bind(ctx context.Context, who client.Client, p *corev1.Pod, node string, options ...client.SubResourceCreateOption) error {
	return who.SubResource("binding").Create(ctx, p, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}}, options...)
}

// admitted tells which of three things pass that the guard does not let pass: a pod for a
// node by its name, a binding by hand, and a pod without a pin.
func (w *placing) admitted(ctx context.Context) (admitted []string) {
	byName := w.pod()
	byName.Spec.NodeName = frankfurt
	if rig.Client.Create(ctx, byName, client.DryRunAll) == nil {
		admitted = append(admitted, "a pod by the name of a node")
	}
	if bind(ctx, rig.Client, w.unbound, frankfurt, client.DryRunAll) == nil {
		admitted = append(admitted, "a binding by hand")
	}
	if p := w.pod(); rig.Client.Create(ctx, p, client.DryRunAll) == nil && p.Spec.NodeSelector[w.policy.Spec.Nodes.LabelKey] == "" {
		admitted = append(admitted, "a pod without a pin")
	}
	return admitted
}

// install puts the guard in force.
func (w *placing) install(t *testing.T) {
	t.Helper()
	if all := w.admitted(t.Context()); len(all) != 3 {
		t.Fatalf("without the guard only %v pass", all)
	}
	applyAll(t, w.guard)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if still := w.admitted(ctx); len(still) > 0 {
			return fmt.Errorf("still admitted: %v", still)
		}
		return rig.Client.Create(ctx, w.pod(), client.DryRunAll) // while the pin is late, every pod is refused
	})
}

// remove takes the guard away and waits until the API server has let go of it.
func (w *placing) remove(t *testing.T) {
	removeAll(t, w.guard)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if got := w.admitted(ctx); len(got) != 3 {
			return fmt.Errorf("only %v are admitted again", got)
		}
		return nil
	})
	w.clear(t)
}

// clear deletes every pod but the one that is never bound.
func (w *placing) clear(t *testing.T) {
	t.Helper()
	others := client.MatchingFieldsSelector{Selector: fields.OneTermNotEqualSelector("metadata.name", w.unbound.Name)}
	if err := rig.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(w.namespace), client.GracePeriodSeconds(0), others); err != nil {
		t.Error(err)
	}
}

// inside looks at every pod once more: none that waited has left meanwhile.
func (w *placing) inside(t *testing.T) {
	var pods corev1.PodList
	if err := rig.Client.List(t.Context(), &pods, client.InNamespace(w.namespace)); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) < len(scenarios) {
		t.Errorf("%d pods are left, want at least one of each scenario", len(pods.Items))
	}
	for _, p := range pods.Items {
		if p.Spec.NodeName != nowhere && p.Spec.NodeName != shanghai {
			t.Errorf("%s runs on %q", p.Name, p.Spec.NodeName)
		}
	}
}

func TestTheSchedulerKeepsPodsInside(t *testing.T) {
	w := newPlacing(t)
	t.Run("without the guard the scheduler sends them abroad", func(t *testing.T) {
		for name, s := range scenarios {
			t.Run(name, func(t *testing.T) { w.try(t, s, s.unguarded) })
		}
		t.Run("and anybody may bind a pod by hand", func(t *testing.T) {
			p := w.waiting(t)
			if err := bind(t.Context(), asker(t, ""), p, frankfurt); err != nil {
				t.Fatal(err)
			}
			placed(t, p, frankfurt)
		})
	})
	if t.Failed() {
		return
	}
	w.clear(t)
	defer w.remove(t)
	w.install(t)
	t.Run("under the guard they run in Shanghai or wait", func(t *testing.T) {
		for name, s := range scenarios {
			t.Run(name, func(t *testing.T) { w.try(t, s, s.guarded) })
		}
	})
	t.Run("nobody else binds a pod, and the scheduler not abroad", w.bindings)
	t.Run("where the attestation is withdrawn, the next pod waits", func(t *testing.T) {
		attestor := rig.As(t, "carol", slices.Concat([]string{"system:masters"}, w.policy.Spec.Identities.Attestors)...)
		withdraw := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, w.policy.Spec.Nodes.LabelKey)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: shanghai}}
		if err := attestor.Patch(t.Context(), n, client.RawPatch("application/merge-patch+json", withdraw)); err != nil {
			t.Fatal(err)
		}
		w.try(t, scenarios["a plain pod"], nowhere)
	})
	t.Run("after all that, nothing runs outside of Shanghai", w.inside)
	t.Run("what is not governed runs where the scheduler likes", func(t *testing.T) {
		p := w.pod()
		p.Namespace = rig.Namespace(t, "")
		rig.Create(t, p)
		placed(t, p, frankfurt)
	})
}

// bindings tries to place a pod past the scheduler, in earnest.
func (w *placing) bindings(t *testing.T) {
	const onlyScheduler = "residency: PlacementNotMainland: only the scheduler may bind pods"
	for name, c := range map[string]struct {
		user, node, refusal string
	}{
		"a tenant binds it to the node in Frankfurt":                     {"alice", frankfurt, onlyScheduler},
		"a tenant binds it to the node in Shanghai":                      {"alice", shanghai, onlyScheduler},
		"a scheduler of the tenant's own binds it":                       {"system:serviceaccount:default:scheduler", frankfurt, onlyScheduler},
		"a scheduler in kube-system that is not the real one binds it":   {"system:serviceaccount:kube-system:scheduler", frankfurt, onlyScheduler},
		"the real scheduler, led astray, binds it abroad":                {"system:kube-scheduler", frankfurt, `lies in region "eu-central-1"`},
		"the real scheduler, led astray, binds it to one of no region":   {"system:kube-scheduler", homeless, `lies in region ""`},
		"the real scheduler, led astray, binds it to what is not a node": {"system:kube-scheduler", "of-no-node", `lies in region ""`},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.waiting(t)
			envtestrig.Refused(t, bind(t.Context(), rig.As(t, c.user, "system:masters"), p, c.node), c.refusal)
			placed(t, p, nowhere)
		})
	}
}
