package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
)

// AccountType is the type of a WeChat official account. It decides which interfaces it has.
// +kubebuilder:validation:Enum=ServiceAccount;SubscriptionAccount
type AccountType string

// Account types.
const (
	// AccountService is a service account (服务号).
	AccountService AccountType = "ServiceAccount"
	// AccountSubscription is a subscription account (订阅号).
	AccountSubscription AccountType = "SubscriptionAccount"
)

// APIHost is a host of the platform that stands in the mainland. The general name
// api.weixin.qq.com may answer from abroad and is not accepted.
// +kubebuilder:validation:Enum=sh.api.weixin.qq.com;sz.api.weixin.qq.com
type APIHost string

// API hosts.
const (
	// APIHostShanghai is in Shanghai.
	APIHostShanghai APIHost = "sh.api.weixin.qq.com"
	// APIHostShenzhen is in Shenzhen.
	APIHostShenzhen APIHost = "sz.api.weixin.qq.com"
)

// Keyword is what a person writes in the chat. Case and width do not matter.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:Pattern=`^\S+$`
type Keyword string

// WeChatAccountSpec is one official account (公众号).
type WeChatAccountSpec struct {
	// appID is the platform's name of the account. It cannot change: openids belong to it.
	// +required
	// +kubebuilder:validation:MinLength=18
	// +kubebuilder:validation:MaxLength=18
	// +kubebuilder:validation:Pattern=`^wx[0-9a-f]{16}$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`appID` may not change: create another WeChatAccount instead"
	AppID string `json:"appID,omitempty"`

	// type is the type of the account.
	// +required
	Type AccountType `json:"type,omitempty"`

	// credentialsSecretRef names a Secret with the keys `appSecret`, `token` and `encodingAESKey`.
	// +required
	CredentialsSecretRef metav1alpha1.LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// storeRef names the ConsentStore of its followers. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="`storeRef` may not change: the followers are in that store"
	StoreRef metav1alpha1.LocalObjectReference `json:"storeRef,omitempty,omitzero"`

	// apiHosts lists the platform's hosts to use, the preferred one first.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	APIHosts []APIHost `json:"apiHosts,omitempty"`

	// menuKeywords says what people write in the chat to use their rights.
	// +required
	MenuKeywords MenuKeywords `json:"menuKeywords,omitempty,omitzero"`

	// publicHost is the host name under which people reach the consent page, as it is entered
	// in the platform's console. A new follower is then sent the page's address, at most once in
	// thirty days and never soon after a refusal. Unset: nobody is invited.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$`
	PublicHost string `json:"publicHost,omitempty"`
}

// MenuKeywords says what people write in the chat to use their rights.
type MenuKeywords struct {
	// withdraw lists the words that withdraw every marketing consent.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Withdraw []Keyword `json:"withdraw,omitempty"`
}

// Reasons of WeChatAccount, beside those in api/meta/v1alpha1.
const (
	// ReasonAccountConnected is used with Ready (True) when the platform accepted the
	// credentials and the gateway takes callbacks.
	ReasonAccountConnected metav1alpha1.ConditionReason = "AccountConnected"

	// ReasonCredentialsInvalid is used with Ready (False) and Stalled (True) when the platform
	// refused the credentials; `status.platformCode` is its code.
	ReasonCredentialsInvalid metav1alpha1.ConditionReason = "CredentialsInvalid"

	// ReasonGatewayStarting is used with Ready (Unknown) and Reconciling (True) while the
	// gateway has no ready pod.
	ReasonGatewayStarting metav1alpha1.ConditionReason = "GatewayStarting"

	// ReasonGatewayUnplaced is used with Ready (False) while no node inside takes the gateway.
	ReasonGatewayUnplaced metav1alpha1.ConditionReason = "GatewayUnplaced"

	// ReasonPlatformUnreachable is used with Ready (Unknown), later (False), when the platform
	// does not answer or is over quota.
	ReasonPlatformUnreachable metav1alpha1.ConditionReason = "PlatformUnreachable"
)

// WeChatAccountStatus is what the manager observed.
// +kubebuilder:validation:MinProperties=1
type WeChatAccountStatus struct {
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

	// endpoint is the address of the gateway inside the cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Endpoint string `json:"endpoint,omitempty"`

	// callbackPath is the path to enter in the platform's console.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	CallbackPath string `json:"callbackPath,omitempty"`

	// lastCheckTime is when the answer of the platform last changed.
	// +optional
	LastCheckTime metav1.Time `json:"lastCheckTime,omitempty,omitzero"`

	// platformCode is the platform's last error code. Unset means that there was no error.
	// +optional
	// +kubebuilder:validation:Minimum=-99999999
	// +kubebuilder:validation:Maximum=99999999
	PlatformCode *int32 `json:"platformCode,omitempty"`
}

// WeChatAccount is one official account and its gateway.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=wxac,categories=maodian
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.spec.storeRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="AppID",type=string,priority=1,JSONPath=`.spec.appID`
// +kubebuilder:printcolumn:name="Code",type=integer,priority=1,JSONPath=`.status.platformCode`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z][-a-z0-9]{0,39}$')",message="`metadata.name` must begin with a letter and hold at most 40 letters, digits and dashes"
type WeChatAccount struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec describes the account.
	// +required
	Spec WeChatAccountSpec `json:"spec,omitempty,omitzero"`

	// status is what the manager observed.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status WeChatAccountStatus `json:"status,omitempty,omitzero"`
}

// WeChatAccountList is a list of WeChatAccount.
//
// +kubebuilder:object:root=true
type WeChatAccountList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WeChatAccount `json:"items"`
}
