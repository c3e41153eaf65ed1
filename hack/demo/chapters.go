package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/dataplane/dispatch"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
)

const (
	twinService = "wechat-twin:8081"
	send        = "/cgi-bin/message/subscribe/bizsend"
)

func (s *story) summary(ctx context.Context) (twin.Summary, error) {
	var out twin.Summary
	err := s.proxy(ctx, "GET", "wechat-twin", twinService, "/twin/summary", nil, &out)
	return out, err
}

// twinUp puts the platform's twin where WeChat would be.
func (s *story) twinUp(ctx context.Context) error {
	account := &struct{ Data map[string][]byte }{}
	sec, err := s.set.CoreV1().Secrets(namespace).Get(ctx, "brand-wechat", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the account's secret: %w", err)
	}
	account.Data = sec.Data
	for _, v := range sec.Data {
		s.secrets = append(s.secrets, string(v))
	}
	if err := s.applyText(ctx, staged("twin.yaml")); err != nil {
		return err
	}
	cert, key, err := s.ca.serve("sh.api.weixin.qq.com", "sz.api.weixin.qq.com", "open.weixin.qq.com")
	if err != nil {
		return err
	}
	if err := s.secret(ctx, "wechat-twin", "wechat-twin-tls", map[string][]byte{"tls.crt": cert, "tls.key": key}); err != nil {
		return err
	}
	if err := s.secret(ctx, "wechat-twin", "wechat-twin-account", account.Data); err != nil {
		return err
	}
	return s.available(ctx, "wechat-twin", "wechat-twin")
}

// people is chapter 4.
func (s *story) people(ctx context.Context) error {
	for _, f := range []string{"30-account.yaml", "40-leads.yaml"} {
		if err := s.apply(ctx, s.sample(f)); err != nil {
			return err
		}
	}
	if err := s.twinUp(ctx); err != nil {
		return err
	}
	a := &marketingv1.WeChatAccount{}
	a.Name, a.Namespace = "brand", namespace
	if err := s.ready(ctx, a, func() []metav1.Condition { return a.Status.Conditions }, storyTimeout); err != nil {
		return err
	}
	if err := s.mistyped(ctx); err != nil {
		return err
	}
	if err := s.proxy(ctx, "POST", "wechat-twin", twinService, "/twin/followers", s.scenario, nil); err != nil {
		return err
	}
	var sum twin.Summary
	err := s.until(ctx, "followers", storyTimeout, func(ctx context.Context) (bool, string, error) {
		var err error
		if sum, err = s.summary(ctx); err != nil {
			return false, "", err
		}
		p := sum.Scenario
		return p.State == "done" && sum.Callbacks.Waiting == 0, fmt.Sprintf("%s, %d of %d people, %d callbacks acknowledged", p.State, p.Done, p.Total, sum.Callbacks.Acknowledged), nil
	})
	if err != nil {
		return err
	}
	s.report.check("callbacks whose event is on disk, of all that WeChat sent", sum.Callbacks.Acknowledged, sum.Callbacks.Sent)
	s.report.check("callbacks that WeChat gave up", sum.Callbacks.Failed, 0)
	st := &residencyv1.ConsentStore{}
	err = s.until(ctx, "the ledger", podTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "brand-store"}, st)
		return string(st.Status.Subjects) == subject.People(int64(s.expected.Followers)), "people in the ledger: " + string(st.Status.Subjects), err
	})
	s.report.hold("everyone is in the ledger: "+string(st.Status.Subjects), err == nil, fmt.Sprintf("%d followed", s.expected.Followers))
	aud := &marketingv1.Audience{}
	err = s.until(ctx, "the audience", podTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "engaged-tea-lovers"}, aud)
		return string(aud.Status.Size) == subject.People(int64(s.expected.InAudience)), "size " + string(aud.Status.Size), err
	})
	s.report.hold("the audience's expression matches "+string(aud.Status.Size)+" people", err == nil, fmt.Sprintf("%d were made to match", s.expected.InAudience))
	s.report.say("The population, by what they do:")
	for _, r := range []twin.Role{twin.RoleLoyal, twin.RoleRefuse, twin.RoleWithdraw, twin.RoleLeave, twin.RoleMinor, twin.RoleSilent} {
		s.report.say("  %-9s %4d people", r, s.expected.Roles[r])
	}
	return nil
}

// mistyped shows an account with a wrong AppSecret, and takes it away again.
func (s *story) mistyped(ctx context.Context) error {
	const code, wrong = 40125, "fedcba9876543210fedcba9876543210"
	s.secrets = append(s.secrets, wrong)
	if err := s.applyText(ctx, staged("wrong-secret.yaml")); err != nil {
		return err
	}
	a, text := &marketingv1.WeChatAccount{}, ""
	err := s.until(ctx, "the platform's answer to a wrong AppSecret", podTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "brand-mistyped"}, a)
		_, text = condition(a.Status.Conditions, "Ready")
		return readyReason(a.Status.Conditions) == "CredentialsInvalid", text, err
	})
	if err != nil {
		return err
	}
	s.report.hold("an account with a wrong AppSecret shows the platform's code", a.Status.PlatformCode != nil && *a.Status.PlatformCode == code && strings.Contains(text, strconv.Itoa(code)), text)
	raw, err := s.run(ctx, "", "get", "wechataccounts,pods,deployments,configmaps,events", "-n", namespace, "-o", "yaml")
	if err != nil {
		return err
	}
	s.report.check("places in the namespace's objects and events that show the secret", count([]byte(raw), []string{wrong}), 0)
	_, err = s.run(ctx, staged("wrong-secret.yaml"), "delete", "-f", "-", "--wait")
	return err
}

// campaign is chapter 5.
func (s *story) campaign(ctx context.Context) error {
	slow := []map[string]any{{"path": send, "action": "slow", "delayMillis": 60}}
	if err := s.proxy(ctx, "POST", "wechat-twin", twinService, "/twin/faults", slow, nil); err != nil {
		return err
	}
	for _, f := range []string{"51-sendhold.yaml", "50-campaign.yaml"} {
		if err := s.apply(ctx, s.sample(f)); err != nil {
			return err
		}
	}
	c := &marketingv1.PushCampaign{}
	get := func(ctx context.Context) error {
		return s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "spring-tea"}, c)
	}
	err := s.until(ctx, "the plan", podTimeout, func(ctx context.Context) (bool, string, error) {
		err := get(ctx)
		_, text := condition(c.Status.Conditions, "Ready")
		return c.Status.Plan.Eligible != "" && readyReason(c.Status.Conditions) == "Held", text, err
	})
	if err != nil {
		return err
	}
	s.plan(c)
	sum, err := s.summary(ctx)
	if err != nil {
		return err
	}
	s.report.check("messages sent while the emergency stop SendHold stop-spring-tea stands", sum.Accepted, 0)
	if err := s.Delete(ctx, &marketingv1.SendHold{ObjectMeta: metav1.ObjectMeta{Name: "stop-spring-tea", Namespace: namespace}}); err != nil {
		return fmt.Errorf("delete the hold: %w", err)
	}
	if err := s.kill(ctx); err != nil {
		return err
	}
	err = s.until(ctx, "the campaign", storyTimeout, func(ctx context.Context) (bool, string, error) {
		err := get(ctx)
		status, text := condition(c.Status.Conditions, "Complete")
		if status != "True" {
			_, text = condition(c.Status.Conditions, "Ready")
		}
		return status == "True", text, err
	})
	if err != nil {
		return err
	}
	d := c.Status.Deliveries
	s.report.say("the ledger's outcomes: sent %s, refused %s, failed %s, unknown %s, pending %s", d.Sent, d.Refused, d.Failed, d.Unknown, d.Pending)
	return s.audit(ctx)
}

// plan compares the plan with what the population must give.
func (s *story) plan(c *marketingv1.PushCampaign) {
	e, p := s.expected, c.Status.Plan
	s.report.check("people whom the audience's expression matches", p.Audience, subject.People(int64(e.InAudience)))
	s.report.check("of them may be sent to, decided before the first message", p.Eligible, subject.People(int64(e.Eligible)))
	got := map[string]string{}
	for _, x := range p.Excluded {
		got[x.Reason] = string(x.Count)
	}
	for _, x := range []struct {
		code reason.Code
		n    int
	}{
		{reason.NotInAudience, e.Followers - e.InAudience}, {reason.MarketingConsentMissing, e.Audience[twin.RoleSilent]},
		{reason.ConsentRefused, e.Audience[twin.RoleRefuse]}, {reason.ConsentWithdrawn, e.Audience[twin.RoleWithdraw]},
		{reason.OptOutRecorded, e.Audience[twin.RoleLeave]}, {reason.MinorAutomatedMarketing, e.Audience[twin.RoleMinor]},
		{reason.NoSubscriptionGrant, e.NoGrant},
	} {
		s.report.check("left out for "+string(x.code), got[string(x.code)], subject.People(int64(x.n)))
		delete(got, string(x.code))
	}
	s.report.check("reasons that nobody was made for", len(got), 0)
}

// sigkill ends every process of a subcommand on this machine, and tells how many there were.
func sigkill(subcommand string) (killed int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, fmt.Errorf("look for %s: %w", subcommand, err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil || !bytes.HasPrefix(line, []byte("/maodian\x00"+subcommand+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed, nil
}

// kill ends the dispatcher with SIGKILL in the middle of the run.
func (s *story) kill(ctx context.Context) error {
	third := int64(s.expected.Eligible) / 3
	err := s.until(ctx, "the middle of the run", podTimeout, func(ctx context.Context) (bool, string, error) {
		sum, err := s.summary(ctx)
		return sum.Accepted >= third, fmt.Sprintf("%d messages", sum.Accepted), err
	})
	if err != nil {
		return err
	}
	killed, err := sigkill("dispatch")
	if err != nil {
		return err
	}
	sum, err := s.summary(ctx)
	if err != nil {
		return err
	}
	s.report.hold(fmt.Sprintf("the dispatcher is killed with SIGKILL after %d of %d messages", sum.Accepted, s.expected.Eligible), killed > 0 && sum.Accepted < int64(s.expected.Eligible), fmt.Sprintf("%d process killed", killed))
	return nil
}

// audit has platform and ledger compared person by person, inside the region: only whether
// they agree comes out, with numbers rounded.
func (s *story) audit(ctx context.Context) error {
	// the audit asks the store, as only pods of the manager may
	manifest := strings.ReplaceAll(staged("audit.yaml"), "ELIGIBLE", strconv.Itoa(s.expected.Eligible))
	if _, err := s.run(ctx, manifest, "apply", "-f", "-", "--as=system:serviceaccount:maodian-system:maodian-manager", "--as-group=system:masters"); err != nil {
		return err
	}
	job := &batchv1.Job{}
	err := s.until(ctx, "the audit", podTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "demo-audit"}, job)
		return job.Status.Succeeded+job.Status.Failed > 0, "running", err
	})
	if err != nil {
		return err
	}
	text, err := s.logs(ctx, namespace, "job-name=demo-audit")
	if err != nil {
		return err
	}
	var v dispatch.Verdict
	line, _, _ := strings.Cut(text, "\n")
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		return fmt.Errorf("%w: the audit printed no verdict: %s", errStory, text)
	}
	sum, err := s.summary(ctx)
	if err != nil {
		return err
	}
	s.report.hold(fmt.Sprintf("WeChat's record and the ledger agree about each of %d followers", s.expected.Followers), v.Agrees, strings.Join(v.Disagrees, "; "))
	s.report.say("  that is: recorded as sent means received once; unknown means at most once; nobody else received any;")
	s.report.say("  sent and unknown together are all %d who may be sent to; unknown are 8 at most, as many as were in flight", s.expected.Eligible)
	s.report.say("recorded as sent and received: %s; unknown but received: %s; unknown and not received: %s", v.SentOnce, v.UnknownOnce, v.UnknownNone)
	for host := range sum.Hosts {
		s.report.hold("WeChat was called in the mainland only, at "+host, host == "sh.api.weixin.qq.com" || host == "sz.api.weixin.qq.com", strconv.FormatInt(sum.Hosts[host], 10)+" calls")
	}
	return nil
}

// transferDone waits until a transfer is refused or complete.
func (s *story) transferDone(ctx context.Context, name string) (*residencyv1.DataTransfer, error) {
	t := &residencyv1.DataTransfer{}
	err := s.until(ctx, name, storyTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, t)
		complete, text := condition(t.Status.Conditions, "Complete")
		if complete != "True" {
			_, text = condition(t.Status.Conditions, "Ready")
		}
		return t.Status.Decision == "Refused" || complete == "True", text, err
	})
	return t, err
}

func (s *story) counter(ctx context.Context) (string, error) {
	p := &residencyv1.ResidencyPolicy{}
	if err := s.Get(ctx, types.NamespacedName{Name: "cn-mainland"}, p); err != nil {
		return "", fmt.Errorf("read policy: %w", err)
	}
	for _, c := range p.Status.TransferCounters {
		if c.Processor == "acme-china" && int(c.Year) == time.Now().UTC().Add(8*time.Hour).Year() {
			return string(c.NonSensitivePersons), nil
		}
	}
	return "", nil
}
