// Package v1alpha1 holds the kinds that marketers own: accounts, lead models, audiences,
// campaigns, and the emergency stop.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="../../../internal/applyconfiguration/marketing"
// +groupName=marketing.maodian.dev
package v1alpha1
