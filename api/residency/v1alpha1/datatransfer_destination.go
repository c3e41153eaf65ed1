package v1alpha1

import (
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// DestinationType says what kind of place the records go to.
// +kubebuilder:validation:Enum=S3;HTTPS;SFTP
type DestinationType string

// Types of destinations.
const (
	// DestinationS3 is an S3-compatible bucket.
	DestinationS3 DestinationType = "S3"
	// DestinationHTTPS is an endpoint that takes objects by PUT.
	DestinationHTTPS DestinationType = "HTTPS"
	// DestinationSFTP is a directory of an SSH server.
	DestinationSFTP DestinationType = "SFTP"
)

// AgeRecipient is a public key of age (C2SP), X25519 or hybrid.
// +kubebuilder:validation:MinLength=62
// +kubebuilder:validation:MaxLength=4096
// +kubebuilder:validation:Pattern=`^age1[02-9ac-hj-np-z]+$`
type AgeRecipient string

// CIDR is a network in the form of RFC 4632, as 203.0.113.0/24. It is one that a destination
// may lie in, so neither half of the internet nor the node's own.
// +kubebuilder:validation:MinLength=4
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a network, as 203.0.113.0/24"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).prefixLength() >= (cidr(self).ip().family() == 4 ? 12 : 28)",message="must be at most a /12 of IPv4 or a /28 of IPv6: name the destination's networks, not the internet"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || !['127.0.0.1','169.254.169.254','100.100.100.200','::1','fe80::1'].exists(a, cidr(self).containsIP(a))",message="must not hold the node itself, or where a cloud tells a node its credentials"
type CIDR string

// SSHHostKey is a public key of an SSH server, as `ssh-keyscan` prints it, without the host.
// +kubebuilder:validation:MinLength=32
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}$`
type SSHHostKey string

// TransferLimits bound what a transfer writes.
// +kubebuilder:validation:MinProperties=1
type TransferLimits struct {
	// bytes is the most that all objects may have together. The transfer ends before the object
	// that would go beyond. Unset means that there is no such bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000000000
	Bytes int64 `json:"bytes,omitempty"`

	// bytesPerSecond is the rate of the whole transfer, on average. Unset means as fast as the
	// destination takes it.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=1000000000000
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`

	// peoplePerObject is how many people one object holds at most. Unset means 2000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2000
	PeoplePerObject int32 `json:"peoplePerObject,omitempty"`
}

// TransferDestination is where the records go.
// +kubebuilder:validation:XValidation:rule="has(self.s3) == (self.type == 'S3')",message="`s3` must be set when `type` is S3, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.https) == (self.type == 'HTTPS')",message="`https` must be set when `type` is HTTPS, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.sftp) == (self.type == 'SFTP')",message="`sftp` must be set when `type` is SFTP, and only then"
type TransferDestination struct {
	// type says which of the members below is meant.
	// +required
	Type DestinationType `json:"type,omitempty"`

	// s3 is an S3-compatible bucket. Only for the type S3.
	// +optional
	S3 S3Destination `json:"s3,omitempty,omitzero"`

	// https is an endpoint that takes objects by PUT. Only for the type HTTPS.
	// +optional
	HTTPS HTTPSDestination `json:"https,omitempty,omitzero"`

	// sftp is a directory of an SSH server. Only for the type SFTP.
	// +optional
	SFTP SFTPDestination `json:"sftp,omitempty,omitzero"`

	// cidrs lists the networks that the destination's addresses lie in; the transfer's pods reach
	// nothing else outside. Unset means the very addresses that its name has when the transfer
	// starts, which suits a server whose addresses stay.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	CIDRs []CIDR `json:"cidrs,omitempty"`
}

// S3Destination is an S3-compatible bucket.
type S3Destination struct {
	// endpoint is the https address of the server, without a path.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^https://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$`
	Endpoint string `json:"endpoint,omitempty"`

	// region is the name that requests are signed for. Unset means us-east-1, as S3 does.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Region string `json:"region,omitempty"`

	// bucket is the name of the bucket.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9][-a-z0-9.]*[a-z0-9]$`
	Bucket string `json:"bucket,omitempty"`

	// prefix begins the name of every object that is written and ends in a slash. Unset means none.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9][-A-Za-z0-9_.]*/)+$`
	Prefix string `json:"prefix,omitempty"`

	// credentialsSecretRef names a Secret with the keys `accessKeyID` and `secretAccessKey`.
	// +required
	CredentialsSecretRef metav1alpha1.LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`
}

// HTTPSDestination is an endpoint that takes objects by PUT. Each request is signed by HTTP
// Message Signatures (RFC 9421).
type HTTPSDestination struct {
	// url is the address that names of objects are added to; it ends in a slash.
	// +required
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?/([A-Za-z0-9][-A-Za-z0-9_.]*/)*$`
	URL string `json:"url,omitempty"`

	// keyID is the name under which the recipient knows the public key of the signatures.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][-A-Za-z0-9._:/#]*$`
	KeyID string `json:"keyID,omitempty"`

	// credentialsSecretRef names a Secret with the key `privateKey`, an Ed25519 key in PKCS #8 PEM.
	// +required
	CredentialsSecretRef metav1alpha1.LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`
}

// SFTPDestination is a directory of an SSH server.
type SFTPDestination struct {
	// host is the name of the server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Host string `json:"host,omitempty"`

	// port is where it listens. Unset means 22.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// user is the name to log in with.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_][-A-Za-z0-9_.]*$`
	User string `json:"user,omitempty"`

	// directory is where objects are written: of the user, or from the root if it begins with a
	// slash; it ends in a slash. Unset means where a login lands.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/?([A-Za-z0-9][-A-Za-z0-9_.]*/)*$`
	Directory string `json:"directory,omitempty"`

	// hostKeys lists the server's public keys; one of them must be shown before anything is sent.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	HostKeys []SSHHostKey `json:"hostKeys,omitempty"`

	// credentialsSecretRef names a Secret with the key `privateKey`, an SSH key without passphrase,
	// or `password`.
	// +required
	CredentialsSecretRef metav1alpha1.LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`
}
