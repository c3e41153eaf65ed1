package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// person is what a reader of the table makes of a row.
type person struct {
	ID   *string  `parquet:"id,optional"`
	Tags []string `parquet:"tags,list"`
	Lead struct {
		Score *float64 `parquet:"score,optional"`
		Stage *string  `parquet:"stage,optional"`
	} `parquet:"lead"`
	Profile struct {
		City *string `parquet:"city,optional"`
	} `parquet:"profile"`
}

func readTable(tb testing.TB, body []byte) []person {
	tb.Helper()
	r := parquet.NewGenericReader[person](bytes.NewReader(body))
	defer r.Close()
	out := make([]person, r.NumRows())
	if n, err := r.Read(out); n != len(out) || (err != nil && !errors.Is(err, io.EOF)) {
		tb.Fatalf("%d of %d rows: %v", n, len(out), err)
	}
	return out
}

func TestTable(t *testing.T) {
	fields := []string{"lead.stage", "id", "tags", "profile.city", "lead.score"} // in any order
	e, err := encodingOf(Parquet, fields, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := e.Encode(fields, [][]byte{
		[]byte(`{"lead.stage":"Hot","id":"a","tags":["tea","jade","silk"],"profile.city":"杭州","lead.score":12.25}`),
		[]byte(`{"lead.stage":null,"id":"b","tags":[],"lead.score":null}`),
		[]byte(`{"lead.stage":"","id":"=1+1","tags":["tea"],"profile.city":"","lead.score":0}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(readTable(t, body))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"ID":"a","Tags":["tea","jade","silk"],"Lead":{"Score":12.25,"Stage":"Hot"},"Profile":{"City":"杭州"}},` +
		`{"ID":"b","Tags":[],"Lead":{"Score":null,"Stage":null},"Profile":{"City":null}},` +
		`{"ID":"=1+1","Tags":["tea"],"Lead":{"Score":0,"Stage":""},"Profile":{"City":""}}]`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if e.Extension() != ".parquet" {
		t.Error(e.Extension())
	}
}

func TestTable_OfNobody(t *testing.T) {
	body, err := newTable([]string{"id", "tags"}).Encode([]string{"id", "tags"}, nil)
	if err != nil || len(readTable(t, body)) != 0 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

func TestTable_BadRows(t *testing.T) {
	fields := []string{"id", "tags", "lead.score"}
	for _, row := range []string{``, `null`, `[]`, `{"id":7}`, `{"tags":"tea"}`, `{"tags":[7]}`, `{"lead.score":"7"}`} {
		if _, err := newTable(fields).Encode(fields, [][]byte{[]byte(row)}); !errors.Is(err, errRow) {
			t.Errorf("%s: %v", row, err)
		}
	}
}

// FuzzTable: whatever the store sends, a row is refused or comes back as it was.
func FuzzTable(f *testing.F) {
	f.Add([]byte(`{"id":"a","tags":["tea"],"lead.score":1}`))
	f.Add([]byte(`{"id":null,"tags":null,"lead.score":-0}`))
	fields := []string{"id", "tags", "lead.score"}
	f.Fuzz(func(t *testing.T, row []byte) {
		body, err := newTable(fields).Encode(fields, [][]byte{row, row})
		if err != nil {
			return
		}
		got := readTable(t, body)
		var want struct {
			ID    *string  `json:"id"`
			Tags  []string `json:"tags"`
			Score *float64 `json:"lead.score"`
		}
		if err := json.Unmarshal(row, &want); err != nil || len(got) != 2 || !reflect.DeepEqual(got[0], got[1]) {
			t.Fatalf("%v, %+v", err, got)
		}
		if fmt.Sprint(len(got[0].Tags), orNull(got[0].ID), number(got[0].Lead.Score)) != fmt.Sprint(len(want.Tags), orNull(want.ID), number(want.Score)) {
			t.Errorf("%s: %+v", row, got[0])
		}
	})
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func number(n *float64) string {
	if n == nil {
		return "null"
	}
	return fmt.Sprint(*n)
}
