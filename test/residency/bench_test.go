package residency_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
)

// What the benchmark makes: creations objects of each row in all, in rounds without the guard
// and under it, so that what the machine does meanwhile falls on both.
const (
	creations = 1000
	rounds    = 4
	warmUp    = 50 // creations of each row before those that count
)

// row is one kind of request in one namespace, without the guard or under it.
type row struct {
	kind, place string
	guarded     bool
	took        []time.Duration
}

func (r *row) object(namespace string) client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("bench")}
	if r.kind == "pod" {
		return &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.maodian.test/x:1"}}}}
	}
	return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"mode": "plain", "limit": "100"}}
}

func (r *row) quantile(q float64) time.Duration {
	slices.Sort(r.took)
	return r.took[min(len(r.took)-1, int(q*float64(len(r.took))))]
}

// BenchmarkAdmission tells what the guard costs a request: the same creations without it and
// under it, in a governed namespace and in another. The targets are +2 ms at the median for a
// pod, +0.5 ms for anything else, and nothing where nothing is governed. Nodes are shared, as
// is the default: a policy that keeps nodes for itself looks at every pod of the cluster.
func BenchmarkAdmission(b *testing.B) {
	p := policy()
	p.Name = rig.Name("bench")
	p.Spec.Storage.ClassPrefix = p.Name + "-"
	p.Spec.Nodes.Sharing = residencyv1.SharingShared
	namespaces := map[string]string{"governed": benchNamespace(b, p.Name), "ungoverned": benchNamespace(b, "")}
	rows := benchRows()
	for range rounds {
		measure(b, rows, false, namespaces)
		g := guardOf(b, p, namespaces["governed"])
		measure(b, rows, true, namespaces)
		removeAll(b, g)
		waitForPin(b, namespaces["governed"], false)
	}
	for i := 0; i < len(rows); i += 2 { // one without the guard, the next under it
		free, guarded := rows[i], rows[i+1]
		name := free.place + "-" + free.kind
		b.ReportMetric(ms(free.quantile(0.5)), name+"-free-p50-ms")
		b.ReportMetric(ms(guarded.quantile(0.5)), name+"-guarded-p50-ms")
		b.ReportMetric(ms(free.quantile(0.99)), name+"-free-p99-ms")
		b.ReportMetric(ms(guarded.quantile(0.99)), name+"-guarded-p99-ms")
		b.ReportMetric(ms(guarded.quantile(0.5)-free.quantile(0.5)), name+"-added-p50-ms")
	}
	b.ReportMetric(0, "ns/op")
}

func benchRows() (out []*row) {
	for _, place := range []string{"governed", "ungoverned"} {
		for _, kind := range []string{"pod", "config-map"} {
			out = append(out, &row{kind: kind, place: place}, &row{kind: kind, place: place, guarded: true})
		}
	}
	return out
}

// guardOf puts the guard of a policy into force.
func guardOf(b *testing.B, p *residencyv1.ResidencyPolicy, governed string) guard.Guard {
	b.Helper()
	compile := func() guard.Guard {
		g, err := guard.Compile(p, guard.Options{Manager: manager, Prober: prober, Governed: []string{governed}})
		if err != nil {
			b.Fatal(err)
		}
		return g
	}
	for _, o := range compile().Objects {
		if err := rig.Client.Apply(b.Context(), o.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
			b.Fatal(err)
		}
	}
	waitForPin(b, governed, true)
	return compile() // applying writes into what it is given
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

// measure makes one round of the rows with or without the guard, one after the other: what a
// request leaves behind for the server to do must not fall on requests of another row.
func measure(b *testing.B, rows []*row, guarded bool, namespaces map[string]string) {
	b.Helper()
	for _, r := range rows {
		if r.guarded != guarded {
			continue
		}
		for i := range warmUp + creations/rounds {
			o := r.object(namespaces[r.place])
			begin := time.Now()
			if err := rig.Client.Create(b.Context(), o); err != nil {
				b.Fatal(err)
			}
			if i >= warmUp {
				r.took = append(r.took, time.Since(begin))
			}
		}
	}
}

// waitForPin waits until pods are pinned and a foreign image is refused, or until neither is.
func waitForPin(b *testing.B, namespace string, inForce bool) {
	b.Helper()
	deadline := time.After(envtestrig.Soon)
	for {
		p, _ := (&row{kind: "pod"}).object(namespace).(*corev1.Pod)
		bad := p.DeepCopy()
		bad.Spec.Containers[0].Image = "elsewhere.test/x"
		err := rig.Client.Create(b.Context(), p, client.DryRunAll)
		pinned, refused := p.Spec.Affinity != nil, rig.Client.Create(b.Context(), bad, client.DryRunAll) != nil
		if err == nil && pinned == inForce && refused == inForce {
			return
		}
		select {
		case <-deadline:
			b.Fatal("the guard was not put in force or lifted in time")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
