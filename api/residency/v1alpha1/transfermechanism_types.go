package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// MechanismType is a way by which the law lets personal data leave.
// +kubebuilder:validation:Enum=SecurityAssessment;StandardContract;Certification;GBAStandardContract
type MechanismType string

// Mechanism types.
const (
	// MechanismSecurityAssessment is passed by the Cyberspace Administration.
	MechanismSecurityAssessment MechanismType = "SecurityAssessment"
	// MechanismStandardContract is signed and filed.
	MechanismStandardContract MechanismType = "StandardContract"
	// MechanismCertification is issued by a certification body.
	MechanismCertification MechanismType = "Certification"
	// MechanismGBAStandardContract is the contract of the Greater Bay Area.
	MechanismGBAStandardContract MechanismType = "GBAStandardContract"
)

// MechanismState is where a mechanism is in its life.
// +kubebuilder:validation:Enum=Draft;Filed;UnderReview;InForce;ExtensionRequested;Suspended;Expired;Revoked;Superseded
type MechanismState string

// Mechanism states. Only InForce and ExtensionRequested let anything leave.
const (
	MechanismDraft              MechanismState = "Draft"
	MechanismFiled              MechanismState = "Filed"
	MechanismUnderReview        MechanismState = "UnderReview"
	MechanismInForce            MechanismState = "InForce"
	MechanismExtensionRequested MechanismState = "ExtensionRequested"
	MechanismSuspended          MechanismState = "Suspended"
	MechanismExpired            MechanismState = "Expired"
	MechanismRevoked            MechanismState = "Revoked"
	MechanismSuperseded         MechanismState = "Superseded"
)

// TransferMechanismSpec records a mechanism. Scope and validity are compared at every run.
// +kubebuilder:validation:XValidation:rule="!has(self.expiryTime) || !has(self.effectiveTime) || self.expiryTime > self.effectiveTime",message="`expiryTime` must be later than `effectiveTime`"
// +kubebuilder:validation:XValidation:rule="self.state != 'InForce' || has(self.effectiveTime)",message="`effectiveTime` must be set when `state` is InForce"
type TransferMechanismSpec struct {
	// type is the kind of mechanism. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`type` may not change: create another TransferMechanism instead"
	Type MechanismType `json:"type,omitempty"`

	// reference is the number under which it is filed. It cannot change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`reference` may not change: create another TransferMechanism instead"
	Reference string `json:"reference,omitempty"`

	// state is where it is in its life.
	// +required
	State MechanismState `json:"state,omitempty"`

	// effectiveTime is when it takes effect. Unset means not yet known.
	// +optional
	EffectiveTime metav1.Time `json:"effectiveTime,omitempty,omitzero"`

	// filedTime is when it was filed. A standard contract must be filed within ten working
	// days of its effect. Unset means not yet filed.
	// +optional
	FiledTime metav1.Time `json:"filedTime,omitempty,omitzero"`

	// expiryTime is when it ends. Unset means that the rule pack's validity counts from
	// effectiveTime, where the law sets one.
	// +optional
	ExpiryTime metav1.Time `json:"expiryTime,omitempty,omitzero"`

	// scope is what the mechanism covers.
	// +required
	Scope MechanismScope `json:"scope,omitempty,omitzero"`
}

// MechanismScope is what a mechanism covers. A transfer must lie wholly inside.
type MechanismScope struct {
	// recipients lists the names of the recipients.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Recipients []string `json:"recipients,omitempty"`

	// purposes lists the purposes.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	Purposes []metav1alpha1.Purpose `json:"purposes,omitempty"`

	// categories lists the kinds of data.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Categories []DataCategory `json:"categories,omitempty"`

	// maxPersons is the largest number of people in a year.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2000000000
	MaxPersons int64 `json:"maxPersons,omitempty"`

	// retentionDays is how long a recipient may keep the data, in days. Unset means that the
	// mechanism does not limit it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=36500
	RetentionDays int32 `json:"retentionDays,omitempty"`
}

// Reasons of TransferMechanism, beside those in api/meta/v1alpha1.
const (
	// ReasonInForce is used with Ready (True) while transfers may rely on the mechanism.
	// ResidencyException uses it too, while the guard honours it.
	ReasonInForce metav1alpha1.ConditionReason = "InForce"

	// ReasonMechanismNotInForce is used with Ready (False) before effectiveTime, or while the
	// state is one that lets nothing leave.
	ReasonMechanismNotInForce metav1alpha1.ConditionReason = "MechanismNotInForce"

	// ReasonMechanismExpired is used with Ready (False) and Stalled (True) after its end.
	ReasonMechanismExpired metav1alpha1.ConditionReason = "MechanismExpired"

	// ReasonMechanismSuspended is used with Ready (False) and Stalled (True) when the state is
	// Suspended, Revoked or Superseded.
	ReasonMechanismSuspended metav1alpha1.ConditionReason = "MechanismSuspended"

	// ReasonMechanismExpiring is used with Ready (True) when its end is near.
	ReasonMechanismExpiring metav1alpha1.ConditionReason = "MechanismExpiring"

	// ReasonStandardContractFilingDue is used with Ready (True) while a contract is in effect
	// and must still be filed.
	ReasonStandardContractFilingDue metav1alpha1.ConditionReason = "StandardContractFilingDue"

	// ReasonStandardContractNotFiled is used with Ready (False) and Stalled (True) when a
	// standard contract was not filed in time.
	ReasonStandardContractNotFiled metav1alpha1.ConditionReason = "StandardContractNotFiled"
)

// MechanismValidity says whether transfers may rely on a mechanism now.
// +kubebuilder:validation:Enum=Yes;No
type MechanismValidity string

// Validities. Unset means not yet known.
const (
	// InForceYes lets transfers rely on it.
	InForceYes MechanismValidity = "Yes"
	// InForceNo does not.
	InForceNo MechanismValidity = "No"
)

// TransferMechanismStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type TransferMechanismStatus struct {
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

	// inForce says whether transfers may rely on the mechanism now.
	// +optional
	InForce MechanismValidity `json:"inForce,omitempty"`

	// expiryTime is when it ends, by spec or by rule pack. Unset means that it has no end.
	// +optional
	ExpiryTime metav1.Time `json:"expiryTime,omitempty,omitzero"`
}

// TransferMechanism records by what right personal data may leave.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=tmec,categories=maodian
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Persons",type=integer,JSONPath=`.spec.scope.maxPersons`
// +kubebuilder:printcolumn:name="Expires",type=string,format=date-time,JSONPath=`.status.expiryTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="State",type=string,priority=1,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Reference",type=string,priority=1,JSONPath=`.spec.reference`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type TransferMechanism struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec records the mechanism.
	// +required
	Spec TransferMechanismSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status TransferMechanismStatus `json:"status,omitempty,omitzero"`
}

// TransferMechanismList is a list of TransferMechanism.
//
// +kubebuilder:object:root=true
type TransferMechanismList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TransferMechanism `json:"items"`
}
