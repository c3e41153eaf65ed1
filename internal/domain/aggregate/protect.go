package aggregate

import "slices"

// Protect says what may be told of a table, given what was told of it before: the newest
// number of every cell. The result is in the order of the keys.
//
// A number that fewer than [Threshold] people have moved stays what it was, told or hidden.
// Of the others, those about fewer people are hidden; and then as many more, the smallest
// first, as it takes until no hidden number can be found within an interval narrower than
// the threshold by adding and subtracting. Where that would need to hide a number that is
// known from before, nothing in the row moves.
func Protect(t Table, former []Number) []Number {
	stuck := map[string]bool{}
	for {
		p := begin(t, former, stuck)
		if shapes[t.Name].Overlapping {
			return slices.DeleteFunc(p.numbers(), func(n Number) bool { return n.Key.Total() })
		}
		row, ok := p.complete()
		if ok {
			return p.numbers()
		}
		stuck[row] = true
	}
}

// state is how one cell or total stands.
type state struct {
	Cell
	number Number
	kept   bool // as an earlier release told it, so that it is known by now
}

func (s *state) hidden() bool { return s.number.Hidden() }

func (s *state) hide() { s.number.Value = 0 }

func hiddenState(s state) bool { return s.hidden() }

// protection is one table on its way: the cells and totals of the rows in which something
// moves, in order. The other rows are settled: they stay as they were.
type protection struct {
	cells, totals []state
	settled       []Number
	before        map[Key]Number
	grid          grid
}

// begin hides what is about few, and keeps what has not moved, or may not.
func begin(t Table, former []Number, stuck map[string]bool) *protection {
	p := &protection{before: map[Key]Number{}}
	for _, n := range former {
		p.before[n.Key] = n
	}
	rows := map[string]int64{}
	for _, c := range t.Cells {
		p.cells = append(p.cells, p.stand(c, stuck[c.Row]))
		rows[c.Row] += c.People
	}
	for row, people := range rows {
		p.totals = append(p.totals, p.stand(Cell{Key{Row: row}, people}, stuck[row]))
	}
	p.settle()
	order := func(a, b state) int { return compare(a.Key, b.Key) }
	slices.SortFunc(p.cells, order)
	slices.SortFunc(p.totals, order)
	p.grid = layout(p.cells, p.totals)
	return p
}

// settle takes out the rows in which nothing moves.
func (p *protection) settle() {
	moving := map[string]bool{}
	for _, s := range slices.Concat(p.cells, p.totals) {
		moving[s.Row] = moving[s.Row] || !s.kept
	}
	out := func(s state) bool {
		if !moving[s.Row] {
			p.settled = append(p.settled, s.number)
		}
		return !moving[s.Row]
	}
	p.cells, p.totals = slices.DeleteFunc(p.cells, out), slices.DeleteFunc(p.totals, out)
}

// stand is how a cell stands by itself. One that is stuck is as it was, and hidden where it
// was not there.
func (p *protection) stand(c Cell, stuck bool) state {
	s := state{Cell: c, number: Number{Key: c.Key, Counted: c.People}}
	before, known := p.before[c.Key]
	switch {
	case known && (stuck || near(before.Counted, c.People)):
		s.kept, s.number = true, before
	case stuck:
		s.kept = true
	case c.People >= Threshold:
		s.number.Value = round(c.People)
	}
	return s
}

// complete hides more until every hidden cell is safe; false: that cannot be done with what
// is not known already, for the sake of a cell in this row. Hiding never makes another cell
// less safe, so each is looked at until it passes.
func (p *protection) complete() (row string, ok bool) {
	var open []int
	for i := range p.cells {
		if p.cells[i].hidden() {
			open = append(open, i)
		}
	}
	for len(open) > 0 {
		i := open[0]
		if p.grid.safe(p.cells, p.totals, i) {
			open = open[1:]
			continue
		}
		more, ok := p.hideBeside(i)
		if !ok {
			return p.cells[i].Row, p.allHidden()
		}
		if more >= 0 {
			open = append(open, more)
		}
	}
	return "", true
}

// hideBeside hides one more number for the sake of a cell: the smallest in a line that hides
// too little, beginning with its own; the smallest total, where those that are hidden could
// be told from the others; the smallest of the table; and at last the smallest total. It
// tells which cell that was; -1: a total.
func (p *protection) hideBeside(i int) (more int, ok bool) {
	for _, in := range append(p.linesOf(i), p.lines()...) {
		if enough(p.cells, in) {
			continue
		}
		if more := smallest(p.cells, in); more >= 0 {
			p.cells[more].hide()
			return more, true
		}
	}
	all := func(Key) bool { return true }
	total := smallest(p.totals, all)
	if total >= 0 && len(p.totals) > 1 && slices.ContainsFunc(p.totals, hiddenState) && !enough(p.totals, all) {
		p.totals[total].hide()
		return -1, true
	}
	if more := smallest(p.cells, all); more >= 0 {
		p.cells[more].hide()
		return more, true
	}
	if total >= 0 {
		p.totals[total].hide()
		return -1, true
	}
	return 0, false
}

// linesOf are the row and the column of a cell, as far as their totals can be known.
func (p *protection) linesOf(i int) (out []func(Key) bool) {
	c := p.cells[i].Key
	if !p.totals[p.grid.row[i]].hidden() {
		out = append(out, func(k Key) bool { return k.Row == c.Row })
	}
	if !slices.Contains(p.grid.unknown, p.grid.column[i]) {
		out = append(out, func(k Key) bool { return k.Column == c.Column })
	}
	return out
}

// lines are those of all hidden cells.
func (p *protection) lines() (out []func(Key) bool) {
	for i := range p.cells {
		if p.cells[i].hidden() {
			out = append(out, p.linesOf(i)...)
		}
	}
	return out
}

// enough tells whether a line hides two numbers or more, with enough people in them.
func enough(list []state, in func(Key) bool) bool {
	var cells int
	var people int64
	for _, s := range list {
		if s.hidden() && in(s.Key) {
			cells, people = cells+1, people+s.People
		}
	}
	return cells > 1 && people >= Threshold
}

// smallest finds the number about the fewest people that can still be hidden: it is told
// now, and was not told before with nearly the same people.
func smallest(list []state, in func(Key) bool) int {
	at := -1
	for i := range list {
		s := &list[i]
		if !s.hidden() && !s.kept && in(s.Key) && (at < 0 || s.People < list[at].People) {
			at = i
		}
	}
	return at
}

func (p *protection) allHidden() bool {
	told := func(s state) bool { return !s.hidden() }
	return !slices.ContainsFunc(p.cells, told) && !slices.ContainsFunc(p.totals, told)
}

func (p *protection) numbers() []Number {
	out := slices.Clone(p.settled)
	for _, s := range slices.Concat(p.totals, p.cells) {
		out = append(out, s.number)
	}
	slices.SortFunc(out, func(a, b Number) int { return compare(a.Key, b.Key) })
	return out
}
