package residency_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
)

// creations is how many objects each row of the benchmark makes.
const creations = 1000

// row is one kind of request in one namespace.
type row struct {
	kind, where, namespace string
	took                   []time.Duration
}

func (r *row) object(i int) client.Object {
	meta := metav1.ObjectMeta{Namespace: r.namespace, Name: fmt.Sprintf("bench-%s-%d", rig.Name("n"), i)}
	if r.kind == "pod" {
		return &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.maodian.test/x:1"}}}}
	}
	return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"mode": "plain", "limit": "100"}}
}

func (r *row) quantile(q float64) time.Duration {
	slices.Sort(r.took)
	return r.took[min(len(r.took)-1, int(q*float64(len(r.took))))]
}

// BenchmarkAdmission tells what the guard costs a request: the same creations without it,
// and under it in a governed namespace and in another, taken in turns.
func BenchmarkAdmission(b *testing.B) {
	p := policy()
	p.Name = rig.Name("bench")
	p.Spec.Storage.ClassPrefix = p.Name + "-"
	before := measure(b, "no guard", benchNamespace(b, ""), benchNamespace(b, ""))
	governed, free := benchNamespace(b, p.Name), benchNamespace(b, "")
	g, err := guard.Compile(p, guard.Options{Manager: manager, Prober: prober, Governed: []string{governed}})
	if err != nil {
		b.Fatal(err)
	}
	for _, o := range g.Objects {
		if err := rig.Client.Apply(b.Context(), o.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
			b.Fatal(err)
		}
	}
	waitForPin(b, governed)
	after := measure(b, "guard", governed, free)
	for _, kind := range []string{"pod", "config-map"} {
		none := before[kind+" first"]
		for _, r := range []struct {
			name string
			row  *row
		}{{"none", none}, {"governed", after[kind+" first"]}, {"ungoverned", after[kind+" second"]}} {
			b.ReportMetric(ms(r.row.quantile(0.5)), kind+"-"+r.name+"-p50-ms")
			b.ReportMetric(ms(r.row.quantile(0.99)), kind+"-"+r.name+"-p99-ms")
		}
		b.ReportMetric(ms(after[kind+" first"].quantile(0.5)-none.quantile(0.5)), kind+"-governed-added-ms")
		b.ReportMetric(ms(after[kind+" second"].quantile(0.5)-before[kind+" second"].quantile(0.5)), kind+"-ungoverned-added-ms")
	}
	b.ReportMetric(0, "ns/op")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func benchNamespace(b *testing.B, mark string) string {
	b.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: rig.Name("bench")}}
	if mark != "" {
		ns.Labels = map[string]string{"residency.maodian.dev/policy": mark}
	}
	if err := rig.Client.Create(b.Context(), ns); err != nil {
		b.Fatal(err)
	}
	return ns.Name
}

// measure creates objects of both kinds in both namespaces, in turns, so that whatever else
// the machine does falls on all of them.
func measure(b *testing.B, where, first, second string) map[string]*row {
	b.Helper()
	rows := map[string]*row{}
	var order []*row
	for _, kind := range []string{"pod", "config-map"} {
		for place, namespace := range map[string]string{"first": first, "second": second} {
			r := &row{kind: kind, where: where, namespace: namespace}
			rows[kind+" "+place] = r
			order = append(order, r)
		}
	}
	for i := range creations {
		for _, r := range order {
			o := r.object(i)
			begin := time.Now()
			if err := rig.Client.Create(b.Context(), o); err != nil {
				b.Fatal(err)
			}
			r.took = append(r.took, time.Since(begin))
		}
	}
	return rows
}

// waitForPin waits until pods are pinned and a foreign image is refused.
func waitForPin(b *testing.B, namespace string) {
	b.Helper()
	deadline := time.After(envtestrig.Soon)
	for {
		p := (&row{kind: "pod", namespace: namespace}).object(0)
		bad := p.DeepCopyObject().(*corev1.Pod)
		bad.Spec.Containers[0].Image = "elsewhere.test/x"
		if rig.Client.Create(b.Context(), p, client.DryRunAll) == nil && rig.Client.Create(b.Context(), bad, client.DryRunAll) != nil {
			return
		}
		select {
		case <-deadline:
			b.Fatal("the guard was not enforced in time")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
