package store

import (
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// noticeOf reads a pushed notice.
func noticeOf(n *storev1.Notice) store.Notice {
	out := store.Notice{
		Name: n.GetName(), Revision: n.GetRevision(), Hash: n.GetContentHash(), TextKept: n.GetTextKept(), RetentionDays: n.GetRetentionDays(),
		ProcessorName: n.GetProcessorName(), ProcessorContact: n.GetProcessorContact(), StoragePlace: n.GetStoragePlace(),
		StoragePlaceText: n.GetStoragePlaceText(), Rights: n.GetRights(), Refusal: n.GetRefusal(),
		Method: n.GetMethod(), Safeguards: n.GetSafeguards(), AutomatedDecision: n.GetAutomatedDecision(), Complaints: n.GetComplaints(),
	}
	for _, p := range n.GetPurposes() {
		out.Purposes = append(out.Purposes, store.Purpose{
			Name: p.GetName(), Description: p.GetDescription(), Categories: p.GetCategories(), Necessity: p.GetNecessity(), Impact: p.GetImpact(),
		})
	}
	for _, r := range n.GetRecipients() {
		out.Recipients = append(out.Recipients, store.Recipient{DisplayName: r.GetDisplayName(), Method: r.GetMethod(), Recipient: transfer.Recipient{
			Name: r.GetName(), Country: r.GetCountry(), Contact: r.GetContact(), RightsChannel: r.GetRightsChannel(),
			Purposes: r.GetPurposes(), Categories: r.GetCategories(),
		}})
	}
	return out
}

// noticeFor writes the notice for the page: whatever noticeOf reads, people are told.
func noticeFor(n store.Notice) *storev1.Notice {
	if n.Revision == 0 {
		return nil
	}
	out := &storev1.Notice{
		Name: n.Name, Revision: n.Revision, ContentHash: n.Hash, ProcessorName: n.ProcessorName, ProcessorContact: n.ProcessorContact,
		RetentionDays: n.RetentionDays, StoragePlace: n.StoragePlace, StoragePlaceText: n.StoragePlaceText, Rights: n.Rights, Refusal: n.Refusal,
		Method: n.Method, Safeguards: n.Safeguards, AutomatedDecision: n.AutomatedDecision, Complaints: n.Complaints,
	}
	for _, p := range n.Purposes {
		out.Purposes = append(out.Purposes, &storev1.Purpose{
			Name: p.Name, Description: p.Description, Categories: p.Categories, Necessity: p.Necessity, Impact: p.Impact,
		})
	}
	for _, r := range n.Recipients {
		out.Recipients = append(out.Recipients, &storev1.Recipient{
			Name: r.Name, DisplayName: r.DisplayName, Contact: r.Contact, Country: r.Country, Purposes: r.Purposes, Categories: r.Categories,
			RightsChannel: r.RightsChannel, Method: r.Method,
		})
	}
	return out
}
