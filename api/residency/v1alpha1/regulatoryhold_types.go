package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// HoldAuthority is the authority that ordered a hold.
// +kubebuilder:validation:Enum=PublicSecurity;StateSecurity;CAC;Other
type HoldAuthority string

// Authorities.
const (
	// AuthorityPublicSecurity is an organ of public security.
	AuthorityPublicSecurity HoldAuthority = "PublicSecurity"
	// AuthorityStateSecurity is an organ of state security.
	AuthorityStateSecurity HoldAuthority = "StateSecurity"
	// AuthorityCAC is the Cyberspace Administration.
	AuthorityCAC HoldAuthority = "CAC"
	// AuthorityOther is a court or another authority.
	AuthorityOther HoldAuthority = "Other"
)

// HoldType says what kind of order it is, and so by which code it refuses.
// +kubebuilder:validation:Enum=Order;SecurityReview;RecipientRestriction;DestinationRestriction
type HoldType string

// Hold types.
const (
	// HoldOrder refuses with PublicSecurityHold.
	HoldOrder HoldType = "Order"
	// HoldSecurityReview refuses with NationalSecurityReview while the review lasts.
	HoldSecurityReview HoldType = "SecurityReview"
	// HoldRecipientRestriction puts recipients on a list of those to whom nothing is given.
	HoldRecipientRestriction HoldType = "RecipientRestriction"
	// HoldDestinationRestriction does the same with countries.
	HoldDestinationRestriction HoldType = "DestinationRestriction"
)

// RegulatoryHoldSpec is an authority's order. It wins over consent, contract and assessment
// at once, also over a transfer that is running.
// +kubebuilder:validation:XValidation:rule="!has(self.expiryTime) || self.expiryTime > self.effectiveTime",message="`expiryTime` must be later than `effectiveTime`"
type RegulatoryHoldSpec struct {
	// authority is who ordered it. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`authority` may not change: create another RegulatoryHold instead"
	Authority HoldAuthority `json:"authority,omitempty"`

	// type is the kind of order. Unset means Order.
	// +optional
	Type HoldType `json:"type,omitempty"`

	// reference is the number of the order. It cannot change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`reference` may not change: create another RegulatoryHold instead"
	Reference string `json:"reference,omitempty"`

	// effectiveTime is when the order takes effect.
	// +required
	EffectiveTime metav1.Time `json:"effectiveTime,omitempty,omitzero"`

	// expiryTime is when it ends. Unset means when this object is deleted.
	// +optional
	ExpiryTime metav1.Time `json:"expiryTime,omitempty,omitzero"`

	// scope is what the order covers.
	// +required
	Scope HoldScope `json:"scope,omitempty,omitzero"`
}

// HoldScope is what an order covers.
type HoldScope struct {
	// policies lists the ResidencyPolicies whose namespaces it covers.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Policies []string `json:"policies,omitempty"`

	// recipients lists the recipients that nothing may go to. Unset means all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Recipients []string `json:"recipients,omitempty"`

	// countries lists the countries that nothing may go to, by their ISO 3166-1 codes. Unset
	// means all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=2
	// +kubebuilder:validation:items:Pattern=`^[A-Z]{2}$`
	Countries []string `json:"countries,omitempty"`

	// categories lists the kinds of data of which none may leave. Unset means all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Categories []DataCategory `json:"categories,omitempty"`

	// stores lists the ConsentStores of which nothing may leave, as namespace/name. Unset means
	// all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=127
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z]([-a-z0-9]*[a-z0-9])?$`
	Stores []string `json:"stores,omitempty"`
}

// HoldActivity says whether a hold is obeyed now.
// +kubebuilder:validation:Enum=Yes;No
type HoldActivity string

// Activities. Unset means not yet known; the data plane then treats the hold as active.
const (
	// HoldActive is obeyed.
	HoldActive HoldActivity = "Yes"
	// HoldInactive lies before effectiveTime or after expiryTime.
	HoldInactive HoldActivity = "No"
)

// Reasons of RegulatoryHold, beside those in api/meta/v1alpha1.
const (
	// ReasonActive is used with Ready (True) while every covered store obeys the hold.
	ReasonActive metav1alpha1.ConditionReason = "Active"

	// ReasonNotYetEffective is used with Ready (True) before effectiveTime.
	ReasonNotYetEffective metav1alpha1.ConditionReason = "NotYetEffective"

	// ReasonExpired is used with Ready (True) after expiryTime.
	ReasonExpired metav1alpha1.ConditionReason = "Expired"

	// ReasonNotObeyed is used with Ready (False) while a covered store has not confirmed the
	// hold; such a store refuses every transfer once its policy view is too old.
	ReasonNotObeyed metav1alpha1.ConditionReason = "NotObeyed"
)

// RegulatoryHoldStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type RegulatoryHoldStatus struct {
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

	// active says whether the hold is obeyed now.
	// +optional
	Active HoldActivity `json:"active,omitempty"`

	// affectedPolicies lists the policies in scope that exist, sorted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	AffectedPolicies []string `json:"affectedPolicies,omitempty"`
}

// RegulatoryHold is an authority's order to let nothing leave.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=rhol,categories=maodian
// +kubebuilder:printcolumn:name="Authority",type=string,JSONPath=`.spec.authority`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="Reference",type=string,JSONPath=`.spec.reference`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Effective",type=string,format=date-time,priority=1,JSONPath=`.spec.effectiveTime`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type RegulatoryHold struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the order.
	// +required
	Spec RegulatoryHoldSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status RegulatoryHoldStatus `json:"status,omitempty,omitzero"`
}

// RegulatoryHoldList is a list of RegulatoryHold.
//
// +kubebuilder:object:root=true
type RegulatoryHoldList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RegulatoryHold `json:"items"`
}
