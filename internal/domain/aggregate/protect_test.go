package aggregate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// row makes the cells of a row, with columns a, b, c and so on.
func row(name string, people ...int64) []Cell {
	var out []Cell
	for i, n := range people {
		out = append(out, Cell{Key{name, string(rune('a' + i))}, n})
	}
	return out
}

func one(people ...int64) Table { return Table{LeadsByStage, row("", people...)} }

func two(rows ...[]Cell) Table { return Table{ConsentsByPurpose, slices.Concat(rows...)} }

// told writes numbers down, hidden ones as a dash; a total is called by its row alone.
func told(list []Number) string {
	s := ""
	for _, n := range list {
		value := "-"
		if !n.Hidden() {
			value = fmt.Sprint(n.Value)
		}
		s += fmt.Sprintf("%s%s=%s ", n.Row, n.Column, value)
	}
	return s
}

func TestWhatMayBeToldOfATable(t *testing.T) {
	for name, c := range map[string]struct {
		table  Table
		former []Number
		want   string
	}{
		"numbers are rounded, the total by itself":        {one(24, 24, 24), nil, "=70 a=20 b=20 c=20 "},
		"half is rounded up":                              {one(25, 34), nil, "=60 a=30 b=30 "},
		"twenty are told, nineteen are not":               {one(20, 19, 300, 400), nil, "=740 a=- b=- c=300 d=400 "},
		"the smallest other cell hides the one":           {one(5, 300, 100, 200), nil, "=610 a=- b=300 c=- d=200 "},
		"nobody is few, too":                              {one(0, 300, 100), nil, "=400 a=- b=300 c=- "},
		"two hidden cells with few people need a third":   {one(5, 0, 100, 200), nil, "=310 a=- b=- c=- d=200 "},
		"two hidden cells with enough people need none":   {one(15, 12, 100, 200), nil, "=330 a=- b=- c=100 d=200 "},
		"a total about few is hidden":                     {one(5, 3), nil, "=- a=- b=- "},
		"where one cell is all there is, so is its total": {one(12), nil, "=- a=- "},
		"an empty table":                                  {one(), nil, ""},
		"cells that overlap have no total, and hide alone": {
			Table{FollowersByTag, row("", 25, 3, 40)}, nil, "a=30 b=- c=40 ",
		},
		"a hidden cell hides another in its row and its column": {
			two(row("P", 5, 100, 200), row("Q", 300, 400, 500)), nil, "P=310 Pa=- Pb=- Pc=200 Q=1200 Qa=- Qb=- Qc=500 ",
		},
		"a column about few is known to nobody": {
			two(row("P", 500, 100, 5), row("Q", 400, 300, 6)), nil, "P=610 Pa=500 Pb=- Pc=- Q=710 Qa=400 Qb=- Qc=- ",
		},
		"two hidden cells at the corners of a square take the others": {
			two(row("P", 3, 30, 300, 600), row("Q", 100, 4, 400, 700)), nil, "P=930 Pa=- Pb=- Pc=300 Pd=600 Q=1200 Qa=- Qb=- Qc=400 Qd=700 ",
		},
		"a row about few hides its total, and its columns hide more": {
			two(row("P", 1, 2, 3), row("Q", 400, 300, 500), row("R", 70, 80, 90)), nil, "P=- Pa=- Pb=- Pc=- Q=1200 Qa=400 Qb=300 Qc=500 R=- Ra=- Rb=- Rc=- ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(Protect(c.table, c.former)); got != c.want {
				t.Errorf("told %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWhatIsToldAgain(t *testing.T) {
	first := Protect(one(50, 100, 200), nil)
	hiding := Protect(one(5, 100, 200), nil)
	rows := Protect(two(row("P", 50, 100), row("Q", 30, 40)), nil)
	wide := Protect(two(row("P", 50, 100, 40), row("Q", 100, 200, 300)), nil)
	for name, c := range map[string]struct {
		table  Table
		former []Number
		want   string
	}{
		"nineteen more change nothing":                              {one(69, 100, 200), first, "=350 a=50 b=100 c=200 "},
		"twenty more show, and in the total":                        {one(70, 100, 200), first, "=370 a=70 b=100 c=200 "},
		"twenty who only changed places leave the total":            {one(70, 80, 200), first, "=350 a=70 b=80 c=200 "},
		"what falls below the threshold by a few stays":             {one(31, 100, 200), first, "=350 a=50 b=100 c=200 "},
		"what falls far is hidden, and the total that would tell":   {one(5, 100, 200), first, "=- a=- b=100 c=200 "},
		"where only what is known could hide it, nothing moves":     {one(5, 119, 219), first, "=350 a=50 b=100 c=200 "},
		"what was hidden stays hidden though nineteen came":         {one(24, 100, 200), hiding, "=310 a=- b=- c=200 "},
		"what was hidden is told when twenty came":                  {one(25, 140, 200), hiding, "=370 a=30 b=140 c=200 "},
		"what hides beside it stays until it has moved itself":      {one(90, 100, 200), hiding, "=390 a=- b=- c=200 "},
		"a new cell, told at once":                                  {one(50, 100, 200, 40), first, "=390 a=50 b=100 c=200 d=40 "},
		"a new cell about few, and the total that would tell it":    {one(50, 100, 230, 5), first, "=390 a=50 b=100 c=- d=- "},
		"a row that cannot move keeps no other one":                 {two(row("P", 65, 115, 10), row("Q", 100, 260, 300)), wide, "P=190 Pa=50 Pb=100 Pc=40 Q=660 Qa=100 Qb=260 Qc=300 "},
		"a new row alone hides in itself, the others are not moved": {two(row("P", 50, 100), row("Q", 30, 40), row("R", 5, 60, 90)), rows, "P=150 Pa=50 Pb=100 Q=70 Qa=30 Qb=40 R=160 Ra=- Rb=- Rc=90 "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(Protect(c.table, c.former)); got != c.want {
				t.Errorf("told %s\nwant %s", got, c.want)
			}
		})
	}
}

// random makes a table of up to so many rows and columns with many small numbers in it.
func random(r *rand.Rand, rows, columns int) Table {
	number := func() int64 {
		return []int64{0, r.Int64N(5), r.Int64N(Threshold), r.Int64N(3 * Threshold), Threshold + r.Int64N(500)}[r.IntN(5)]
	}
	h, w := 1+r.IntN(rows), 1+r.IntN(columns)
	t := Table{Name: ConsentsByPurpose}
	for y := range h {
		for x := range w {
			t.Cells = append(t.Cells, Cell{Key{string(rune('P' + y)), string(rune('a' + x))}, number()})
		}
	}
	return t
}

func seeds(t *testing.T, n int, f func(*testing.T, *rand.Rand)) {
	t.Helper()
	for seed := range uint64(n) {
		r := rand.New(rand.NewPCG(seed, 1))
		if f(t, r); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestTheOrderOfCellsDoesNotMatter(t *testing.T) {
	seeds(t, 500, func(t *testing.T, r *rand.Rand) {
		x := random(r, 4, 4)
		want := Protect(x, nil)
		r.Shuffle(len(x.Cells), func(i, j int) { x.Cells[i], x.Cells[j] = x.Cells[j], x.Cells[i] })
		if got := Protect(x, nil); !slices.Equal(got, want) {
			t.Errorf("told %s\nwant %s", told(got), told(want))
		}
	})
}

func TestNoNumberIsAboutFew(t *testing.T) {
	seeds(t, 2000, func(t *testing.T, r *rand.Rand) {
		for _, n := range Protect(random(r, 4, 4), nil) {
			if !n.Hidden() && (n.Value < Threshold || n.Value%Base != 0 || n.Counted < Threshold || abs(n.Value-n.Counted) > Base/2) {
				t.Errorf("%+v", n)
			}
		}
	})
}

// TestOneMorePersonMovesNoNumber: but across the border of its rounding, where it was told
// before and is told after; and none at all where the table was told before.
func TestOneMorePersonMovesNoNumber(t *testing.T) {
	seeds(t, 1000, func(t *testing.T, r *rand.Rand) {
		x := random(r, 4, 4)
		before := Protect(x, nil)
		x.Cells[r.IntN(len(x.Cells))].People++
		after := Protect(x, nil)
		for i, n := range after {
			same := n.Value == before[i].Value || n.Hidden() || before[i].Hidden()
			if border := n.Counted%Base == Base/2 && n.Value == before[i].Value+Base; !same && !border {
				t.Errorf("%+v after %+v", n, before[i])
			}
		}
		if again := Protect(x, before); !slices.Equal(again, before) {
			t.Errorf("told again %s\nafter %s", told(again), told(before))
		}
	})
}

// TestTwoReleasesTellNothingAboutFewer: a number moves, appears or goes only when so many
// people have moved that it may be told of them.
func TestTwoReleasesTellNothingAboutFewer(t *testing.T) {
	seeds(t, 500, func(t *testing.T, r *rand.Rand) {
		x := random(r, 3, 4)
		var former []Number
		for range 20 {
			now := Protect(x, former)
			for i := range former {
				if now[i].Key != former[i].Key {
					t.Fatalf("%+v stands where %+v was", now[i], former[i])
				}
				if now[i].Value != former[i].Value && abs(now[i].Counted-former[i].Counted) < Threshold {
					t.Errorf("%+v after %+v", now[i], former[i])
				}
			}
			former = now
			for i := range x.Cells {
				if r.IntN(2) == 0 {
					x.Cells[i].People = max(0, x.Cells[i].People+r.Int64N(81)-40)
				}
			}
		}
	})
}

func abs(n int64) int64 { return max(n, -n) }
