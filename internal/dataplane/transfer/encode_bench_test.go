package transfer

import (
	"fmt"
	"testing"
)

// BenchmarkEncode renders a part of 2,000 people in each form, as a ratio to lines of JSON,
// which copy what the store sends.
func BenchmarkEncode(b *testing.B) {
	fields := []string{"id", "tags", "lead.score", "lead.stage"}
	rows := make([][]byte, partRows)
	for i := range rows {
		rows[i] = fmt.Appendf(nil, `{"id":"%032x","tags":["tea","jade","silk"],"lead.score":%d.25,"lead.stage":"Engaged"}`, i, i%90)
	}
	var lines float64
	for _, c := range []struct {
		name, format string
		keys         []string
	}{
		{"JSONLines", JSONLines, nil}, {"JSONLines for a recipient", JSONLines, []string{recipientKey}}, {"CSV", CSV, nil}, {"Parquet", Parquet, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, err := encodingOf(c.format, fields, c.keys)
			if err != nil {
				b.Fatal(err)
			}
			size := 0
			for b.Loop() {
				body, err := e.Encode(fields, rows)
				if err != nil {
					b.Fatal(err)
				}
				size = len(body)
			}
			each := float64(b.Elapsed()) / float64(b.N)
			if c.name == "JSONLines" {
				lines = each
			}
			b.ReportMetric(partRows/each*1e9, "rows/s")
			b.ReportMetric(lines/each, "of-lines")
			b.ReportMetric(float64(size)/partRows, "bytes/row")
		})
	}
}
