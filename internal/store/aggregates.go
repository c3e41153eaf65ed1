package store

import (
	"context"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// Aggregates is the way out for counts. There is no row of a person on it: a transfer has
// either fields or aggregates, and each way is closed to the other (TransferKind).
type Aggregates interface {
	// ReleaseAggregates decides on a declared transfer, counts its tables, and writes down what
	// it tells before it does. Called again, it decides again, and tells the same.
	ReleaseAggregates(ctx context.Context, id string) (Release, error)
	// FinishAggregates records the manifest. A second call of the same changes nothing.
	FinishAggregates(ctx context.Context, id string, m Manifest) error
}

// ErrTransferKind says that a transfer of records was asked for counts, or the other way round.
var ErrTransferKind = &Error{"TransferKind", "records and counts leave by two ways, and this transfer goes by the other one"}

// Release is what a transfer tells, or why it does not.
type Release struct {
	Refusals []transfer.Refusal // empty: it tells
	Started  time.Time
	Decision transfer.Of // of the start
	Tables   []ReleasedTable
	Life     time.Duration // from the answer; no write goes on after it
}

// ReleasedTable is what may be told of one table.
type ReleasedTable struct {
	Name  aggregate.Name
	Cells []ReleasedCell
	// CountedAt is when its people were counted: earlier than the transfer where it tells the
	// numbers of another one.
	CountedAt time.Time
}

// ReleasedCell is one number of distinct people, rounded; 0: it is hidden. A total has a key
// less than there are dimensions.
type ReleasedCell struct {
	Keys   []string
	People int64
}

// Released is how much of a table was told.
type Released struct {
	Name              aggregate.Name
	CountedAt         time.Time
	Cells, Suppressed int64 // totals among them
}
