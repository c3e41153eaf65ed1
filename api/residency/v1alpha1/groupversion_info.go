package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// SchemeGroupVersion is the group and version of these kinds; apply configurations use it.
	SchemeGroupVersion = schema.GroupVersion{Group: "residency.maodian.dev", Version: "v1alpha1"}

	// GroupVersion is the name that kubebuilder projects use for the same value.
	GroupVersion = SchemeGroupVersion

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers these kinds in a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&ConsentStore{}, &ConsentStoreList{},
		&DataTransfer{}, &DataTransferList{},
		&PrivacyNotice{}, &PrivacyNoticeList{},
		&RegulatoryHold{}, &RegulatoryHoldList{},
		&ResidencyException{}, &ResidencyExceptionList{},
		&ResidencyPolicy{}, &ResidencyPolicyList{},
		&TransferMechanism{}, &TransferMechanismList{},
		&TransferSchedule{}, &TransferScheduleList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
