package envtestrig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Names of the installation in tests.
const (
	SystemNamespace = "maodian-system"
	Manager         = "system:serviceaccount:maodian-system:maodian-manager"
	Prober          = "system:serviceaccount:maodian-system:maodian-prober"
)

// AsManager returns credentials that have exactly the rights of config/rbac.
func (r *Rig) AsManager(ctx context.Context) (*rest.Config, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: SystemNamespace}}
	if err := client.IgnoreAlreadyExists(r.Client.Create(ctx, ns)); err != nil {
		return nil, fmt.Errorf("create system namespace: %w", err)
	}
	if err := r.ApplyFile(ctx, filepath.Join(Root(), "config", "rbac", "role.yaml")); err != nil {
		return nil, err
	}
	if err := r.ApplyFile(ctx, filepath.Join(Root(), "config", "rbac", "prober.yaml")); err != nil {
		return nil, err
	}
	subject := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: Manager}}
	cluster := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "maodian-manager"}, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "maodian-manager"}}
	local := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: SystemNamespace, Name: "maodian-manager"}, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "maodian-manager"}}
	if err := errors.Join(client.IgnoreAlreadyExists(r.Client.Create(ctx, cluster)), client.IgnoreAlreadyExists(r.Client.Create(ctx, local))); err != nil {
		return nil, fmt.Errorf("bind roles: %w", err)
	}
	config := rest.CopyConfig(r.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: Manager, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	return config, nil
}

// Objects reads the documents of a YAML file.
func Objects(file string) ([]*unstructured.Unstructured, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split("\n"+string(text), "\n---") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		if len(o) > 0 {
			out = append(out, &unstructured.Unstructured{Object: o})
		}
	}
	return out, nil
}

// ApplyFile applies every document of a file, as kubectl apply --server-side does.
func (r *Rig) ApplyFile(ctx context.Context, file string) error {
	objects, err := Objects(file)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("git")); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// Place does what scheduler and kubelet would: the pod is bound to a node and answers.
func (r *Rig) Place(t *testing.T, p *corev1.Pod, node string) {
	t.Helper()
	scheduler := r.As(t, "system:kube-scheduler", "system:masters")
	b := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	if err := scheduler.SubResource("binding").Create(t.Context(), p, b); err != nil {
		t.Fatalf("bind pod: %v", err)
	}
	r.PodStatus(t, p, func(s *corev1.PodStatus) {
		s.Phase, s.PodIP = corev1.PodRunning, "10.0.0.9"
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
		s.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
}

// Controller acts as the cluster's own controllers do.
func (r *Rig) Controller(t *testing.T) client.Client {
	t.Helper()
	return r.As(t, "system:kube-controller-manager", "system:masters")
}

// PodStatus writes a pod's status as a controller would.
func (r *Rig) PodStatus(t *testing.T, p *corev1.Pod, change func(*corev1.PodStatus)) {
	t.Helper()
	Eventually(t, Soon, func(ctx context.Context) error {
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		change(&p.Status)
		return r.Controller(t).Status().Update(ctx, p)
	})
}

// Pod makes a pod with labels, as the controller of a workload does; the admission policies decide about it.
func (r *Rig) Pod(t *testing.T, namespace, name string, labels map[string]string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.maodian.test/x"}}},
	}
	Eventually(t, Soon, func(ctx context.Context) error { // a guard that has just been installed pins a moment later than it refuses
		fresh := p.DeepCopy()
		err := r.Controller(t).Create(ctx, fresh)
		*p = *fresh
		return err
	})
	return p
}

// Bind does what provisioner and volume controller would: a volume of this driver, tied to
// these places, is made for the claim.
func (r *Rig) Bind(t *testing.T, namespace, claim, driver string, places ...corev1.NodeSelectorRequirement) *corev1.PersistentVolume {
	t.Helper()
	var c corev1.PersistentVolumeClaim
	if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: claim}, &c); err != nil {
		t.Fatalf("read claim: %v", err)
	}
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: r.Name("pv"), Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: c.Spec.AccessModes, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			StorageClassName:       *c.Spec.StorageClassName,
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/x"}},
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: namespace, Name: claim, UID: c.UID},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: places}},
			}},
		},
	}
	maker := r.Controller(t)
	Eventually(t, Soon, func(ctx context.Context) error { // the guard learns of a namespace a moment after its creation
		fresh := v.DeepCopy()
		err := maker.Create(ctx, fresh)
		*v = *fresh
		return err
	})
	t.Cleanup(func() { _ = r.Client.Delete(context.Background(), v) })
	before := c.DeepCopy()
	c.Spec.VolumeName = v.Name
	binder := r.As(t, "system:serviceaccount:kube-system:persistent-volume-binder", "system:masters")
	if err := binder.Patch(t.Context(), &c, client.MergeFrom(before)); err != nil {
		t.Fatalf("bind claim: %v", err)
	}
	return v
}

// In is one requirement of a place.
func In(key string, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}
}

// Says returns an error unless the condition has this status and reason.
func Says(list []metav1.Condition, kind, status, reason string) error {
	c := meta.FindStatusCondition(list, kind)
	if c == nil {
		return fmt.Errorf("no condition %s", kind)
	}
	if string(c.Status) != status || c.Reason != reason {
		return fmt.Errorf("%s is %s %s (%s), want %s %s", kind, c.Status, c.Reason, c.Message, status, reason)
	}
	return nil
}

// Collect does what the garbage collector would when an owner is gone: its children go.
func (r *Rig) Collect(t *testing.T, owner client.Object, lists ...client.ObjectList) {
	t.Helper()
	for _, list := range lists {
		if err := r.Client.List(t.Context(), list, client.InNamespace(owner.GetNamespace())); err != nil {
			t.Fatalf("list %T: %v", list, err)
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			child := o.(client.Object)
			if !metav1.IsControlledBy(child, owner) {
				return nil
			}
			return r.Client.Delete(t.Context(), child)
		})
		if err != nil {
			t.Fatalf("delete children: %v", err)
		}
	}
}
