package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// Reasons of ResidencyPolicy, beside those in api/meta/v1alpha1.
const (
	// ReasonNodesAttested is used with Ready (True) when at least one node is eligible.
	ReasonNodesAttested metav1alpha1.ConditionReason = "NodesAttested"

	// ReasonNoEligibleNode is used with Ready (False) when no node is attested to be inside.
	// ConsentStore uses it too, with Ready (False), while its pod cannot be placed.
	ReasonNoEligibleNode metav1alpha1.ConditionReason = "NoEligibleNode"

	// ReasonViolationsFound is used with Compliant (False) when something of a governed
	// namespace is outside; `status.violations` names the worst.
	ReasonViolationsFound metav1alpha1.ConditionReason = "ViolationsFound"

	// ReasonNoViolations is used with Compliant (True).
	ReasonNoViolations metav1alpha1.ConditionReason = "NoViolations"

	// ReasonKindsUnread is used with Compliant (Unknown) when nothing was found outside, but
	// a kind that is installed cannot be read.
	ReasonKindsUnread metav1alpha1.ConditionReason = "KindsUnread"

	// ReasonNodeCordoned is the reason of an event: a node outside was closed to new pods.
	ReasonNodeCordoned metav1alpha1.ConditionReason = "NodeCordoned"

	// ReasonPodsEvicted is the reason of an event: governed pods were evicted from nodes
	// outside.
	ReasonPodsEvicted metav1alpha1.ConditionReason = "PodsEvicted"

	// ReasonGuardInstalled is used with GuardInstalled (True) when the compiled policies in
	// the API server are the ones this spec compiles to.
	ReasonGuardInstalled metav1alpha1.ConditionReason = "GuardInstalled"

	// ReasonGuardMissing is used with GuardInstalled (False) when they are missing or differ.
	ReasonGuardMissing metav1alpha1.ConditionReason = "GuardMissing"

	// ReasonEnforced is used with Enforced (True) when every API server has refused an attack
	// on each topic that can be tried.
	ReasonEnforced metav1alpha1.ConditionReason = "Enforced"

	// ReasonNotYetEnforced is used with Enforced (False) while an API server lets an attack
	// pass, and with Enforced (Unknown) while none could be tried.
	ReasonNotYetEnforced metav1alpha1.ConditionReason = "NotYetEnforced"

	// ReasonNotEnforcing is used with Enforced (False) while `spec.enforcement` is not Enforce.
	ReasonNotEnforcing metav1alpha1.ConditionReason = "NotEnforcing"

	// ReasonGuardNotUnderstood is used with Enforced (False) when the API server warns of an
	// expression of the guard.
	ReasonGuardNotUnderstood metav1alpha1.ConditionReason = "GuardNotUnderstood"

	// ReasonRulePackUnknown is used with Ready (False) and Stalled (True) when the manager does
	// not have the rule pack that the spec names.
	ReasonRulePackUnknown metav1alpha1.ConditionReason = "RulePackUnknown"

	// ReasonClassPrefixTaken is used with Ready (False) when an older policy has a class prefix
	// that begins with this one's, or the other way round: the guard is not installed, because
	// the two would refuse each other's volumes.
	ReasonClassPrefixTaken metav1alpha1.ConditionReason = "ClassPrefixTaken"

	// ReasonInUse is used with Ready (False) when the policy is being deleted while
	// namespaces still carry its name.
	ReasonInUse metav1alpha1.ConditionReason = "InUse"
)

// Condition types of ResidencyPolicy, beside Ready, Reconciling and Stalled.
const (
	// ConditionCompliant says whether everything of the governed namespaces is inside.
	ConditionCompliant metav1alpha1.ConditionType = "Compliant"

	// ConditionGuardInstalled says whether the compiled policies are those of this spec.
	ConditionGuardInstalled metav1alpha1.ConditionType = "GuardInstalled"

	// ConditionEnforced says whether every API server refuses what the guard forbids.
	ConditionEnforced metav1alpha1.ConditionType = "Enforced"
)

// ResidencyPolicyStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type ResidencyPolicyStatus struct {
	// conditions are Ready, Compliant, GuardInstalled, Enforced, and Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes; -1 means none yet.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// eligibleNodes lists the first 500 nodes attested to be inside, sorted by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=500
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	EligibleNodes []string `json:"eligibleNodes,omitempty"`

	// eligibleNodeCount is the number of all nodes attested to be inside. Unset means not yet counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	EligibleNodeCount *int32 `json:"eligibleNodeCount,omitempty"`

	// refusedNodes lists the first 100 nodes that do not count as inside, sorted by name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	RefusedNodes []RefusedNode `json:"refusedNodes,omitempty"`

	// refusedNodeCount is the number of all nodes that do not count as inside. Unset means not yet counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RefusedNodeCount *int32 `json:"refusedNodeCount,omitempty"`

	// governedNamespaces lists the namespaces that carry this policy's name, sorted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	GovernedNamespaces []string `json:"governedNamespaces,omitempty"`

	// violations counts what was found outside although it belongs to a governed namespace.
	// +optional
	Violations ViolationSummary `json:"violations,omitempty,omitzero"`

	// transferCounters tell how many people's records left in a year, per processor.
	// +optional
	// +listType=map
	// +listMapKey=processor
	// +listMapKey=year
	// +kubebuilder:validation:MaxItems=32
	TransferCounters []TransferCounter `json:"transferCounters,omitempty"`

	// guardTextHash is the hash over the text that this spec compiles to.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=80
	GuardTextHash string `json:"guardTextHash,omitempty"`
}

// RefusedNode is a node that does not count as inside.
type RefusedNode struct {
	// name is the name of the node.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// reason is the stable code, such as RegionSignalsDisagree.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`

	// message says what was seen on the node.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// ViolationSummary counts violations and names the worst.
// +kubebuilder:validation:MinProperties=1
type ViolationSummary struct {
	// count is the number of all violations.
	// +required
	// +kubebuilder:validation:Minimum=0
	Count *int32 `json:"count,omitempty"`

	// byKind counts them by the kind of the object. Kinds without any are left out.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +kubebuilder:validation:MaxItems=16
	ByKind []KindCount `json:"byKind,omitempty"`

	// worst lists up to 20 of them, the gravest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Worst []Violation `json:"worst,omitempty"`
}

// KindCount is a number of objects of one kind.
type KindCount struct {
	// kind is the kind of the objects.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// count is how many there are.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
}

// Violation is one object of, or about, a governed namespace that is outside.
type Violation struct {
	// kind is the kind of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// namespace is its namespace. Unset means that the object is cluster-scoped.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// reason is the stable code.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`

	// message says what was found.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// TransferCounter tells how many people's records one processor sent out in one year
// (Asia/Shanghai); every person counts once.
type TransferCounter struct {
	// processor is the name of the legal entity.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Processor string `json:"processor,omitempty"`

	// year is the calendar year.
	// +required
	// +kubebuilder:validation:Minimum=2000
	// +kubebuilder:validation:Maximum=9999
	Year int32 `json:"year,omitempty"`

	// nonSensitivePersons is the number of people of whom nothing sensitive left.
	// +required
	NonSensitivePersons metav1alpha1.PeopleCount `json:"nonSensitivePersons,omitempty"`

	// sensitivePersons is the number of people of whom something sensitive left.
	// +required
	SensitivePersons metav1alpha1.PeopleCount `json:"sensitivePersons,omitempty"`

	// tier is what the numbers of the year ask for: None, Contract or SecurityAssessment. Unset
	// in years that are over.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Tier string `json:"tier,omitempty"`

	// nextTier is the tier that comes. Unset when there is none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NextTier string `json:"nextTier,omitempty"`

	// leftUntilNextTier is how many people are left until it is reached, at least.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LeftUntilNextTier *int64 `json:"leftUntilNextTier,omitempty"`

	// forecastTime is when it is reached at the rate of the year so far. Unset means not within
	// the year.
	// +optional
	ForecastTime metav1.Time `json:"forecastTime,omitempty,omitzero"`
}
