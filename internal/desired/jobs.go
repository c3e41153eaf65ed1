package desired

import (
	"fmt"
	"net/url"
	"strconv"

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

// TransferInput is what the children of a DataTransfer are made of.
type TransferInput struct {
	Owner             Owner
	Placement         Placement
	Platform          Platform
	Store             string
	TransferID        string
	Recipient         string
	Format            string
	Fields            []string
	Aggregates        []string // instead of fields: the Job tells counts, and knows no row
	Bucket            S3Bucket
	CredentialsSecret string
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

// aggregatePart is the subcommand for a transfer of counts.
const aggregatePart = "aggregate"

// TransferName names the Job of a transfer.
func TransferName(transfer string) string { return transfer + "-transfer" }

// TransferTLSName names the Secret with its certificate.
func TransferTLSName(transfer string) string { return transfer + "-transfer-tls" }

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
	spec := job(in.Platform, in.Placement, Dispatch, "", in.Owner.Name, DispatchTLSName(in.Owner.Name), in.CredentialsSecret).
		WithCompletionMode(batchv1.IndexedCompletion).WithCompletions(in.Shards).WithParallelism(in.Shards).WithSuspend(in.Suspend)
	j := batchac.Job(name, in.Owner.Namespace).WithLabels(Labels(Dispatch, in.Owner.Name)).WithLabels(map[string]string{StoreLabel: in.Store}).WithOwnerReferences(in.Owner.reference()).WithSpec(spec)
	return []runtime.ApplyConfiguration{dispatchPolicy(in), cm, j}, nil
}

// TransferChildren are the children of a transfer, in the order to apply them in.
func TransferChildren(in TransferInput) ([]runtime.ApplyConfiguration, error) {
	destination, err := portOf(in.Bucket.Endpoint)
	if err != nil {
		return nil, err
	}
	name, part, config := TransferName(in.Owner.Name), "", any(in.config())
	if len(in.Aggregates) > 0 {
		part, config = aggregatePart, in.aggregateConfig()
	}
	cm, _, err := configMap(in.Owner, Transfer, name+"-config", config)
	if err != nil {
		return nil, err
	}
	spec := job(in.Platform, in.Placement, Transfer, part, in.Owner.Name, TransferTLSName(in.Owner.Name), in.CredentialsSecret)
	j := batchac.Job(name, in.Owner.Namespace).WithLabels(Labels(Transfer, in.Owner.Name)).WithOwnerReferences(in.Owner.reference()).WithSpec(spec)
	return []runtime.ApplyConfiguration{transferPolicy(in, destination), cm, j}, nil
}

func (in TransferInput) config() transferConfig {
	return transferConfig{
		TransferID: in.TransferID, Name: in.Owner.Name, Recipient: in.Recipient, Format: in.Format, Fields: in.Fields,
		Store: StoreAddress(in.Owner.Namespace, in.Store), TLS: files(), CredentialsDir: credentialsPath, ExtraCAFile: in.Platform.extraCAFile(),
		Destination: transferDestination{Type: "S3", S3: in.Bucket},
	}
}

func (in TransferInput) aggregateConfig() aggregateConfig {
	return aggregateConfig{
		TransferID: in.TransferID, Name: in.Owner.Name, Recipient: in.Recipient, Format: in.Format, Aggregates: in.Aggregates,
		Store: StoreAddress(in.Owner.Namespace, in.Store), TLS: files(), CredentialsDir: credentialsPath, ExtraCAFile: in.Platform.extraCAFile(),
		Destination: transferDestination{Type: "S3", S3: in.Bucket},
	}
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

// portOf tells the port of an https address.
func portOf(endpoint string) (int32, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return 0, fmt.Errorf("read destination: `endpoint` is not an address")
	}
	if u.Port() == "" {
		return 443, nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("read destination: `endpoint` has no valid port")
	}
	return int32(n), nil
}
