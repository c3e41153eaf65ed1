package marketing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

func campaignConditions(c *marketingv1.PushCampaign) []metav1.Condition { return c.Status.Conditions }
func audienceConditions(a *marketingv1.Audience) []metav1.Condition     { return a.Status.Conditions }
func modelConditions(m *marketingv1.LeadModel) []metav1.Condition       { return m.Status.Conditions }
func holdConditions(h *marketingv1.SendHold) []metav1.Condition         { return h.Status.Conditions }

// brand makes everything that a campaign needs; ip tells the gateways of tests apart.
func brand(t *testing.T, ip string) (namespace string) {
	t.Helper()
	ns := rig.Namespace(t, policyName)
	storeIn(t, ns)
	audienceIn(t, ns)
	connected(t, ns, ip)
	return ns
}

func audienceIn(t *testing.T, ns string) *marketingv1.Audience {
	t.Helper()
	m := sample(t, "40-leads", "LeadModel", ns, &marketingv1.LeadModel{})
	a := sample(t, "40-leads", "Audience", ns, &marketingv1.Audience{})
	rig.Create(t, m, a)
	return a
}

func campaignIn(t *testing.T, ns string, change func(*marketingv1.PushCampaignSpec)) *marketingv1.PushCampaign {
	t.Helper()
	c := sample(t, "50-campaign", "PushCampaign", ns, &marketingv1.PushCampaign{})
	if change != nil {
		change(&c.Spec)
	}
	rig.Create(t, c)
	return c
}

// tell sets how far the store says a run is.
func tell(ns string, c *marketingv1.PushCampaign, run *storev1.Run) {
	run.RunId, run.Audience, run.Eligible, run.HasWork = string(c.UID), "900", "850", true
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Runs[run.GetRunId()] = run })
}

func jobOf(c *marketingv1.PushCampaign) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name + "-dispatch"}}
}

func TestACampaignIsPlannedSentAndCounted(t *testing.T) {
	ns := brand(t, "10.2.0.1")
	c := campaignIn(t, ns, func(s *marketingv1.PushCampaignSpec) { s.Shards = 2 })
	says(t, c, campaignConditions, "Planned", "True", marketingv1.ReasonPlanned)
	if c.Status.RunID != string(c.UID) || c.Status.Plan.Audience != "900" || c.Status.Plan.Eligible != "850" || len(c.Status.Plan.Excluded) != 2 {
		t.Errorf("plan = %+v of run %s", c.Status.Plan, c.Status.RunID)
	}
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonSending)
	j := jobOf(c)
	if _, err := get(t.Context(), j); err != nil || *j.Spec.CompletionMode != batchv1.IndexedCompletion || *j.Spec.Completions != 2 || *j.Spec.Parallelism != 2 {
		t.Errorf("job = %+v, %v", j.Spec, err)
	}
	tell(ns, c, &storev1.Run{Pending: "400", Sent: "430", Refused: "<20", Failed: "<20", Unknown: "<20"})
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, c); err != nil || c.Status.Deliveries.Sent == "430" {
			return err
		}
		return fmt.Errorf("deliveries = %+v", c.Status.Deliveries)
	})
	tell(ns, c, &storev1.Run{Pending: "<20", Sent: "838", Refused: "<20", Failed: "<20", Unknown: "<20", Finished: true})
	says(t, c, campaignConditions, "Complete", "True", metav1alpha1.ReasonComplete)
	rig.Told(t, c, "Complete", "Sending")
	if c.Status.CompletionTime.IsZero() || c.Status.Deliveries.Sent != "838" {
		t.Errorf("status = %+v", c.Status)
	}
	spec := envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) []*storev1.RunSpec { return s.Planned })
	if len(spec) != 1 || spec[0].GetTemplateId() != "TEMPLATE_SPRING_TEA" || spec[0].GetPerSecond() != 500 || spec[0].GetShards() != 2 {
		t.Errorf("planned %v", spec)
	}
}

func TestACampaignWaitsForItsDate(t *testing.T) {
	ns := brand(t, "10.2.0.2")
	c := campaignIn(t, ns, func(s *marketingv1.PushCampaignSpec) { s.Schedule.NotBeforeTime = metav1.NewTime(now.AddDate(0, 1, 0)) })
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonScheduled)
	if err := envtestrig.Says(c.Status.Conditions, "Planned", "True", string(marketingv1.ReasonPlanned)); err != nil {
		t.Error(err)
	}
	if _, err := get(t.Context(), jobOf(c)); !apierrors.IsNotFound(err) {
		t.Errorf("a Job was made before its time: %v", err)
	}
}

func TestACampaignThatCameTooLateSaysSo(t *testing.T) {
	ns := brand(t, "10.2.0.3")
	c := campaignIn(t, ns, func(s *marketingv1.PushCampaignSpec) {
		s.Schedule.NotBeforeTime, s.Schedule.NotAfterTime = metav1.NewTime(now.AddDate(0, -1, 0)), metav1.NewTime(now.AddDate(0, 0, -1))
	})
	says(t, c, campaignConditions, "Complete", "True", marketingv1.ReasonWindowMissed)
}

func TestACampaignForNobodyIsComplete(t *testing.T) {
	ns := brand(t, "10.2.0.4")
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) {
		s.Plan = &storev1.Run{Audience: "40", Eligible: "<20", Excluded: []*storev1.Excluded{{Reason: "NoSubscriptionGrant", People: "40"}},
			Pending: "<20", Sent: "<20", Refused: "<20", Failed: "<20", Unknown: "<20", Finished: true}
	})
	c := campaignIn(t, ns, nil)
	says(t, c, campaignConditions, "Complete", "True", marketingv1.ReasonNobodyEligible)
	if _, err := get(t.Context(), jobOf(c)); !apierrors.IsNotFound(err) {
		t.Errorf("a Job was made for nobody: %v", err)
	}
}

func TestACampaignCanBeSuspended(t *testing.T) {
	ns := brand(t, "10.2.0.5")
	yes := true
	c := campaignIn(t, ns, func(s *marketingv1.PushCampaignSpec) { s.Suspend = &yes })
	says(t, c, campaignConditions, "Ready", "True", metav1alpha1.ReasonSuspended)
	if c.Status.RunID != "" {
		t.Error("a suspended campaign was planned")
	}
	suspend(t, c, "false")
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonSending)
	suspend(t, c, "true")
	says(t, c, campaignConditions, "Ready", "True", metav1alpha1.ReasonSuspended)
	j := jobOf(c)
	if _, err := get(t.Context(), j); err != nil || !*j.Spec.Suspend {
		t.Errorf("the Job goes on: %v", err)
	}
}

// A run that has begun is followed, and obeys `suspend`, whatever becomes of the rest.
func TestARunningCampaignOutlivesWhatItRefersTo(t *testing.T) {
	named := func(ns, name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }
	remove := func(t *testing.T, o client.Object) {
		t.Helper()
		if err := rig.Client.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		ip, status string
		lose       func(t *testing.T, ns string)
		want       metav1alpha1.ConditionReason
	}{
		"the audience is gone": {"10.2.1.1", "False", func(t *testing.T, ns string) {
			remove(t, &marketingv1.Audience{ObjectMeta: named(ns, "engaged-tea-lovers")})
		}, marketingv1.ReasonAudienceMissing},
		"the account is gone": {"10.2.1.2", "False", func(t *testing.T, ns string) {
			remove(t, &marketingv1.WeChatAccount{ObjectMeta: named(ns, "brand")})
		}, marketingv1.ReasonAccountMissing},
		"the store is not ready": {"10.2.1.3", "True", func(t *testing.T, ns string) {
			readyStore(t, &residencyv1.ConsentStore{ObjectMeta: named(ns, "brand-store")}, conditions.NotReady(residencyv1.ReasonNoticeMissing, "by hand"))
		}, marketingv1.ReasonSending},
		"the store is silent": {"10.2.1.4", "Unknown", func(_ *testing.T, ns string) {
			stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Down = true })
		}, metav1alpha1.ReasonWaitingForStore},
	} {
		t.Run(name, func(t *testing.T) {
			ns := brand(t, c.ip)
			x := campaignIn(t, ns, nil)
			says(t, x, campaignConditions, "Ready", "True", marketingv1.ReasonSending)
			c.lose(t, ns)
			says(t, x, campaignConditions, "Ready", c.status, c.want)
			if c.status != "Unknown" {
				tell(ns, x, &storev1.Run{Pending: "300", Sent: "550", Refused: "<20", Failed: "<20", Unknown: "<20"})
				envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
					if _, err := get(ctx, x); err != nil || x.Status.Deliveries.Sent == "550" {
						return err
					}
					return fmt.Errorf("deliveries = %+v", x.Status.Deliveries)
				})
			}
			suspend(t, x, "true")
			says(t, x, campaignConditions, "Ready", "True", metav1alpha1.ReasonSuspended)
			j := jobOf(x)
			if _, err := get(t.Context(), j); err != nil || !*j.Spec.Suspend {
				t.Errorf("the Job goes on: %v", err)
			}
		})
	}
}

func TestALostRunIsNotPlannedAgain(t *testing.T) {
	ns := brand(t, "10.2.1.5")
	c := campaignIn(t, ns, nil)
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonSending)
	s := stores.Of(ns, "brand-store")
	s.Set(func(s *envtestrig.StoreState) { delete(s.Runs, string(c.UID)) })
	says(t, c, campaignConditions, "Stalled", "True", metav1alpha1.ReasonFailed)
	if n := envtestrig.Look(s, func(s *envtestrig.StoreState) int { return len(s.Planned) }); n != 1 {
		t.Errorf("planned %d times", n)
	}
}

func suspend(t *testing.T, c *marketingv1.PushCampaign, value string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"suspend":%s}}`, value)
	if err := rig.Client.Patch(t.Context(), c.DeepCopy(), client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
}

func TestASendHoldStopsACampaignUntilItGoes(t *testing.T) {
	ns := brand(t, "10.2.0.6")
	h := sample(t, "51-sendhold", "SendHold", ns, &marketingv1.SendHold{})
	rig.Create(t, h)
	says(t, h, holdConditions, "Ready", "True", marketingv1.ReasonNothingToHold)
	c := campaignIn(t, ns, nil)
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonHeld)
	says(t, h, holdConditions, "Ready", "True", marketingv1.ReasonHoldActive)
	rig.Told(t, h, "HoldActive")
	if h.Status.Active != marketingv1.HoldActive || *h.Status.HeldCampaigns != 1 {
		t.Errorf("hold = %+v", h.Status)
	}
	b := envtestrig.Look(stores.Of(ns, "brand-store"), func(s *envtestrig.StoreState) *storev1.Bundle { return s.Bundle })
	if len(b.GetSendHolds()) != 1 {
		t.Errorf("the store was not told: %v", b.GetSendHolds())
	}
	if err := rig.Client.Delete(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonSending)
}

func TestADispatchThatGivesUpStallsTheCampaign(t *testing.T) {
	ns := brand(t, "10.2.0.7")
	c := campaignIn(t, ns, nil)
	says(t, c, campaignConditions, "Ready", "True", marketingv1.ReasonSending)
	j := jobOf(c)
	if _, err := get(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	at := metav1.NewTime(now)
	j.Status.StartTime, j.Status.Conditions = &at, []batchv1.JobCondition{
		{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue}, {Type: batchv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: at},
	}
	if err := rig.Client.Status().Update(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	says(t, c, campaignConditions, "Stalled", "True", marketingv1.ReasonDispatchFailed)
}

func TestACampaignNeedsWhatItRefersTo(t *testing.T) {
	t.Run("no account", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		says(t, campaignIn(t, ns, nil), campaignConditions, "Stalled", "True", marketingv1.ReasonAccountMissing)
	})
	t.Run("no audience", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		accountIn(t, ns)
		says(t, campaignIn(t, ns, nil), campaignConditions, "Stalled", "True", marketingv1.ReasonAudienceMissing)
	})
	t.Run("no policy", func(t *testing.T) {
		says(t, campaignIn(t, rig.Namespace(t, ""), nil), campaignConditions, "Stalled", "True", metav1alpha1.ReasonPolicyMissing)
	})
	t.Run("account and audience of different stores", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		accountIn(t, ns)
		a := sample(t, "40-leads", "Audience", ns, &marketingv1.Audience{})
		a.Spec.StoreRef.Name = "other"
		rig.Create(t, a)
		says(t, campaignIn(t, ns, nil), campaignConditions, "Stalled", "True", marketingv1.ReasonStoreMismatch)
	})
	t.Run("a time zone that exists", func(t *testing.T) {
		c := campaignIn(t, rig.Namespace(t, policyName), func(s *marketingv1.PushCampaignSpec) { s.Schedule.Window.TimeZone = "Asia/Atlantis" })
		says(t, c, campaignConditions, "Stalled", "True", metav1alpha1.ReasonInvalidSpec)
	})
	t.Run("a store that answers", func(t *testing.T) {
		ns := brand(t, "10.2.0.8")
		cs := &residencyv1.ConsentStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-store"}}
		readyStore(t, cs, conditions.NotReady(residencyv1.ReasonStoreUnreachable, "by hand"))
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // a campaign that begins by an older view is followed
			err := seen.Get(ctx, client.ObjectKeyFromObject(cs), cs)
			return errors.Join(err, envtestrig.Says(cs.Status.Conditions, "Ready", "False", string(residencyv1.ReasonStoreUnreachable)))
		})
		says(t, campaignIn(t, ns, nil), campaignConditions, "Ready", "Unknown", metav1alpha1.ReasonWaitingForStore)
	})
}

func TestAnAudienceIsCountedByItsStore(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	storeIn(t, ns)
	a := audienceIn(t, ns)
	says(t, a, audienceConditions, "Ready", "True", marketingv1.ReasonAudienceEvaluated)
	if a.Status.Size != "321" || a.Status.EvaluatedTime.IsZero() {
		t.Errorf("status = %+v", a.Status)
	}
	m := &marketingv1.LeadModel{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-leads"}}
	says(t, m, modelConditions, "Ready", "True", marketingv1.ReasonModelApplied)
	if m.Status.Size != "321" || m.Status.EvaluatedTime.IsZero() {
		t.Errorf("status of the model = %+v", m.Status)
	}
}

func TestAnAudienceThatDoesNotCompileStalls(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	storeIn(t, ns)
	const message = "expression: undeclared reference to 'nonsense'"
	stores.Of(ns, "brand-store").Set(func(s *envtestrig.StoreState) { s.Invalid = message })
	a := audienceIn(t, ns)
	says(t, a, audienceConditions, "Stalled", "True", marketingv1.ReasonAudienceInvalid)
	if c := a.Status.Conditions[0]; c.Message != message {
		t.Errorf("message is %q", c.Message)
	}
	accountIn(t, ns)
	c := campaignIn(t, ns, nil)
	says(t, c, campaignConditions, "Stalled", "True", marketingv1.ReasonAudienceInvalid)
	t.Run("and without its model it waits for somebody", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		storeIn(t, ns)
		a := sample(t, "40-leads", "Audience", ns, &marketingv1.Audience{})
		rig.Create(t, a)
		says(t, a, audienceConditions, "Stalled", "True", marketingv1.ReasonLeadModelMissing)
	})
}
