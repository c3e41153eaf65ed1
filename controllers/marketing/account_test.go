package marketing_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/marketing"
	"github.com/maodian-dev/maodian/internal/desired"
)

// canary stands for every credential: it must appear in no status.
const canary = "c0ffee00c0ffee00c0ffee00c0ffee00"

func accountConditions(a *marketingv1.WeChatAccount) []metav1.Condition { return a.Status.Conditions }

func credentials(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "brand-wechat"}, Data: map[string][]byte{
		"appSecret": []byte(canary), "token": []byte("callbacktoken"), "encodingAESKey": []byte("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
	}}
	return s
}

func accountIn(t *testing.T, namespace string) *marketingv1.WeChatAccount {
	t.Helper()
	a := sample(t, "30-account", "WeChatAccount", namespace, &marketingv1.WeChatAccount{})
	rig.Create(t, a)
	return a
}

// runGateway does what a cluster would: the Deployment has a pod at this address.
func runGateway(t *testing.T, namespace, podIP string) {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "brand-gateway"}}
	if _, err := get(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	p := rig.Pod(t, namespace, "brand-gateway-x", desired.Labels(desired.Gateway, "brand"))
	rig.PodStatus(t, p, func(s *corev1.PodStatus) { s.PodIP, s.PodIPs = podIP, []corev1.PodIP{{IP: podIP}} })
	d.Status = appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, UpdatedReplicas: 1}
	if err := rig.Client.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// connected makes an account whose gateway runs and whose platform is content.
func connected(t *testing.T, namespace, podIP string) *marketingv1.WeChatAccount {
	t.Helper()
	rig.Create(t, credentials(t, namespace))
	a := accountIn(t, namespace)
	says(t, a, accountConditions, "Ready", "Unknown", marketingv1.ReasonGatewayStarting)
	gateways.set(podIP, marketing.GatewayStatus{Class: "ok"})
	runGateway(t, namespace, podIP)
	says(t, a, accountConditions, "Ready", "True", marketingv1.ReasonAccountConnected)
	return a
}

func TestAnAccountIsReadyWhenThePlatformTakesItsCredentials(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	storeIn(t, ns)
	a := connected(t, ns, "10.1.0.1")
	if a.Status.PlatformCode != nil || a.Status.Endpoint != "brand-gateway."+ns+".svc" || a.Status.CallbackPath != "/wechat/callback" {
		t.Errorf("status = %+v", a.Status)
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brand-gateway"}}
	if _, err := get(t.Context(), d); err != nil || d.Spec.Template.Spec.NodeSelector["maodian.node-restriction.kubernetes.io/jurisdiction"] != policyName {
		t.Errorf("the gateway is not pinned: %v %v", d.Spec.Template.Spec.NodeSelector, err)
	}
}

func TestAWrongSecretShowsAsThePlatformsCode(t *testing.T) {
	for name, c := range map[string]struct {
		ip, kind, status string
		says             marketing.GatewayStatus
		want             metav1alpha1.ConditionReason
	}{
		"a secret that the platform refuses":  {"10.1.1.1", "Stalled", "True", marketing.GatewayStatus{PlatformCode: 40125, Class: "human"}, marketingv1.ReasonCredentialsInvalid},
		"an appID that it does not know":      {"10.1.1.2", "Stalled", "True", marketing.GatewayStatus{PlatformCode: 40013, Class: "program"}, marketingv1.ReasonCredentialsInvalid},
		"a platform that is busy":             {"10.1.1.3", "Ready", "Unknown", marketing.GatewayStatus{PlatformCode: -1, Class: "retry"}, marketingv1.ReasonPlatformUnreachable},
		"a platform that gives no answer yet": {"10.1.1.4", "Ready", "Unknown", marketing.GatewayStatus{Class: "unknown"}, marketingv1.ReasonPlatformUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			ns := rig.Namespace(t, policyName)
			storeIn(t, ns)
			rig.Create(t, credentials(t, ns))
			a := accountIn(t, ns)
			says(t, a, accountConditions, "Ready", "Unknown", marketingv1.ReasonGatewayStarting)
			gateways.set(c.ip, c.says)
			runGateway(t, ns, c.ip)
			says(t, a, accountConditions, c.kind, c.status, c.want)
			if code := c.says.PlatformCode; (code == 0) != (a.Status.PlatformCode == nil) || (code != 0 && *a.Status.PlatformCode != code) {
				t.Errorf("platform code is %v, want %d", a.Status.PlatformCode, code)
			}
		})
	}
}

func TestCredentialsAreCheckedWithoutBeingShown(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Secret)
		want   metav1alpha1.ConditionReason
		key    string
	}{
		"a key is missing":          {func(s *corev1.Secret) { delete(s.Data, "token") }, metav1alpha1.ReasonCredentialsMissing, "token"},
		"the secret is too long":    {func(s *corev1.Secret) { s.Data["appSecret"] = []byte(canary + "00") }, marketingv1.ReasonCredentialsInvalid, "appSecret"},
		"the AES key is no AES key": {func(s *corev1.Secret) { s.Data["encodingAESKey"] = []byte("short") }, marketingv1.ReasonCredentialsInvalid, "encodingAESKey"},
		"the token has a line end":  {func(s *corev1.Secret) { s.Data["token"] = []byte("token\n") }, marketingv1.ReasonCredentialsInvalid, "token"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := rig.Namespace(t, policyName)
			storeIn(t, ns)
			s := credentials(t, ns)
			c.change(s)
			rig.Create(t, s)
			a := accountIn(t, ns)
			says(t, a, accountConditions, "Stalled", "True", c.want)
			for _, l := range a.Status.Conditions {
				if !strings.Contains(l.Message, c.key) || strings.Contains(l.Message, canary) {
					t.Errorf("message %q must name %s and show nothing", l.Message, c.key)
				}
			}
		})
	}
	t.Run("there is no secret", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		storeIn(t, ns)
		says(t, accountIn(t, ns), accountConditions, "Stalled", "True", metav1alpha1.ReasonCredentialsMissing)
	})
}

func TestAnAccountNeedsPolicyAndStore(t *testing.T) {
	t.Run("no policy", func(t *testing.T) {
		says(t, accountIn(t, rig.Namespace(t, "")), accountConditions, "Stalled", "True", metav1alpha1.ReasonPolicyMissing)
	})
	t.Run("no store, until there is one", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		a := accountIn(t, ns)
		says(t, a, accountConditions, "Stalled", "True", metav1alpha1.ReasonStoreMissing)
		rig.Create(t, credentials(t, ns))
		storeIn(t, ns)
		says(t, a, accountConditions, "Ready", "Unknown", marketingv1.ReasonGatewayStarting)
	})
	t.Run("no place for the gateway", func(t *testing.T) {
		ns := rig.Namespace(t, policyName)
		storeIn(t, ns)
		rig.Create(t, credentials(t, ns))
		a := accountIn(t, ns)
		says(t, a, accountConditions, "Ready", "Unknown", marketingv1.ReasonGatewayStarting)
		p := rig.Pod(t, ns, "brand-gateway-x", desired.Labels(desired.Gateway, "brand"))
		rig.PodStatus(t, p, func(s *corev1.PodStatus) {
			s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/4 nodes"}}
		})
		says(t, a, accountConditions, "Ready", "False", marketingv1.ReasonGatewayUnplaced)
	})
}
