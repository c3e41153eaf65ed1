package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// Condition types of PushCampaign, beside Ready, Reconciling, Stalled and Complete.
const (
	// ConditionPlanned says whether `status.plan` is of this spec.
	ConditionPlanned metav1alpha1.ConditionType = "Planned"
)

// Reasons of PushCampaign, beside those in api/meta/v1alpha1 and AudienceInvalid.
const (
	// ReasonScheduled is used with Ready (True) before `schedule.notBeforeTime`, and outside
	// the window.
	ReasonScheduled metav1alpha1.ConditionReason = "Scheduled"

	// ReasonPlanning is used with Ready (Unknown), Planned (Unknown) and Reconciling (True)
	// while the store evaluates the audience.
	ReasonPlanning metav1alpha1.ConditionReason = "Planning"

	// ReasonPlanned is used with Planned (True), and with Ready (True) while the Job starts.
	ReasonPlanned metav1alpha1.ConditionReason = "Planned"

	// ReasonSending is used with Ready (True) while messages leave.
	ReasonSending metav1alpha1.ConditionReason = "Sending"

	// ReasonHeld is used with Ready (True) while a SendHold covers the campaign.
	ReasonHeld metav1alpha1.ConditionReason = "Held"

	// ReasonNobodyEligible is used with Ready (True) and Complete (True) when the plan leaves
	// everybody out; `status.plan.excluded` says why.
	ReasonNobodyEligible metav1alpha1.ConditionReason = "NobodyEligible"

	// ReasonAccountMissing is used with Ready (False) and Stalled (True) when `accountRef`
	// names no WeChatAccount.
	ReasonAccountMissing metav1alpha1.ConditionReason = "AccountMissing"

	// ReasonAccountNotReady is used with Ready (Unknown) and Reconciling (True) while the
	// account is not ready.
	ReasonAccountNotReady metav1alpha1.ConditionReason = "AccountNotReady"

	// ReasonAudienceMissing is used with Ready (False) and Stalled (True) when `audienceRef`
	// names no Audience.
	ReasonAudienceMissing metav1alpha1.ConditionReason = "AudienceMissing"

	// ReasonStoreMismatch is used with Ready (False) and Stalled (True) when account and
	// audience belong to different stores.
	ReasonStoreMismatch metav1alpha1.ConditionReason = "StoreMismatch"

	// ReasonWindowMissed is used with Ready (True) and Complete (True) when
	// `schedule.notAfterTime` came before everybody was reached.
	ReasonWindowMissed metav1alpha1.ConditionReason = "WindowMissed"

	// ReasonDispatchFailed is used with Ready (False), Complete (False) and Stalled (True)
	// when the Job gave up.
	ReasonDispatchFailed metav1alpha1.ConditionReason = "DispatchFailed"
)

// PushCampaignStatus is what the manager planned and observed.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.runID) || (has(self.runID) && self.runID == oldSelf.runID)",message="`runID` may not change: a second run would send twice"
// +kubebuilder:validation:MinProperties=1
type PushCampaignStatus struct {
	// conditions are Ready, Planned, Complete, and Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes; -1 means none yet.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// runID is the identity of the run in the store's ledger. From then on content, audience,
	// account and purpose cannot change.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][-A-Za-z0-9]*$`
	RunID string `json:"runID,omitempty"`

	// plan says who will receive the message, and why everybody else will not.
	// +optional
	Plan CampaignPlan `json:"plan,omitempty,omitzero"`

	// deliveries counts the outcomes; every eligible person is in exactly one of them.
	// +optional
	Deliveries DeliveryCounts `json:"deliveries,omitempty,omitzero"`

	// startTime is when the Job was created.
	// +optional
	StartTime metav1.Time `json:"startTime,omitempty,omitzero"`

	// completionTime is when the last outcome was known.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitempty,omitzero"`

	// jobName is the name of the Job.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	JobName string `json:"jobName,omitempty"`
}

// CampaignPlan says who will receive the message.
// +kubebuilder:validation:MinProperties=1
type CampaignPlan struct {
	// audience is the number of people in the audience.
	// +optional
	Audience metav1alpha1.PeopleCount `json:"audience,omitempty"`

	// eligible is the number of those who will receive the message.
	// +optional
	Eligible metav1alpha1.PeopleCount `json:"eligible,omitempty"`

	// excluded says how many are left out for which reason; everybody has one.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=64
	Excluded []metav1alpha1.ReasonCount `json:"excluded,omitempty"`

	// plannedTime is when the plan was made.
	// +optional
	PlannedTime metav1.Time `json:"plannedTime,omitempty,omitzero"`
}

// DeliveryCounts counts the outcomes of a run.
// +kubebuilder:validation:MinProperties=1
type DeliveryCounts struct {
	// pending is the number of people who have no outcome yet.
	// +optional
	Pending metav1alpha1.PeopleCount `json:"pending,omitempty"`

	// sent is the number of messages that the platform took.
	// +optional
	Sent metav1alpha1.PeopleCount `json:"sent,omitempty"`

	// refused is the number of people whom we or the platform refused at the time of sending.
	// +optional
	Refused metav1alpha1.PeopleCount `json:"refused,omitempty"`

	// failed is the number of messages that the platform certainly did not take.
	// +optional
	Failed metav1alpha1.PeopleCount `json:"failed,omitempty"`

	// unknown is the number of messages whose outcome was lost. They are not sent again.
	// +optional
	Unknown metav1alpha1.PeopleCount `json:"unknown,omitempty"`
}
