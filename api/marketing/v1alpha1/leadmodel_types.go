package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// LeadModelSpec turns what people do into points, and points into stages.
type LeadModelSpec struct {
	// storeRef names the ConsentStore whose events are scored.
	// +required
	StoreRef metav1alpha1.LocalObjectReference `json:"storeRef,omitempty,omitzero"`

	// halfLifeDays is after how many days a point counts half.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	HalfLifeDays int32 `json:"halfLifeDays,omitempty"`

	// rules lists what gives points.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Rules []LeadRule `json:"rules,omitempty"`

	// stages lists the stages from the lowest to the highest.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.map(s, s.minPoints).isSorted()",message="`stages` must be in the order of their `minPoints`"
	// +kubebuilder:validation:XValidation:rule="self.all(s, self.exists_one(o, o.minPoints == s.minPoints))",message="`stages` may not have the same `minPoints` twice"
	Stages []LeadStage `json:"stages,omitempty"`
}

// LeadRule gives points for one kind of event.
type LeadRule struct {
	// name names the rule; a score is explained by these names.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// event is the type of the event as the platform writes it (subscribe, SCAN, CLICK), or
	// `message` for what people write.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_]*$`
	Event string `json:"event,omitempty"`

	// match is a CEL expression over `event`. Unset means every event of that type.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Match string `json:"match,omitempty"`

	// points is what the event gives; below zero it takes.
	// +required
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:validation:XValidation:rule="self != 0",message="`points` may not be 0: remove the rule instead"
	Points int32 `json:"points,omitempty"`

	// maxPerDay is how often a day it counts for one person. Unset means always.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxPerDay int32 `json:"maxPerDay,omitempty"`
}

// LeadStage is a stage that a person reaches with enough points.
type LeadStage struct {
	// name names the stage.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	Name string `json:"name,omitempty"`

	// minPoints is how many points it needs.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MinPoints int32 `json:"minPoints,omitempty"`
}

// Reasons of LeadModel, beside those in api/meta/v1alpha1.
const (
	// ReasonModelApplied is used with Ready (True) when the store scores by this spec.
	ReasonModelApplied metav1alpha1.ConditionReason = "ModelApplied"

	// ReasonModelInvalid is used with Ready (False) and Stalled (True) when a `match` does not
	// compile; the message names the rule.
	ReasonModelInvalid metav1alpha1.ConditionReason = "ModelInvalid"
)

// LeadModelStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type LeadModelStatus struct {
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

	// size is the number of people with a score.
	// +optional
	Size metav1alpha1.PeopleCount `json:"size,omitempty"`

	// evaluatedTime is when they were counted.
	// +optional
	EvaluatedTime metav1.Time `json:"evaluatedTime,omitempty,omitzero"`
}

// LeadModel turns what people do into points and stages.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=lmod,categories=maodian
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.spec.storeRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.size`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="HalfLife",type=integer,priority=1,JSONPath=`.spec.halfLifeDays`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type LeadModel struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the model.
	// +required
	Spec LeadModelSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status LeadModelStatus `json:"status,omitempty,omitzero"`
}

// LeadModelList is a list of LeadModel.
//
// +kubebuilder:object:root=true
type LeadModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LeadModel `json:"items"`
}
