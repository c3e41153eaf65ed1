// Package v1alpha1 holds the kinds that platform and compliance teams own: where personal
// data may rest, what people were told, and what may leave.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="../../../internal/applyconfiguration/residency"
// +groupName=residency.maodian.dev
package v1alpha1
