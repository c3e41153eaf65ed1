package aggregate

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// The attackers know more than is told: every number that is told, exactly, and the totals of
// the columns, which are not told, as far as they might be. They share no code with Protect.

// equation says how many people the hidden cells of a line have together.
type equation struct {
	cells []int
	sum   int64
}

type attack struct {
	hidden    []Cell
	equations []equation
}

func (a *attack) line(in func(Key) bool, known bool) {
	var e equation
	for i, c := range a.hidden {
		if in(c.Key) {
			e.cells, e.sum = append(e.cells, i), e.sum+c.People
		}
	}
	if known && len(e.cells) > 0 {
		a.equations = append(a.equations, e)
	}
}

// know makes the equations that an attacker has.
func know(t Table, numbers []Number) attack {
	var a attack
	rows, columns := map[string]bool{}, map[string]int64{}
	for _, c := range t.Cells {
		columns[c.Column] += c.People
		if numbers[slices.IndexFunc(numbers, func(n Number) bool { return n.Key == c.Key })].Hidden() {
			a.hidden = append(a.hidden, c)
		}
	}
	for _, n := range numbers {
		if n.Total() {
			rows[n.Row] = true
			a.line(func(k Key) bool { return k.Row == n.Row }, !n.Hidden())
		}
	}
	for c := range columns {
		a.line(func(k Key) bool { return k.Column == c }, len(rows) > 1 && known(columns, c))
	}
	return a
}

// known tells whether the total of a column would be told: it is about twenty or more, and
// needs not hide another that is about fewer.
func known(columns map[string]int64, c string) bool {
	sums := slices.Sorted(maps.Values(columns))
	var hidden int
	var people int64
	for hidden < len(sums) && (sums[hidden] < Threshold || (hidden > 0 && (hidden < 2 || people < Threshold))) {
		people += sums[hidden]
		hidden++
	}
	return hidden == 0 || columns[c] > sums[hidden-1]
}

const most = 1 << 30

// propagate narrows the interval of each hidden cell by each line, until nothing moves.
func (a attack) propagate() (low, high []int64) {
	low, high = make([]int64, len(a.hidden)), slices.Repeat([]int64{most}, len(a.hidden))
	for moved := true; moved; {
		moved = false
		for _, e := range a.equations {
			for _, i := range e.cells {
				least, greatest := e.sum, e.sum
				for _, o := range e.cells {
					if o != i {
						least, greatest = least-high[o], greatest-low[o]
					}
				}
				if least > low[i] || greatest < high[i] {
					low[i], high[i], moved = max(low[i], least), min(high[i], greatest), true
				}
			}
		}
	}
	return low, high
}

// enumerate tries every number of people in every hidden cell that has a bound, and keeps
// the smallest and the largest of those that fit.
func (a attack) enumerate(low, high []int64) (least, greatest []int64) {
	least, greatest = slices.Clone(high), slices.Clone(low)
	left := make([]int64, len(a.equations))
	for i, e := range a.equations {
		left[i] = e.sum
	}
	value := make([]int64, len(a.hidden))
	var try func(i int)
	try = func(i int) {
		if i == len(a.hidden) {
			for _, n := range left {
				if n != 0 {
					return
				}
			}
			for k, n := range value {
				least[k], greatest[k] = min(least[k], n), max(greatest[k], n)
			}
			return
		}
		from, to := low[i], high[i]
		for k, e := range a.equations {
			if at := slices.Index(e.cells, i); at >= 0 {
				to = min(to, left[k])
				if at == len(e.cells)-1 { // the last one of a line follows
					from = max(from, left[k])
				}
			}
		}
		for n := from; n <= to; n++ {
			value[i] = n
			for k, e := range a.equations {
				if slices.Contains(e.cells, i) {
					left[k] -= n
				}
			}
			try(i + 1)
			for k, e := range a.equations {
				if slices.Contains(e.cells, i) {
					left[k] += n
				}
			}
		}
	}
	try(0)
	return least, greatest
}

// anything tells whether something is told at all.
func anything(list []Number) bool {
	return slices.ContainsFunc(list, func(n Number) bool { return !n.Hidden() })
}

func TestNobodyFindsAHiddenNumberWithinTwenty(t *testing.T) {
	seeds(t, 5000, func(t *testing.T, r *rand.Rand) {
		x := random(r, 5, 5)
		numbers := Protect(x, nil)
		if !anything(numbers) {
			return
		}
		a := know(x, numbers)
		low, high := a.propagate()
		for i, c := range a.hidden {
			if c.People < low[i] || c.People > high[i] || high[i]-low[i] < Threshold {
				t.Errorf("%+v lies between %d and %d of %s", c, low[i], high[i], told(numbers))
			}
		}
	})
}

// TestNobodyFindsAHiddenNumberInALaterRelease: whenever something is told anew of a row, who
// knows all that is told of it by then is as far from the hidden numbers as at first.
func TestNobodyFindsAHiddenNumberInALaterRelease(t *testing.T) {
	var moved int
	seeds(t, 400, func(t *testing.T, r *rand.Rand) {
		x := random(r, 1, 5)
		var former []Number
		for range 20 {
			now := Protect(x, former)
			if anything(now) && !slices.Equal(now, former) {
				moved++
				a := know(x, now)
				low, high := a.propagate()
				for i, c := range a.hidden {
					if c.People < low[i] || c.People > high[i] || high[i]-low[i] < Threshold {
						t.Errorf("%+v lies between %d and %d of %s after %s", c, low[i], high[i], told(now), told(former))
					}
				}
			}
			former = now
			for i := range x.Cells {
				if r.IntN(2) == 0 {
					x.Cells[i].People = max(0, x.Cells[i].People+r.Int64N(121)-60)
				}
			}
		}
	})
	if moved < 1000 {
		t.Errorf("only %d releases moved", moved)
	}
}

// TestNobodyFindsAHiddenNumberByTryingAll is exact, and therefore small: two rows of three,
// with small numbers.
func TestNobodyFindsAHiddenNumberByTryingAll(t *testing.T) {
	var tried int
	seeds(t, 1500, func(t *testing.T, r *rand.Rand) {
		x := random(r, 2, 3)
		for i := range x.Cells {
			x.Cells[i].People %= 60
		}
		numbers := Protect(x, nil)
		a := know(x, numbers)
		low, high := a.propagate()
		if !anything(numbers) || slices.Contains(high, most) {
			return
		}
		tried++
		low, high = a.enumerate(low, high)
		for i, c := range a.hidden {
			if c.People < low[i] || c.People > high[i] || high[i]-low[i] < Threshold {
				t.Errorf("%+v lies between %d and %d of %s", c, low[i], high[i], told(numbers))
			}
		}
	})
	if tried < 300 {
		t.Errorf("only %d tables were tried", tried)
	}
}

// TestWhoKnowsACampaignsTotalFindsNobody: the leads of the same release, or those who agreed, may
// be the very people whom a campaign was sent to, and theirs is a number that is told. So its total
// is no secret, whether or not its own table tells it, and the big cell has to hide with the few.
func TestWhoKnowsACampaignsTotalFindsNobody(t *testing.T) {
	sends := Table{SendsByOutcome, row("spring-tea", 3, 2, 985, 0)}
	leads := Table{LeadsByStage, row("", 990, 100)}
	if got := told(Protect(leads, nil)); got != "=1090 a=990 b=100 " {
		t.Fatalf("told of the leads %s", got)
	}
	narrowest := func(numbers []Number) int64 {
		a := know(sends, numbers)
		a.line(func(k Key) bool { return k.Row == "spring-tea" }, true) // by the leads
		low, high := a.propagate()
		least := int64(most)
		for i := range a.hidden {
			least = min(least, high[i]-low[i])
		}
		return least
	}
	numbers := Protect(sends, nil)
	if got := told(numbers); got != "spring-tea=990 spring-teaa=- spring-teab=- spring-teac=- spring-tead=- " {
		t.Errorf("told of the sends %s", got)
	}
	if n := narrowest(numbers); n < Threshold {
		t.Errorf("a hidden number lies within %d", n)
	}
	for i, n := range numbers { // what would be told without the total
		switch {
		case n.Total():
			numbers[i].Value = 0
		case n.Counted >= Threshold:
			numbers[i].Value = round(n.Counted)
		}
	}
	if n := narrowest(numbers); n != 5 {
		t.Errorf("without the total, a hidden number lies within %d", n)
	}
}
