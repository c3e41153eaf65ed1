// Package aggregate decides which numbers of people may leave the region as statistics: the
// tables that may be asked for by name, and [Protect], which hides, rounds and holds back
// until what is left singles nobody out. docs/aggregates.md says what that promises, and
// what it does not. The package sees numbers, never people.
package aggregate

import (
	"cmp"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

const (
	// Threshold is how many distinct people a number is about at least; how many must have come
	// or gone before it moves; and how wide the interval is, at least, into which a hidden
	// number can be bounded.
	Threshold = subject.Few
	// Base is what numbers are rounded to.
	Base = 10
	// Interval is the time from counting a table to counting it again. Who asks in between gets
	// the numbers that there are.
	Interval = 24 * time.Hour
)

// Name is a table that may be asked for.
type Name string

// Tables. No two have a dimension in common, so that one does not give away what another
// hides: that is why there is no table of score bands beside the stages, which are bands, too.
const (
	LeadsByStage      Name = "LeadsByStage"
	FollowersByTag    Name = "FollowersByTag"
	ConsentsByPurpose Name = "ConsentsByPurpose"
	SendsByOutcome    Name = "SendsByOutcome"
)

// Shape says how a table is read.
type Shape struct {
	// Dimensions are the names of the columns that tell a cell from another: one or two.
	Dimensions []string
	// Overlapping: somebody may be in several cells, so that they do not add up and no total is
	// told. A cell that is hidden is not even named: its name comes from what people did.
	Overlapping bool
}

// shapes are those of all tables. The total of a campaign stays where it is, although without it
// the sent could be told beside few others: LeadsByStage and ConsentsByPurpose may tell the same
// number, of the same people, and who has it would subtract.
var shapes = map[Name]Shape{
	LeadsByStage:      {Dimensions: []string{"stage"}},
	FollowersByTag:    {Dimensions: []string{"tag"}, Overlapping: true},
	ConsentsByPurpose: {Dimensions: []string{"purpose", "answer"}},
	SendsByOutcome:    {Dimensions: []string{"campaign", "outcome"}},
}

// ShapeOf tells how a table is read; false for an unknown name.
func ShapeOf(n Name) (Shape, bool) {
	s, ok := shapes[n]
	return s, ok
}

// Key names a cell. A table of one dimension has one row, without a name; a cell without a
// column is the total of its row.
type Key struct{ Row, Column string }

// Total tells whether the key is that of a row's total.
func (k Key) Total() bool { return k.Column == "" }

func compare(a, b Key) int { return cmp.Or(cmp.Compare(a.Row, b.Row), cmp.Compare(a.Column, b.Column)) }

// Keys names the values of the dimensions, for a table of this shape; a total has one less.
func (s Shape) Keys(k Key) []string {
	var out []string
	if len(s.Dimensions) == 2 {
		out = append(out, k.Row)
	}
	if !k.Total() {
		out = append(out, k.Column)
	}
	return out
}

// Table is what was counted: distinct people in each cell, without totals. Unless the cells
// overlap, everybody is in one cell of a row at most.
type Table struct {
	Name  Name
	Cells []Cell
}

// Cell is a number of distinct people.
type Cell struct {
	Key
	People int64
}

// Number is what may be told of one cell or total.
type Number struct {
	Key
	// Value is rounded; 0: it is hidden.
	Value int64
	// Counted is how many people there were when the value was set. It stays in the store.
	Counted int64
}

// Hidden tells whether nothing may be told but that the cell is hidden.
func (n Number) Hidden() bool { return n.Value == 0 }

// round rounds to the base, half of it up. Whatever may be told stays at the threshold or
// above: the base divides it.
func round(n int64) int64 { return (n + Base/2) / Base * Base }

// near tells whether fewer people than the threshold have come or gone, as far as numbers tell.
func near(a, b int64) bool { return max(a, b)-min(a, b) < Threshold }
