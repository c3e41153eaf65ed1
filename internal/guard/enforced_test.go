package guard_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		return pinned(ctx, namespace)
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
