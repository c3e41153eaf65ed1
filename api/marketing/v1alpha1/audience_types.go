package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// AudienceSpec selects people by what is known about them, never by name.
type AudienceSpec struct {
	// storeRef names the ConsentStore that the people are in.
	// +required
	StoreRef metav1alpha1.LocalObjectReference `json:"storeRef,omitempty,omitzero"`

	// leadModelRef names the LeadModel behind `lead`. Unset means that the expression may not
	// use `lead`.
	// +optional
	LeadModelRef metav1alpha1.LocalObjectReference `json:"leadModelRef,omitempty,omitzero"`

	// expression is a CEL expression over `profile` and `lead` that says whether a
	// person belongs to the audience. The store compiles it to SQL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Expression string `json:"expression,omitempty"`
}

// Reasons of Audience, beside those in api/meta/v1alpha1.
const (
	// ReasonAudienceEvaluated is used with Ready (True) when the size is of this spec.
	ReasonAudienceEvaluated metav1alpha1.ConditionReason = "AudienceEvaluated"

	// ReasonAudienceInvalid is used with Ready (False) and Stalled (True) when the expression
	// does not compile. PushCampaign uses it when its audience has it.
	ReasonAudienceInvalid metav1alpha1.ConditionReason = "AudienceInvalid"

	// ReasonLeadModelMissing is used with Ready (False) and Stalled (True) when `leadModelRef`
	// names no LeadModel.
	ReasonLeadModelMissing metav1alpha1.ConditionReason = "LeadModelMissing"
)

// AudienceStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type AudienceStatus struct {
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

	// size is the number of people in the audience, before consent is looked at.
	// +optional
	Size metav1alpha1.PeopleCount `json:"size,omitempty"`

	// evaluatedTime is when they were counted.
	// +optional
	EvaluatedTime metav1.Time `json:"evaluatedTime,omitempty,omitzero"`
}

// Audience selects people by what is known about them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=audi,categories=maodian
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.spec.storeRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.size`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="LeadModel",type=string,priority=1,JSONPath=`.spec.leadModelRef.name`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type Audience struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec selects people.
	// +required
	Spec AudienceSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status AudienceStatus `json:"status,omitempty,omitzero"`
}

// AudienceList is a list of Audience.
//
// +kubebuilder:object:root=true
type AudienceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Audience `json:"items"`
}
