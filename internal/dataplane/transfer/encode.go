package transfer

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// encoder writes rows in one format. A row comes as a JSON object with the fields of the
// request, in their order.
type encoder interface {
	begin() error
	row(raw []byte) error
}

func newEncoder(format string, fields []string, w io.Writer) encoder {
	if format == "CSV" {
		return &csvEncoder{fields: fields, w: csv.NewWriter(w)}
	}
	return lines{w}
}

type lines struct{ w io.Writer }

func (lines) begin() error { return nil }

func (l lines) row(raw []byte) error {
	_, err := l.w.Write(append(raw, '\n'))
	return err
}

type csvEncoder struct {
	fields []string
	w      *csv.Writer
}

func (c *csvEncoder) begin() error {
	if err := c.w.Write(c.fields); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvEncoder) row(raw []byte) error {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return fmt.Errorf("decode row: %w", err)
	}
	record := make([]string, len(c.fields))
	for i, f := range c.fields {
		record[i] = cell(object[f])
	}
	if err := c.w.Write(record); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// cell renders a value; a text that a spreadsheet would run as a formula is disarmed.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = fmt.Sprint(x)
		}
		return disarm(strings.Join(parts, ";"))
	case string:
		return disarm(v)
	default:
		return fmt.Sprint(v)
	}
}

func disarm(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
