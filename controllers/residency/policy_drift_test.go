package residency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// drift is how soon a change must show.
const drift = 10 * time.Second

// audit makes a policy that only looks: what these tests do by hand, the guard would refuse.
func audit(p *residencyv1.ResidencyPolicy) { p.Spec.Enforcement = residencyv1.EnforcementAudit }

// shows waits until a policy tells these numbers by kind, in condition, status and metric.
func shows(t *testing.T, p *residencyv1.ResidencyPolicy, want ...string) {
	t.Helper()
	envtestrig.Eventually(t, drift, func(ctx context.Context) error {
		if _, err := get(ctx, p); err != nil {
			return err
		}
		status, reason := "False", residencyv1.ReasonViolationsFound
		if len(want) == 0 {
			status, reason = "True", residencyv1.ReasonNoViolations
		}
		var got []string
		total := int32(0)
		for _, k := range p.Status.Violations.ByKind {
			got = append(got, fmt.Sprintf("%d %s", k.Count, k.Kind))
			total += k.Count
		}
		err := envtestrig.Says(p.Status.Conditions, "Compliant", status, string(reason))
		if !slices.Equal(got, want) || total != ptr.Deref(p.Status.Violations.Count, -1) {
			err = errors.Join(err, fmt.Errorf("violations = %+v, want %v", p.Status.Violations, want))
		}
		if m := metaCondition(p.Status.Conditions, "Compliant").Message; len(want) > 0 && !strings.Contains(m, strings.Join(want, ", ")) {
			err = errors.Join(err, fmt.Errorf("message = %q", m))
		}
		if g := gauge(t, "maodian_residency_violations", p.Name); g != float64(total) {
			err = errors.Join(err, fmt.Errorf("metric = %v, want %d", g, total))
		}
		return err
	})
}

// gauge adds up the series of a policy; -1 means that the metric has none at all.
func gauge(t *testing.T, name, policy string) (sum float64) {
	t.Helper()
	families, err := gauges.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "policy" && l.GetValue() == policy {
					sum += m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

func region(t *testing.T, node, region string) {
	t.Helper()
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"topology.kubernetes.io/region":%q}}}`, region)
	if err := attestor.Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
}

// insideNode makes a node that counts.
func insideNode(t *testing.T) *corev1.Node {
	t.Helper()
	name := rig.Name("drift")
	n := rig.Node(t, name, "cn-hangzhou", "cn-hangzhou-h", "alicloud://cn-hangzhou.i-"+name)
	waitLabel(t, n, policyName)
	return n
}

func governed(t *testing.T, p *residencyv1.ResidencyPolicy) string {
	t.Helper()
	waitPolicy(t, p, policySays(p, "GuardInstalled", "True", residencyv1.ReasonGuardInstalled))
	ns := rig.Namespace(t, p.Name)
	waitPolicy(t, p, func() error {
		if !slices.Contains(p.Status.GovernedNamespaces, ns) {
			return errors.New("not governed yet")
		}
		return nil
	})
	return ns
}

func TestANodeThatIsRelabelledIsReportedAndNothingElseHappens(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := governed(t, p)
	n := insideNode(t)
	pod := pinnedPod(t, ns, "here", nil)
	rig.Place(t, pod, n.Name)
	shows(t, p)
	rig.Told(t, p)
	region(t, n.Name, "cn-hongkong")
	shows(t, p, "1 Pod")
	if v := p.Status.Violations.Worst[0]; v.Name != "here" || v.Namespace != ns || v.Reason != "RegionSignalsDisagree" || !strings.Contains(v.Message, "cn-hongkong") {
		t.Errorf("worst = %+v", v)
	}
	rig.Told(t, p, "ViolationsFound")
	waitLabel(t, n, "")
	if _, err := get(t.Context(), n); err != nil || n.Spec.Unschedulable {
		t.Errorf("the node was closed, or %v", err)
	}
	if _, err := get(t.Context(), pod); err != nil || pod.DeletionTimestamp != nil {
		t.Errorf("the pod goes, or %v", err)
	}
	region(t, n.Name, "cn-hangzhou")
	shows(t, p)
	rig.Told(t, p, "NoViolations", "ViolationsFound")
	for _, want := range []string{"Found Pod here RegionSignalsDisagree", "Cleared Pod here RegionSignalsDisagree"} {
		if got := proof.of(p.Name); !slices.Contains(got, want) {
			t.Errorf("evidence = %v, want %q", got, want)
		}
	}
}

func TestAPodWithoutNodeOrPinIsReported(t *testing.T) {
	p := ownPolicy(t, nil)
	ns := rig.Namespace(t, "")
	rig.Pod(t, ns, "waiting", nil)
	attestor := rig.As(t, "somebody", "system:masters", "residency:attestors")
	mark := fmt.Appendf(nil, `{"metadata":{"labels":{"residency.maodian.dev/policy":%q}}}`, p.Name)
	if err := attestor.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch("application/merge-patch+json", mark)); err != nil {
		t.Fatal(err)
	}
	shows(t, p, "1 Pod")
	if v := p.Status.Violations.Worst[0]; v.Reason != "PlacementNotMainland" || !strings.Contains(v.Message, "not pinned") {
		t.Errorf("worst = %+v", v)
	}
}

// claim makes a claim of a class.
func claim(t *testing.T, namespace, name, class string) *corev1.PersistentVolumeClaim {
	t.Helper()
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	rig.Create(t, c)
	return c
}

// remove deletes an object as the controllers that hold it back would.
func remove(t *testing.T, o client.Object) {
	t.Helper()
	err := rig.Client.Delete(t.Context(), o)
	if err == nil {
		err = rig.Client.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
	}
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

func TestAVolumeThatIsEditedOrReplacedIsReportedOnce(t *testing.T) {
	p := ownPolicy(t, audit)
	ns := governed(t, p)
	good := claim(t, ns, "good", p.Spec.Storage.ClassPrefix+"a")
	v := rig.Bind(t, ns, good.Name, driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	shows(t, p)
	rig.Told(t, p)

	loose := v.DeepCopy()
	loose.ObjectMeta = metav1.ObjectMeta{Name: rig.Name("pv"), Annotations: v.Annotations}
	loose.Spec.ClaimRef, loose.Spec.NodeAffinity = &corev1.ObjectReference{Namespace: ns, Name: "good", UID: good.UID}, nil
	loose.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: loose.Name}}
	rig.Create(t, loose) // a second volume on the same claim, without a place
	shows(t, p, "1 PersistentVolume")
	if w := p.Status.Violations.Worst[0]; w.Name != loose.Name || w.Reason != "RegionUnknown" {
		t.Errorf("worst = %+v", w)
	}
	rig.Told(t, p, "ViolationsFound")

	abroad := []byte(`{"spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"topology.kubernetes.io/region","operator":"In","values":["cn-hangzhou","cn-hongkong"]}]}]}}}}`)
	if err := rig.Client.Patch(t.Context(), loose, client.RawPatch("application/merge-patch+json", abroad)); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, drift, func(ctx context.Context) error {
		if _, err := get(ctx, p); err != nil || len(p.Status.Violations.Worst) != 1 || p.Status.Violations.Worst[0].Reason != "PlacementNotMainland" {
			return fmt.Errorf("violations = %+v, %w", p.Status.Violations, err)
		}
		return nil
	})
	remove(t, loose)
	shows(t, p)
	rig.Told(t, p, "NoViolations", "ViolationsFound") // the edit was no news
}

func TestAClaimIsReportedByItselfWhereItsVolumeIsNot(t *testing.T) {
	p := ownPolicy(t, audit)
	ns := governed(t, p)
	lost := claim(t, ns, "lost", p.Spec.Storage.ClassPrefix+"a")
	v := rig.Bind(t, ns, lost.Name, driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hangzhou"))
	shows(t, p)
	remove(t, v)
	shows(t, p, "1 PersistentVolumeClaim")
	if w := p.Status.Violations.Worst[0]; w.Reason != "RegionUnknown" || w.Name != "lost" {
		t.Errorf("worst = %+v", w)
	}
	remove(t, lost)
	shows(t, p)
	foreign := claim(t, ns, "foreign", "abroad")
	shows(t, p, "1 PersistentVolumeClaim")
	w := rig.Bind(t, ns, foreign.Name, driver, envtestrig.In(corev1.LabelTopologyRegion, "cn-hongkong"))
	shows(t, p, "1 PersistentVolume") // one violation, the volume's
	remove(t, foreign)
	remove(t, w)
	shows(t, p)
}

// install brings a kind that the cluster did not have, and takes it away after the test.
func install(t *testing.T, group, kind, plural string, scope string) *unstructured.Unstructured {
	t.Helper()
	open := map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + group, "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, a stand-in for tests"}},
		"spec": map[string]any{
			"group": group, "scope": scope, "names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": open}}},
		},
	}}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // one that goes must be gone first
		fresh := crd.DeepCopy()
		err := rig.Client.Create(ctx, fresh)
		if err == nil {
			crd = fresh
		}
		return err
	})
	t.Cleanup(func() { _ = rig.Client.Delete(context.Background(), crd) })
	return crd
}

// object makes an object of such a kind once the API server serves it.
func object(t *testing.T, apiVersion, kind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: fields}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return rig.Controller(t).Create(ctx, o) })
	return o
}

const snapshots = "snapshot.storage.k8s.io"

func content(t *testing.T, p *residencyv1.ResidencyPolicy, name, namespace string, source, status map[string]any) *unstructured.Unstructured {
	t.Helper()
	fields := map[string]any{"spec": map[string]any{
		"driver": driver, "volumeSnapshotClassName": p.Spec.Storage.ClassPrefix + "s", "deletionPolicy": "Retain", "source": source,
		"volumeSnapshotRef": map[string]any{"namespace": namespace, "name": name},
	}}
	if status != nil {
		fields["status"] = status
	}
	return object(t, snapshots+"/v1", "VolumeSnapshotContent", "", name, fields)
}

func TestAForeignSnapshotIsReportedWhenTheKindIsThere(t *testing.T) {
	p := ownPolicy(t, audit)
	ns := governed(t, p)
	shows(t, p) // without the kind there is no error
	crd := install(t, snapshots, "VolumeSnapshotContent", "volumesnapshotcontents", "Cluster")
	own := content(t, p, rig.Name("content"), ns, map[string]any{"volumeHandle": "vol-1"}, map[string]any{"snapshotHandle": "snap-1"})
	shows(t, p)
	rig.Told(t, p)
	foreign := content(t, p, rig.Name("content"), "elsewhere", map[string]any{"snapshotHandle": "snap-1"}, nil)
	shows(t, p, "1 VolumeSnapshotContent")
	if w := p.Status.Violations.Worst[0]; w.Name != foreign.GetName() || !strings.Contains(w.Message, "elsewhere") {
		t.Errorf("worst = %+v", w)
	}
	rig.Told(t, p, "ViolationsFound")
	if got := proof.of(p.Name); !slices.Equal(got, []string{"Found VolumeSnapshotContent " + foreign.GetName() + " StorageNotMainland"}) {
		t.Errorf("evidence = %v", got)
	}
	remove(t, foreign)
	shows(t, p)
	rig.Told(t, p, "NoViolations", "ViolationsFound")

	if err := rig.Client.Delete(t.Context(), crd); err != nil { // and the objects with it
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(own), own); err == nil {
			return errors.New("still there")
		}
		return nil
	})
	install(t, snapshots, "VolumeSnapshotContent", "volumesnapshotcontents", "Cluster")
	content(t, p, rig.Name("content"), ns, map[string]any{"snapshotHandle": "unheard-of"}, nil)
	shows(t, p, "1 VolumeSnapshotContent")
	waitPolicy(t, p, policySays(p, "Ready", "True", residencyv1.ReasonNodesAttested))
}

func TestSnapshotsAndBackupsOfGovernedNamespacesAreJudged(t *testing.T) {
	p := ownPolicy(t, audit)
	ns := governed(t, p)
	install(t, snapshots, "VolumeSnapshot", "volumesnapshots", "Namespaced")
	install(t, "velero.io", "Backup", "backups", "Namespaced")
	install(t, "velero.io", "Schedule", "schedules", "Namespaced")
	install(t, "velero.io", "Restore", "restores", "Namespaced")
	system := rig.Namespace(t, "")
	object(t, snapshots+"/v1", "VolumeSnapshot", ns, "copying", map[string]any{"spec": map[string]any{"volumeSnapshotClassName": "copies"}})
	object(t, snapshots+"/v1", "VolumeSnapshot", ns, "fine", map[string]any{"spec": map[string]any{"volumeSnapshotClassName": p.Spec.Storage.ClassPrefix + "s"}})
	object(t, snapshots+"/v1", "VolumeSnapshot", system, "theirs", map[string]any{"spec": map[string]any{"volumeSnapshotClassName": "copies"}})
	for name, location := range map[string]string{"abroad": "default", "home": p.Spec.Storage.ClassPrefix + "bj"} {
		object(t, "velero.io/v1", "Backup", system, name, map[string]any{"spec": map[string]any{"includedNamespaces": []any{ns}, "storageLocation": location}})
	}
	for name, location := range map[string]string{"nightly-abroad": "default", "nightly-home": p.Spec.Storage.ClassPrefix + "bj"} {
		object(t, "velero.io/v1", "Schedule", system, name, map[string]any{"spec": map[string]any{"template": map[string]any{"includedNamespaces": []any{ns}, "storageLocation": location}}})
	}
	for name, target := range map[string]string{"copy": system, "same": ns} {
		object(t, "velero.io/v1", "Restore", system, name, map[string]any{"spec": map[string]any{"namespaceMapping": map[string]any{ns: target}}})
	}
	shows(t, p, "1 Backup", "1 Schedule", "1 Restore", "1 VolumeSnapshot")
	var worst []string
	for _, w := range p.Status.Violations.Worst {
		worst = append(worst, w.Name)
	}
	if !slices.Equal(worst, []string{"abroad", "nightly-abroad", "copy", "copying"}) {
		t.Errorf("worst = %v", worst)
	}
}

func TestThePolicysGaugesGoWithIt(t *testing.T) {
	p := ownPolicy(t, nil)
	waitPolicy(t, p, policySays(p, "Ready", "True", residencyv1.ReasonNodesAttested))
	if n := gauge(t, "maodian_residency_nodes", p.Name); n < 4 {
		t.Errorf("%v nodes", n)
	}
	if err := attestor(t).Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, p); !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %w", err)
		}
		if n := gauge(t, "maodian_residency_nodes", p.Name); n != 0 {
			return fmt.Errorf("%v nodes are still shown", n)
		}
		return nil
	})
}
