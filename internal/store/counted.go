package store

import (
	"context"

	"github.com/maodian-dev/maodian/internal/domain/census"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// ErrCountingDiffers says that two stores do not count the same people under the same names.
var ErrCountingDiffers = &Error{"CountingDiffers", "the stores share no counting key, or count for different processors"}

// Counted is what the stores of a processor that share a counting key tell each other.
type Counted interface {
	// CountedOf describes the year's counter of this store as it is now.
	CountedOf(ctx context.Context) (CountedSet, error)
	// CountedSince tells how many people are in a counter; it is refused for another key or processor.
	CountedSince(ctx context.Context, s CountedSet) (transfer.Counter, error)
	// ListCounted lists them in ascending order.
	ListCounted(ctx context.Context, s CountedSet, sensitive bool) (census.List, error)
}

// CountedSet names a counter: whose, since which year (Asia/Shanghai), by which key.
type CountedSet struct {
	Processor string
	SinceYear int
	KeyID     string
}
