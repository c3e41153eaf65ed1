package transfer

import (
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Facts is everything that a question may look at, gathered beforehand. It holds numbers of
// people, never people.
type Facts struct {
	Now  time.Time
	Pack *law.Pack // nil: the policy's pack is not known

	Policy     Policy
	Request    Request
	Notice     Notice
	Assessment Assessment
	Mechanism  *Mechanism
	Holds      []Hold

	// Year is the processor's counter over the pack's window, without this transfer; nil when
	// it cannot be read.
	Year *Counter
	// People is who may be included; nil before the store has said it.
	People *People
	// Recent is how many people's data went to this recipient in twelve months, whoever sent
	// them, without this transfer.
	Recent Counter
	// Processed is how many people the processor processes at all, where the pack asks.
	Processed int64
}

// Policy is what the ResidencyPolicy says about the processor.
type Policy struct {
	Name string // empty: no policy governs
	CIIO string // Yes, No; all else is unknown
	City string // where the processor is registered; empty: not said
}

// Kinds of transfer.
const (
	PhysicalTransfer = "PhysicalTransfer"
	RemoteAccess     = "RemoteAccess"
)

// Data states (law.md 8.2 and DSL 21, 25). Empty is as None: nobody has said otherwise.
const (
	DataNone             = "None"
	DataSelfIdentified   = "SelfIdentifiedNotNotified"
	DataNotified         = "NotifiedOrPublished"
	DataCore             = "Core"
	DataExportControlled = "ExportControlled"
)

// Request is what somebody asks to send.
type Request struct {
	Kind               string // empty: PhysicalTransfer
	Declared           bool   // of a RemoteAccess: who reads what from where
	Store              string
	Recipient, Country string
	ForeignAuthority   bool   // a foreign court or law enforcement body
	Approval           string // of the competent authority, for it
	OnwardTo           []string
	Purpose            string
	LegalBasis         string
	Categories, Fields []string
	Aggregates         []string // named counts; then nothing about a person leaves
	DataStatus         string
	MaxPersons         int64
	RetentionDays      int64 // at the recipient; 0: not said
	Necessity          string
	HasDestination     bool
	Exemption          *Exemption
	VolumeReview       string // reference of a review of the whole volume
}

// Exemption is the ground that the request claims for needing no mechanism.
type Exemption struct {
	Ground   string
	Evidence []string // kinds
	// Mixed: data collected in the mainland are among what leaves.
	Mixed bool
}

// Notice is the published notice revision.
type Notice struct {
	Revision      int64
	RetentionDays int64
	Recipients    []Recipient
	// SensitiveTold lists the purposes for which it tells why sensitive data are necessary,
	// and what they mean for the person (PIPL 30).
	SensitiveTold []string
}

// Recipient is one entry of a notice's list.
type Recipient struct {
	Name, Country, Contact, RightsChannel string
	Purposes, Categories                  []string
}

// Outcomes of an assessment.
const (
	Acceptable   = "Acceptable"
	Unacceptable = "Unacceptable"
	Insufficient = "MeasuresInsufficient"
)

// Assessment is the personal information protection impact assessment (PIPL 55).
type Assessment struct {
	Reference             string
	CompletedAt, ReviewBy time.Time
	Outcome               string
}

// Kinds of mechanism that a rule names; the pack has the others.
const (
	SecurityAssessment  = "SecurityAssessment"
	StandardContract    = "StandardContract"
	Certification       = "Certification"
	GBAStandardContract = "GBAStandardContract"
)

// Mechanism is a transfer mechanism and its scope.
type Mechanism struct {
	Type, State                      string
	EffectiveAt, FiledAt, ExpiresAt  time.Time // zero: not set
	Recipients, Purposes, Categories []string
	Kinds                            []string // of transfer; empty: physical ones
	MaxPersons                       int64
	RetentionDays                    int64 // at the recipient; 0: not limited
}

// Kinds of hold. Empty is as HoldOrder.
const (
	HoldOrder           = "Order"
	HoldReview          = "SecurityReview"
	HoldRecipient       = "RecipientRestriction"
	HoldDestination     = "DestinationRestriction"
	defaultTransferKind = PhysicalTransfer
)

// Hold is an authority's order. An empty list covers everything.
type Hold struct {
	Kind                  string
	Reference             string
	From, Until           time.Time // zero Until: open end
	Policies, Stores      []string
	Recipients, Countries []string
	Categories            []string
}

// Target is what a hold may cover.
type Target struct {
	Policy, Store, Recipient, Country string
	Categories                        []string
}

// Target returns what the holds are asked about.
func (f Facts) Target() Target {
	r := f.Request
	return Target{Policy: f.Policy.Name, Store: r.Store, Recipient: r.Recipient, Country: r.Country, Categories: r.Categories}
}

// Covers tells whether the hold stops a transfer at this time.
func (h Hold) Covers(t Target, at time.Time) bool {
	return !at.Before(h.From) && (h.Until.IsZero() || at.Before(h.Until)) &&
		names(h.Policies, t.Policy) && names(h.Stores, t.Store) && names(h.Recipients, t.Recipient) && names(h.Countries, t.Country) &&
		(len(h.Categories) == 0 || slices.ContainsFunc(t.Categories, func(c string) bool { return slices.Contains(h.Categories, c) }))
}

func names(list []string, one string) bool { return len(list) == 0 || slices.Contains(list, one) }

// Code is the code by which the hold refuses.
func (h Hold) Code() reason.Code {
	switch h.Kind {
	case HoldReview:
		return reason.NationalSecurityReview
	case HoldRecipient:
		return reason.RecipientRestricted
	case HoldDestination:
		return reason.DestinationRestricted
	}
	return reason.PublicSecurityHold
}

// Counter is a number of distinct people.
type Counter struct{ NonSensitive, Sensitive int64 }

// Plus adds two counters of people who may be the same: never below the truth.
func (c Counter) Plus(o Counter) Counter {
	return Counter{c.NonSensitive + o.NonSensitive, c.Sensitive + o.Sensitive}
}

// People is what the store says about those who could be included, one by one.
type People struct {
	Included int64
	Young    int64 // of them, so young that all about them is sensitive
	Excluded map[reason.Code]int64
}

// personal tells whether anything that leaves is about people.
func (f Facts) personal() bool { return f.Pack.Personal(f.Request.Categories) }

// CategoryOf tells which data category a field belongs to; false for an unknown field.
func CategoryOf(field string) (string, bool) {
	switch field {
	case "id":
		return "PseudonymousID", true
	case "tags":
		return "InterestTag", true
	case "lead.score", "lead.stage":
		return "LeadScore", true
	}
	return "", false
}
