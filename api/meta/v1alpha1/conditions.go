package v1alpha1

// ConditionType is the type of a condition in `status.conditions`.
type ConditionType string

// ConditionReason is the reason of a condition. Reasons are stable: people alert on them.
type ConditionReason string

// Condition types that every kind uses. Kinds list their own reasons beside the kind.
const (
	// ConditionReady says whether the object does what it is for. A campaign that waits
	// for its date or is being sent is Ready; a refused transfer is not.
	ConditionReady ConditionType = "Ready"

	// ConditionReconciling is True while the operator works on the newest spec and will end
	// that work by itself. It is absent otherwise (kstatus).
	ConditionReconciling ConditionType = "Reconciling"

	// ConditionStalled is True when nothing will change until somebody edits something: the
	// spec, a policy, a secret. It is absent otherwise (kstatus).
	ConditionStalled ConditionType = "Stalled"

	// ConditionComplete is True when an object that ends has ended. Only PushCampaign and
	// DataTransfer have it.
	ConditionComplete ConditionType = "Complete"
)

// Reasons that more than one kind uses.
const (
	// ReasonReady is used with Ready (True) when there is nothing more to tell.
	ReasonReady ConditionReason = "Ready"

	// ReasonProgressing is used with Ready (Unknown) and Reconciling (True) while the newest
	// spec is being worked on.
	ReasonProgressing ConditionReason = "Progressing"

	// ReasonPolicyMissing is used with Ready (False) and Stalled (True) when the namespace
	// names no ResidencyPolicy, or one that does not exist.
	ReasonPolicyMissing ConditionReason = "PolicyMissing"

	// ReasonPolicyNotReady is used with Ready (Unknown) while the policy is not ready.
	ReasonPolicyNotReady ConditionReason = "PolicyNotReady"

	// ReasonWaitingForStore is used with Ready (Unknown) and Reconciling (True) while the
	// ConsentStore named by `spec.storeRef` exists but is not ready, or does not answer.
	ReasonWaitingForStore ConditionReason = "WaitingForStore"

	// ReasonStoreMissing is used with Ready (False) and Stalled (True) when no ConsentStore
	// has the name in `spec.storeRef`.
	ReasonStoreMissing ConditionReason = "StoreMissing"

	// ReasonStoreNotReady is used with Ready (False) when a store that was ready stopped
	// being so.
	ReasonStoreNotReady ConditionReason = "StoreNotReady"

	// ReasonCredentialsMissing is used with Ready (False) and Stalled (True) when a secret or
	// one of its keys is missing.
	ReasonCredentialsMissing ConditionReason = "CredentialsMissing"

	// ReasonSuspended is used with Ready (True) when `spec.suspend` is true.
	ReasonSuspended ConditionReason = "Suspended"

	// ReasonRefused is used with Ready (False) and Stalled (True) when a rule of residency,
	// consent or transfer refuses the object; status names every rule.
	ReasonRefused ConditionReason = "Refused"

	// ReasonComplete is used with Ready (True) and Complete (True) when the work has ended.
	ReasonComplete ConditionReason = "Complete"

	// ReasonFailed is used with Ready (False), Complete (False) and Stalled (True) when the
	// work ended before it was done.
	ReasonFailed ConditionReason = "Failed"

	// ReasonInvalidSpec is used with Ready (False) and Stalled (True) when a field is valid
	// by the schema and yet cannot be used; the message names the field.
	ReasonInvalidSpec ConditionReason = "InvalidSpec"

	// ReasonDeleting is used with Ready (False) while the object is being deleted; the
	// message says what is waited for.
	ReasonDeleting ConditionReason = "Deleting"

	// ReasonInternalError is used with Ready (False) when no field is to blame.
	ReasonInternalError ConditionReason = "InternalError"
)

// PolicyLabel is the namespace label that chooses the ResidencyPolicy.
const PolicyLabel = "residency.maodian.dev/policy"
