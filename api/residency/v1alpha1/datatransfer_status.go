package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// Decision is the answer to a DataTransfer.
// +kubebuilder:validation:Enum=Refused;Allowed
type Decision string

// Decisions. Unset means that there is none yet.
const (
	// DecisionRefused names its reasons in `status.refusals`.
	DecisionRefused Decision = "Refused"
	// DecisionAllowed lets the Job run; people may still be left out one by one.
	DecisionAllowed Decision = "Allowed"
)

// Reasons of DataTransfer, beside those in api/meta/v1alpha1. Refused is used with Ready
// (False), Complete (False) and Stalled (True); the codes are in `status.refusals`.
const (
	// ReasonTransferring is used with Ready (True) while the Job runs.
	ReasonTransferring metav1alpha1.ConditionReason = "Transferring"

	// ReasonTransferStarting is used with Ready (Unknown) and Reconciling (True) while the
	// Job has no running pod.
	ReasonTransferStarting metav1alpha1.ConditionReason = "TransferStarting"

	// ReasonTransferStopped is used with Ready (False), Complete (False) and Stalled (True)
	// when a hold stopped the transfer midway; the manifest tells what had left.
	ReasonTransferStopped metav1alpha1.ConditionReason = "TransferStopped"

	// ReasonStartByTimePassed is used with Ready (False), Complete (False) and Stalled (True)
	// when `spec.startByTime` came and the transfer had not started; nothing left.
	ReasonStartByTimePassed metav1alpha1.ConditionReason = "StartByTimePassed"

	// ReasonDestinationUnreachable is used with Ready (False) when the destination does not
	// take what is sent.
	ReasonDestinationUnreachable metav1alpha1.ConditionReason = "DestinationUnreachable"
)

// DataTransferStatus is what the manager decided and observed.
// +kubebuilder:validation:MinProperties=1
type DataTransferStatus struct {
	// conditions are Ready, Complete, and Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes; -1 means none yet.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// decision is the answer. Unset means that there is none yet.
	// +optional
	Decision Decision `json:"decision,omitempty"`

	// decidedTime is when the decision was made.
	// +optional
	DecidedTime metav1.Time `json:"decidedTime,omitempty,omitzero"`

	// decisionID names the store's decision in its ledger and in the manifest. Unset means that
	// the store has not decided yet.
	// +optional
	// +kubebuilder:validation:MinLength=32
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{32}$`
	DecisionID string `json:"decisionID,omitempty"`

	// refusals lists every rule that refuses the request.
	// +optional
	// +listType=map
	// +listMapKey=code
	// +kubebuilder:validation:MaxItems=64
	Refusals []Refusal `json:"refusals,omitempty"`

	// warnings lists what does not refuse the request and should be done soon.
	// +optional
	// +listType=map
	// +listMapKey=code
	// +kubebuilder:validation:MaxItems=64
	Warnings []Refusal `json:"warnings,omitempty"`

	// mechanism is the mechanism that the decision asks for: None, Contract or SecurityAssessment.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Mechanism string `json:"mechanism,omitempty"`

	// ground is why no mechanism is needed, such as BelowVolumeThreshold. Unset means that one is.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Ground string `json:"ground,omitempty"`

	// reserved is how many people the decision set aside in the year's counters, until the
	// transfer has ended and is counted exactly.
	// +optional
	Reserved TransferReservation `json:"reserved,omitempty,omitzero"`

	// persons is the number of people whose records left, or may have.
	// +optional
	Persons metav1alpha1.PeopleCount `json:"persons,omitempty"`

	// personsCounted is the number of people that the year's counter moved by: those whose
	// records had not left before in that year.
	// +optional
	PersonsCounted metav1alpha1.PeopleCount `json:"personsCounted,omitempty"`

	// excluded says how many people were left out for which reason.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=64
	Excluded []metav1alpha1.ReasonCount `json:"excluded,omitempty"`

	// aggregates tells how much of each table of counts left.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Aggregates []ReleasedAggregate `json:"aggregates,omitempty"`

	// manifest describes what was written.
	// +optional
	Manifest TransferManifest `json:"manifest,omitempty,omitzero"`

	// startTime is when the Job was created.
	// +optional
	StartTime metav1.Time `json:"startTime,omitempty,omitzero"`

	// completionTime is when it ended.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitempty,omitzero"`

	// jobName is the name of the Job.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	JobName string `json:"jobName,omitempty"`
}

// ReleasedAggregate is a table of counts that left.
type ReleasedAggregate struct {
	// name is the table.
	// +required
	Name AggregateName `json:"name,omitempty"`

	// cells is how many of its numbers were told, totals among them.
	// +required
	// +kubebuilder:validation:Minimum=0
	Cells *int32 `json:"cells,omitempty"`

	// suppressed is how many were not, because they are about few people, or would give such a
	// number away.
	// +required
	// +kubebuilder:validation:Minimum=0
	Suppressed *int32 `json:"suppressed,omitempty"`

	// countedTime is when its people were counted; before the transfer where the numbers are
	// those of an earlier one.
	// +optional
	CountedTime metav1.Time `json:"countedTime,omitempty,omitzero"`
}

// TransferReservation is how many people a transfer can add to the year's counters at most.
// +kubebuilder:validation:MinProperties=1
type TransferReservation struct {
	// nonSensitive is the number of people without sensitive data.
	// +optional
	// +kubebuilder:validation:Minimum=0
	NonSensitive *int64 `json:"nonSensitive,omitempty"`

	// sensitive is the number of people with sensitive data, rounded up.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sensitive *int64 `json:"sensitive,omitempty"`
}

// Refusal is one rule that refuses a request.
type Refusal struct {
	// code is the stable code, such as PIAMissing.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	Code string `json:"code,omitempty"`

	// cites lists the articles or policy fields behind it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	Cites []string `json:"cites,omitempty"`

	// field is the field of the spec to look at. Unset means that no field is to blame.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Field string `json:"field,omitempty"`

	// message says what is wrong.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// remedy says what would pass.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Remedy string `json:"remedy,omitempty"`
}

// TransferManifest describes what was written.
// +kubebuilder:validation:MinProperties=1
type TransferManifest struct {
	// object is the name of the manifest in the destination.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Object string `json:"object,omitempty"`

	// sha256 is the digest of the manifest, which has those of the records, in hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256,omitempty"`

	// rows is the number of records.
	// +optional
	Rows metav1alpha1.PeopleCount `json:"rows,omitempty"`

	// bytes is the size of the records, where there are at least 20. Unset means not told.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes *int64 `json:"bytes,omitempty"`
}
