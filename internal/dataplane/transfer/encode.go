package transfer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// errRow says that the store sent something else than rows. It repeats none of it.
var errRow = errors.New("RowInvalid: the store sent a row that is not one JSON object")

// encodingOf is how the objects of a configuration are rendered.
func encodingOf(format string, fields, encryptFor []string) (Encoding, error) {
	var e Encoding
	switch format {
	case JSONLines, CSV:
		e = text(format)
	case Parquet:
		e = newTable(fields)
	default:
		return nil, fmt.Errorf("FormatUnsupported: there is no format %s; use JSONLines, CSV or Parquet", format)
	}
	if len(encryptFor) == 0 {
		return e, nil
	}
	return newSealed(e, encryptFor)
}

// encoder writes rows in one format. A row comes as a JSON object with the fields of the
// request, in their order.
type encoder interface {
	begin() error
	row(raw []byte) error
	end() error
}

func newEncoder(format string, fields []string, w *bytes.Buffer) encoder {
	if format == CSV {
		return &csvEncoder{fields: fields, w: csv.NewWriter(w), record: make([]string, len(fields))}
	}
	return lines{w}
}

// text is a format of lines: JSONLines or CSV.
type text string

// Encode renders a whole part.
func (f text) Encode(fields []string, rows [][]byte) ([]byte, error) {
	var out bytes.Buffer
	e := newEncoder(string(f), fields, &out)
	if err := e.begin(); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if err := e.row(r); err != nil {
			return nil, err
		}
	}
	err := e.end()
	return out.Bytes(), err
}

// ContentType names the format to the destination.
func (f text) ContentType() string {
	if f == CSV {
		return "text/csv; charset=utf-8"
	}
	return "application/x-ndjson"
}

// Extension ends an object's name.
func (f text) Extension() string {
	if f == CSV {
		return ".csv"
	}
	return ".jsonl"
}

type lines struct{ w *bytes.Buffer }

func (lines) begin() error { return nil }

func (l lines) row(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' || bytes.IndexByte(raw, '\n') >= 0 {
		return errRow
	}
	l.w.Write(raw)
	l.w.WriteByte('\n')
	return nil
}

func (lines) end() error { return nil }

type csvEncoder struct {
	fields []string
	w      *csv.Writer
	record []string
}

func (c *csvEncoder) begin() error { return c.w.Write(c.fields) }

func (c *csvEncoder) row(raw []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return errRow
	}
	for i, f := range c.fields {
		v, err := cell(object[f])
		if err != nil {
			return errRow
		}
		c.record[i] = v
	}
	return c.w.Write(c.record)
}

func (c *csvEncoder) end() error {
	c.w.Flush()
	return c.w.Error()
}

// cell renders a value. Numbers keep their digits; the items of a list are joined.
func cell(raw json.RawMessage) (string, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return disarm(s), err
	case raw[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return "", err
		}
		parts := make([]string, len(list))
		for i, item := range list {
			var err error
			if parts[i], err = cell(item); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, ";"), nil // a spreadsheet that splits at `;` finds each item disarmed
	default:
		return string(raw), nil
	}
}

// disarm keeps a spreadsheet from running a text as a formula. East Asian editions take
// the full-width signs for the same.
func disarm(s string) string {
	if r, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", r) {
		return "'" + s
	}
	return s
}
