package marketing

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/domain/campaign"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/identity"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// hush finds the Job, and passes a suspend on to it before anything else is looked at: what
// else is wrong must not keep it sending.
func (r *CampaignReconciler) hush(ctx context.Context, s *campaignScope) (*conditions.Outcome, error) {
	job, err := gather.Find[batchv1.Job](ctx, r.Client, s.campaign.Namespace, desired.DispatchName(s.campaign.Name))
	if err != nil || job == nil || !metav1.IsControlledBy(job, s.campaign) { // a namesake's that is going
		return nil, err
	}
	s.job = job
	if !s.suspended() {
		return nil, nil
	}
	return nil, r.suspendJob(ctx, s)
}

func (r *CampaignReconciler) gather(ctx context.Context, s *campaignScope) (*conditions.Outcome, error) {
	c, err := s.campaign, error(nil)
	if s.policy, err = gather.Policy(ctx, r.Client, c.Namespace); err != nil {
		return nil, err
	}
	if s.account, err = gather.Find[marketingv1.WeChatAccount](ctx, r.Client, c.Namespace, c.Spec.AccountRef.Name); err != nil {
		return nil, err
	}
	if s.audience, err = gather.Find[marketingv1.Audience](ctx, r.Client, c.Namespace, c.Spec.AudienceRef.Name); err != nil {
		return nil, err
	}
	var list marketingv1.SendHoldList
	if err := r.Client.List(ctx, &list, client.InNamespace(c.Namespace)); err != nil {
		return nil, fmt.Errorf("list send holds: %w", err)
	}
	for i := range list.Items {
		if h := &list.Items[i]; h.DeletionTimestamp.IsZero() && holds(h, c) {
			s.held = h.Name
		}
	}
	return nil, nil
}

// check refuses what cannot be sent, and waits for what must be ready before. A run that has
// begun is followed all the same: what is gone beside it is told when its state is known.
func (r *CampaignReconciler) check(ctx context.Context, s *campaignScope) (out *conditions.Outcome, err error) {
	s.trouble = s.unusable()
	name := s.storeName()
	if s.trouble != nil && (!s.started() || name == "") {
		return s.trouble, nil
	}
	if s.store, s.unready, err = r.storeOf(ctx, s.campaign.Namespace, name); err != nil || s.store == nil {
		return s.unready, err
	}
	switch {
	case s.started():
		return nil, nil
	case s.unready != nil:
		return s.unready, nil
	case s.planned():
		return nil, nil // waits for nobody's readiness but its store's
	}
	return s.ready(), nil
}

// unusable tells what of the spec, or of what it refers to, cannot be used.
func (s *campaignScope) unusable() *conditions.Outcome {
	spec, err := s.campaign.Spec, error(nil)
	w := spec.Schedule.Window
	s.schedule, err = campaign.NewSchedule(spec.Schedule.NotBeforeTime.Time, spec.Schedule.NotAfterTime.Time, w.TimeZone, w.Start, w.End)
	switch {
	case err != nil:
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "`spec.schedule`: %v", err)
	case spec.Channel.Type != marketingv1.ChannelSubscription:
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "`spec.channel.type` %s is not sent by this version: use Subscription", spec.Channel.Type)
	case s.policy == nil:
		return conditions.Stall(metav1alpha1.ReasonPolicyMissing, "label the namespace with %s=<name of an existing ResidencyPolicy>", metav1alpha1.PolicyLabel)
	case s.account == nil:
		return conditions.Stall(marketingv1.ReasonAccountMissing, "no WeChatAccount %s in this namespace", spec.AccountRef.Name)
	case s.audience == nil:
		return conditions.Stall(marketingv1.ReasonAudienceMissing, "no Audience %s in this namespace", spec.AudienceRef.Name)
	case s.account.Spec.StoreRef != s.audience.Spec.StoreRef:
		return conditions.Stall(marketingv1.ReasonStoreMismatch, "account and audience belong to different stores, %s and %s", s.account.Spec.StoreRef.Name, s.audience.Spec.StoreRef.Name)
	}
	return nil
}

// planned tells whether the store has decided about everybody, started whether a Job was made.
func (s *campaignScope) planned() bool { return s.campaign.Status.RunID != "" || s.job != nil }
func (s *campaignScope) started() bool {
	return s.job != nil || !s.campaign.Status.StartTime.IsZero()
}

// storeName tells which store has the run; empty where nobody knows. The Job says it by
// itself, since the account may be gone.
func (s *campaignScope) storeName() string {
	if s.job != nil && s.job.Labels[desired.StoreLabel] != "" {
		return s.job.Labels[desired.StoreLabel]
	}
	if s.account == nil {
		return ""
	}
	return s.account.Spec.StoreRef.Name
}

// ready waits for what a plan is made of.
func (s *campaignScope) ready() *conditions.Outcome {
	if i := slices.IndexFunc(s.audience.Status.Conditions, func(c metav1.Condition) bool { return c.Reason == string(marketingv1.ReasonAudienceInvalid) }); i >= 0 {
		return conditions.Stall(marketingv1.ReasonAudienceInvalid, "Audience %s: %s", s.audience.Name, s.audience.Status.Conditions[i].Message)
	}
	switch {
	case s.suspended():
		return conditions.Done(metav1alpha1.ReasonSuspended, "`spec.suspend` is true: nothing is planned")
	case !conditions.True(s.audience.Status.Conditions, metav1alpha1.ConditionReady, s.audience.Generation):
		return conditions.Wait(metav1alpha1.ReasonProgressing, "Audience %s is not ready", s.audience.Name)
	case !conditions.True(s.account.Status.Conditions, metav1alpha1.ConditionReady, s.account.Generation):
		return conditions.Wait(marketingv1.ReasonAccountNotReady, "WeChatAccount %s is not ready", s.account.Name)
	}
	return nil
}

func (s *campaignScope) suspended() bool {
	return s.campaign.Spec.Suspend != nil && *s.campaign.Spec.Suspend
}

// plan asks the store how the run stands, and to decide about everybody where there is none
// yet. The run's id is the object's own: planning twice is planning once.
func (r *CampaignReconciler) plan(ctx context.Context, s *campaignScope) (*conditions.Outcome, error) {
	c, err := r.Stores.Control(ctx, s.store.Namespace, s.store.Name)
	if err != nil {
		return nil, err
	}
	s.run, err = getRun(ctx, c, string(s.campaign.UID))
	unknown := err != nil && connect.CodeOf(err) == connect.CodeNotFound
	switch {
	case unknown && s.planned():
		return conditions.Stall(metav1alpha1.ReasonFailed, "ConsentStore %s does not know the run that it has planned, and nothing is planned twice: restore its volume", s.store.Name), nil
	case unknown:
		if out := r.makePlan(ctx, c, s); out != nil {
			return out, nil
		}
	case s.run == nil:
		return s.silent(), nil
	}
	s.record(metav1.NewTime(r.Clock.Now()))
	return nil, nil
}

func getRun(ctx context.Context, c storev1connect.ControlServiceClient, id string) (*storev1.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, gather.CallTimeout)
	defer cancel()
	answer, err := c.GetRun(ctx, &storev1.GetRunRequest{RunId: id})
	return answer.GetRun(), err
}

// makePlan has the store plan by a view that is no older than ours.
func (r *CampaignReconciler) makePlan(ctx context.Context, c storev1connect.ControlServiceClient, s *campaignScope) *conditions.Outcome {
	if _, err := r.Pusher.Push(ctx, s.store); err != nil {
		return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not take its policy view", s.store.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, gather.PlanTimeout)
	defer cancel()
	answer, err := c.PlanRun(ctx, &storev1.PlanRunRequest{Spec: runSpec(s)})
	s.run = answer.GetRun()
	switch {
	case err != nil && connect.CodeOf(err) == connect.CodeInvalidArgument:
		return conditions.Stall(metav1alpha1.ReasonInvalidSpec, "the store refuses the plan: %s", storeMessage(err))
	case err != nil || s.run == nil:
		return s.silent()
	}
	return nil
}

// silent tells how a campaign stands whose store does not answer: as it was last known.
func (s *campaignScope) silent() *conditions.Outcome {
	switch {
	case !s.planned():
		return conditions.Wait(marketingv1.ReasonPlanning, "ConsentStore %s has not planned yet", s.store.Name)
	case s.suspended():
		return conditions.Done(metav1alpha1.ReasonSuspended, "`spec.suspend` is true; when the store last answered: %s", s.tally())
	case gather.JobFailed(s.job):
		return s.gaveUp()
	}
	return conditions.Wait(metav1alpha1.ReasonWaitingForStore, "ConsentStore %s does not answer; when it last did: %s", s.store.Name, s.tally())
}

func runSpec(s *campaignScope) *storev1.RunSpec {
	spec := s.campaign.Spec
	out := &storev1.RunSpec{
		RunId: string(s.campaign.UID), Campaign: s.campaign.Name, Account: s.account.Name, Purpose: string(spec.Purpose),
		AudienceExpression: s.audience.Spec.Expression, LeadModel: s.audience.Spec.LeadModelRef.Name, Channel: string(spec.Channel.Type),
		TemplateId: spec.Channel.Subscription.TemplateID, NotBefore: stamp(spec.Schedule.NotBeforeTime), NotAfter: stamp(spec.Schedule.NotAfterTime),
		TimeZone: spec.Schedule.Window.TimeZone, WindowStart: spec.Schedule.Window.Start, WindowEnd: spec.Schedule.Window.End,
		PerSecond: spec.Throttle.PerSecond, CapMessages: spec.FrequencyCap.Messages, CapDays: spec.FrequencyCap.PerDays, Shards: shards(spec),
	}
	return out
}

func shards(s marketingv1.PushCampaignSpec) int32 { return max(1, s.Shards) }

// ended tells whether there is nothing left to send.
func (r *CampaignReconciler) ended(_ context.Context, s *campaignScope) (*conditions.Outcome, error) {
	now := r.Clock.Now()
	done := func(o *conditions.Outcome) (*conditions.Outcome, error) {
		s.campaign.Status.CompletionTime = metav1.NewTime(now)
		return o, nil
	}
	switch {
	case !s.run.GetHasWork():
		return done(conditions.Done(marketingv1.ReasonNobodyEligible, "the plan leaves everybody out; status.plan.excluded says why"))
	case s.run.GetFinished():
		return done(conditions.Done(metav1alpha1.ReasonComplete, "%s", s.tally()))
	case s.schedule.At(now) == campaign.Closed:
		return done(conditions.Done(marketingv1.ReasonWindowMissed, "`spec.schedule.notAfterTime` has come: %s", s.tally()))
	}
	return nil, nil
}

// pause tells why nothing is sent now, where that is so.
func (r *CampaignReconciler) pause(_ context.Context, s *campaignScope) (*conditions.Outcome, error) {
	switch {
	case s.suspended():
		return conditions.Done(metav1alpha1.ReasonSuspended, "`spec.suspend` is true: %s", s.tally()), nil
	case s.held != "": // a running Job asks the store, which gives it nothing
		return conditions.Done(marketingv1.ReasonHeld, "SendHold %s stops it; deleting that resumes: %s", s.held, s.tally()), nil
	case s.job == nil && s.schedule.At(r.Clock.Now()) == campaign.Early:
		return conditions.Done(marketingv1.ReasonScheduled, "scheduled for %s", s.campaign.Spec.Schedule.NotBeforeTime.UTC().Format("2006-01-02 15:04 MST")), nil
	}
	return nil, nil
}

// send keeps the Job running and tells how far it is.
func (r *CampaignReconciler) send(ctx context.Context, s *campaignScope) (*conditions.Outcome, error) {
	if gather.JobFailed(s.job) {
		return s.gaveUp(), nil
	}
	if s.job == nil && (s.trouble != nil || s.unready != nil) {
		return cmp.Or(s.trouble, s.unready), nil
	}
	if s.policy != nil { // without one, nothing is made or resumed
		if err := r.applyJob(ctx, s); err != nil {
			return nil, err
		}
	}
	st := &s.campaign.Status
	st.JobName = desired.DispatchName(s.campaign.Name)
	switch {
	case st.StartTime.IsZero():
		st.StartTime = metav1.NewTime(r.Clock.Now())
		return conditions.Done(marketingv1.ReasonPlanned, "the Job starts"), nil
	case s.trouble != nil:
		return conditions.Fail(s.trouble.Reason, "%s; the run goes on: %s", s.trouble.Message, s.tally()), nil
	}
	return conditions.Done(marketingv1.ReasonSending, "%s", s.tally()), nil
}

func (s *campaignScope) gaveUp() *conditions.Outcome {
	return conditions.Stall(marketingv1.ReasonDispatchFailed, "Job %s gave up; its pods' logs tell why: %s", s.job.Name, s.tally())
}

func (r *CampaignReconciler) applyJob(ctx context.Context, s *campaignScope) error {
	c, a := s.campaign, s.account
	owner, err := applying.OwnerOf(c, r.Scheme)
	if err != nil {
		return err
	}
	role := identity.Role{Kind: identity.Dispatch, Namespace: c.Namespace, Store: s.store.Name, Name: c.Name, Run: string(c.UID)}
	if err := r.Issuer.EnsureLeaf(ctx, role, desired.DispatchTLSName(c.Name), owner, desired.Labels(desired.Dispatch, c.Name)); err != nil {
		return err
	}
	if s.job != nil { // its template is immutable: only whether it is suspended may change
		return r.suspendJob(ctx, s)
	}
	in := desired.DispatchInput{
		Owner: owner, Placement: gather.Placement(s.policy), Platform: r.Platform, CIDRs: s.policy.Spec.Network.CIDRs, Store: s.store.Name, Account: a.Name,
		AppID: a.Spec.AppID, Hosts: texts(a.Spec.APIHosts), CredentialsSecret: a.Spec.CredentialsSecretRef.Name,
		RunID: string(c.UID), Shards: shards(c.Spec), Suspend: s.suspended(), Channel: string(c.Spec.Channel.Type),
	}
	t := c.Spec.Channel.Subscription
	in.Subscription = &desired.SubscriptionTemplate{TemplateID: t.TemplateID, Page: t.Page, Data: map[string]string{}}
	for k, v := range t.Data {
		in.Subscription.Data[k] = string(v)
	}
	children, err := desired.DispatchChildren(in)
	if err != nil {
		return err
	}
	return applying.Children(ctx, r.Client, children...)
}

// suspendJob passes `spec.suspend` on to a Job that exists.
func (r *CampaignReconciler) suspendJob(ctx context.Context, s *campaignScope) error {
	have := s.job.Spec.Suspend != nil && *s.job.Spec.Suspend
	if have == s.suspended() {
		return nil
	}
	patch := fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, s.suspended())
	if err := r.Client.Patch(ctx, s.job, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("suspend job: %w", err)
	}
	return nil
}
