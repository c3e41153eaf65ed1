// Package v1alpha1 holds the small pieces that both API groups share: references,
// people counts, texts in several languages, condition types and reasons.
//
// +kubebuilder:object:generate=true
package v1alpha1
