package residency

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/watching"
)

// StoreReconciler runs one pinned store for each ConsentStore, gives it its view of the
// cluster, and proves where it is.
type StoreReconciler struct{ Deps }

// +kubebuilder:rbac:groups=residency.maodian.dev,resources=consentstores,verbs=get;list;watch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=consentstores/status,verbs=patch
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=consentstores/finalizers,verbs=update
// +kubebuilder:rbac:groups=residency.maodian.dev,resources=privacynotices;transfermechanisms;regulatoryholds,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=leadmodels;sendholds,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;patch
// +kubebuilder:rbac:groups="",resources=configmaps;services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch

// storeScope is what one reconciliation of a store learns.
type storeScope struct {
	store  *residencyv1.ConsentStore
	policy *residencyv1.ResidencyPolicy
	notice *residencyv1.PrivacyNotice
	claim  *corev1.PersistentVolumeClaim
	pod    *corev1.Pod
	nodes  []corev1.Node
	volume *corev1.PersistentVolume
	answer *storev1.GetStatusResponse // nil: the store did not answer
	peers  []desired.StorePeer        // with which people are counted together

	placed        *conditions.Outcome // nil: every link of the chain is inside
	volumeTrouble *conditions.Outcome // nil: the claim is as the spec and the policy want it
	troubled      bool                // a child could not be made as it should be
}

// storePhase does one job. A nil outcome means to go on.
type storePhase func(context.Context, *storeScope) (*conditions.Outcome, error)

// Reconcile runs the phases until one has an outcome.
func (r *StoreReconciler) Reconcile(ctx context.Context, cs *residencyv1.ConsentStore) (ctrl.Result, error) {
	if !cs.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // children go by their owner; volume, key and authority stay
	}
	before, s := cs.DeepCopy(), &storeScope{store: cs}
	outcome, err := r.run(ctx, s)
	wait := applying.Jitter(cs.UID, storeInterval)
	if s.pod != nil && s.answer == nil {
		wait = retryInterval
	}
	return applying.End(ctx, r.reporter(), applying.Report[*residencyv1.ConsentStore]{
		Before: before, After: cs, Conditions: &cs.Status.Conditions, Observed: &cs.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: wait, Events: storeEvents,
	})
}

// run makes the children, and then looks after the store. Whatever is wrong with a child, a
// store that runs gets its view of the cluster: a hold must reach it.
func (r *StoreReconciler) run(ctx context.Context, s *storeScope) (*conditions.Outcome, error) {
	if outcome, err := through(ctx, s, r.gather, r.check); outcome != nil || err != nil {
		return outcome, err
	}
	trouble, err := through(ctx, s, r.ensureKey, r.ensureClaim, r.ensureCertificates, r.ensureCounting, r.applyChildren)
	s.troubled = trouble != nil || err != nil
	if s.troubled && !s.runs() {
		return trouble, err
	}
	outcome, lookErr := through(ctx, s, r.tellVolume, r.prove, r.push, r.conclude)
	if s.troubled {
		return trouble, err
	}
	return outcome, lookErr
}

// through runs phases until one has an outcome.
func through(ctx context.Context, s *storeScope, phases ...storePhase) (*conditions.Outcome, error) {
	for _, phase := range phases {
		if outcome, err := phase(ctx, s); err != nil || outcome != nil {
			return outcome, err
		}
	}
	return nil, nil
}

// runs tells whether there is a store that may answer.
func (s *storeScope) runs() bool {
	return s.claim != nil && s.store.Status.LedgerID != "" && s.pod != nil && s.pod.Spec.NodeName != ""
}

func (r *StoreReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &residencyv1.ConsentStoreList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	byLabel := watching.ByLabel(desired.InstanceLabel)
	byClaim := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		v, ok := o.(*corev1.PersistentVolume)
		if !ok || v.Spec.ClaimRef == nil {
			return nil
		}
		return watching.Requests(ctx, r.Client, all(), client.InNamespace(v.Spec.ClaimRef.Namespace))
	})
	return ctrl.NewControllerManagedBy(m).Named("consentstore").WithOptions(watching.SideBySide()).
		For(&residencyv1.ConsentStore{}, generation).
		Owns(&appsv1.StatefulSet{}).Owns(&corev1.Service{}).Owns(&corev1.ConfigMap{}).Owns(&networkingv1.NetworkPolicy{}).
		Watches(&corev1.PersistentVolumeClaim{}, byLabel, builder.WithPredicates(watching.WithLabel(desired.ComponentLabel, string(desired.Store)))).
		Watches(&corev1.Pod{}, byLabel, builder.WithPredicates(watching.WithLabel(desired.ComponentLabel, string(desired.Store)), watching.PodReady())).
		Watches(&corev1.PersistentVolume{}, byClaim).
		Watches(&corev1.Node{}, watching.EveryOne(r.Client, all), builder.WithPredicates(nodeChanged())).
		Watches(&corev1.Namespace{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Watches(&residencyv1.RegulatoryHold{}, watching.EveryOne(r.Client, all), generation).
		Watches(&residencyv1.PrivacyNotice{}, watching.EveryOneBeside(r.Client, all)).
		Watches(&residencyv1.TransferMechanism{}, watching.EveryOneBeside(r.Client, all), generation).
		Watches(&marketingv1.LeadModel{}, watching.EveryOneBeside(r.Client, all), generation).
		Watches(&marketingv1.SendHold{}, watching.EveryOneBeside(r.Client, all), generation).
		Complete(reconcile.AsReconciler(r.Client, r))
}
