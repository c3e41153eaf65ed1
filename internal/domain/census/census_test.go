package census_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/census"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

var errAway = errors.New("away")

func list(people ...uint32) census.List {
	return func(yield func(subject.Commitment, error) bool) {
		for _, n := range people {
			var c subject.Commitment
			binary.BigEndian.PutUint32(c[:], n)
			if !yield(c, nil) {
				return
			}
		}
	}
}

func broken(people ...uint32) census.List {
	return func(yield func(subject.Commitment, error) bool) {
		for c, err := range list(people...) {
			if !yield(c, err) {
				return
			}
		}
		yield(subject.Commitment{}, errAway)
	}
}

func TestBeyond(t *testing.T) {
	for name, c := range map[string]struct {
		own    census.List
		others []census.List
		want   int64
		err    error
	}{
		"nobody else":                               {list(1, 2), nil, 0, nil},
		"nobody at all":                             {list(), []census.List{list(), list()}, 0, nil},
		"the same people":                           {list(1, 2, 3), []census.List{list(1, 2, 3)}, 0, nil},
		"others alone":                              {list(), []census.List{list(1, 2), list(2, 3)}, 3, nil},
		"some in each":                              {list(2, 4), []census.List{list(1, 2, 3), list(3, 4, 5)}, 3, nil},
		"own goes on after the others":              {list(7, 8, 9), []census.List{list(1)}, 1, nil},
		"others go on after own":                    {list(1), []census.List{list(7, 8), list(8, 9)}, 3, nil},
		"a store that breaks off is not counted":    {list(1), []census.List{broken(2, 3)}, 0, errAway},
		"nor one that breaks off at once":           {list(1), []census.List{list(2), broken()}, 0, errAway},
		"a list that does not ascend is no list":    {list(1), []census.List{list(5, 3)}, 0, census.ErrOrder},
		"nor one that names somebody twice":         {list(1), []census.List{list(5, 5)}, 0, census.ErrOrder},
		"nor may one's own":                         {list(4, 2), []census.List{list(5)}, 0, census.ErrOrder},
		"the lowest commitment may come first once": {list(), []census.List{list(0, 1)}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := census.Beyond(c.own, c.others...)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %d, %v; want %d, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestBeyond_IsTheUnion: own and what is beyond it are everybody, whoever was counted where.
func TestBeyond_IsTheUnion(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		everybody, lists := map[uint32]bool{}, make([]census.List, 1+r.IntN(5))
		own := 0
		for i := range lists {
			mine := map[uint32]bool{}
			for range r.IntN(60) {
				n := r.Uint32N(80)
				mine[n], everybody[n] = true, true
			}
			if i == 0 {
				own = len(mine)
			}
			var sorted []uint32
			for n := range mine {
				sorted = append(sorted, n)
			}
			slices.Sort(sorted)
			lists[i] = list(sorted...)
		}
		got, err := census.Beyond(lists[0], lists[1:]...)
		if err != nil || own+int(got) != len(everybody) {
			t.Fatalf("seed %d: %d and %d beyond, want %d, %v", seed, own, got, len(everybody), err)
		}
	}
}

// BenchmarkBeyond compares four lists of 250,000 people that share half of them.
func BenchmarkBeyond(b *testing.B) {
	const people = 250_000
	lists := make([]census.List, 4)
	for i := range lists {
		lists[i] = func(yield func(subject.Commitment, error) bool) {
			for n := range uint64(people) {
				var c subject.Commitment
				binary.BigEndian.PutUint64(c[:], n*8+uint64(i%2))
				if !yield(c, nil) {
					return
				}
			}
		}
	}
	for b.Loop() {
		if n, err := census.Beyond(lists[0], lists[1:]...); n != people || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N*people*len(lists))/b.Elapsed().Seconds(), "names/s")
}
