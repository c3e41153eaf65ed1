package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
)

// GatewayInput is what the children of a WeChatAccount are made of.
type GatewayInput struct {
	Owner             Owner
	Placement         Placement
	Platform          Platform
	CIDRs             []string // that the policy lets governed pods reach
	Store             string
	AppID             string
	Hosts             []string
	CredentialsSecret string
	WithdrawKeywords  []string
	Templates         []string // that the consent page asks subscriptions for
	PublicHost        string   // where people reach the consent page; empty: nobody is invited to it
	Replicas          int32
}

// GatewayName names the Deployment and the Service of an account.
func GatewayName(account string) string { return account + "-gateway" }

// GatewayTLSName names the Secret with its certificate.
func GatewayTLSName(account string) string { return account + "-gateway-tls" }

// GatewayChildren are the children of an account, in the order to apply them in.
func GatewayChildren(in GatewayInput) ([]runtime.ApplyConfiguration, error) {
	name := GatewayName(in.Owner.Name)
	cm, hash, err := configMap(in.Owner, Gateway, name+"-config", gatewayConfig{
		Account: in.Owner.Name, AppID: in.AppID, Hosts: in.Hosts, Listen: ":8080", HealthListen: ":8081",
		Store: StoreAddress(in.Owner.Namespace, in.Store), TLS: files(), CredentialsDir: credentialsPath,
		ExtraCAFile: in.Platform.extraCAFile(), WithdrawKeywords: in.WithdrawKeywords, Templates: in.Templates,
		PublicHost: in.PublicHost,
	})
	if err != nil {
		return nil, err
	}
	template := podTemplate(in.Platform, in.Placement, workload{
		component: Gateway, instance: in.Owner.Name, config: name + "-config", hash: hash,
		mounts: []mount{
			{name: "tls", path: tlsPath, secret: GatewayTLSName(in.Owner.Name)},
			{name: "credentials", path: credentialsPath, secret: in.CredentialsSecret},
		},
		ports: map[string]int32{"http": GatewayPort}, probes: true, restart: corev1.RestartPolicyAlways,
	})
	deployment := appsac.Deployment(name, in.Owner.Namespace).WithLabels(Labels(Gateway, in.Owner.Name)).WithOwnerReferences(in.Owner.reference()).
		WithSpec(appsac.DeploymentSpec().WithReplicas(in.Replicas).WithTemplate(template).
			WithSelector(metaac.LabelSelector().WithMatchLabels(Selector(Gateway, in.Owner.Name))))
	service := corev1ac.Service(name, in.Owner.Namespace).WithLabels(Labels(Gateway, in.Owner.Name)).WithOwnerReferences(in.Owner.reference()).
		WithSpec(corev1ac.ServiceSpec().WithSelector(Selector(Gateway, in.Owner.Name)).
			WithPorts(corev1ac.ServicePort().WithName("http").WithPort(80).WithTargetPort(intstr.FromInt32(GatewayPort)).WithProtocol(corev1.ProtocolTCP)))
	return []runtime.ApplyConfiguration{gatewayPolicy(in), cm, service, deployment}, nil
}
