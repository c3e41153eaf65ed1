package guard_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

var rig *envtestrig.Rig

func TestMain(m *testing.M) { os.Exit(envtestrig.Run(m, &rig)) }

// install applies the guard of p and waits until the API server enforces it.
func install(t *testing.T, p *residencyv1.ResidencyPolicy) (namespace string) {
	t.Helper()
	for _, o := range compile(t, p).Objects {
		if err := rig.Client.Apply(t.Context(), o.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
			t.Fatalf("apply %s %s: %v", o.Kind, o.Name, err)
		}
	}
	namespace = rig.Namespace(t, p.Name)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		probe := pod(namespace)
		probe.Spec.NodeName = "nowhere"
		if err := rig.Client.Create(ctx, probe, client.DryRunAll); err == nil {
			return errors.New("not yet enforced")
		}
		return errors.Join(nodesEnforced(ctx), namespacesEnforced(ctx, namespace), pinned(ctx, namespace), closed(ctx, p.Name, namespace))
	})
	return namespace
}

// pinned waits for the mutating policies, each of which takes effect by itself. Until then
// the validating ones refuse what is not pinned.
func pinned(ctx context.Context, namespace string) error {
	labels := map[string]string{"app": "probe"}
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec = pod(namespace).Spec
	return errors.Join(rig.Client.Create(ctx, pod(namespace), client.DryRunAll), rig.Client.Create(ctx, set, client.DryRunAll))
}

func nodesEnforced(ctx context.Context) error {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{labelKey: "cn-mainland"}}}
	if err := rig.Client.Create(ctx, n, client.DryRunAll); err == nil {
		return errors.New("nodes: not yet enforced")
	}
	return nil
}

func namespacesEnforced(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := rig.Client.Delete(ctx, ns, client.DryRunAll); err == nil {
		return errors.New("namespaces: not yet enforced")
	}
	return nil
}

func pod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("pod")},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.maodian.test/x"}}},
	}
}

func require(terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

func in(key string, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}}
}

func TestAnOrdinaryPodIsPinned(t *testing.T) {
	ns := install(t, policy(rig.Name("pin")))
	region := in("topology.kubernetes.io/region", "cn-hangzhou", "cn-north-1").MatchExpressions[0]
	disk := in("disk", "ssd").MatchExpressions[0]
	cases := map[string]struct {
		affinity *corev1.Affinity
		want     []corev1.NodeSelectorTerm
	}{
		"without any affinity":           {nil, []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{region}}}},
		"with an empty affinity":         {&corev1.Affinity{}, []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{region}}}},
		"with preferred node affinity":   {&corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: in("disk", "ssd")}}}}, []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{region}}}},
		"with a term that is inside":     {require(in("topology.kubernetes.io/region", "cn-north-1")), []corev1.NodeSelectorTerm{in("topology.kubernetes.io/region", "cn-north-1")}},
		"with two terms, one of a label": {require(in("disk", "ssd"), in("topology.kubernetes.io/region", "cn-hongkong")), []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{disk, region}}, {MatchExpressions: []corev1.NodeSelectorRequirement{in("topology.kubernetes.io/region", "cn-hongkong").MatchExpressions[0], region}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := pod(ns)
			p.Spec.Affinity = c.affinity
			rig.Create(t, p)
			if p.Spec.NodeSelector[labelKey] != "cn-mainland" {
				t.Errorf("nodeSelector = %v, want the attested label", p.Spec.NodeSelector)
			}
			if d := cmp.Diff(c.want, p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms); d != "" {
				t.Errorf("terms differ:\n%s", d)
			}
		})
	}
	t.Run("with a nodeSelector of its own", func(t *testing.T) {
		p := pod(ns)
		p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		rig.Create(t, p)
		if d := cmp.Diff(map[string]string{"disk": "ssd", labelKey: "cn-mainland"}, p.Spec.NodeSelector); d != "" {
			t.Error(d)
		}
	})
	t.Run("outside the governed namespaces nothing is written", func(t *testing.T) {
		p := pod(rig.Namespace(t, ""))
		rig.Create(t, p)
		if len(p.Spec.NodeSelector) != 0 || p.Spec.Affinity != nil {
			t.Errorf("pod was changed: %v %v", p.Spec.NodeSelector, p.Spec.Affinity)
		}
	})
}

func TestPlacementOutsideIsRefused(t *testing.T) {
	ns := install(t, policy(rig.Name("place")))
	rig.Create(t, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"}, Handler: "remote"})
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		says   string
	}{
		"a node set by hand":     {func(p *corev1.Pod) { p.Spec.NodeName = "hk1" }, "`spec.nodeName` may not be set by hand"},
		"a foreign nodeSelector": {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{labelKey: "hk"} }, "must be cn-mainland, not"},
		"a runtime class":        {func(p *corev1.Pod) { p.Spec.RuntimeClassName = ptr.To("elsewhere") }, "`runtimeClassName` may not be set"},
		"a foreign scheduler":    {func(p *corev1.Pod) { p.Spec.SchedulerName = "mine" }, "`schedulerName` must be one of default-scheduler"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod(ns)
			c.change(p)
			envtestrig.Refused(t, rig.Client.Create(t.Context(), p), c.says)
		})
	}
	t.Run("a foreign nodeSelector in a template", func(t *testing.T) {
		d := deployment(ns)
		d.Spec.Template.Spec.NodeSelector = map[string]string{labelKey: "hk"}
		envtestrig.Refused(t, rig.Client.Create(t.Context(), d), "must be cn-mainland, not")
	})
	t.Run("an ordinary template is accepted", func(t *testing.T) { rig.Create(t, deployment(ns)) })
	t.Run("a DaemonSet is pinned in its template", func(t *testing.T) {
		d := deployment(ns)
		ds := &appsv1.DaemonSet{ObjectMeta: d.ObjectMeta, Spec: appsv1.DaemonSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template}}
		rig.Create(t, ds)
		if ds.Spec.Template.Spec.NodeSelector[labelKey] != "cn-mainland" {
			t.Errorf("template is not pinned: %v", ds.Spec.Template.Spec.NodeSelector)
		}
	})
}

// The pin repairs terms before they are validated, so the check on terms is seen alone only
// where there is no pin: under Warn, where nothing is refused, and in the dry text below.
func TestTermsAreCheckedWhereNothingIsPinned(t *testing.T) {
	p := policy(rig.Name("terms"))
	ns := install(t, p)
	name := "residency-" + p.Name + "-pin-pods"
	binding := bindingOf(name)
	if err := rig.Client.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		probe := pod(ns)
		probe.Spec.NodeSelector = map[string]string{labelKey: "cn-mainland"}
		err := rig.Client.Create(ctx, probe, client.DryRunAll)
		if err == nil {
			return errors.New("a pod without terms was accepted")
		}
		if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
			return err
		}
		return nil
	})
	two := pod(ns)
	two.Spec.NodeSelector = map[string]string{labelKey: "cn-mainland"}
	two.Spec.Affinity = require(in("topology.kubernetes.io/region", "cn-hangzhou"), in("topology.kubernetes.io/region", "cn-hongkong"))
	envtestrig.Refused(t, rig.Client.Create(t.Context(), two), "because terms are ORed")
	one := pod(ns)
	one.Spec.NodeSelector = map[string]string{labelKey: "cn-mainland"}
	one.Spec.Affinity = require(in("topology.kubernetes.io/region", "cn-hangzhou"))
	rig.Create(t, one)
}

func TestABindingOutsideIsRefused(t *testing.T) {
	ns := install(t, policy(rig.Name("bind")))
	hz, hk := rig.Name("hz"), rig.Name("hk")
	rig.Node(t, hz, "cn-hangzhou", "cn-hangzhou-h", "")
	rig.Node(t, hk, "cn-hongkong", "cn-hongkong-b", "")
	scheduler := rig.As(t, "system:kube-scheduler", "system:masters")
	bind := func(c client.Client, node string, labels map[string]string) error {
		p := pod(ns)
		rig.Create(t, p)
		b := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
		return c.SubResource("binding").Create(t.Context(), p, b)
	}
	envtestrig.Refused(t, bind(rig.Client, hz, nil), "only the scheduler may bind")
	envtestrig.Refused(t, bind(scheduler, hk, nil), "which the policy does not list")
	envtestrig.Refused(t, bind(scheduler, hk, map[string]string{"topology.kubernetes.io/region": "cn-hangzhou"}), "which the policy does not list")
	envtestrig.Refused(t, bind(scheduler, hz, map[string]string{"app": "stolen"}), "may not rewrite labels")
	if err := bind(scheduler, hz, nil); err != nil {
		t.Errorf("the scheduler may not bind inside: %v", err)
	}
	p := pod(ns)
	rig.Create(t, p)
	legacy := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: hz}}
	envtestrig.Refused(t, scheduler.Create(t.Context(), legacy), "the legacy resource bindings is closed")
}

func TestOnlyManagerAndAttestorsWriteTheAttestedLabel(t *testing.T) {
	install(t, policy(rig.Name("nodes")))
	n := rig.Node(t, rig.Name("node"), "cn-hangzhou", "cn-hangzhou-h", "")
	label := func(c client.Client, value string) error {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, labelKey, value)
		return c.Patch(t.Context(), n.DeepCopy(), client.RawPatch("application/merge-patch+json", patch))
	}
	status := func(value string) error {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, labelKey, value)
		return rig.Client.Status().Patch(t.Context(), n.DeepCopy(), client.RawPatch("application/merge-patch+json", patch))
	}
	const says = "is written by the manager and the attestors only"
	envtestrig.Refused(t, label(rig.Client, `"cn-mainland"`), says)
	envtestrig.Refused(t, status(`"cn-mainland"`), says)
	if err := label(rig.As(t, manager, "system:masters"), `"cn-mainland"`); err != nil {
		t.Errorf("the manager may not attest: %v", err)
	}
	envtestrig.Refused(t, label(rig.Client, `null`), says)
	if err := label(rig.As(t, "somebody", "system:masters", "residency:attestors"), `null`); err != nil {
		t.Errorf("an attestor may not withdraw: %v", err)
	}
	patch := []byte(`{"metadata":{"labels":{"disk":"ssd"}}}`)
	if err := rig.Client.Patch(t.Context(), n.DeepCopy(), client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Errorf("other labels are refused: %v", err)
	}
}

func TestOnlyAttestorsFreeANamespace(t *testing.T) {
	ns := install(t, policy(rig.Name("mark")))
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	relabel := func(c client.Client, value string) error {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"residency.maodian.dev/policy":%s}}}`, value)
		return c.Patch(t.Context(), object.DeepCopy(), client.RawPatch("application/merge-patch+json", patch))
	}
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	envtestrig.Refused(t, relabel(rig.Client, `null`), "is changed by an attestor only")
	envtestrig.Refused(t, relabel(rig.Client, `"other"`), "is changed by an attestor only")
	envtestrig.Refused(t, rig.Client.Delete(t.Context(), object.DeepCopy()), "is deleted by an attestor only")
	if err := attestor.Delete(t.Context(), object.DeepCopy(), client.DryRunAll); err != nil {
		t.Errorf("an attestor may not delete: %v", err)
	}
	if err := relabel(attestor, `null`); err != nil {
		t.Errorf("an attestor may not free the namespace: %v", err)
	}
}
