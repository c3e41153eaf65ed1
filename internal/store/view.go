package store

import (
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/lead"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	packs "github.com/maodian-dev/maodian/internal/law"
)

// View is what the cluster declares, as the manager last pushed it. The store decides by
// it alone, without cluster credentials.
type View struct {
	IssuedAt time.Time     `json:"issuedAt"`
	ValidFor time.Duration `json:"validFor"`
	Policy   Policy        `json:"policy"`
	Notice   Notice        `json:"notice"`
	// NoticeRefused: the notice pushed with this view was not taken; Notice is the one before.
	NoticeRefused bool                 `json:"noticeRefused,omitempty"`
	NoticeRefusal string               `json:"noticeRefusal,omitempty"` // why: RefusedRevision, RefusedHash
	Holds         []transfer.Hold      `json:"holds"`
	Mechanisms    map[string]Mechanism `json:"mechanisms"`
	LeadModels    []LeadModel          `json:"leadModels"`
	SendHolds     []SendHold           `json:"sendHolds"`
}

// Policy is the part of a ResidencyPolicy that the data plane decides by.
type Policy struct {
	Name, Jurisdiction, RulePack, Processor, CIIO, City string
	GuardianAge                                         int
}

// Notice is the published revision of the PrivacyNotice, with its texts by language.
type Notice struct {
	Name                                              string
	Revision, RetentionDays                           int64
	Hash                                              string // of every word that people read: a consent is bound to it
	ProcessorName, ProcessorContact                   string
	StoragePlace                                      string
	StoragePlaceText                                  map[string]string `json:",omitempty"`
	Rights, Refusal                                   map[string]string
	Method, Safeguards, AutomatedDecision, Complaints map[string]string
	Purposes                                          []Purpose
	Recipients                                        []Recipient
	// TextKept: only name, revision and hash are given; the ledger shows the text that it kept.
	TextKept bool `json:",omitempty"`
}

// Why a notice is refused.
const (
	RefusedRevision = "NoticeRevision"     // it goes back, or is another text under its number
	RefusedHash     = "NoticeHashMismatch" // its hash is not that of its words
)

// Text returns the words of the notice, as they are hashed.
func (n Notice) Text() notice.Notice {
	out := notice.Notice{
		Processor: n.ProcessorName, Contact: n.ProcessorContact, RetentionDays: n.RetentionDays, StoragePlace: n.StoragePlace,
		StoragePlaceText: n.StoragePlaceText, Rights: n.Rights, Refusal: n.Refusal,
		Method: n.Method, Safeguards: n.Safeguards, AutomatedDecision: n.AutomatedDecision, Complaints: n.Complaints,
	}
	for _, p := range n.Purposes {
		out.Purposes = append(out.Purposes, notice.Purpose{
			Name: p.Name, Description: p.Description, Categories: p.Categories, Necessity: p.Necessity, Impact: p.Impact,
		})
	}
	for _, r := range n.Recipients {
		out.Recipients = append(out.Recipients, notice.Recipient{
			Name: r.Name, DisplayName: r.DisplayName, Contact: r.Contact, Country: r.Country, RightsChannel: r.RightsChannel,
			Purposes: r.Purposes, Categories: r.Categories, Method: r.Method,
		})
	}
	return out
}

// Names tells whether the notice names a category for a purpose.
func (n Notice) Names(purpose, category string) bool {
	return slices.ContainsFunc(n.Purposes, func(p Purpose) bool { return p.Name == purpose && slices.Contains(p.Categories, category) })
}

// Version returns what tells this text from another.
func (n Notice) Version() notice.Version { return notice.Version{Revision: n.Revision, Hash: n.Hash} }

// Purpose is one purpose of a notice.
type Purpose struct {
	Name              string
	Description       map[string]string
	Categories        []string
	Necessity, Impact map[string]string // of sensitive data
}

// Recipient is one recipient of a notice.
type Recipient struct {
	transfer.Recipient
	DisplayName string
	Method      map[string]string
}

// Mechanism is a transfer mechanism.
type Mechanism = transfer.Mechanism

// SendHold stops campaigns or whole accounts.
type SendHold struct {
	Name                string
	Campaigns, Accounts []string
}

// LeadModel scores what people do.
type LeadModel struct {
	Name  string
	Model lead.Model
	Rules []LeadRule
}

// LeadRule gives points for an event.
type LeadRule struct {
	Name, Event, Match string
	Points             float64
	MaxPerDay          int
}

// Fresh tells whether the view may still be used for what leaves the region.
func (v *View) Fresh(at time.Time) bool {
	return v != nil && v.ValidFor > 0 && at.Before(v.IssuedAt.Add(v.ValidFor))
}

// Held tells whether a SendHold covers the campaign or its account.
func (v *View) Held(campaign, account string) bool {
	return slices.ContainsFunc(v.SendHolds, func(h SendHold) bool {
		return slices.Contains(h.Campaigns, campaign) || slices.Contains(h.Accounts, account)
	})
}

// Stop names the reason for which an export may not go on, if any.
func (v *View) Stop(s TransferSpec, at time.Time) reason.Code {
	if !v.Fresh(at) {
		return reason.PolicyStale
	}
	target := v.Facts(s, at).Target()
	for _, h := range v.Holds {
		if h.Covers(target, at) {
			return h.Code()
		}
	}
	return reason.AllChecksPassed
}

// Rules returns what a consent must meet for the purpose and recipient (empty: the
// processor itself); false when the published notice does not tell people of it.
func (v *View) Rules(purpose, recipient string) (consent.Rules, bool) {
	if v == nil || v.Notice.Revision == 0 || !v.told(purpose, recipient) {
		return consent.Rules{}, false
	}
	automated := Automated(purpose)
	return consent.Rules{
		Revision: v.Notice.Revision, GuardianAge: v.Policy.GuardianAge,
		Marketing: purpose == "DirectMarketing" || automated, Automated: automated,
		NeedsSeparate: recipient != "" || automated,
	}, true
}

// Automated tells whether people are selected for a purpose by a score.
func Automated(purpose string) bool { return purpose == "PersonalizedMarketing" }

func (v *View) told(purpose, recipient string) bool {
	if recipient == "" {
		return slices.ContainsFunc(v.Notice.Purposes, func(p Purpose) bool { return p.Name == purpose })
	}
	return slices.ContainsFunc(v.Notice.Recipients, func(r Recipient) bool {
		return r.Name == recipient && slices.Contains(r.Purposes, purpose)
	})
}

// LeadModel returns the model of this name; an empty name takes the only one there is.
func (v *View) LeadModel(name string) (LeadModel, bool) {
	if name == "" && len(v.LeadModels) == 1 {
		return v.LeadModels[0], true
	}
	i := slices.IndexFunc(v.LeadModels, func(m LeadModel) bool { return m.Name == name })
	if i < 0 {
		return LeadModel{}, false
	}
	return v.LeadModels[i], true
}

// Pack returns the rules that the policy names, nil when this version does not have them.
func (v *View) Pack() *law.Pack {
	if v == nil {
		return nil
	}
	return packs.Named(v.Policy.RulePack)
}

// AskAgain is how long a refusal or a withdrawal is left in peace.
func (v *View) AskAgain() time.Duration {
	if p := v.Pack(); p != nil {
		return time.Duration(p.Terms.ReaskDays) * 24 * time.Hour
	}
	return consent.AskAgain
}

// Facts returns what the view contributes to a transfer decision.
func (v *View) Facts(s TransferSpec, at time.Time) transfer.Facts {
	f := transfer.Facts{Now: at, Request: s.Request, Assessment: s.Assessment}
	if v == nil {
		return f
	}
	f.Pack = v.Pack()
	f.Policy = transfer.Policy{Name: v.Policy.Name, CIIO: v.Policy.CIIO, City: v.Policy.City}
	f.Holds = v.Holds
	f.Notice = transfer.Notice{Revision: v.Notice.Revision, RetentionDays: v.Notice.RetentionDays}
	for _, r := range v.Notice.Recipients {
		f.Notice.Recipients = append(f.Notice.Recipients, r.Recipient)
	}
	for _, p := range v.Notice.Purposes {
		if len(p.Necessity) > 0 && len(p.Impact) > 0 {
			f.Notice.SensitiveTold = append(f.Notice.SensitiveTold, p.Name)
		}
	}
	if m, ok := v.Mechanisms[s.Mechanism]; ok {
		f.Mechanism = &m
	}
	return f
}
