package gather

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/guard"
)

// Policy returns the policy that governs a namespace; nil when it names none that exists.
func Policy(ctx context.Context, c client.Reader, namespace string) (*residencyv1.ResidencyPolicy, error) {
	var ns corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
		return nil, fmt.Errorf("read namespace: %w", err)
	}
	return Find[residencyv1.ResidencyPolicy](ctx, c, "", ns.Labels[metav1alpha1.PolicyLabel])
}

// object lets Find make a value of a kind and read into it.
type object[T any] interface {
	*T
	client.Object
}

// Find reads one object; nil when there is none of that name.
func Find[T any, P object[T]](ctx context.Context, c client.Reader, namespace, name string) (P, error) {
	if name == "" {
		return nil, nil
	}
	o := P(new(T))
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, nil
		}
		return nil, fmt.Errorf("read %T: %w", o, err)
	}
	return o, nil
}

// PublishedNotice returns the notice of a store when its present revision is published.
func PublishedNotice(ctx context.Context, c client.Reader, store *residencyv1.ConsentStore) (*residencyv1.PrivacyNotice, error) {
	n, err := Find[residencyv1.PrivacyNotice](ctx, c, store.Namespace, store.Spec.NoticeRef.Name)
	if err != nil || n == nil || !published(n) {
		return nil, err
	}
	return n, nil
}

// published tells whether people read the present revision.
func published(n *residencyv1.PrivacyNotice) bool {
	return n.Status.PublishedRevision == n.Spec.Revision
}

// bundleInput reads everything that a store's bundle is made of.
func bundleInput(ctx context.Context, c client.Reader, store *residencyv1.ConsentStore) (BundleInput, error) {
	var in BundleInput
	var err error
	if in.Policy, err = Policy(ctx, c, store.Namespace); err != nil || in.Policy == nil {
		return in, err
	}
	if in.Notice, err = Find[residencyv1.PrivacyNotice](ctx, c, store.Namespace, store.Spec.NoticeRef.Name); err != nil {
		return in, err
	}
	var holds residencyv1.RegulatoryHoldList
	var mechanisms residencyv1.TransferMechanismList
	var models marketingv1.LeadModelList
	var sendHolds marketingv1.SendHoldList
	if err := c.List(ctx, &holds); err != nil {
		return in, fmt.Errorf("list regulatory holds: %w", err)
	}
	for _, l := range []client.ObjectList{&mechanisms, &models, &sendHolds} {
		if err := c.List(ctx, l, client.InNamespace(store.Namespace)); err != nil {
			return in, fmt.Errorf("list %T: %w", l, err)
		}
	}
	in.Holds, in.Mechanisms, in.SendHolds = holds.Items, mechanisms.Items, sendHolds.Items
	for _, m := range models.Items {
		if m.Spec.StoreRef.Name == store.Name {
			in.LeadModels = append(in.LeadModels, m)
		}
	}
	return in, nil
}

// JobFailed tells whether a Job gave up; nil is no Job.
func JobFailed(j *batchv1.Job) bool {
	return j != nil && slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue
	})
}

// Placement tells where a policy lets pods run.
func Placement(p *residencyv1.ResidencyPolicy) desired.Placement {
	at := desired.Placement{LabelKey: p.Spec.Nodes.LabelKey, Jurisdiction: p.Spec.Jurisdiction, Regions: p.Spec.Nodes.Regions}
	if p.Spec.Nodes.Sharing == residencyv1.SharingExclusive {
		at.Taint = guard.TaintKey(p.Spec.Jurisdiction)
	}
	return at
}
