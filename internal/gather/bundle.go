// Package gather collects what the pure rules look at, from the cluster and from stores:
// the policy that governs a namespace, the bundle that a store works with, and the facts of
// a transfer. It decides nothing.
package gather

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// BundleValidity is how long a store believes a bundle. Past it, it refuses transfers.
const BundleValidity = 600 * time.Second

// BundleInput is what the bundle of one store is made of.
type BundleInput struct {
	Now        time.Time
	Policy     *residencyv1.ResidencyPolicy
	Notice     *residencyv1.PrivacyNotice // nil: there is none
	Holds      []residencyv1.RegulatoryHold
	Mechanisms []residencyv1.TransferMechanism
	LeadModels []marketingv1.LeadModel
	SendHolds  []marketingv1.SendHold
}

// Bundle is the store's view of the cluster. The same objects in another order give the
// same bundle, so that its hash tells whether anything changed.
func Bundle(in BundleInput) *storev1.Bundle {
	p := in.Policy
	b := &storev1.Bundle{
		IssuedAt:        timestamppb.New(in.Now),
		ValidForSeconds: int32(BundleValidity / time.Second),
		Policy: &storev1.Policy{
			Name: p.Name, Jurisdiction: p.Spec.Jurisdiction, RulePack: p.Spec.RulePack, GuardianConsentAge: p.Spec.GuardianConsentAge,
			Processor: p.Spec.Processor.Name, CiioStatus: string(p.Spec.Processor.CIIOStatus), City: p.Spec.Processor.City,
		},
		Notice: noticeMessage(in.Notice),
	}
	for _, h := range sorted(in.Holds, func(h residencyv1.RegulatoryHold) string { return h.Name }) {
		b.Holds = append(b.Holds, &storev1.Hold{
			Kind: string(h.Spec.Type), Reference: h.Spec.Reference, From: stamp(h.Spec.EffectiveTime), Until: stamp(h.Spec.ExpiryTime),
			Policies: sortedStrings(h.Spec.Scope.Policies), Stores: sortedStrings(h.Spec.Scope.Stores), Recipients: sortedStrings(h.Spec.Scope.Recipients),
			Countries: sortedStrings(h.Spec.Scope.Countries), Categories: words(h.Spec.Scope.Categories),
		})
	}
	for _, m := range sorted(in.Mechanisms, func(m residencyv1.TransferMechanism) string { return m.Name }) {
		b.Mechanisms = append(b.Mechanisms, mechanism(m))
	}
	for _, m := range sorted(in.LeadModels, func(m marketingv1.LeadModel) string { return m.Name }) {
		b.LeadModels = append(b.LeadModels, leadModel(m))
	}
	for _, h := range sorted(in.SendHolds, func(h marketingv1.SendHold) string { return h.Name }) {
		b.SendHolds = append(b.SendHolds, &storev1.SendHold{Name: h.Name, Campaigns: sortedStrings(h.Spec.Campaigns), Accounts: sortedStrings(h.Spec.Accounts)})
	}
	return b
}

func mechanism(m residencyv1.TransferMechanism) *storev1.Mechanism {
	return &storev1.Mechanism{
		Name: m.Name, Type: string(m.Spec.Type), State: string(m.Spec.State),
		EffectiveAt: stamp(m.Spec.EffectiveTime), FiledAt: stamp(m.Spec.FiledTime), ExpiresAt: stamp(m.Spec.ExpiryTime),
		Recipients: sortedStrings(m.Spec.Scope.Recipients), Purposes: words(m.Spec.Scope.Purposes), Categories: words(m.Spec.Scope.Categories),
		MaxPersons: m.Spec.Scope.MaxPersons, RetentionDays: int64(m.Spec.Scope.RetentionDays),
	}
}

func leadModel(m marketingv1.LeadModel) *storev1.LeadModel {
	out := &storev1.LeadModel{Name: m.Name, HalfLifeDays: m.Spec.HalfLifeDays}
	for _, r := range m.Spec.Rules {
		out.Rules = append(out.Rules, &storev1.LeadRule{Name: r.Name, Event: r.Event, Match: r.Match, Points: float64(r.Points), MaxPerDay: r.MaxPerDay})
	}
	for _, s := range m.Spec.Stages {
		out.Stages = append(out.Stages, &storev1.LeadStage{Name: s.Name, MinPoints: float64(s.MinPoints)})
	}
	return out
}

func stamp(t metav1.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Time)
}

// words returns typed strings as plain ones, sorted.
func words[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	slices.Sort(out)
	return out
}

func sortedStrings(in []string) []string { return slices.Sorted(slices.Values(in)) }

func sorted[T any](in []T, name func(T) string) []T {
	return slices.SortedFunc(slices.Values(in), func(a, b T) int { return strings.Compare(name(a), name(b)) })
}
