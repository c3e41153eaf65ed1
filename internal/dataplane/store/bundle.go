package store

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// viewOf reads a pushed bundle.
func viewOf(b *storev1.Bundle) *store.View {
	p := b.GetPolicy()
	v := &store.View{
		IssuedAt: moment(b.GetIssuedAt()), ValidFor: time.Duration(b.GetValidForSeconds()) * time.Second,
		Policy: store.Policy{
			Name: p.GetName(), Jurisdiction: p.GetJurisdiction(), RulePack: p.GetRulePack(), Processor: p.GetProcessor(),
			CIIO: p.GetCiioStatus(), City: p.GetCity(), GuardianAge: int(p.GetGuardianConsentAge()),
		},
		Notice:     noticeOf(b.GetNotice()),
		Mechanisms: map[string]store.Mechanism{},
	}
	for _, h := range b.GetHolds() {
		v.Holds = append(v.Holds, transfer.Hold{
			Kind: h.GetKind(), Reference: h.GetReference(), From: moment(h.GetFrom()), Until: moment(h.GetUntil()), Policies: h.GetPolicies(),
			Stores: h.GetStores(), Recipients: h.GetRecipients(), Countries: h.GetCountries(), Categories: h.GetCategories(),
		})
	}
	for _, m := range b.GetMechanisms() {
		v.Mechanisms[m.GetName()] = store.Mechanism{
			Type: m.GetType(), State: m.GetState(), EffectiveAt: moment(m.GetEffectiveAt()), FiledAt: moment(m.GetFiledAt()), ExpiresAt: moment(m.GetExpiresAt()),
			Recipients: m.GetRecipients(), Purposes: m.GetPurposes(), Categories: m.GetCategories(), MaxPersons: m.GetMaxPersons(), RetentionDays: m.GetRetentionDays(),
		}
	}
	for _, m := range b.GetLeadModels() {
		v.LeadModels = append(v.LeadModels, leadModelOf(m))
	}
	for _, h := range b.GetSendHolds() {
		v.SendHolds = append(v.SendHolds, store.SendHold{Name: h.GetName(), Campaigns: h.GetCampaigns(), Accounts: h.GetAccounts()})
	}
	return v
}

func leadModelOf(m *storev1.LeadModel) store.LeadModel {
	out := store.LeadModel{Name: m.GetName(), Model: lead.Model{HalfLifeDays: int(m.GetHalfLifeDays())}}
	for _, s := range m.GetStages() {
		out.Model.Stages = append(out.Model.Stages, lead.Stage{Name: s.GetName(), MinPoints: s.GetMinPoints()})
	}
	for _, r := range m.GetRules() {
		out.Rules = append(out.Rules, store.LeadRule{
			Name: r.GetName(), Event: r.GetEvent(), Match: r.GetMatch(), Points: r.GetPoints(), MaxPerDay: int(r.GetMaxPerDay()),
		})
	}
	return out
}
