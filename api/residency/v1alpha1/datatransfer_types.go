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
// +kubebuilder:validation:Enum=Acceptable;Unacceptable
type AssessmentOutcome string

// Outcomes.
const (
	// AssessmentAcceptable lets the transfer go on.
	AssessmentAcceptable AssessmentOutcome = "Acceptable"
	// AssessmentUnacceptable refuses it.
	AssessmentUnacceptable AssessmentOutcome = "Unacceptable"
)

// DestinationType says what kind of place the records go to.
// +kubebuilder:validation:Enum=S3
type DestinationType string

// DestinationS3 is an S3-compatible bucket.
const DestinationS3 DestinationType = "S3"

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

// DataTransferSpec is one request to send records out. It never changes: another request is
// another object.
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

	// fields lists the fields of each record that leave; nothing else does.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Fields []FieldName `json:"fields,omitempty"`

	// maxPersons is the largest number of people whose records may leave. It decides the
	// mechanism, so that leaving people out cannot slip under a threshold.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2000000000
	MaxPersons int64 `json:"maxPersons,omitempty"`

	// necessity says why the recipient needs these data. Unset refuses the transfer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Necessity string `json:"necessity,omitempty"`

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

	// format is the form of the object that is written.
	// +required
	Format TransferFormat `json:"format,omitempty"`
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

// TransferDestination is where the records go.
// +kubebuilder:validation:XValidation:rule="self.type != 'S3' || has(self.s3)",message="`s3` must be set when `type` is S3"
type TransferDestination struct {
	// type says which of the members below is meant.
	// +required
	Type DestinationType `json:"type,omitempty"`

	// s3 is an S3-compatible bucket. Only for the type S3.
	// +optional
	S3 S3Destination `json:"s3,omitempty,omitzero"`
}

// S3Destination is an S3-compatible bucket.
type S3Destination struct {
	// endpoint is the https address of the server, without a path.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^https://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$`
	Endpoint string `json:"endpoint,omitempty"`

	// region is the name that requests are signed for. Unset means us-east-1, as S3 does.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Region string `json:"region,omitempty"`

	// bucket is the name of the bucket.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9][-a-z0-9.]*[a-z0-9]$`
	Bucket string `json:"bucket,omitempty"`

	// prefix begins the name of every object that is written and ends in a slash. Unset means none.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9][-A-Za-z0-9_.]*/)+$`
	Prefix string `json:"prefix,omitempty"`

	// credentialsSecretRef names a Secret with the keys `accessKeyID` and `secretAccessKey`.
	// +required
	CredentialsSecretRef metav1alpha1.LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`
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
