package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// ChannelType is a way to reach people on the platform.
// +kubebuilder:validation:Enum=Mass;Subscription;CustomerService;Template
type ChannelType string

// Channel types.
const (
	// ChannelMass sends one message to many followers.
	ChannelMass ChannelType = "Mass"
	// ChannelSubscription uses up one grant of the person for each message.
	ChannelSubscription ChannelType = "Subscription"
	// ChannelCustomerService answers within the platform's window after the person acted.
	ChannelCustomerService ChannelType = "CustomerService"
	// ChannelTemplate is for service notices only.
	ChannelTemplate ChannelType = "Template"
)

// TemplateValue is the value of one keyword of a template. It may hold a Go template over
// `.Now`, the time of sending; nothing about the person can be put into it.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type TemplateValue string

// PushCampaignSpec says who receives what, why, by which channel, when and how fast.
// +kubebuilder:validation:XValidation:rule="self.purpose.endsWith('Marketing') || self.purpose in ['CustomerService', 'OrderFulfilment', 'AccountOperation']",message="`purpose` must be a purpose that messages are sent for"
// +kubebuilder:validation:XValidation:rule="self.channel.type != 'Template' || !self.purpose.endsWith('Marketing')",message="`channel.type` may not be Template for marketing: the platform allows service notices only"
type PushCampaignSpec struct {
	// accountRef names the WeChatAccount that sends. It cannot change once the run began.
	// +required
	AccountRef metav1alpha1.LocalObjectReference `json:"accountRef,omitempty,omitzero"`

	// audienceRef names the Audience. It cannot change once the run began.
	// +required
	AudienceRef metav1alpha1.LocalObjectReference `json:"audienceRef,omitempty,omitzero"`

	// purpose is what the message is for. Only people who agreed to it receive one.
	// +required
	Purpose metav1alpha1.Purpose `json:"purpose,omitempty"`

	// channel is what is sent and how. It cannot change once the run began.
	// +required
	Channel Channel `json:"channel,omitempty,omitzero"`

	// schedule says when messages may leave.
	// +required
	Schedule Schedule `json:"schedule,omitempty,omitzero"`

	// throttle bounds the speed. Unset means as fast as the account's quota allows.
	// +optional
	Throttle Throttle `json:"throttle,omitempty,omitzero"`

	// frequencyCap bounds how many messages of all campaigns a person receives. Unset means
	// that only the platform's bounds hold.
	// +optional
	FrequencyCap FrequencyCap `json:"frequencyCap,omitempty,omitzero"`

	// shards is the number of pods that send. Unset means 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Shards int32 `json:"shards,omitempty"`

	// suspend stops planning and sending while it is true. For an emergency use SendHold: a
	// sync from Git would put this field back.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`
}

// Channel is what is sent and how: exactly the member that type names.
// +kubebuilder:validation:XValidation:rule="has(self.mass) == (self.type == 'Mass')",message="`mass` must be set exactly when `type` is Mass"
// +kubebuilder:validation:XValidation:rule="has(self.subscription) == (self.type == 'Subscription')",message="`subscription` must be set exactly when `type` is Subscription"
// +kubebuilder:validation:XValidation:rule="has(self.customerService) == (self.type == 'CustomerService')",message="`customerService` must be set exactly when `type` is CustomerService"
// +kubebuilder:validation:XValidation:rule="has(self.template) == (self.type == 'Template')",message="`template` must be set exactly when `type` is Template"
type Channel struct {
	// type says which of the members below is meant.
	// +required
	Type ChannelType `json:"type,omitempty"`

	// mass is one message to many followers.
	// +optional
	Mass MassMessage `json:"mass,omitempty,omitzero"`

	// subscription is a subscription notification.
	// +optional
	Subscription TemplateMessage `json:"subscription,omitempty,omitzero"`

	// customerService is an answer to a person who acted.
	// +optional
	CustomerService CustomerServiceMessage `json:"customerService,omitempty,omitzero"`

	// template is a service notice.
	// +optional
	Template TemplateMessage `json:"template,omitempty,omitzero"`
}

// MassMessage is either an article that the account's media library holds, or a text.
// +kubebuilder:validation:XValidation:rule="has(self.mediaID) != has(self.text)",message="exactly one of `mediaID` and `text` must be set"
// +kubebuilder:validation:MinProperties=1
type MassMessage struct {
	// mediaID names an article in the account's media library.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[-A-Za-z0-9_]+$`
	MediaID string `json:"mediaID,omitempty"`

	// text is a plain text.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=600
	Text string `json:"text,omitempty"`
}

// CustomerServiceMessage is an answer to a person who acted.
type CustomerServiceMessage struct {
	// text is a plain text.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=600
	Text string `json:"text,omitempty"`
}

// TemplateMessage fills a template that the platform approved.
type TemplateMessage struct {
	// templateID names the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[-A-Za-z0-9_]+$`
	TemplateID string `json:"templateID,omitempty"`

	// page is the https address that a tap opens. Unset means that a tap opens nothing.
	// +optional
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https://[^\s]+$`
	Page string `json:"page,omitempty"`

	// data gives each keyword of the template its value.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z_]{1,32}[0-9]{0,3}$'))",message="each key of `data` must be a keyword such as thing1"
	Data map[string]TemplateValue `json:"data,omitempty"`
}

// Schedule says when messages may leave.
// +kubebuilder:validation:XValidation:rule="self.notAfterTime > self.notBeforeTime",message="`notAfterTime` must be later than `notBeforeTime`"
type Schedule struct {
	// notBeforeTime is when the run begins.
	// +required
	NotBeforeTime metav1.Time `json:"notBeforeTime,omitempty,omitzero"`

	// notAfterTime is when it ends, whoever was not reached.
	// +required
	NotAfterTime metav1.Time `json:"notAfterTime,omitempty,omitzero"`

	// window is the time of day. Unset means any.
	// +optional
	Window SendWindow `json:"window,omitempty,omitzero"`
}

// SendWindow is a time of day.
// +kubebuilder:validation:XValidation:rule="self.end > self.start",message="`end` must be later than `start`"
type SendWindow struct {
	// timeZone is the name of the time zone, as in the tz database.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][-A-Za-z0-9_+]*(/[A-Za-z0-9][-A-Za-z0-9_+]*)*$`
	TimeZone string `json:"timeZone,omitempty"`

	// start is when the window opens, as HH:MM.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	Start string `json:"start,omitempty"`

	// end is when it closes, as HH:MM; 24:00 is the end of the day.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	End string `json:"end,omitempty"`
}

// Throttle bounds the speed.
type Throttle struct {
	// perSecond is the number of messages a second, over all shards.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	PerSecond int32 `json:"perSecond,omitempty"`
}

// FrequencyCap bounds how many messages a person receives.
type FrequencyCap struct {
	// messages is the number of messages.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Messages int32 `json:"messages,omitempty"`

	// perDays is the number of days that they are counted over.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=366
	PerDays int32 `json:"perDays,omitempty"`
}

// PushCampaign is one push to an audience.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pcam,categories=maodian
// +kubebuilder:printcolumn:name="Audience",type=string,JSONPath=`.spec.audienceRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Sent",type=string,JSONPath=`.status.deliveries.sent`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Channel",type=string,priority=1,JSONPath=`.spec.channel.type`
// +kubebuilder:printcolumn:name="Eligible",type=string,priority=1,JSONPath=`.status.plan.eligible`
// +kubebuilder:printcolumn:name="Unknown",type=string,priority=1,JSONPath=`.status.deliveries.unknown`
// +kubebuilder:printcolumn:name="Complete",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Complete")].status`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,49}$')",message="`metadata.name` must begin with a letter and hold at most 50 letters, digits and dashes"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?status.runID.hasValue() || self.spec.channel == oldSelf.spec.channel",message="`spec.channel` may not change once the run began: create another PushCampaign instead"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?status.runID.hasValue() || self.spec.audienceRef == oldSelf.spec.audienceRef",message="`spec.audienceRef` may not change once the run began: create another PushCampaign instead"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?status.runID.hasValue() || self.spec.accountRef == oldSelf.spec.accountRef",message="`spec.accountRef` may not change once the run began: create another PushCampaign instead"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?status.runID.hasValue() || self.spec.purpose == oldSelf.spec.purpose",message="`spec.purpose` may not change once the run began: create another PushCampaign instead"
type PushCampaign struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the push.
	// +required
	Spec PushCampaignSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager planned and observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status PushCampaignStatus `json:"status,omitempty,omitzero"`
}

// PushCampaignList is a list of PushCampaign.
//
// +kubebuilder:object:root=true
type PushCampaignList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PushCampaign `json:"items"`
}
