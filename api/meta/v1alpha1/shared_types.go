package v1alpha1

// LocalObjectReference names one object in the namespace of the object that refers to it.
type LocalObjectReference struct {
	// name is the name of the referenced object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// LocalizedText is one text that people read, in the languages they read it in.
type LocalizedText struct {
	// zh-CN is the text in simplified Chinese, the one that binds.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	ZhCN string `json:"zh-CN,omitempty"`

	// en is the text in English. Unset means that zh-CN is shown to everyone.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	En string `json:"en,omitempty"`
}

// PeopleCount is a number of people as it may leave the data plane: "<20", or the
// exact number from 20 on. Small groups could point to one person, so 0 to 19 do not fit.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=12
// +kubebuilder:validation:Pattern=`^(<20|[2-9][0-9]|[1-9][0-9]{2,11})$`
type PeopleCount string

// ReasonCount says how many people were left out for one reason.
type ReasonCount struct {
	// reason is the stable code, as listed in docs/spec.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	Reason string `json:"reason,omitempty"`

	// count is the number of people.
	// +required
	Count PeopleCount `json:"count,omitempty"`
}

// Purpose is what personal data are used for. Each purpose is told and asked for on its own.
// +kubebuilder:validation:Enum=AccountOperation;DirectMarketing;PersonalizedMarketing;LeadScoring;CustomerService;OrderFulfilment;ServiceAnalytics;AgeVerification;RightsFulfilment;LegalCompliance;SecurityProtection;GroupReporting
type Purpose string

// Purposes.
const (
	// PurposeAccountOperation binds an account, keeps a session, shows the preference page.
	PurposeAccountOperation Purpose = "AccountOperation"
	// PurposeDirectMarketing pushes offers that no profile selects.
	PurposeDirectMarketing Purpose = "DirectMarketing"
	// PurposePersonalizedMarketing pushes offers chosen by score or profile; never to minors.
	PurposePersonalizedMarketing Purpose = "PersonalizedMarketing"
	// PurposeLeadScoring computes a score from behaviour.
	PurposeLeadScoring Purpose = "LeadScoring"
	// PurposeCustomerService answers what a person wrote.
	PurposeCustomerService Purpose = "CustomerService"
	// PurposeOrderFulfilment delivers what was ordered.
	PurposeOrderFulfilment Purpose = "OrderFulfilment"
	// PurposeServiceAnalytics measures how the service is used.
	PurposeServiceAnalytics Purpose = "ServiceAnalytics"
	// PurposeAgeVerification finds out whether a guardian must be asked.
	PurposeAgeVerification Purpose = "AgeVerification"
	// PurposeRightsFulfilment answers requests for access, correction, erasure.
	PurposeRightsFulfilment Purpose = "RightsFulfilment"
	// PurposeLegalCompliance fulfils a statutory duty.
	PurposeLegalCompliance Purpose = "LegalCompliance"
	// PurposeSecurityProtection finds and stops abuse.
	PurposeSecurityProtection Purpose = "SecurityProtection"
	// PurposeGroupReporting reports to a head office.
	PurposeGroupReporting Purpose = "GroupReporting"
)
