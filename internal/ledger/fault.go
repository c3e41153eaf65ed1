package ledger

import "fmt"

// Words for what is wrong with a pack, a receipt or a log. They are stable.
const (
	Malformed          = "Malformed"          // it cannot be read as what it should be
	Truncated          = "Truncated"          // its end is missing
	EntryChanged       = "EntryChanged"       // an entry is not what it commits to
	EntryMissing       = "EntryMissing"       // entries were dropped
	EntryOutOfPlace    = "EntryOutOfPlace"    // an entry was inserted or moved
	CheckpointForged   = "CheckpointForged"   // a checkpoint is not signed by the key
	CheckpointMismatch = "CheckpointMismatch" // entries are not those that were signed
	NotIncluded        = "NotIncluded"        // an entry is not in the signed log
	KeyMismatch        = "KeyMismatch"        // it is of another ledger than the key
	NotProved          = "NotProved"          // a receipt says more than its proofs
)

// Fault is the first thing that is wrong.
type Fault struct {
	Word string `json:"word"`
	// Entry is the number of the entry that is wrong, and Line of the line; -1 and 0 where
	// no single one is.
	Entry   int64  `json:"entry"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

// Error gives "Word: message", with the line where it is known.
func (f *Fault) Error() string {
	if f.Line > 0 {
		return fmt.Sprintf("%s: line %d: %s", f.Word, f.Line, f.Message)
	}
	return f.Word + ": " + f.Message
}

// mismatch says that the entries from first to before end are not those that were signed.
func mismatch(first, end uint64) *Fault {
	where := fmt.Sprintf("entries %d to %d", first, int64(end)-1)
	entry := int64(-1)
	if first+1 == end {
		where, entry = fmt.Sprintf("entry %d", first), int64(first)
	}
	return &Fault{Word: CheckpointMismatch, Entry: entry, Message: where + ": not what the checkpoint signed"}
}
