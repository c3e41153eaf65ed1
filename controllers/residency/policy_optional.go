package residency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/watching"
)

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,verbs=get;list;watch
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshots;volumesnapshotcontents,verbs=get;list;watch
// +kubebuilder:rbac:groups=velero.io,resources=backups;restores;schedules,verbs=get;list;watch

// optional is a kind that a cluster may lack.
type optional struct {
	kind     placement.Kind
	gv       schema.GroupVersion
	resource string
}

// optionals lists them.
func optionals() []optional {
	snapshots, velero := schema.GroupVersion{Group: "snapshot.storage.k8s.io", Version: "v1"}, schema.GroupVersion{Group: "velero.io", Version: "v1"}
	return []optional{
		{placement.SnapshotContent, snapshots, "volumesnapshotcontents"},
		{placement.Snapshot, snapshots, "volumesnapshots"},
		{placement.BackupObject, velero, "backups"},
		{placement.ScheduleObject, velero, "schedules"},
		{placement.RestoreObject, velero, "restores"},
	}
}

// definition is the name of the definition that brings the kind.
func (o optional) definition() string { return o.resource + "." + o.gv.Group }

func (o optional) object() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(o.gv.WithKind(string(o.kind)))
	return u
}

// definition is one CustomResourceDefinition, of which only the name is read.
func definition() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return o
}

// isOptional tells whether a definition brings one of the kinds.
func isOptional(o client.Object) bool {
	return slices.ContainsFunc(optionals(), func(k optional) bool { return k.definition() == o.GetName() })
}

// patience is how long to wait for a kind to be read for the first time.
const patience = 2 * time.Second

// installedKinds watches optional kinds once they are there.
type installedKinds struct {
	cache      cache.Cache
	controller controller.Controller
	handler    calm

	mu      sync.Mutex
	watched map[placement.Kind]bool
}

// errAbsent says that a cluster lacks a kind.
var errAbsent = errors.New("the kind is not installed")

// list reads all objects of a kind from the cache, which begins to watch it where that has
// not happened yet. The objects are shared with the cache.
func (k *installedKinds) list(ctx context.Context, c client.Reader, o optional) ([]unstructured.Unstructured, error) {
	err := c.Get(ctx, client.ObjectKey{Name: o.definition()}, definition())
	switch {
	case apierrors.IsNotFound(err):
		return nil, errors.Join(errAbsent, k.leave(ctx, o))
	case err != nil:
		return nil, fmt.Errorf("read definition: %w", err)
	}
	if err := k.watch(ctx, o); err != nil {
		return nil, err
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(o.gv.WithKind(string(o.kind) + "List"))
	if err := k.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list %s: %w", o.resource, err)
	}
	return list.Items, nil
}

// watch returns once the kind can be read.
func (k *installedKinds) watch(ctx context.Context, o optional) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := k.cache.GetInformer(ctx, o.object()); err != nil {
		return fmt.Errorf("watch %s: %w", o.resource, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watched[o.kind] {
		return nil
	}
	if err := k.controller.Watch(source.Kind[client.Object](k.cache, o.object(), k.handler)); err != nil {
		return fmt.Errorf("watch %s: %w", o.resource, err)
	}
	k.watched[o.kind] = true
	return nil
}

// leave ends the watch of a kind that is gone, which would only fail from now on.
func (k *installedKinds) leave(ctx context.Context, o optional) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.watched[o.kind] {
		return nil
	}
	delete(k.watched, o.kind)
	return k.cache.RemoveInformer(ctx, o.object())
}

// judgeOptional looks at snapshots and backups, where the cluster has such kinds. A kind that
// is there and cannot be read counts as it did before: it must not look healed.
func (r *PolicyReconciler) judgeOptional(ctx context.Context, s *policyScope) error {
	objects := map[placement.Kind][]unstructured.Unstructured{}
	for _, o := range optionals() {
		items, err := r.kinds.list(ctx, r.Client, o)
		switch {
		case errors.Is(err, errAbsent):
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			ctrl.LoggerFrom(ctx).Error(err, "Cannot read a kind that is installed", "kind", o.kind)
			s.carry(o.kind)
		default:
			objects[o.kind] = items
		}
	}
	s.judgeSnapshots(objects[placement.SnapshotContent], objects[placement.Snapshot])
	s.judgeBackups(placement.BackupObject, objects[placement.BackupObject], "spec")
	s.judgeBackups(placement.ScheduleObject, objects[placement.ScheduleObject], "spec", "template")
	s.judgeRestores(objects[placement.RestoreObject])
	return nil
}

// carry takes over what the status says of a kind.
func (s *policyScope) carry(kind placement.Kind) {
	s.unread[kind] = true
	var known []placement.Outside
	for _, v := range s.policy.Status.Violations.Worst {
		if v.Kind == string(kind) {
			known = append(known, placement.Outside{Object: placement.Object{Kind: kind, Namespace: v.Namespace, Name: v.Name}, Reason: reason.Code(v.Reason), Message: v.Message})
		}
	}
	for _, c := range s.policy.Status.Violations.ByKind {
		if c.Kind == string(kind) {
			s.tally.Carry(kind, int(c.Count), known)
		}
	}
}

// judgeSnapshots looks at contents, and then at snapshots: one whose content is outside is
// not counted again.
func (s *policyScope) judgeSnapshots(contents, snapshots []unstructured.Unstructured) {
	bad := map[string]bool{}
	for i := range contents {
		if c := contentOf(&contents[i]); s.governs(c.Namespace) {
			s.handles.AddContent(c)
		}
	}
	for i := range contents {
		c, name := contentOf(&contents[i]), contents[i].GetName()
		v := s.rules().Foreign(c, s.handles)
		if s.governs(c.Namespace) {
			v = s.rules().Content(c, s.handles)
		}
		bad[name] = !v.Eligible
		s.note(placement.SnapshotContent, "", name, v)
	}
	for i := range snapshots {
		o := &snapshots[i]
		if !s.governs(o.GetNamespace()) || bad[text(o, "status", "boundVolumeSnapshotContentName")] || bad[text(o, "spec", "source", "volumeSnapshotContentName")] {
			continue
		}
		class := text(o, "spec", "volumeSnapshotClassName")
		if class == "" && text(o, "spec", "source", "volumeSnapshotContentName") != "" {
			continue // its content says where it lies
		}
		s.note(placement.Snapshot, o.GetNamespace(), o.GetName(), s.rules().Class(placement.Snapshot, class))
	}
}

func contentOf(o *unstructured.Unstructured) placement.Content {
	return placement.Content{
		Namespace: text(o, "spec", "volumeSnapshotRef", "namespace"), Driver: text(o, "spec", "driver"), Class: text(o, "spec", "volumeSnapshotClassName"),
		Volume: text(o, "spec", "source", "volumeHandle"), Given: text(o, "spec", "source", "snapshotHandle"), Made: text(o, "status", "snapshotHandle"),
	}
}

// judgeBackups looks at what takes a backup, now or by a schedule; spec is where it says of what.
func (s *policyScope) judgeBackups(kind placement.Kind, objects []unstructured.Unstructured, spec ...string) {
	for i := range objects {
		o := &objects[i]
		field := func(name string) []string { return append(slices.Clone(spec), name) }
		included, _, _ := unstructured.NestedStringSlice(o.Object, field("includedNamespaces")...)
		excluded, _, _ := unstructured.NestedStringSlice(o.Object, field("excludedNamespaces")...)
		b := placement.Backup{Included: included, Excluded: excluded, Location: text(o, field("storageLocation")...)}
		s.note(kind, o.GetNamespace(), o.GetName(), s.rules().Backup(b, s.namespaces))
	}
}

func (s *policyScope) judgeRestores(restores []unstructured.Unstructured) {
	for i := range restores {
		o := &restores[i]
		mapping, _, _ := unstructured.NestedStringMap(o.Object, "spec", "namespaceMapping")
		s.note(placement.RestoreObject, o.GetNamespace(), o.GetName(), s.rules().Restore(mapping, s.governs))
	}
}

// text reads a field; one that is not there, or no text, is empty.
func text(o *unstructured.Unstructured, path ...string) string {
	t, _, _ := unstructured.NestedString(o.Object, path...)
	return t
}

// everyPolicy asks for all policies.
func everyPolicy(c client.Reader) func(context.Context, client.Object) []ctrl.Request {
	return func(ctx context.Context, _ client.Object) []ctrl.Request {
		return watching.Requests(ctx, c, &residencyv1.ResidencyPolicyList{})
	}
}
