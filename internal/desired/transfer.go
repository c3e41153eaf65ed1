package desired

import (
	"k8s.io/apimachinery/pkg/runtime"
	batchac "k8s.io/client-go/applyconfigurations/batch/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"
)

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
	EncryptFor        []string
	Limits            TransferLimits
	Destination       Destination
	CredentialsSecret string
}

// TransferLimits bound what a transfer writes. Zero sets no bound.
type TransferLimits struct {
	Bytes          int64 `json:"bytes,omitempty"`
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
	People         int   `json:"people,omitempty"` // in one object
}

// Destination is where a transfer goes: one of S3, HTTPS and SFTP, as the Job reads it, and
// what its network policy opens.
type Destination struct {
	Type      string         `json:"type"`
	S3        *S3Bucket      `json:"s3,omitempty"`
	HTTPS     *HTTPSEndpoint `json:"https,omitempty"`
	SFTP      *SFTPServer    `json:"sftp,omitempty"`
	Addresses []string       `json:"addresses,omitempty"` // the only ones to connect to; none: those of the name
	CIDRs     []string       `json:"-"`
	Port      int32          `json:"-"`
}

// S3Bucket is a bucket.
type S3Bucket struct {
	Endpoint string `json:"endpoint"`
	Region   string `json:"region,omitempty"`
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix,omitempty"`
}

// HTTPSEndpoint takes objects by PUT.
type HTTPSEndpoint struct {
	URL   string `json:"url"`
	KeyID string `json:"keyID"`
}

// SFTPServer is a directory of an SSH server.
type SFTPServer struct {
	Address   string   `json:"address"` // host:port
	User      string   `json:"user"`
	Directory string   `json:"directory,omitempty"`
	HostKeys  []string `json:"hostKeys"`
}

// TransferName names the Job of a transfer.
func TransferName(transfer string) string { return transfer + "-transfer" }

// TransferTLSName names the Secret with its certificate.
func TransferTLSName(transfer string) string { return transfer + "-transfer-tls" }

// TransferChildren are the children of a transfer, in the order to apply them in.
func TransferChildren(in TransferInput) ([]runtime.ApplyConfiguration, error) {
	route, err := TransferRoute(in)
	if err != nil {
		return nil, err
	}
	spec := job(in.Platform, in.Placement, Transfer, in.part(), in.Owner.Name, TransferTLSName(in.Owner.Name), in.CredentialsSecret)
	j := batchac.Job(TransferName(in.Owner.Name), in.Owner.Namespace).WithLabels(Labels(Transfer, in.Owner.Name)).WithOwnerReferences(in.Owner.reference()).WithSpec(spec)
	return append(route, j), nil
}

// TransferRoute is those of the children that say where the destination is: the network
// policy and the configuration. Both change when the destination moves.
func TransferRoute(in TransferInput) ([]runtime.ApplyConfiguration, error) {
	cm, _, err := configMap(in.Owner, Transfer, TransferName(in.Owner.Name)+"-config", in.config())
	if err != nil {
		return nil, err
	}
	return []runtime.ApplyConfiguration{transferPolicy(in), cm}, nil
}

// part is the subcommand: of a transfer of counts another one than of records.
func (in TransferInput) part() string {
	if len(in.Aggregates) > 0 {
		return "aggregate"
	}
	return string(Transfer)
}

// config is the configuration file of that part.
func (in TransferInput) config() any {
	if len(in.Aggregates) > 0 {
		return aggregateConfig{
			TransferID: in.TransferID, Name: in.Owner.Name, Recipient: in.Recipient, Format: in.Format, Aggregates: in.Aggregates, EncryptFor: in.EncryptFor,
			Store: StoreAddress(in.Owner.Namespace, in.Store), TLS: files(), CredentialsDir: credentialsPath, ExtraCAFile: in.Platform.extraCAFile(),
			Destination: in.Destination,
		}
	}
	return transferConfig{
		TransferID: in.TransferID, Name: in.Owner.Name, Recipient: in.Recipient, Format: in.Format, Fields: in.Fields,
		EncryptFor: in.EncryptFor, Limits: in.Limits,
		Store: StoreAddress(in.Owner.Namespace, in.Store), TLS: files(), CredentialsDir: credentialsPath, ExtraCAFile: in.Platform.extraCAFile(),
		Destination: in.Destination,
	}
}

// transferPolicy opens the addresses of the destination to the pods of this Job, and nothing
// else outside.
func transferPolicy(in TransferInput) *networkingac.NetworkPolicyApplyConfiguration {
	return policy(in.Owner, Transfer, nil, append(innerEgress(in.Store), outside(in.Destination.Port, in.Destination.CIDRs)...))
}
