package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// ExceptionTopic is a topic of the guard from which an exception can be made. Where data
// rest, run and are copied to is not among them: no exception moves data outside.
// +kubebuilder:validation:Enum=copies;images;interactive;network-policies;own-kinds;personal-data;config-maps;pod-endpoints;pod-host;roles;services;tokens
type ExceptionTopic string

// ResidencyExceptionSpec lets named people do for a time, in named namespaces, what the
// guard refuses. It cannot change: make another one instead.
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`spec` may not change: delete this ResidencyException, and create another"
type ResidencyExceptionSpec struct {
	// policyName names the ResidencyPolicy from whose guard it is an exception.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	PolicyName string `json:"policyName,omitempty"`

	// namespaces lists where it holds.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`

	// topics lists what it opens, as in the names residency-<policy>-<topic>.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	Topics []ExceptionTopic `json:"topics,omitempty"`

	// users lists the user names for whom it holds. For interactive and tokens they must be
	// members of one of the policy's `identities.breakGlass` too.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(u, !u.startsWith('system:'))",message="`users` may not name an account of the system"
	Users []string `json:"users,omitempty"`

	// reason says why, for whoever reads it later. Nothing personal belongs here.
	// +required
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason,omitempty"`

	// owner is the team or role that answers for it.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=128
	Owner string `json:"owner,omitempty"`

	// notAfterTime is when it ends: within 24 hours of its creation.
	// +required
	NotAfterTime metav1.Time `json:"notAfterTime,omitempty,omitzero"`
}

// Reasons of ResidencyException, beside those in api/meta/v1alpha1.
const (
	// ReasonEnded is used with Ready (False) after notAfterTime.
	ReasonEnded metav1alpha1.ConditionReason = "Ended"

	// ReasonTooLong is used with Ready (False) when notAfterTime is more than 24 hours after
	// creation: such an exception is never honoured.
	ReasonTooLong metav1alpha1.ConditionReason = "TooLong"

	// ReasonPolicyNotFound is used with Ready (False) when no such policy exists.
	ReasonPolicyNotFound metav1alpha1.ConditionReason = "PolicyNotFound"
)

// ResidencyExceptionStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type ResidencyExceptionStatus struct {
	// conditions are Ready, and Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes; -1 means none yet.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ResidencyException is a break-glass: who may do what, where, why, who answers for it, and
// until when. An attestor grants it, to somebody else.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=rexc,categories=maodian
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.spec.policyName`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner`
// +kubebuilder:printcolumn:name="Ends",type=string,format=date-time,JSONPath=`.spec.notAfterTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type ResidencyException struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the exception.
	// +required
	Spec ResidencyExceptionSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ResidencyExceptionStatus `json:"status,omitempty,omitzero"`
}

// ResidencyExceptionList is a list of ResidencyException.
//
// +kubebuilder:object:root=true
type ResidencyExceptionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ResidencyException `json:"items"`
}
