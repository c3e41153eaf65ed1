package desired

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	batchac "k8s.io/client-go/applyconfigurations/batch/v1"
)

// DispatchInput is what the children of a PushCampaign are made of.
type DispatchInput struct {
	Owner             Owner
	Placement         Placement
	Platform          Platform
	CIDRs             []string
	Store             string
	Account           string
	AppID             string
	Hosts             []string
	CredentialsSecret string
	RunID             string
	Shards            int32
	Suspend           bool
	Channel           string
	Subscription      *SubscriptionTemplate
}

// A pod that ends by signal or error starts again in place; a Job gives up only when that
// goes on for hours. What was leased and not reported is the store's to settle.
const (
	backoffLimit = 1000
	workers      = 8
)

// DispatchName names the Job of a campaign.
func DispatchName(campaign string) string { return campaign + "-dispatch" }

// DispatchTLSName names the Secret with its certificate.
func DispatchTLSName(campaign string) string { return campaign + "-dispatch-tls" }

// DispatchChildren are the children of a campaign, in the order to apply them in.
func DispatchChildren(in DispatchInput) ([]runtime.ApplyConfiguration, error) {
	name := DispatchName(in.Owner.Name)
	cm, _, err := configMap(in.Owner, Dispatch, name+"-config", dispatchConfig{
		Account: in.Account, AppID: in.AppID, Hosts: in.Hosts, RunID: in.RunID, Campaign: in.Owner.Name,
		Store: StoreAddress(in.Owner.Namespace, in.Store), TLS: files(), CredentialsDir: credentialsPath, ExtraCAFile: in.Platform.extraCAFile(),
		Channel: in.Channel, Subscription: in.Subscription, Workers: workers,
	})
	if err != nil {
		return nil, err
	}
	spec := job(in.Platform, in.Placement, Dispatch, string(Dispatch), in.Owner.Name, DispatchTLSName(in.Owner.Name), in.CredentialsSecret).
		WithCompletionMode(batchv1.IndexedCompletion).WithCompletions(in.Shards).WithParallelism(in.Shards).WithSuspend(in.Suspend)
	j := batchac.Job(name, in.Owner.Namespace).WithLabels(Labels(Dispatch, in.Owner.Name)).WithLabels(map[string]string{StoreLabel: in.Store}).WithOwnerReferences(in.Owner.reference()).WithSpec(spec)
	return []runtime.ApplyConfiguration{dispatchPolicy(in), cm, j}, nil
}

func job(p Platform, at Placement, c Component, part, instance, tls, credentials string) *batchac.JobSpecApplyConfiguration {
	return batchac.JobSpec().WithBackoffLimit(backoffLimit).WithTemplate(podTemplate(p, at, workload{
		component: c, part: part, instance: instance, config: instance + "-" + string(c) + "-config",
		mounts: []mount{
			{name: "tls", path: tlsPath, secret: tls},
			{name: "credentials", path: credentialsPath, secret: credentials},
		},
		restart: corev1.RestartPolicyOnFailure,
	}))
}
