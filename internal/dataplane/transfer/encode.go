package transfer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// writeBuffer gathers rows, so that the upload is not woken for each.
const writeBuffer = 64 << 10

// errRow says that the store sent something else than rows. It repeats none of it.
var errRow = errors.New("RowInvalid: the store sent a row that is not one JSON object")

// encoder writes rows in one format. A row comes as a JSON object with the fields of the
// request, in their order.
type encoder interface {
	begin() error
	row(raw []byte) error
	end() error
}

func newEncoder(format string, fields []string, w io.Writer) encoder {
	buffered := bufio.NewWriterSize(w, writeBuffer)
	if format == CSV {
		return &csvEncoder{fields: fields, w: csv.NewWriter(buffered), record: make([]string, len(fields))}
	}
	return lines{buffered}
}

type lines struct{ w *bufio.Writer }

func (lines) begin() error { return nil }

func (l lines) row(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' || bytes.IndexByte(raw, '\n') >= 0 {
		return errRow
	}
	if _, err := l.w.Write(raw); err != nil {
		return err
	}
	return l.w.WriteByte('\n')
}

func (l lines) end() error { return l.w.Flush() }

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
