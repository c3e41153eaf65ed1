package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// ScheduleLabel names the TransferSchedule that made a DataTransfer.
const ScheduleLabel = "residency.maodian.dev/transfer-schedule"

// TransferScheduleSpec says when a transfer is asked for again. Each time is another
// DataTransfer, decided anew; nothing is carried over from the one before.
type TransferScheduleSpec struct {
	// schedule is when, in the five fields of cron: minute, hour, day of the month, name or number
	// of the month, day of the week. At most once an hour.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule,omitempty"`

	// timeZone is the name of the zone that schedule is read in. Unset means Asia/Shanghai.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][-A-Za-z0-9_+/]*$`
	TimeZone string `json:"timeZone,omitempty"`

	// suspend makes no further transfers while it is true. One that has started goes on.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// startingDeadlineSeconds is how late a transfer may be made after its time, when the manager
	// was away or the one before had not ended. Unset means 3600.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=604800
	StartingDeadlineSeconds int32 `json:"startingDeadlineSeconds,omitempty"`

	// historyLimit is how many ended transfers are kept. The ledger keeps what left in any case.
	// Unset means 12.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HistoryLimit int32 `json:"historyLimit,omitempty"`

	// template is the transfer that is asked for each time.
	// +required
	Template TransferTemplate `json:"template,omitempty,omitzero"`
}

// TransferTemplate describes the transfers of a schedule.
type TransferTemplate struct {
	// spec is the request.
	// +required
	// +kubebuilder:validation:XValidation:rule="!has(self.startByTime)",message="`startByTime` may not be set: the schedule sets it"
	Spec DataTransferSpec `json:"spec,omitempty,omitzero"`
}

// Reasons of a TransferSchedule's conditions and events.
const (
	// ReasonWaitingForTime is used with Ready (True) while nothing is due.
	ReasonWaitingForTime metav1alpha1.ConditionReason = "WaitingForTime"
	// ReasonTransferMade is used with Ready (True) while the last transfer has not ended.
	ReasonTransferMade metav1alpha1.ConditionReason = "TransferMade"
	// ReasonLastTransferRefused is used with Ready (False) when the last transfer was refused.
	// The next time asks anew.
	ReasonLastTransferRefused metav1alpha1.ConditionReason = "LastTransferRefused"
	// ReasonLastTransferStopped is used with Ready (False) when the last transfer was stopped
	// midway, or failed.
	ReasonLastTransferStopped metav1alpha1.ConditionReason = "LastTransferStopped"
	// ReasonTransferSkipped is an event: a time came while the transfer before had not ended.
	ReasonTransferSkipped metav1alpha1.ConditionReason = "TransferSkipped"
	// ReasonTimeMissed is an event: a time passed without a transfer.
	ReasonTimeMissed metav1alpha1.ConditionReason = "TimeMissed"
)

// TransferScheduleStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type TransferScheduleStatus struct {
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

	// lastScheduleTime is up to when nothing is due any more: the time of the last transfer, or
	// when it was noticed that one was missed. Unset means that there was none.
	// +optional
	LastScheduleTime metav1.Time `json:"lastScheduleTime,omitempty,omitzero"`

	// lastSuccessfulTime is when a transfer was last complete.
	// +optional
	LastSuccessfulTime metav1.Time `json:"lastSuccessfulTime,omitempty,omitzero"`

	// nextScheduleTime is when the next transfer is due. Unset means never, or suspended.
	// +optional
	NextScheduleTime metav1.Time `json:"nextScheduleTime,omitempty,omitzero"`

	// lastTransfer is the name of the last transfer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	LastTransfer string `json:"lastTransfer,omitempty"`

	// lastDecision is the answer that it got. Unset means that there is none yet.
	// +optional
	LastDecision Decision `json:"lastDecision,omitempty"`

	// lastRefusals lists the codes of the rules that refuse it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	LastRefusals []string `json:"lastRefusals,omitempty"`
}

// TransferSchedule asks for a transfer again and again, each time with a decision of its own.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=tsch,categories=maodian
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Decision",type=string,JSONPath=`.status.lastDecision`
// +kubebuilder:printcolumn:name="Next",type=string,format=date-time,JSONPath=`.status.nextScheduleTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Suspend",type=boolean,priority=1,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Last",type=date,priority=1,JSONPath=`.status.lastScheduleTime`
// +kubebuilder:printcolumn:name="Transfer",type=string,priority=1,JSONPath=`.status.lastTransfer`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,35}$')",message="`metadata.name` must begin with a letter and hold at most 36 letters, digits and dashes"
type TransferSchedule struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says when, and what.
	// +required
	Spec TransferScheduleSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status TransferScheduleStatus `json:"status,omitempty,omitzero"`
}

// TransferScheduleList is a list of TransferSchedule.
//
// +kubebuilder:object:root=true
type TransferScheduleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TransferSchedule `json:"items"`
}
