package marketing

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/watching"
)

// AccountReconciler runs the gateway of one official account.
type AccountReconciler struct{ Deps }

// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=wechataccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=wechataccounts/status,verbs=patch
// +kubebuilder:rbac:groups=marketing.maodian.dev,resources=wechataccounts/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;patch
// +kubebuilder:rbac:groups="",resources=configmaps;services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=namespaces;pods,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch

// accountScope is what one reconciliation of an account learns.
type accountScope struct {
	account    *marketingv1.WeChatAccount
	policy     *residencyv1.ResidencyPolicy
	store      *residencyv1.ConsentStore
	campaigns  []marketingv1.PushCampaign
	deployment *appsv1.Deployment
	pods       []corev1.Pod
}

type accountPhase func(context.Context, *accountScope) (*conditions.Outcome, error)

// Reconcile runs the phases until one has an outcome.
func (r *AccountReconciler) Reconcile(ctx context.Context, a *marketingv1.WeChatAccount) (ctrl.Result, error) {
	if !a.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before, s := a.DeepCopy(), &accountScope{account: a}
	var outcome *conditions.Outcome
	var err error
	for _, phase := range []accountPhase{r.gather, r.checkCredentials, r.apply, r.observe, r.probe} {
		if outcome, err = phase(ctx, s); outcome != nil || err != nil {
			break
		}
	}
	wait := retryInterval
	if outcome != nil && outcome.IsReady() {
		wait = quietInterval
	}
	return applying.End(ctx, r.reporter(), applying.Report[*marketingv1.WeChatAccount]{
		Before: before, After: a, Conditions: &a.Status.Conditions, Observed: &a.Status.ObservedGeneration,
		Outcome: outcome, Err: err, Wait: applying.Jitter(a.UID, wait),
	})
}

func (r *AccountReconciler) gather(ctx context.Context, s *accountScope) (*conditions.Outcome, error) {
	a, err := s.account, error(nil)
	if s.policy, err = gather.Policy(ctx, r.Client, a.Namespace); err != nil {
		return nil, err
	}
	if s.policy == nil {
		return conditions.Stall(metav1alpha1.ReasonPolicyMissing, "label the namespace with %s=<name of an existing ResidencyPolicy>", metav1alpha1.PolicyLabel), nil
	}
	if s.deployment, err = gather.Find[appsv1.Deployment](ctx, r.Client, a.Namespace, desired.GatewayName(a.Name)); err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(a.Namespace), client.MatchingLabels(desired.Selector(desired.Gateway, a.Name))); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var campaigns marketingv1.PushCampaignList
	if err := r.Client.List(ctx, &campaigns, client.InNamespace(a.Namespace)); err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	s.pods, s.campaigns = pods.Items, campaigns.Items
	var out *conditions.Outcome
	s.store, out, err = r.storeOf(ctx, a.Namespace, a.Spec.StoreRef.Name)
	if s.deployment != nil && s.store != nil {
		out = nil // a gateway that runs goes on while its store restarts
	}
	return out, err
}

// Forms of what the platform's console hands out. Values never leave the check.
var credentialForms = []struct {
	key  string
	form *regexp.Regexp
	says string
}{
	{"appSecret", regexp.MustCompile(`^[0-9a-f]{32}$`), "32 hexadecimal digits"},
	{"token", regexp.MustCompile(`^[A-Za-z0-9]{3,32}$`), "3 to 32 letters and digits"},
	{"encodingAESKey", regexp.MustCompile(`^[A-Za-z0-9]{43}$`), "43 letters and digits"},
}

func (r *AccountReconciler) checkCredentials(ctx context.Context, s *accountScope) (*conditions.Outcome, error) {
	name := s.account.Spec.CredentialsSecretRef.Name
	secret, err := gather.Find[corev1.Secret](ctx, r.Client, s.account.Namespace, name)
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return conditions.Stall(metav1alpha1.ReasonCredentialsMissing, "no Secret %s in this namespace: create it with the keys appSecret, token and encodingAESKey", name), nil
	}
	for _, c := range credentialForms {
		value, ok := secret.Data[c.key]
		if !ok {
			return conditions.Stall(metav1alpha1.ReasonCredentialsMissing, "Secret %s lacks the key %s", name, c.key), nil
		}
		if !c.form.Match(value) {
			return conditions.Stall(marketingv1.ReasonCredentialsInvalid, "%s in Secret %s must be %s", c.key, name, c.says), nil
		}
	}
	return nil, nil
}

func (r *AccountReconciler) apply(ctx context.Context, s *accountScope) (*conditions.Outcome, error) {
	a := s.account
	owner, err := applying.OwnerOf(a, r.Scheme)
	if err != nil {
		return nil, err
	}
	role := identity.Role{Kind: identity.Gateway, Namespace: a.Namespace, Store: s.store.Name, Name: a.Name}
	if err := r.Issuer.EnsureLeaf(ctx, role, desired.GatewayTLSName(a.Name), owner, desired.Labels(desired.Gateway, a.Name)); err != nil {
		return nil, err
	}
	in := desired.GatewayInput{
		Owner: owner, Placement: gather.Placement(s.policy), Platform: r.Platform, CIDRs: s.policy.Spec.Network.CIDRs, Store: s.store.Name,
		AppID: a.Spec.AppID, Hosts: texts(a.Spec.APIHosts), CredentialsSecret: a.Spec.CredentialsSecretRef.Name,
		WithdrawKeywords: texts(a.Spec.MenuKeywords.Withdraw), Templates: templatesOf(a.Name, s.campaigns), PublicHost: a.Spec.PublicHost, Replicas: gatewayReplicas,
	}
	children, err := desired.GatewayChildren(in)
	if err != nil {
		return nil, err
	}
	a.Status.Endpoint, a.Status.CallbackPath = desired.GatewayName(a.Name)+"."+a.Namespace+".svc", desired.CallbackPath
	return nil, applying.Children(ctx, r.Client, children...)
}

// gatewayReplicas is one: the platform's token belongs to one process at a time.
const gatewayReplicas = 1

// templatesOf lists what the account's campaigns need a grant for.
func templatesOf(account string, campaigns []marketingv1.PushCampaign) []string {
	var out []string
	for _, c := range campaigns {
		if c.Spec.AccountRef.Name == account && c.Spec.Channel.Type == marketingv1.ChannelSubscription {
			out = append(out, c.Spec.Channel.Subscription.TemplateID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func texts[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}

func (r *AccountReconciler) observe(_ context.Context, s *accountScope) (*conditions.Outcome, error) {
	if d := s.deployment; d != nil && d.Status.AvailableReplicas > 0 {
		return nil, nil
	}
	for _, p := range s.pods {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				return conditions.Fail(marketingv1.ReasonGatewayUnplaced, "the scheduler finds no place inside (%s): add a node or free one", conditions.Truncate(c.Message, 400)), nil
			}
		}
	}
	return conditions.Wait(marketingv1.ReasonGatewayStarting, "the gateway has no ready pod yet"), nil
}

// probe asks the gateways for the platform's answer to their credentials.
func (r *AccountReconciler) probe(ctx context.Context, s *accountScope) (*conditions.Outcome, error) {
	var told *GatewayStatus
	for _, p := range s.pods {
		if p.Status.PodIP == "" || !p.DeletionTimestamp.IsZero() {
			continue
		}
		answer, err := r.Gateways.Status(ctx, p.Status.PodIP)
		if err == nil && (told == nil || answer.Class != classOK) {
			told = &answer
		}
	}
	if told == nil {
		return conditions.Wait(marketingv1.ReasonGatewayStarting, "the gateway does not tell its state yet"), nil
	}
	s.record(*told, metav1.NewTime(r.Clock.Now()))
	return judge(*told), nil
}

// record keeps the code; the time moves only when the answer does.
func (s *accountScope) record(g GatewayStatus, now metav1.Time) {
	st := &s.account.Status
	var code *int32
	if g.PlatformCode != 0 {
		code = &g.PlatformCode
	}
	same := (code == nil) == (st.PlatformCode == nil) && (code == nil || *code == *st.PlatformCode)
	if !same || st.LastCheckTime.IsZero() {
		st.PlatformCode, st.LastCheckTime = code, now
	}
}

// Classes of the platform's answers, as gateways tell them.
const (
	classOK      = "ok"
	classToken   = "token"
	classProgram = "program"
	classHuman   = "human"
)

func judge(g GatewayStatus) *conditions.Outcome {
	switch g.Class {
	case classOK:
		return conditions.Done(marketingv1.ReasonAccountConnected, "the platform accepts the credentials, and the gateway takes callbacks")
	case classToken, classProgram, classHuman:
		return conditions.Stall(marketingv1.ReasonCredentialsInvalid, "the platform refuses the credentials with code %d: check appID, appSecret and the list of addresses in its console", g.PlatformCode)
	}
	if g.PlatformCode != 0 {
		return conditions.Wait(marketingv1.ReasonPlatformUnreachable, "the platform answers with code %d; the gateway goes on asking", g.PlatformCode)
	}
	return conditions.Wait(marketingv1.ReasonPlatformUnreachable, "the platform does not answer; the gateway goes on asking")
}

func (r *AccountReconciler) setup(m ctrl.Manager) error {
	all := func() client.ObjectList { return &marketingv1.WeChatAccountList{} }
	generation := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(m).Named("wechataccount").WithOptions(watching.SideBySide()).
		For(&marketingv1.WeChatAccount{}, generation).
		Owns(&appsv1.Deployment{}).Owns(&corev1.Service{}).Owns(&corev1.ConfigMap{}).Owns(&networkingv1.NetworkPolicy{}).
		Watches(&corev1.Pod{}, watching.ByLabel(desired.InstanceLabel), builder.WithPredicates(watching.WithLabel(desired.ComponentLabel, string(desired.Gateway)), watching.PodReady())).
		Watches(&residencyv1.ConsentStore{}, watching.EveryOneBeside(r.Client, all), builder.WithPredicates(watching.StoreReady())).
		Watches(&residencyv1.ResidencyPolicy{}, watching.EveryOne(r.Client, all), generation).
		Watches(&corev1.Namespace{}, watching.EveryOne(r.Client, all), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&marketingv1.PushCampaign{}, watching.EveryOneBeside(r.Client, all), generation).
		Complete(reconcile.AsReconciler(r.Client, r))
}
