package store

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Bounds of what is imported.
const (
	MaxImported = 500 // people in one call
	MinEvidence = 8   // bytes of a reference to the proof of a consent
	MaxEvidence = 200
)

// ImportedPerson is somebody whom the processor knew before the ledger did.
type ImportedPerson struct {
	Who       subject.OpenID
	Following bool
	Consents  []ImportedConsent
}

// ImportedConsent is a consent collected elsewhere. The processor bears the burden of proof
// (PIPL 69), so one without evidence is none: the person is asked.
type ImportedConsent struct {
	Purpose, Recipient string
	NoticeRevision     int64
	CollectedAt        time.Time // as the processor says; the ledger's own time is when it heard of it
	Evidence           string    // where the proof is kept: a document's number or hash, nothing personal
}

// Proved tells whether the consent has what it takes to count.
func (c ImportedConsent) Proved() bool {
	return len(c.Evidence) >= MinEvidence && len(c.Evidence) <= MaxEvidence && !c.CollectedAt.IsZero() && c.NoticeRevision > 0
}

// Imported counts what an import did.
type Imported struct {
	People   int64 // whom the ledger had not known
	Consents int64 // recorded
	// Unproved consents are not recorded, and Contradicted ones neither: the person has said
	// something here, which counts.
	Unproved, Contradicted int64
}
