package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Enforcement says what the guard does with a request that breaks the policy.
// +kubebuilder:validation:Enum=Enforce;Warn;Audit
type Enforcement string

// Enforcement modes.
const (
	// EnforcementEnforce refuses.
	EnforcementEnforce Enforcement = "Enforce"
	// EnforcementWarn lets pass and warns the caller.
	EnforcementWarn Enforcement = "Warn"
	// EnforcementAudit lets pass and writes an audit annotation.
	EnforcementAudit Enforcement = "Audit"
)

// CIIOStatus says whether a legal entity operates critical information infrastructure.
// +kubebuilder:validation:Enum=Yes;No;Unknown
type CIIOStatus string

// CIIO states.
const (
	// CIIOYes needs a security assessment for every transfer.
	CIIOYes CIIOStatus = "Yes"
	// CIIONo lets volumes decide.
	CIIONo CIIOStatus = "No"
	// CIIOUnknown refuses transfers.
	CIIOUnknown CIIOStatus = "Unknown"
)

// Attestation says who vouches for the place of a node.
// +kubebuilder:validation:Enum=ProviderID;Administrator
type Attestation string

// Attestation modes.
const (
	// AttestationProviderID needs region label and `spec.providerID` to agree.
	AttestationProviderID Attestation = "ProviderID"
	// AttestationAdministrator accepts an attestor's label, for bare metal.
	AttestationAdministrator Attestation = "Administrator"
)

// Sharing says who else may run on the nodes that are inside.
// +kubebuilder:validation:Enum=Shared;Exclusive
type Sharing string

// Sharing modes.
const (
	// SharingShared lets pods of other namespaces run beside governed ones.
	SharingShared Sharing = "Shared"
	// SharingExclusive keeps them off: a node agent can read the volumes and logs of a node.
	SharingExclusive Sharing = "Exclusive"
)

// LostAttestation says what happens to governed pods on a node that is outside.
// +kubebuilder:validation:Enum=Report;CordonAndEvict
type LostAttestation string

// What happens to pods on a node that lost its attestation.
const (
	// LostAttestationReport tells, and touches nothing.
	LostAttestationReport LostAttestation = "Report"
	// LostAttestationCordonAndEvict closes the node and evicts the policy's pods from it.
	LostAttestationCordonAndEvict LostAttestation = "CordonAndEvict"
)

// ResidencyPolicySpec declares where the data of governed namespaces may rest and flow.
// A namespace chooses its policy by the label residency.maodian.dev/policy.
type ResidencyPolicySpec struct {
	// jurisdiction is the value of the attested node label. It cannot change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`jurisdiction` may not change: create another policy instead"
	Jurisdiction string `json:"jurisdiction,omitempty"`

	// enforcement says what the guard does with a request that breaks the policy.
	// +required
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// rulePack is the version of the statutory constants and rules that decisions use.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[a-z]{2}-[0-9]{4}-[0-9]{2}$`
	RulePack string `json:"rulePack,omitempty"`

	// guardianConsentAge is the age in years below which a guardian must consent. The law
	// says 14; a policy may be stricter, up to 18.
	// +required
	// +kubebuilder:validation:Minimum=14
	// +kubebuilder:validation:Maximum=18
	GuardianConsentAge int32 `json:"guardianConsentAge,omitempty"`

	// processor is the legal entity that answers for the data; transfer counters run per processor.
	// +required
	Processor ProcessorIdentity `json:"processor,omitempty,omitzero"`

	// nodes says which nodes are inside.
	// +required
	Nodes PolicyNodes `json:"nodes,omitempty,omitzero"`

	// storage says which volumes are inside.
	// +required
	Storage PolicyStorage `json:"storage,omitempty,omitzero"`

	// images says where container images may come from.
	// +required
	Images PolicyImages `json:"images,omitempty,omitzero"`

	// network says what governed pods may reach. Unset means nothing outside the cluster.
	// +optional
	Network PolicyNetwork `json:"network,omitempty,omitzero"`

	// identities names the groups and schedulers that the guard treats differently.
	// +required
	Identities PolicyIdentities `json:"identities,omitempty,omitzero"`
}

// ProcessorIdentity is the legal entity that decides why and how data are processed.
type ProcessorIdentity struct {
	// name is a stable short name of the entity; the year's counters are kept under it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`processor.name` may not change: the year's transfer counters run under it"
	Name string `json:"name,omitempty"`

	// contact is how people and authorities reach the entity.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=254
	Contact string `json:"contact,omitempty"`

	// ciioStatus says whether the entity operates critical information infrastructure.
	// Unknown refuses every transfer.
	// +required
	CIIOStatus CIIOStatus `json:"ciioStatus,omitempty"`

	// city is where the entity is registered, in lower case, such as shenzhen. A contract of the
	// Greater Bay Area needs it. Unset means that it is not said.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[a-z]+$`
	City string `json:"city,omitempty"`
}

// PolicyNodes says which nodes are inside the jurisdiction.
type PolicyNodes struct {
	// regions lists exact region names, as in the label topology.kubernetes.io/region.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="`regions` may not hold a wildcard or capital letters: name each region exactly"
	// +kubebuilder:validation:XValidation:rule="self.all(r, !r.contains('hongkong') && !(r in ['hk', 'hkg', 'eastasia', 'asia-east2']))",message="`regions` may not name a region in Hong Kong: it is outside the mainland"
	// +kubebuilder:validation:XValidation:rule="self.all(r, !r.contains('macau') && !r.contains('macao'))",message="`regions` may not name a region in Macau: it is outside the mainland"
	// +kubebuilder:validation:XValidation:rule="self.all(r, !r.contains('taiwan') && !(r in ['ap-taipei', 'tpe', 'tw-tp', 'tw-kh', 'asia-east1']))",message="`regions` may not name a region in Taiwan: it is outside the mainland"
	// +kubebuilder:validation:XValidation:rule="self.all(r, !r.matches('^ap-(south)?east-[0-9]+$'))",message="`regions` may not name ap-east-* or ap-southeast-*: they are outside the mainland"
	Regions []string `json:"regions,omitempty"`

	// zones lists exact zone names, as in the label topology.kubernetes.io/zone.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(z, z.matches('^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$'))",message="`zones` may not hold a wildcard: name each zone exactly"
	Zones []string `json:"zones,omitempty"`

	// attestation says who vouches for the place of a node.
	// +required
	Attestation Attestation `json:"attestation,omitempty"`

	// labelKey is the attested node label. A kubelet cannot write labels under
	// node-restriction.kubernetes.io, so only the manager and attestors can.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=190
	// +kubebuilder:validation:XValidation:rule="self.matches('^([-a-z0-9]+[.])*node-restriction[.]kubernetes[.]io/[-a-z0-9.]+$')",message="`labelKey` must lie under node-restriction.kubernetes.io: a kubelet could write any other"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`labelKey` may not change: running pods are pinned by it"
	LabelKey string `json:"labelKey,omitempty"`

	// sharing says who else may run on these nodes. Unset means Shared. With Exclusive, other
	// namespaces need the label residency.maodian.dev/node-agents: approved, which only
	// attestors write, to tolerate the taint of these nodes.
	// +optional
	Sharing Sharing `json:"sharing,omitempty"`

	// runtimeClasses lists the runtime classes that governed pods may name. Unset means none:
	// a runtime class can run a pod on another machine.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	RuntimeClasses []string `json:"runtimeClasses,omitempty"`

	// onLostAttestation says what happens when a governed pod runs on a node that is
	// outside. Unset means Report. CordonAndEvict closes the node to new pods and evicts
	// the pods of this policy's namespaces, where disruption budgets allow it; it acts only
	// while `enforcement` is Enforce, and opens no node again.
	// +optional
	OnLostAttestation LostAttestation `json:"onLostAttestation,omitempty"`
}

// PolicyStorage says which volumes are inside the jurisdiction.
type PolicyStorage struct {
	// classPrefix begins the name of every storage class that governed claims may use.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9][-a-z0-9.]*-$`
	ClassPrefix string `json:"classPrefix,omitempty"`

	// drivers lists the provisioners whose volumes may be bound.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9./]*[a-z0-9])?$`
	Drivers []string `json:"drivers,omitempty"`

	// topologyKeys lists the node labels that a volume's affinity may name as its place.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=190
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	TopologyKeys []string `json:"topologyKeys,omitempty"`
}

// PolicyImages says where images may come from.
type PolicyImages struct {
	// registries lists prefixes of image names. Each ends in a slash, so that
	// registry.example cannot stand for registry.example.attacker.test.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.endsWith('/'))",message="each of `registries` must end in '/'"
	// +kubebuilder:validation:XValidation:rule="self.all(r, !r.contains('*'))",message="`registries` may not hold a wildcard"
	Registries []string `json:"registries,omitempty"`
}

// PolicyNetwork says what governed pods may reach outside the cluster.
// +kubebuilder:validation:MinProperties=1
type PolicyNetwork struct {
	// hosts lists exact host names, or suffixes that begin with a dot.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(h, h.matches('^[.]?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'))",message="`hosts` may not hold a wildcard: write a host name, or a suffix that begins with a dot"
	Hosts []string `json:"hosts,omitempty"`

	// cidrs lists address ranges.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=4
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="each of `cidrs` must be an address range such as 10.0.0.0/8"
	// +kubebuilder:validation:XValidation:rule="self.all(c, !c.endsWith('/0'))",message="`cidrs` may not hold the whole internet"
	CIDRs []string `json:"cidrs,omitempty"`

	// ingressClasses lists the classes whose controllers run inside. Unset means that a
	// governed namespace has no Ingress.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	IngressClasses []string `json:"ingressClasses,omitempty"`

	// gatewayNamespaces lists the namespaces to whose Gateways routes may attach. Unset means
	// those of the route's own namespace.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	GatewayNamespaces []string `json:"gatewayNamespaces,omitempty"`
}

// PolicyIdentities names who may do what others may not.
type PolicyIdentities struct {
	// attestors lists groups that may write the attested label and weaken this policy.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(g, !g.startsWith('system:'))",message="`attestors` may not hold a group of the system"
	Attestors []string `json:"attestors,omitempty"`

	// breakGlass lists groups whose members a ResidencyException may let into governed pods.
	// Unset means nobody.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(g, !g.startsWith('system:'))",message="`breakGlass` may not hold a group of the system"
	BreakGlass []string `json:"breakGlass,omitempty"`

	// schedulers lists the schedulers that governed pods may name.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Schedulers []string `json:"schedulers,omitempty"`

	// tokenAudiences lists the audiences that tokens of governed service accounts may name,
	// beside the API server's own. Unset means none: a token for another audience can be the
	// key to a cloud abroad.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	TokenAudiences []string `json:"tokenAudiences,omitempty"`
}

// ResidencyPolicy declares a jurisdiction and what counts as inside it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=rpol,categories=maodian
// +kubebuilder:printcolumn:name="Jurisdiction",type=string,JSONPath=`.spec.jurisdiction`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.eligibleNodeCount`
// +kubebuilder:printcolumn:name="Violations",type=integer,JSONPath=`.status.violations.count`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Enforcement",type=string,priority=1,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Refused",type=integer,priority=1,JSONPath=`.status.refusedNodeCount`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type ResidencyPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec declares the policy.
	// +required
	Spec ResidencyPolicySpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ResidencyPolicyStatus `json:"status,omitempty,omitzero"`
}

// ResidencyPolicyList is a list of ResidencyPolicy.
//
// +kubebuilder:object:root=true
type ResidencyPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ResidencyPolicy `json:"items"`
}
