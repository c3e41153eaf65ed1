package transfer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"testing"
)

func TestCell(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"a text":                   {`"tea"`, "tea"},
		"nothing":                  {``, ""},
		"null":                     {`null`, ""},
		"a long number":            {`12345678901234567890`, "12345678901234567890"},
		"a negative number":        {`-5`, "-5"},
		"a truth":                  {`true`, "true"},
		"a list":                   {`["tea","jade"]`, "tea;jade"},
		"an empty list":            {`[]`, ""},
		"a list with a formula":    {`["tea","=1+1"]`, "tea;'=1+1"},
		"an object":                {`{"a":1}`, `{"a":1}`},
		"a formula":                {`"=HYPERLINK(\"https://x\")"`, `'=HYPERLINK("https://x")`},
		"a plus":                   {`"+86 138"`, "'+86 138"},
		"a minus":                  {`"-1+1"`, "'-1+1"},
		"an at":                    {`"@SUM(A1)"`, "'@SUM(A1)"},
		"a tab":                    {`"\t=1"`, "'\t=1"},
		"a full-width equals sign": {`"＝1+1"`, "'＝1+1"},
		"a sign that is not first": {`"a=1"`, "a=1"},
		"a text of another script": {`"小红"`, "小红"},
		"an escape that hides a =": {`"\u003d1"`, "'=1"},
		"a quote":                  {`"\"=1\""`, `"=1"`},
	} {
		got, err := cell(json.RawMessage(c.raw))
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// FuzzCSV: whatever a person wrote, a row stays one row and no cell is a formula.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"", "=1", "a,b", "a\"b", "a\nb", "\r", "＋1", "\x00"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		row, err := json.Marshal(map[string]any{"a": a, "b": []string{b}, "c": "other"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := text(CSV).Encode([]string{"a", "b"}, [][]byte{row})
		if err != nil {
			t.Fatal(err)
		}
		got, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil || len(got) != 2 || len(got[1]) != 2 {
			t.Fatalf("%q, %v", got, err)
		}
		for _, c := range got[1] {
			if r := []rune(c); len(r) > 0 && slices.Contains([]rune("=+-@＝＋－＠"), r[0]) {
				t.Errorf("%q is a formula", c)
			}
		}
	})
}
