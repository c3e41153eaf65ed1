package residency_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// How much is outside. Pods and volumes of a real cluster are of this size, with all that
// their makers write.
const (
	strayPods    = 33_000
	strayVolumes = 9_000 // each with its claim, which is not counted a second time
	strayClaims  = 8_000 // of a class of nobody
	stray        = strayPods + strayVolumes + strayClaims

	strayNodes = 300
	insidePods = 100 // on the one node that is inside, until it is relabelled
	touched    = 200 // pods that change while the manager runs
	relabels   = 5
)

// Limits of what that may cost.
const (
	maxResident = 300 << 20
	maxGrowth   = 1 << 20
)

// judging bounds a wait, and is no limit: machines differ.
const judging = 3 * time.Minute

// BenchmarkFindings runs the manager's own binary beside 50,000 objects that are outside,
// with the rights and the settings of config/, and fails where it takes too much memory, or
// where what it found makes the database grow too much. The objects are older than the
// policy: under the guard nobody could make them.
//
// The growth is told twice. findings-KiB is exact: all versions of the policy and of every
// event that were written, also those that compaction removes. database-KiB is how much the
// whole database grew: it holds the guard, leases, and changes of the benchmark as well.
func BenchmarkFindings(b *testing.B) {
	s := newStrays(b)
	db := etcd{rig.Etcd}
	before, err := db.compact(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	m := startManager(b)
	s.counted(b, stray)
	b.ReportMetric(time.Since(begin).Seconds(), "judged-s")
	b.ReportMetric(s.drift(b).Seconds(), "drift-s")
	w, err := db.since(b.Context(), before.revision)
	if err != nil {
		b.Fatal(err)
	}
	after, err := db.compact(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	peak, now, err := m.memory()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	b.ReportMetric(float64(now)/(1<<20), "resident-MiB")
	b.ReportMetric(float64(w.findings)/(1<<10), "findings-KiB")
	b.ReportMetric(float64(w.status), "status-writes")
	b.ReportMetric(float64(w.events), "event-writes")
	b.ReportMetric(float64(after.bytes-before.bytes)/(1<<10), "database-KiB")
	b.ReportMetric(0, "ns/op")
	if peak >= maxResident {
		b.Errorf("the manager took %d MiB, and may take %d", peak>>20, maxResident>>20)
	}
	if grown := max(w.findings, after.bytes-before.bytes); grown >= maxGrowth {
		b.Errorf("the database grew by %d KiB, and may grow by %d", grown>>10, maxGrowth>>10)
	}
}

// strays is a namespace full of objects that are outside, and its policy.
type strays struct {
	policy    *residencyv1.ResidencyPolicy
	namespace string
	attestor  client.Client
}

// newStrays makes the objects, then the policy, and then puts the namespace under it.
func newStrays(b *testing.B) *strays {
	b.Helper()
	p := policy()
	p.Name, p.Finalizers = rig.Name("bench"), nil
	p.Spec.Storage.ClassPrefix = p.Name + "-"
	p.Spec.Nodes.OnLostAttestation = residencyv1.LostAttestationReport
	as := rest.CopyConfig(rig.Config)
	as.Impersonate = rest.ImpersonationConfig{UserName: "somebody", Groups: []string{"system:masters", "residency:attestors", "system:authenticated"}}
	attestor, err := client.New(as, client.Options{Scheme: rig.Scheme})
	if err != nil {
		b.Fatal(err)
	}
	s := &strays{policy: p, namespace: benchNamespace(b, ""), attestor: attestor}
	s.create(b, 1, func(int) client.Object { return s.node("inside", "cn-hangzhou", "alicloud://cn-hangzhou.i-inside") })
	s.create(b, strayNodes, func(i int) client.Object {
		return s.node(abroad(i), "eu-central-1", "aws:///eu-central-1a/i-"+strconv.Itoa(i))
	})
	s.create(b, insidePods, func(i int) client.Object { return s.pod(strayPods+i, "inside") })
	s.create(b, strayPods, func(i int) client.Object { return s.pod(i, abroad(i)) })
	s.create(b, strayVolumes, s.volume)
	s.create(b, strayVolumes, func(i int) client.Object { return s.claim("data-"+strconv.Itoa(i), volumeName(i)) })
	s.create(b, strayClaims, func(i int) client.Object { return s.claim("waiting-"+strconv.Itoa(i), "") })
	s.create(b, 1, func(int) client.Object { return p })
	s.patch(b, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, fmt.Sprintf(`{"metadata":{"labels":{"residency.maodian.dev/policy":%q}}}`, p.Name))
	return s
}

// create makes n objects, several at a time.
func (s *strays) create(b *testing.B, n int, object func(int) client.Object) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return rig.Client.Create(ctx, object(i), client.FieldOwner("kube-controller-manager")) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func (s *strays) patch(b *testing.B, o client.Object, merge string) {
	b.Helper()
	if err := s.attestor.Patch(b.Context(), o, client.RawPatch("application/merge-patch+json", []byte(merge))); err != nil {
		b.Fatal(err)
	}
}

// counted waits until the status counts this many.
func (s *strays) counted(b *testing.B, want int32) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), judging)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := rig.Client.Get(ctx, client.ObjectKeyFromObject(s.policy), s.policy)
		if err == nil && ptr.Deref(s.policy.Status.Violations.Count, -1) == want {
			return
		}
		select {
		case <-ctx.Done():
			b.Fatalf("not %d within %v: %v, %+v", want, judging, err, s.policy.Status)
		case <-tick.C:
		}
	}
}

// drift changes pods that are outside, and moves a node out and in again, so that everything
// is judged again many times. It tells the longest time until the status knew.
func (s *strays) drift(b *testing.B) (slowest time.Duration) {
	b.Helper()
	for i := range touched {
		s.patch(b, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: podName(i)}}, `{"metadata":{"annotations":{"touched":"yes"}}}`)
	}
	inside := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "inside"}}
	for range relabels {
		for _, to := range []struct {
			region string
			count  int32
		}{{"cn-hongkong", stray + insidePods}, {"cn-hangzhou", stray}} {
			begin := time.Now()
			s.patch(b, inside, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, corev1.LabelTopologyRegion, to.region))
			s.counted(b, to.count)
			slowest = max(slowest, time.Since(begin))
		}
	}
	return slowest
}

func abroad(i int) string     { return "abroad-" + strconv.Itoa(i%strayNodes) }
func podName(i int) string    { return fmt.Sprintf("storefront-7c9d8f6b5-%05d", i) }
func volumeName(i int) string { return fmt.Sprintf("pvc-3f0e8a52-6d2b-4c1e-9b77-%012d", i) }
