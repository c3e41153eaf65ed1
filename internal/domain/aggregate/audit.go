package aggregate

// grid places cells on rows and columns. Beside those it has one more node, for what is not
// known of totals.
type grid struct {
	row, column []int // of each cell
	rows, nodes int
	unknown     []int // columns whose totals nobody knows
}

// layout numbers the rows, in the order of the totals, and then the columns. The total of a
// column over these rows is not told, but somebody may know it. So it is taken to be known,
// unless it would have to be hidden if it were told: it is about few, or hides another that
// is. Where there is one row only, its cells would be their own totals.
func layout(cells, totals []state) grid {
	rows, columns, people := map[string]int{}, map[string]int{}, []int64(nil)
	for i, t := range totals {
		rows[t.Row] = i
	}
	g := grid{rows: len(totals)}
	for _, c := range cells {
		at, ok := columns[c.Column]
		if !ok {
			at = len(people)
			columns[c.Column], people = at, append(people, 0)
		}
		people[at] += c.People
		g.row, g.column = append(g.row, rows[c.Row]), append(g.column, g.rows+at)
	}
	for at, hidden := range margin(people) {
		if hidden || g.rows == 1 {
			g.unknown = append(g.unknown, g.rows+at)
		}
	}
	g.nodes = g.rows + len(people) + 1
	return g
}

// margin tells which of these totals would be hidden: those about few and, beside them, the
// smallest others, until two are or more, with enough people in them.
func margin(people []int64) []bool {
	hidden := make([]bool, len(people))
	var cells int
	var sum int64
	hide := func(i int) { hidden[i], cells, sum = true, cells+1, sum+people[i] }
	for i, n := range people {
		if n < Threshold {
			hide(i)
		}
	}
	for cells > 0 && cells < len(people) && (cells < 2 || sum < Threshold) {
		next := -1
		for i, n := range people {
			if !hidden[i] && (next < 0 || n < people[next]) {
				next = i
			}
		}
		hide(next)
	}
	return hidden
}

// safe tells whether an attacker who knows every number that is told, exactly, and the totals
// of columns, is left with an interval of [Threshold] or more for a hidden cell.
//
// The other hidden cells can make room for it: to put one more person into the cell, one
// has to leave another cell of its row, come into a third one of that column, and so on
// back to the cell's own column. How many can go round is the largest flow from the row to
// the column, so that the interval is exact.
func (g grid) safe(cells, totals []state, i int) bool {
	up := g.flow(cells, totals, i, false, Threshold)
	if up >= Threshold {
		return true
	}
	down := g.flow(cells, totals, i, true, min(cells[i].People, Threshold-up))
	return up+down >= Threshold
}

// endless is more than all people together.
const endless = 1 << 50

// flow is how many people more, or fewer, can be in a cell; it looks no further than need.
func (g grid) flow(cells, totals []state, i int, fewer bool, need int64) int64 {
	n, rest := g.nodes, g.nodes-1
	room := make([]int64, n*n) // from each node to each
	for k := range cells {
		if k == i || !cells[k].hidden() {
			continue
		}
		out, in := cells[k].People, int64(endless) // people can leave a cell, and come into it without bound
		if fewer {
			out, in = in, out
		}
		room[g.row[k]*n+g.column[k]], room[g.column[k]*n+g.row[k]] = out, in
	}
	open := g.unknown
	for r := range totals {
		if totals[r].hidden() {
			open = append(open[:len(open):len(open)], r)
		}
	}
	for _, x := range open {
		room[x*n+rest], room[rest*n+x] = endless, endless
	}
	var sum int64
	for sum < need {
		more := augment(room, n, g.row[i], g.column[i], need-sum)
		if more == 0 {
			break
		}
		sum += more
	}
	return sum
}

// augment finds one way with room on it, the shortest, and takes it.
func augment(room []int64, n, from, to int, most int64) int64 {
	before := make([]int, n)
	for x := range before {
		before[x] = -1
	}
	before[from] = from
	for queue := []int{from}; len(queue) > 0 && before[to] < 0; queue = queue[1:] {
		for x := range n {
			if before[x] < 0 && room[queue[0]*n+x] > 0 {
				before[x], queue = queue[0], append(queue, x)
			}
		}
	}
	if before[to] < 0 {
		return 0
	}
	for x := to; x != from; x = before[x] {
		most = min(most, room[before[x]*n+x])
	}
	for x := to; x != from; x = before[x] {
		room[before[x]*n+x] -= most
		room[x*n+before[x]] += most
	}
	return most
}
