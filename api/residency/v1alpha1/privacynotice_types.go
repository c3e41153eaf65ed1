package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// PrivacyNoticeSpec is what people are told before they are asked. A consent is bound to one
// revision; a change of meaning needs a new one.
// +kubebuilder:validation:XValidation:rule="self == oldSelf || self.revision > oldSelf.revision",message="a published revision may not change: raise `revision` together with the change"
// +kubebuilder:validation:XValidation:rule="has(self.method) || !self.purposes.exists(p, has(p.sensitive))",message="NoticeIncomplete: `method` must be set when a purpose has `sensitive` (PIPL 17, 30): say how the data are processed"
// +kubebuilder:validation:XValidation:rule="has(self.safeguards) || !self.purposes.exists(p, 'AnyUnder14' in p.categories)",message="NoticeIncomplete: `safeguards` must be set when `categories` names children under 14 (CHILD 10): say how the data are protected"
// +kubebuilder:validation:XValidation:rule="has(self.complaints) || !self.purposes.exists(p, 'AnyUnder14' in p.categories)",message="NoticeIncomplete: `complaints` must be set when `categories` names children under 14 (CHILD 10): say where people can complain"
type PrivacyNoticeSpec struct {
	// revision numbers the text. It grows with every change.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Revision int32 `json:"revision,omitempty"`

	// processor is who answers for the data (PIPL 17).
	// +required
	Processor NoticeProcessor `json:"processor,omitempty,omitzero"`

	// purposes lists what the data are used for, each with the data it needs (PIPL 17).
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	Purposes []NoticePurpose `json:"purposes,omitempty"`

	// recipients lists everybody else who receives data (PIPL 23, 39; NDSMR 21). Unset means
	// nobody.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Recipients []NoticeRecipient `json:"recipients,omitempty"`

	// retentionDays is how long data are kept after the last contact; then they are erased
	// (PIPL 17).
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=36500
	RetentionDays int32 `json:"retentionDays,omitempty"`

	// storagePlace is where the data rest, in words (CHILD 10).
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=128
	StoragePlace string `json:"storagePlace,omitempty"`

	// storagePlaceText is the same in the languages that people read. Unset means that
	// storagePlace is shown to everyone.
	// +optional
	StoragePlaceText metav1alpha1.LocalizedText `json:"storagePlaceText,omitempty,omitzero"`

	// rights says which rights people have and how they use them, withdrawal included
	// (PIPL 17, NDSMR 21).
	// +required
	Rights metav1alpha1.LocalizedText `json:"rights,omitempty,omitzero"`

	// refusal says what follows when somebody refuses (PIPL 16, CHILD 10).
	// +required
	Refusal metav1alpha1.LocalizedText `json:"refusal,omitempty,omitzero"`

	// method says how data are processed (PIPL 17). Unset, the page shows the standard text of
	// docs/spec; with sensitive data it must be set.
	// +optional
	Method metav1alpha1.LocalizedText `json:"method,omitempty,omitzero"`

	// safeguards says how data are protected (CHILD 10, advised by PIPL 39). Unset, the page
	// shows the standard text; with data of children it must be set.
	// +optional
	Safeguards metav1alpha1.LocalizedText `json:"safeguards,omitempty,omitzero"`

	// automatedDecision says by which principle people are selected and how to object (PIPL
	// 24). Unset, the page shows the standard text where people are scored.
	// +optional
	AutomatedDecision metav1alpha1.LocalizedText `json:"automatedDecision,omitempty,omitzero"`

	// complaints says where people can complain (NDSMR 20, CHILD 10). Unset, the page shows the
	// standard text; with data of children it must be set.
	// +optional
	Complaints metav1alpha1.LocalizedText `json:"complaints,omitempty,omitzero"`
}

// NoticeProcessor is who answers for the data, as people read it.
type NoticeProcessor struct {
	// name is the full name of the legal entity.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`

	// contact is how people reach it.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=254
	Contact string `json:"contact,omitempty"`
}

// NoticePurpose is one purpose, which people agree to or refuse on its own.
// +kubebuilder:validation:XValidation:rule="has(self.sensitive) || !self.categories.exists(c, c in ['Health','Biometric','ReligiousBelief','SpecificIdentity'])",message="NoticeIncomplete: `sensitive` must be set when `categories` names health, body, belief or identity (PIPL 30)"
// +kubebuilder:validation:XValidation:rule="has(self.sensitive) || !self.categories.exists(c, c in ['PreciseLocation','MovementTrack'])",message="NoticeIncomplete: `sensitive` must be set when `categories` names a person's whereabouts (PIPL 30)"
// +kubebuilder:validation:XValidation:rule="has(self.sensitive) || !self.categories.exists(c, c in ['IDDocumentNumber','FinancialAccount'])",message="NoticeIncomplete: `sensitive` must be set when `categories` names documents or accounts (PIPL 30)"
// +kubebuilder:validation:XValidation:rule="has(self.sensitive) || !self.categories.exists(c, c in ['MessageContent','AnyUnder14'])",message="NoticeIncomplete: `sensitive` must be set when `categories` names messages or children under 14 (PIPL 30)"
type NoticePurpose struct {
	// name is the purpose.
	// +required
	Name metav1alpha1.Purpose `json:"name,omitempty"`

	// description explains the purpose in plain words.
	// +required
	Description metav1alpha1.LocalizedText `json:"description,omitempty,omitzero"`

	// categories lists the data that the purpose needs, and no more.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Categories []DataCategory `json:"categories,omitempty"`

	// sensitive explains why sensitive data are needed. Unset means that there are none.
	// +optional
	Sensitive SensitiveExplanation `json:"sensitive,omitempty,omitzero"`
}

// SensitiveExplanation is what PIPL Art. 30 adds for sensitive data.
type SensitiveExplanation struct {
	// necessity says why the purpose cannot do without them.
	// +required
	Necessity metav1alpha1.LocalizedText `json:"necessity,omitempty,omitzero"`

	// impact says what it means for the person.
	// +required
	Impact metav1alpha1.LocalizedText `json:"impact,omitempty,omitzero"`
}

// NoticeRecipient is somebody else who receives data. People agree to each one separately.
// +kubebuilder:validation:XValidation:rule="has(self.method) || !self.categories.exists(c, c in ['Health','Biometric','ReligiousBelief','SpecificIdentity'])",message="NoticeIncomplete: `method` must be set for a recipient of data on health, body, belief or identity (PIPL 23, 39)"
// +kubebuilder:validation:XValidation:rule="has(self.method) || !self.categories.exists(c, c in ['PreciseLocation','MovementTrack'])",message="NoticeIncomplete: `method` must be set for a recipient of a person's whereabouts (PIPL 23, 39)"
// +kubebuilder:validation:XValidation:rule="has(self.method) || !self.categories.exists(c, c in ['IDDocumentNumber','FinancialAccount'])",message="NoticeIncomplete: `method` must be set for a recipient of documents or accounts (PIPL 23, 39)"
// +kubebuilder:validation:XValidation:rule="has(self.method) || !self.categories.exists(c, c in ['MessageContent','AnyUnder14'])",message="NoticeIncomplete: `method` must be set for a recipient of messages or data of children (PIPL 23, 39)"
type NoticeRecipient struct {
	// name is the stable short name that DataTransfer and TransferMechanism refer to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// displayName is the full name of the legal entity.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// contact is how people reach it.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=254
	Contact string `json:"contact,omitempty"`

	// country is the ISO 3166-1 code of the place that data go to. Hong Kong is HK, Macau MO,
	// Taiwan TW.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=2
	// +kubebuilder:validation:Pattern=`^[A-Z]{2}$`
	Country string `json:"country,omitempty"`

	// purposes lists what the recipient uses the data for.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	Purposes []metav1alpha1.Purpose `json:"purposes,omitempty"`

	// categories lists the data that the recipient receives.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Categories []DataCategory `json:"categories,omitempty"`

	// method says how the recipient processes them (PIPL 23, 39). Unset, the page says how they
	// are handed over; with sensitive data it must be set.
	// +optional
	Method metav1alpha1.LocalizedText `json:"method,omitempty,omitzero"`

	// rightsChannel is the https address where people use their rights against the recipient
	// (PIPL 39).
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https://[^\s]+$`
	RightsChannel string `json:"rightsChannel,omitempty"`
}

// Reasons of PrivacyNotice, beside those in api/meta/v1alpha1.
const (
	// ReasonPublished is used with Ready (True) when the revision of the spec is published.
	ReasonPublished metav1alpha1.ConditionReason = "Published"

	// ReasonNoticeIncomplete is used with Ready (False) and Stalled (True) when the notice
	// lacks an item that people must be told; the message names it. People go on reading the
	// revision that was published last.
	ReasonNoticeIncomplete metav1alpha1.ConditionReason = "NoticeIncomplete"

	// ReasonNoticeRevision is used with Ready (False) and Stalled (True), here and in
	// ConsentStore, when the notice goes back, or has another text under a number that people
	// have agreed to.
	ReasonNoticeRevision metav1alpha1.ConditionReason = "NoticeRevision"

	// ReasonNoticeHashMismatch is used with Ready (False) and Stalled (True) in ConsentStore,
	// when a notice arrives at the ledger with a hash that is not that of its words.
	ReasonNoticeHashMismatch metav1alpha1.ConditionReason = "NoticeHashMismatch"

	// ReasonOwnWords is used with OwnWords (True) when the notice tells every item itself.
	ReasonOwnWords metav1alpha1.ConditionReason = "OwnWords"

	// ReasonStandardText is used with OwnWords (False) when a standard text stands in for an
	// item; the message names it.
	ReasonStandardText metav1alpha1.ConditionReason = "StandardText"
)

// ConditionOwnWords tells whether the notice says everything in its own words, or a standard
// text stands in for some items.
const ConditionOwnWords metav1alpha1.ConditionType = "OwnWords"

// PrivacyNoticeStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type PrivacyNoticeStatus struct {
	// conditions are Ready, OwnWords, and Reconciling or Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes; -1 means none yet.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// publishedRevision is the revision that people read now. Unset means none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	PublishedRevision int32 `json:"publishedRevision,omitempty"`

	// publishedHash is the SHA-256 of every word that people read in that revision. A consent
	// is bound to it.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	PublishedHash string `json:"publishedHash,omitempty"`

	// publishedTime is when that revision was published. A consent must be younger.
	// +optional
	PublishedTime metav1.Time `json:"publishedTime,omitempty,omitzero"`

	// stores tells, for each store that asks people by this notice, whom it has to ask again.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Stores []NoticeStore `json:"stores,omitempty"`
}

// NoticeStore is what a store knows of the notice.
type NoticeStore struct {
	// name is the ConsentStore.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// revision is the newest that it has taken.
	// +required
	// +kubebuilder:validation:Minimum=1
	Revision int64 `json:"revision,omitempty"`

	// staleConsents is the number of people who agreed to an older revision only, and have to
	// be asked again.
	// +required
	StaleConsents metav1alpha1.PeopleCount `json:"staleConsents,omitempty"`
}

// PrivacyNotice is the versioned text that consents are bound to.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pnot,categories=maodian
// +kubebuilder:printcolumn:name="Processor",type=string,JSONPath=`.spec.processor.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Revision",type=integer,JSONPath=`.spec.revision`
// +kubebuilder:printcolumn:name="Published",type=integer,JSONPath=`.status.publishedRevision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="AskAgain",type=string,priority=1,JSONPath=`.status.stores[*].staleConsents`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,62}$')",message="`metadata.name` must begin with a letter and hold at most 63 letters, digits and dashes"
type PrivacyNotice struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the text.
	// +required
	Spec PrivacyNoticeSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status PrivacyNoticeStatus `json:"status,omitempty,omitzero"`
}

// PrivacyNoticeList is a list of PrivacyNotice.
//
// +kubebuilder:object:root=true
type PrivacyNoticeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PrivacyNotice `json:"items"`
}
