package sqlite

import (
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/notice"
)

// BenchmarkStaleConsents counts everybody as stale, as after each new revision; the status
// of a million people has to fit into a call of 5 s.
func BenchmarkStaleConsents(b *testing.B) {
	l := crowded(b)
	for b.Loop() {
		var c staleCount
		if n, err := c.count(b.Context(), l, notice.Version{Revision: 4}, 1); err != nil || n != benchPeople {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPeople, "ns/person")
}
