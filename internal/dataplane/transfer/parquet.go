package transfer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// table renders Apache Parquet. A dot in a field's name makes a group, so that `lead.score`
// is the column of that path: tags is a list of texts, lead.score a number, everything else a
// text, and what a person does not have is null.
type table struct {
	schema *parquet.Schema
	column map[string]int // of a field, by its place in the schema
}

func newTable(fields []string) table {
	root := parquet.Group{}
	for _, f := range fields {
		put(root, strings.Split(f, "."), leaf(f))
	}
	t := table{schema: parquet.NewSchema("record", root), column: map[string]int{}}
	for i, path := range t.schema.Columns() {
		for _, f := range fields {
			if parts := strings.Split(f, "."); slices.Equal(parts, path[:min(len(parts), len(path))]) {
				t.column[f] = i
			}
		}
	}
	return t
}

func leaf(field string) parquet.Node {
	switch field {
	case "tags":
		return parquet.List(parquet.String())
	case "lead.score":
		return parquet.Optional(parquet.Leaf(parquet.DoubleType))
	}
	return parquet.Optional(parquet.String())
}

func put(g parquet.Group, path []string, n parquet.Node) {
	if len(path) == 1 {
		g[path[0]] = n
		return
	}
	inner, ok := g[path[0]].(parquet.Group)
	if !ok {
		inner = parquet.Group{}
		g[path[0]] = inner
	}
	put(inner, path[1:], n)
}

// Encode renders a part as one file.
func (t table) Encode(fields []string, rows [][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := parquet.NewGenericWriter[any](&out, t.schema, parquet.Compression(&parquet.Zstd))
	for _, raw := range rows {
		row, err := t.row(fields, raw)
		if err != nil {
			return nil, err
		}
		if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
			return nil, fmt.Errorf("write row: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close table: %w", err)
	}
	return out.Bytes(), nil
}

func (t table) row(fields []string, raw []byte) (parquet.Row, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, errRow
	}
	columns := make([][]parquet.Value, len(t.column))
	for _, f := range fields {
		values, err := t.values(f, object[f])
		if err != nil {
			return nil, errRow
		}
		columns[t.column[f]] = values
	}
	return parquet.MakeRow(columns...), nil
}

// values are those of one column in one row, with their levels: a null has the definition
// level 0, and the second item of a list the repetition level 1.
func (t table) values(field string, raw json.RawMessage) ([]parquet.Value, error) {
	at := t.column[field]
	switch {
	case field == "tags":
		var tags []string
		if err := decode(raw, &tags); err != nil {
			return nil, err
		}
		return list(tags, at), nil
	case len(raw) == 0 || string(raw) == "null":
		return []parquet.Value{parquet.NullValue().Level(0, 0, at)}, nil
	case field == "lead.score":
		var n float64
		err := json.Unmarshal(raw, &n)
		return []parquet.Value{parquet.DoubleValue(n).Level(0, 1, at)}, err
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return []parquet.Value{parquet.ValueOf(s).Level(0, 1, at)}, err
}

func list(items []string, at int) []parquet.Value {
	if len(items) == 0 {
		return []parquet.Value{parquet.NullValue().Level(0, 0, at)}
	}
	out := make([]parquet.Value, len(items))
	for i, s := range items {
		out[i] = parquet.ValueOf(s).Level(min(i, 1), 1, at)
	}
	return out
}

func decode(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// ContentType names the format to the destination.
func (table) ContentType() string { return "application/vnd.apache.parquet" }

// Extension ends an object's name.
func (table) Extension() string { return ".parquet" }
