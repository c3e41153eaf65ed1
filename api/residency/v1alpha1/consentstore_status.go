package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// ConditionPlaced says whether pod, node, volume and attested label all prove that the
// store is inside. Only ConsentStore has it.
const ConditionPlaced metav1alpha1.ConditionType = "Placed"

// ConditionVolumeReady says whether the claim has the size and class that spec and policy
// want. The store itself may be well while it is not. Only ConsentStore has it.
const ConditionVolumeReady metav1alpha1.ConditionType = "VolumeReady"

// ConditionRequestsAnswered says whether every request of a person about their own data is
// answered in time. Only ConsentStore has it.
const ConditionRequestsAnswered metav1alpha1.ConditionType = "RequestsAnswered"

// ConditionRecipientsTold says whether every recipient of records knows in time who withdrew,
// was erased or corrected since. Only ConsentStore has it.
const ConditionRecipientsTold metav1alpha1.ConditionType = "RecipientsTold"

// ConditionCountedTogether says whether people are counted once with the other stores that hold
// the counting key. While it is not True, their numbers are added up. Only a ConsentStore with
// `spec.counting` has it.
const ConditionCountedTogether metav1alpha1.ConditionType = "CountedTogether"

// Reasons of ConsentStore, beside those in api/meta/v1alpha1 and NoEligibleNode.
const (
	// ReasonPlacementProven is used with Placed (True), and with Ready (True) when the store
	// answers, too.
	ReasonPlacementProven metav1alpha1.ConditionReason = "PlacementProven"

	// ReasonVolumeAsDeclared is used with VolumeReady (True).
	ReasonVolumeAsDeclared metav1alpha1.ConditionReason = "VolumeAsDeclared"

	// ReasonRequestsInTime is used with RequestsAnswered (True): none is open past its due date.
	ReasonRequestsInTime metav1alpha1.ConditionReason = "RequestsInTime"

	// ReasonRequestsOverdue is used with RequestsAnswered (False): at least one is.
	ReasonRequestsOverdue metav1alpha1.ConditionReason = "RequestsOverdue"

	// ReasonRecipientsInTime is used with RecipientsTold (True): nothing is open past its due date.
	ReasonRecipientsInTime metav1alpha1.ConditionReason = "RecipientsInTime"

	// ReasonRecipientsOverdue is used with RecipientsTold (False): something is.
	ReasonRecipientsOverdue metav1alpha1.ConditionReason = "RecipientsOverdue"

	// ReasonCountersCompared is used with CountedTogether (True).
	ReasonCountersCompared metav1alpha1.ConditionReason = "CountersCompared"

	// ReasonNoPeer is used with CountedTogether (False): no other store of the processor is known
	// to hold the key.
	ReasonNoPeer metav1alpha1.ConditionReason = "NoPeer"

	// ReasonPeerUnavailable is used with CountedTogether (False): one of the stores cannot be asked.
	ReasonPeerUnavailable metav1alpha1.ConditionReason = "PeerUnavailable"

	// ReasonCountingDiffers is used with CountedTogether (False): one of the stores holds another
	// key, or counts for another processor.
	ReasonCountingDiffers metav1alpha1.ConditionReason = "CountingDiffers"

	// ReasonClaimNotGrown is used with VolumeReady (False) when the claim may not grow to the
	// size declared.
	ReasonClaimNotGrown metav1alpha1.ConditionReason = "ClaimNotGrown"

	// ReasonStoreUnplaced is used with Placed (Unknown or False) and Ready (False) while the
	// pod has no node or the claim no volume, for another cause than NoEligibleNode.
	ReasonStoreUnplaced metav1alpha1.ConditionReason = "StoreUnplaced"

	// ReasonPlacementNotMainland is used with Placed (False) and Stalled (True) when pod or
	// volume is found outside.
	ReasonPlacementNotMainland metav1alpha1.ConditionReason = "PlacementNotMainland"

	// ReasonStorageNotMainland is used with Placed (False) and Stalled (True) when the storage
	// class or the volume is not one that the policy allows.
	ReasonStorageNotMainland metav1alpha1.ConditionReason = "StorageNotMainland"

	// ReasonEncryptionKeyMissing is used with Ready (False) and Stalled (True) when the key's
	// Secret was there and is gone, or holds no usable key.
	ReasonEncryptionKeyMissing metav1alpha1.ConditionReason = "EncryptionKeyMissing"

	// ReasonCountingKeyMissing is used with Ready (False) and Stalled (True) when the Secret of
	// `spec.counting` is not there or holds no key.
	ReasonCountingKeyMissing metav1alpha1.ConditionReason = "CountingKeyMissing"

	// ReasonNoticeMissing is used with Ready (False) and Stalled (True) when `noticeRef` names
	// no PrivacyNotice.
	ReasonNoticeMissing metav1alpha1.ConditionReason = "NoticeMissing"

	// ReasonLedgerMissing is used with Ready (False) and Stalled (True) when the volume holds
	// no ledger or another one than `status.ledgerID`; the store then refuses to start.
	ReasonLedgerMissing metav1alpha1.ConditionReason = "LedgerMissing"

	// ReasonKeysMissing is used with Ready (False) and Stalled (True) when the file of people's
	// keys is missing, or older than the ledger; the store then refuses to start.
	ReasonKeysMissing metav1alpha1.ConditionReason = "KeysMissing"

	// ReasonEngineUnsupported is used with Ready (False) and Stalled (True) when this version
	// cannot run the engine.
	ReasonEngineUnsupported metav1alpha1.ConditionReason = "EngineUnsupported"

	// ReasonStoreStarting is used with Ready (Unknown) and Reconciling (True) while the pod
	// is placed and does not answer yet.
	ReasonStoreStarting metav1alpha1.ConditionReason = "StoreStarting"

	// ReasonStoreUnreachable is used with Ready (False) when a store that answered no longer does.
	ReasonStoreUnreachable metav1alpha1.ConditionReason = "StoreUnreachable"
)

// ConsentStoreStatus is what the manager observed.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.ledgerID) || (has(self.ledgerID) && self.ledgerID == oldSelf.ledgerID)",message="`ledgerID` may not change: a ledger is created once"
// +kubebuilder:validation:MinProperties=1
type ConsentStoreStatus struct {
	// conditions are Ready, Placed, and Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes; -1 means none yet.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ledgerID is the identity of the ledger. A store that finds another one, or an empty
	// file, refuses to start.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][-A-Za-z0-9]*$`
	LedgerID string `json:"ledgerID,omitempty"`

	// proofOfPlacement tells where the store runs and rests, and how that is known.
	// +optional
	ProofOfPlacement ProofOfPlacement `json:"proofOfPlacement,omitempty,omitzero"`

	// ledger is the state of the append-only log.
	// +optional
	Ledger LedgerState `json:"ledger,omitempty,omitzero"`

	// subjects is the number of people in the store.
	// +optional
	Subjects metav1alpha1.PeopleCount `json:"subjects,omitempty"`

	// requests counts what people ask about their own data and somebody must answer.
	// +optional
	Requests RequestState `json:"requests,omitempty,omitzero"`

	// recipients lists who must be told that people withdrew, were erased or corrected after their
	// records had left (PIPL Arts. 15, 46, 47).
	// +optional
	// +listType=map
	// +listMapKey=recipient
	// +kubebuilder:validation:MaxItems=256
	Recipients []RecipientState `json:"recipients,omitempty"`

	// counting tells with which stores people are counted together.
	// +optional
	Counting CountingState `json:"counting,omitempty,omitzero"`

	// bundle is the policy view that the store works with.
	// +optional
	Bundle BundleState `json:"bundle,omitempty,omitzero"`

	// notice is what the ledger knows of the notice. Unset means that it has taken none.
	// +optional
	Notice StoreNotice `json:"notice,omitempty,omitzero"`

	// endpoint is the address of the store inside the cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Endpoint string `json:"endpoint,omitempty"`
}

// CountingState tells with which stores people are counted together.
type CountingState struct {
	// keyID tells the counting key from others, as the store says, and nothing about it.
	// +required
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=16
	KeyID string `json:"keyID,omitempty"`

	// with lists the stores of the same processor that have the same key, as namespace/name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=317
	With []string `json:"with,omitempty"`
}

// StoreNotice is the newest text that a ledger has taken. It never goes back.
type StoreNotice struct {
	// revision is its number.
	// +required
	// +kubebuilder:validation:Minimum=1
	Revision int64 `json:"revision,omitempty"`

	// contentHash is the SHA-256 of every word of it, as in `status.publishedHash` of the
	// PrivacyNotice.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ContentHash string `json:"contentHash,omitempty"`

	// staleConsents is the number of people who agreed to an older revision only, and have to
	// be asked again.
	// +required
	StaleConsents metav1alpha1.PeopleCount `json:"staleConsents,omitempty"`
}

// ProofOfPlacement is the chain pod, node, volume, affinity, attested label.
// +kubebuilder:validation:MinProperties=1
type ProofOfPlacement struct {
	// pod is the name of the store's pod.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// node is the node that the pod runs on.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// nodeRegion is the region of that node.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NodeRegion string `json:"nodeRegion,omitempty"`

	// persistentVolumeClaim is the claim that the pod mounts.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PersistentVolumeClaim string `json:"persistentVolumeClaim,omitempty"`

	// persistentVolume is the volume that the claim is bound to.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PersistentVolume string `json:"persistentVolume,omitempty"`

	// volumeNodeAffinity lists the terms that pin the volume, each as "key in [value, ...]".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	VolumeNodeAffinity []string `json:"volumeNodeAffinity,omitempty"`

	// jurisdiction is the value of the attested label on the node.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Jurisdiction string `json:"jurisdiction,omitempty"`

	// attestedLabel is the key of that label.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	AttestedLabel string `json:"attestedLabel,omitempty"`

	// observedTime is when this chain was last seen to change.
	// +optional
	ObservedTime metav1.Time `json:"observedTime,omitempty,omitzero"`
}

// LedgerState is the size and the root of the append-only log.
// +kubebuilder:validation:MinProperties=1
type LedgerState struct {
	// size is the number of entries. Unset means not yet read.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size *int64 `json:"size,omitempty"`

	// rootHash is the Merkle root over these entries, in hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	RootHash string `json:"rootHash,omitempty"`

	// verifierKey opens the checkpoints of the log (C2SP signed-note). The key that signs them
	// never leaves the store.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	VerifierKey string `json:"verifierKey,omitempty"`

	// checkpoint is the newest signed head of the log (C2SP tlog-checkpoint): who keeps it
	// notices when history is rewritten.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Checkpoint string `json:"checkpoint,omitempty"`

	// sizeBytes is the size of the database. Unset means not yet read.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SizeBytes *int64 `json:"sizeBytes,omitempty"`
}

// RequestState counts open requests of people about their own data (PIPL 44 to 50).
// +kubebuilder:validation:MinProperties=1
type RequestState struct {
	// open is how many wait for an answer.
	// +optional
	Open metav1alpha1.PeopleCount `json:"open,omitempty"`

	// overdue is how many of them are past their due date.
	// +optional
	Overdue metav1alpha1.PeopleCount `json:"overdue,omitempty"`

	// nextDueTime is until when the oldest open one must be answered. Unset means that none is open.
	// +optional
	NextDueTime metav1.Time `json:"nextDueTime,omitempty,omitzero"`
}

// RecipientState is how far a recipient has been told.
type RecipientState struct {
	// recipient is its name in the PrivacyNotice.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Recipient string `json:"recipient,omitempty"`

	// open is of how many people it has not been told.
	// +optional
	Open metav1alpha1.PeopleCount `json:"open,omitempty"`

	// overdue is how many of them are past their due date.
	// +optional
	Overdue metav1alpha1.PeopleCount `json:"overdue,omitempty"`

	// nextDueTime is until when it must be told of the oldest open one. Unset means that none is open.
	// +optional
	NextDueTime metav1.Time `json:"nextDueTime,omitempty,omitzero"`
}

// BundleState is the policy view that the store works with.
// +kubebuilder:validation:MinProperties=1
type BundleState struct {
	// hash is the hash over policy, holds, mechanisms and notices.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Hash string `json:"hash,omitempty"`

	// pushedTime is when a bundle with this hash was first accepted by the store.
	// +optional
	PushedTime metav1.Time `json:"pushedTime,omitempty,omitzero"`
}
