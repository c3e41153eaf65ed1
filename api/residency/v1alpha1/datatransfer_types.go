package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// RecipientRole says in what role the recipient receives data.
// +kubebuilder:validation:Enum=Processor;Entrusted;JointProcessor
type RecipientRole string

// Roles.
const (
	// RoleProcessor decides by itself why and how (PIPL Art. 23).
	RoleProcessor RecipientRole = "Processor"
	// RoleEntrusted works on instruction (PIPL Art. 21).
	RoleEntrusted RecipientRole = "Entrusted"
	// RoleJointProcessor decides together with the sender (PIPL Art. 20).
	RoleJointProcessor RecipientRole = "JointProcessor"
)

// AssessmentOutcome is the result of an impact assessment.
// +kubebuilder:validation:Enum=Acceptable;MeasuresInsufficient;Unacceptable
type AssessmentOutcome string

// Outcomes.
const (
	// AssessmentAcceptable lets the transfer go on.
	AssessmentAcceptable AssessmentOutcome = "Acceptable"
	// AssessmentMeasuresInsufficient refuses it until the measures are taken.
	AssessmentMeasuresInsufficient AssessmentOutcome = "MeasuresInsufficient"
	// AssessmentUnacceptable refuses it: it conflicts with the interests of the people.
	AssessmentUnacceptable AssessmentOutcome = "Unacceptable"
)

// DataStatus says what the state holds of the data themselves.
// +kubebuilder:validation:Enum=None;SelfIdentifiedNotNotified;NotifiedOrPublished;Core;ExportControlled;Unknown
type DataStatus string

// Data statuses.
const (
	// DataStatusNone is no important data.
	DataStatusNone DataStatus = "None"
	// DataStatusSelfIdentifiedNotNotified is held for important by the processor alone.
	DataStatusSelfIdentifiedNotNotified DataStatus = "SelfIdentifiedNotNotified"
	// DataStatusNotifiedOrPublished leaves by a security assessment only (NDSMR Art. 37).
	DataStatusNotifiedOrPublished DataStatus = "NotifiedOrPublished"
	// DataStatusCore never leaves (DSL Art. 21).
	DataStatusCore DataStatus = "Core"
	// DataStatusExportControlled is refused (DSL Art. 25).
	DataStatusExportControlled DataStatus = "ExportControlled"
	// DataStatusUnknown is refused until somebody finds out.
	DataStatusUnknown DataStatus = "Unknown"
)

// RecipientAuthority says that the recipient is an authority of another country.
// +kubebuilder:validation:Enum=ForeignJudicialOrLawEnforcement
type RecipientAuthority string

// AuthorityForeign is a foreign court or law enforcement body (PIPL Art. 41).
const AuthorityForeign RecipientAuthority = "ForeignJudicialOrLawEnforcement"

// ExemptionGround is a ground on which a transfer needs no mechanism. The rule pack says
// which of them there are, and what each covers.
// +kubebuilder:validation:Enum=TransitData;ContractNecessity;CrossBorderHR;EmergencyProtection;FTZOutsideNegativeList;StatutoryDuty;Treaty
type ExemptionGround string

// EvidenceKind is a kind of evidence for an exemption.
// +kubebuilder:validation:Enum=OriginJurisdiction;UnmixedStatement;Contract;FieldNecessity;LabourRules;CollectiveContract;Incident;Approver;Zone;NegativeList;Registration;Statute;Treaty
type EvidenceKind string

// TransferFormat is the form of the object that is written.
// +kubebuilder:validation:Enum=JSONLines;CSV;Parquet
type TransferFormat string

// Formats.
const (
	// FormatJSONLines is one JSON object a line.
	FormatJSONLines TransferFormat = "JSONLines"
	// FormatCSV is RFC 4180 with a header.
	FormatCSV TransferFormat = "CSV"
	// FormatParquet is Apache Parquet.
	FormatParquet TransferFormat = "Parquet"
)

// FieldName names one field of a record that may leave: id, tags, lead.score, lead.stage,
// or profile.<name>. There is no way to name an openid, a phone number or a free text.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(id|tags|lead\.score|lead\.stage|profile\.[a-z][A-Za-z0-9_]*)$`
type FieldName string

// AggregateName names a table of counts (docs/aggregates.md). There is no way to ask a
// question of one's own.
// +kubebuilder:validation:Enum=LeadsByStage;FollowersByTag;ConsentsByPurpose;SendsByOutcome
type AggregateName string

// Tables.
const (
	// AggregateLeadsByStage counts leads by the stages of the LeadModel.
	AggregateLeadsByStage AggregateName = "LeadsByStage"
	// AggregateFollowersByTag counts followers by interest.
	AggregateFollowersByTag AggregateName = "FollowersByTag"
	// AggregateConsentsByPurpose counts answers by purpose.
	AggregateConsentsByPurpose AggregateName = "ConsentsByPurpose"
	// AggregateSendsByOutcome counts whom campaigns were sent to, and whom not.
	AggregateSendsByOutcome AggregateName = "SendsByOutcome"
)

// DataTransferSpec is one request to send records, or counts, out. It never changes: another
// request is another object.
// +kubebuilder:validation:XValidation:rule="has(self.fields) != has(self.aggregates)",message="exactly one of `fields` and `aggregates` must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.fields) || has(self.maxPersons)",message="`maxPersons` must be set when `fields` is"
// +kubebuilder:validation:XValidation:rule="!has(self.aggregates) || !has(self.maxPersons)",message="`maxPersons` may not be set with `aggregates`: no record leaves"
// +kubebuilder:validation:XValidation:rule="!has(self.aggregates) || self.categories == ['AnonymousAggregate']",message="`categories` must be exactly [AnonymousAggregate] when `aggregates` is set"
// +kubebuilder:validation:XValidation:rule="!has(self.aggregates) || self.format in ['JSONLines', 'CSV']",message="`format` must be JSONLines or CSV when `aggregates` is set"
// +kubebuilder:validation:XValidation:rule="!has(self.aggregates) || !has(self.limits)",message="`limits` may not be set with `aggregates`: tables are small"
type DataTransferSpec struct {
	// storeRef names the ConsentStore that holds the records.
	// +required
	StoreRef metav1alpha1.LocalObjectReference `json:"storeRef,omitempty,omitzero"`

	// recipient is who receives the records.
	// +required
	Recipient TransferRecipient `json:"recipient,omitempty,omitzero"`

	// purpose is what the recipient uses them for.
	// +required
	Purpose metav1alpha1.Purpose `json:"purpose,omitempty"`

	// legalBasis is the ground of the transfer.
	// +required
	LegalBasis LegalBasis `json:"legalBasis,omitempty"`

	// categories lists the kinds of data that leave.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Categories []DataCategory `json:"categories,omitempty"`

	// fields lists the fields of each record that leave; nothing else does. Unset means that no
	// record leaves.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Fields []FieldName `json:"fields,omitempty"`

	// aggregates lists the tables of counts that leave instead of records. Unset means none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Aggregates []AggregateName `json:"aggregates,omitempty"`

	// maxPersons is the largest number of people whose records may leave. It decides the
	// mechanism, so that leaving people out cannot slip under a threshold. Only with fields.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2000000000
	MaxPersons int64 `json:"maxPersons,omitempty"`

	// necessity says why the recipient needs these data. Unset refuses the transfer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Necessity string `json:"necessity,omitempty"`

	// dataStatus says whether the data are important or core data of the state, or under export
	// control. Unset means that nobody has said so.
	// +optional
	DataStatus DataStatus `json:"dataStatus,omitempty"`

	// exemption claims a ground on which no mechanism is needed. Consent, notice, assessment and
	// necessity are needed all the same. Unset means that none is claimed.
	// +optional
	Exemption TransferExemption `json:"exemption,omitempty,omitzero"`

	// volumeReview is the number of the review of everything that this recipient gets, where
	// the decision asks for one. Unset means that there was none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$`
	VolumeReview string `json:"volumeReview,omitempty"`

	// mechanismRef names the TransferMechanism. Unset means that none is needed; the decision
	// checks that.
	// +optional
	MechanismRef metav1alpha1.LocalObjectReference `json:"mechanismRef,omitempty,omitzero"`

	// impactAssessment tells about the assessment of PIPL Art. 55. Unset refuses the transfer.
	// +optional
	ImpactAssessment ImpactAssessment `json:"impactAssessment,omitempty,omitzero"`

	// destination is where the records go.
	// +required
	Destination TransferDestination `json:"destination,omitempty,omitzero"`

	// format is the form of the objects that are written.
	// +required
	Format TransferFormat `json:"format,omitempty"`

	// encryptFor lists the age recipients that alone can read the objects, as `age-keygen` prints
	// them. Unset means that they are not encrypted beyond the connection.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	EncryptFor []AgeRecipient `json:"encryptFor,omitempty"`

	// startByTime is until when the transfer may start. One that was refused until then, or waits
	// for something, ends. Unset means that it may start whenever nothing refuses it any more.
	// +optional
	StartByTime metav1.Time `json:"startByTime,omitempty,omitzero"`

	// limits bound what is written. Unset sets no bound.
	// +optional
	Limits TransferLimits `json:"limits,omitempty,omitzero"`
}

// TransferRecipient is who receives the records.
type TransferRecipient struct {
	// name is the recipient's name in the published PrivacyNotice.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// country is the ISO 3166-1 code of the place that data go to.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=2
	// +kubebuilder:validation:Pattern=`^[A-Z]{2}$`
	Country string `json:"country,omitempty"`

	// role says in what role it receives them.
	// +required
	Role RecipientRole `json:"role,omitempty"`

	// retentionDays is how long it keeps the records, in days. Unset means that it is not said,
	// which a mechanism that limits the time does not accept.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=36500
	RetentionDays int32 `json:"retentionDays,omitempty"`

	// onwardTo lists the countries of those to whom it passes the records on.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=2
	// +kubebuilder:validation:items:Pattern=`^[A-Z]{2}$`
	OnwardTo []string `json:"onwardTo,omitempty"`

	// authority says that it is a court or an authority of another country. Unset means that it
	// is none.
	// +optional
	Authority RecipientAuthority `json:"authority,omitempty"`

	// approval is the number under which the competent authority allowed records to go to a
	// foreign one. Unset refuses that.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$`
	Approval string `json:"approval,omitempty"`
}

// TransferExemption claims a ground on which no mechanism is needed (P24 Arts. 3 to 6).
type TransferExemption struct {
	// ground is the ground. Those that follow from numbers or from the data are not claimed.
	// +required
	Ground ExemptionGround `json:"ground,omitempty"`

	// evidence lists what proves it. The rule pack says which kinds a ground needs.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Evidence []ExemptionEvidence `json:"evidence,omitempty"`
}

// ExemptionEvidence is one document behind an exemption.
type ExemptionEvidence struct {
	// kind is what it is.
	// +required
	Kind EvidenceKind `json:"kind,omitempty"`

	// reference is the number under which it is filed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$`
	Reference string `json:"reference,omitempty"`
}

// ImpactAssessment tells about a personal information protection impact assessment.
// +kubebuilder:validation:XValidation:rule="self.reviewByTime > self.completedTime",message="`reviewByTime` must be later than `completedTime`"
type ImpactAssessment struct {
	// reference is the number under which the assessment is filed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9./]*[A-Za-z0-9])?$`
	Reference string `json:"reference,omitempty"`

	// completedTime is when it was completed.
	// +required
	CompletedTime metav1.Time `json:"completedTime,omitempty,omitzero"`

	// reviewByTime is when it must have been reviewed.
	// +required
	ReviewByTime metav1.Time `json:"reviewByTime,omitempty,omitzero"`

	// outcome is its result.
	// +required
	Outcome AssessmentOutcome `json:"outcome,omitempty"`
}

// DataTransfer is one request to send records out. It is refused, or it runs as a Job.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dtra,categories=maodian
// +kubebuilder:printcolumn:name="Recipient",type=string,JSONPath=`.spec.recipient.name`
// +kubebuilder:printcolumn:name="Decision",type=string,JSONPath=`.status.decision`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Persons",type=string,JSONPath=`.status.persons`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Mechanism",type=string,priority=1,JSONPath=`.status.mechanism`
// +kubebuilder:printcolumn:name="Job",type=string,priority=1,JSONPath=`.status.jobName`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,49}$')",message="`metadata.name` must begin with a letter and hold at most 50 letters, digits and dashes"
type DataTransfer struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the request.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`spec` may not change: create another DataTransfer instead"
	Spec DataTransferSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager decided and observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status DataTransferStatus `json:"status,omitempty,omitzero"`
}

// DataTransferList is a list of DataTransfer.
//
// +kubebuilder:object:root=true
type DataTransferList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DataTransfer `json:"items"`
}
