package store

import (
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Look is the notice before somebody's eyes: the person themselves, or who opened a
// guardian's link.
type Look struct {
	Account, Language string
	Who               subject.OpenID
	Revision          int64
	Link              *[32]byte // the secret of a guardian's link; nil: the person's own page
}

// ShownEntry is one such moment in a person's record. Which guardian it was is not told.
type ShownEntry struct {
	At                time.Time
	Revision          int64
	Hash              string // of what was shown, as in the receipt
	Account, Language string
	Control           consent.Control // Page or Guardian
}
