package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// SendHoldSpec stops campaigns or accounts of its namespace while the object exists.
// +kubebuilder:validation:XValidation:rule="has(self.campaigns) || has(self.accounts)",message="one of `campaigns` and `accounts` must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.campaigns) || !has(self.accounts)",message="`campaigns` and `accounts` may not both be set"
type SendHoldSpec struct {
	// campaigns lists the PushCampaigns to stop. Unset means that accounts is set.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Campaigns []string `json:"campaigns,omitempty"`

	// accounts lists the WeChatAccounts that may send nothing. Unset means that campaigns is set.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Accounts []string `json:"accounts,omitempty"`

	// reason says why, for the colleagues.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}

// HoldActivity says whether every store in question obeys a hold.
// +kubebuilder:validation:Enum=Yes;No
type HoldActivity string

// Activities. Unset means not yet known.
const (
	// HoldActive is obeyed everywhere.
	HoldActive HoldActivity = "Yes"
	// HoldInactive is not yet obeyed everywhere.
	HoldInactive HoldActivity = "No"
)

// Reasons of SendHold, beside those in api/meta/v1alpha1.
const (
	// ReasonHoldActive is used with Ready (True) when every store in question obeys.
	ReasonHoldActive metav1alpha1.ConditionReason = "HoldActive"

	// ReasonNothingToHold is used with Ready (True) when nothing has one of the names.
	ReasonNothingToHold metav1alpha1.ConditionReason = "NothingToHold"
)

// SendHoldStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type SendHoldStatus struct {
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

	// active says whether every store in question obeys.
	// +optional
	Active HoldActivity `json:"active,omitempty"`

	// heldCampaigns is the number of campaigns that it stops. Unset means not yet counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	HeldCampaigns *int32 `json:"heldCampaigns,omitempty"`
}

// SendHold is the emergency stop. Creating it stops, deleting it resumes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=shol,categories=maodian
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Held",type=integer,JSONPath=`.status.heldCampaigns`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Campaigns",type=string,priority=1,JSONPath=`.spec.campaigns`
// +kubebuilder:printcolumn:name="Accounts",type=string,priority=1,JSONPath=`.spec.accounts`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type SendHold struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says what to stop.
	// +required
	Spec SendHoldSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status SendHoldStatus `json:"status,omitempty,omitzero"`
}

// SendHoldList is a list of SendHold.
//
// +kubebuilder:object:root=true
type SendHoldList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SendHold `json:"items"`
}
