// Package receipt turns what a ledger holds about one person's consents into records with
// the field names of ISO/IEC TS 27560:2023, and into the receipt that the person keeps.
//
// A receipt is a function of its evidence: entries of the log with their proofs, and what
// the person was shown, by hash. Who verifies one computes it again from the evidence, so
// that it can say nothing that the log did not sign. The names of the standard are known
// through the W3C DPV guide to it; states and purposes are DPV terms where there is one.
package receipt

import (
	"encoding/json"

	"github.com/maodian-dev/maodian/internal/domain/consent"
)

// Schema is the schema_version of records and receipts.
const Schema = "ISO/IEC TS 27560:2023; maodian-receipt/1"

// Unstated stands in a mandatory field that the notice said nothing about.
const Unstated = "not stated in the privacy notice"

// Receipt is what a person keeps (TS 27560 6.3.3 asks for its own id and schema version).
type Receipt struct {
	SchemaVersion  string   `json:"schema_version"`
	ReceiptID      string   `json:"receipt_id"`
	PIIPrincipalID string   `json:"pii_principal_id"` // a commitment; not the WeChat identifier
	Parties        []Party  `json:"parties"`
	Records        []Record `json:"records"`
	// Notices is an extension of ours: when the notice was shown that the records' events answer.
	Notices []NoticeEvent `json:"notice_events,omitempty"`
	// Guardians is an extension of ours: what guardians said for a minor, or were asked (PIPL 31).
	Guardians []GuardianEvent `json:"guardian_events,omitempty"`
	Evidence  Evidence        `json:"evidence"`
}

// Record is what happened to one consent: one purpose, towards one recipient.
type Record struct {
	SchemaVersion         string    `json:"schema_version"`
	RecordID              string    `json:"record_id"`
	PIIPrincipalID        string    `json:"pii_principal_id"`
	PrivacyNotice         string    `json:"privacy_notice"`
	Language              string    `json:"language"`
	Purposes              []Purpose `json:"purposes"`
	LawfulBasis           string    `json:"lawful_basis"`
	PIIInformation        []PII     `json:"pii_information"`
	PIIControllers        []string  `json:"pii_controllers"` // party_id
	StorageLocations      []string  `json:"storage_locations"`
	RetentionPeriod       string    `json:"retention_period"`
	Jurisdiction          string    `json:"jurisdiction"`
	RecipientThirdParties []string  `json:"recipient_third_parties"` // party_id
	WithdrawalMethod      string    `json:"withdrawal_method"`
	PrivacyRights         string    `json:"privacy_rights"`
	Events                []Event   `json:"events"`
}

// Purpose of a record.
type Purpose struct {
	Purpose     string `json:"purpose"`
	PurposeType string `json:"purpose_type"` // DPV term, or our own
	Description string `json:"description,omitempty"`
}

// PII is one kind of personal information.
type PII struct {
	Type      string `json:"pii_type"`
	Sensitive bool   `json:"sensitive_pii_category"`
}

// Party is a controller or a recipient.
type Party struct {
	ID      string `json:"party_id"`
	Name    string `json:"party_name"`
	Address string `json:"party_address"`
	Contact string `json:"party_contact"`
	Type    string `json:"party_type"` // PIIController or ThirdParty
	URL     string `json:"party_url,omitempty"`
	Country string `json:"party_country,omitempty"`
}

// Event is one act, or the end of a time. The last four fields are extensions of ours: PIPL
// asks for a consent that is separate, the standard does not know it.
type Event struct {
	Time             string      `json:"event_time"`
	ValidityDuration string      `json:"validity_duration"` // ISO 8601
	EntityID         string      `json:"entity_id"`
	Type             string      `json:"event_type"`
	State            string      `json:"event_state"`
	SeparateConsent  bool        `json:"separateConsent"`
	StatutoryArticle string      `json:"statutoryArticle"`
	Evidence         ActEvidence `json:"evidence"`
	LogIndex         uint64      `json:"logIndex"`
}

// NoticeEvent is the notice before the person's eyes. It is the request for consent, and a
// fact whether or not an answer followed.
type NoticeEvent struct {
	Time     string      `json:"event_time"`
	EntityID string      `json:"entity_id"`
	Type     string      `json:"event_type"`  // ShowNotice; DPV has a state only
	State    string      `json:"event_state"` // ConsentRequested
	Language string      `json:"language"`
	Opened   bool        `json:"opened"` // false: known by its answer only
	Evidence ActEvidence `json:"evidence"`
	LogIndex uint64      `json:"logIndex"`
}

// GuardianEvent is an act of a guardian, or the question to one. Who it is, is not told; the
// commitment lets the processor prove it.
type GuardianEvent struct {
	Time               string                 `json:"event_time"`
	EntityID           string                 `json:"entity_id"`
	Type               string                 `json:"event_type"`
	State              string                 `json:"event_state"`
	GuardianState      consent.GuardianState  `json:"guardianState"`
	Relation           string                 `json:"relation,omitempty"`
	Method             consent.GuardianMethod `json:"method"`
	VerifierRef        string                 `json:"verifierRef,omitempty"`
	EvidenceCommitment string                 `json:"evidenceCommitment,omitempty"`
	SubjectAgeBand     string                 `json:"subjectAgeBand"` // as the person had told by then
	Evidence           ActEvidence            `json:"evidence"`
	LogIndex           uint64                 `json:"logIndex"`
}

// ActEvidence is what the person acted upon and what they had before their eyes.
type ActEvidence struct {
	Control        consent.Control `json:"control"`
	Channel        string          `json:"channel"`
	Account        string          `json:"account"`
	NoticeRevision int64           `json:"noticeRevision"`
	NoticeHash     string          `json:"noticeHash,omitempty"`     // SHA-256 of what was shown
	NoticeLogIndex *uint64         `json:"noticeLogIndex,omitempty"` // of the NoticeEvent that an act answers
}

// Shown is what the consent page showed: the published notice, and the jurisdiction of the
// policy in force. The log holds its hash (PIPL 69: the processor proves what was shown).
type Shown struct {
	Notice           string            `json:"notice"`
	Revision         int64             `json:"revision"`
	Hash             string            `json:"noticeHash,omitempty"` // of the published text
	Processor        string            `json:"processor"`
	ProcessorContact string            `json:"processorContact"`
	Jurisdiction     string            `json:"jurisdiction"`
	StoragePlace     string            `json:"storagePlace"`
	RetentionDays    int64             `json:"retentionDays"`
	Rights           map[string]string `json:"rights"`
	Refusal          map[string]string `json:"refusal"`

	StoragePlaceText  map[string]string `json:"storagePlaceText,omitempty"`
	Method            map[string]string `json:"method,omitempty"`
	Safeguards        map[string]string `json:"safeguards,omitempty"`
	AutomatedDecision map[string]string `json:"automatedDecision,omitempty"`
	Complaints        map[string]string `json:"complaints,omitempty"`

	Purposes   []ShownPurpose   `json:"purposes"`
	Recipients []ShownRecipient `json:"recipients"`
}

// ShownPurpose is a purpose with its texts by language.
type ShownPurpose struct {
	Name        string            `json:"name"`
	Description map[string]string `json:"description"`
	Categories  []string          `json:"categories"`
	Necessity   map[string]string `json:"necessity,omitempty"`
	Impact      map[string]string `json:"impact,omitempty"`
}

// ShownRecipient is a recipient of the notice.
type ShownRecipient struct {
	Name          string   `json:"name"`
	DisplayName   string   `json:"displayName"`
	Country       string   `json:"country"`
	Contact       string   `json:"contact"`
	RightsChannel string   `json:"rightsChannel"`
	Purposes      []string `json:"purposes"`
	Categories    []string `json:"categories"`

	Method map[string]string `json:"method,omitempty"`
}

// said is the body of a consent entry, as the engines write it.
type said struct {
	Purpose   string          `json:"purpose"`
	Recipient string          `json:"recipient"`
	Action    consent.Action  `json:"action"`
	Revision  int64           `json:"revision"`
	Separate  bool            `json:"separate"`
	Control   consent.Control `json:"control"`
	Ends      int64           `json:"ends"`
	Account   string          `json:"account"`
	Language  string          `json:"language"`
	Shown     string          `json:"shown"`
	Look      int64           `json:"look"` // which one; 0: an entry from before looks were kept
}

// seen is the body of an entry about a notice that was shown.
type seen struct {
	Look     int64           `json:"look"`
	Shown    string          `json:"shown"`
	Revision int64           `json:"revision"`
	Language string          `json:"language"`
	Control  consent.Control `json:"control"`
	Channel  string          `json:"channel"`
	Account  string          `json:"account"`
	Opened   bool            `json:"opened"`
}

// guarded is the body of an entry about a guardian.
type guarded struct {
	State              consent.GuardianState  `json:"state"`
	Revision           int64                  `json:"revision"`
	Relation           string                 `json:"relation"`
	Account            string                 `json:"account"`
	Method             consent.GuardianMethod `json:"method"`
	VerifierRef        string                 `json:"verifierRef"`
	EvidenceCommitment string                 `json:"evidenceCommitment"`
	SubjectAgeBand     string                 `json:"subjectAgeBand"`
	Shown              string                 `json:"shown"`
	Look               int64                  `json:"look"`
}

// Kinds of a log's entries: about consents, about the notice before somebody's eyes, and about
// what guardians said.
const (
	Kind         = "consent"
	KindShown    = "shown"
	KindGuardian = "guardian"
)

func readSaid(body json.RawMessage) (said, error) {
	var s said
	if err := json.Unmarshal(body, &s); err != nil {
		return said{}, unproved("an entry's body is no consent")
	}
	return s, nil
}
