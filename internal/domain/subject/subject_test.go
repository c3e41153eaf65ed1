package subject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "oCANARYcanaryCANARYcanary0001"

func TestIdentifiersNeverPrint(t *testing.T) {
	open, err := NewOpenID(canary)
	if err != nil {
		t.Fatal(err)
	}
	id, err := NewID(strings.NewReader("CANARYcanaryCANA"))
	if err != nil {
		t.Fatal(err)
	}
	union, err := NewUnionID(canary)
	if err != nil {
		t.Fatal(err)
	}
	type inner struct {
		open   OpenID
		union  UnionID
		secret Secret
		text   Text
		id     ID
	}
	nested := struct {
		in  inner
		ptr *inner
	}{in: inner{open, union, NewSecret(canary), NewText(canary), id}, ptr: &inner{open, union, NewSecret(canary), NewText(canary), id}}
	values := []any{open, &open, union, &union, NewSecret(canary), NewText(canary), id, nested.in, []OpenID{open}, map[OpenID]int{open: 1}}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(strings.ToLower(got), "canary") {
				t.Errorf("%s of %T prints the value", verb, v)
			}
		}
		var buf bytes.Buffer
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "v", v)
		if strings.Contains(buf.String(), "CANARY") {
			t.Errorf("slog of %T prints the value: %s", v, buf.String())
		}
		if b, err := json.Marshal(v); err == nil && bytes.Contains(b, []byte("CANARY")) {
			t.Errorf("json of %T holds the value", v)
		}
	}
	if got := fmt.Sprintf("%+v", nested); strings.Contains(got, "CANARY") {
		t.Errorf("nested struct prints the value: %s", got)
	}
}

func TestNewOpenID(t *testing.T) {
	for raw, ok := range map[string]bool{
		canary: true, "": false, "short": false, "o with blanks and punctuation!!": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		_, open := NewOpenID(raw)
		_, union := NewUnionID(raw)
		for _, err := range []error{open, union} {
			if (err == nil) != ok {
				t.Errorf("an identifier of %d characters: %v", len(raw), err)
			}
			if err != nil && raw != "" && strings.Contains(err.Error(), raw) {
				t.Error("the error repeats the value")
			}
		}
	}
}

func TestPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "<20", 19: "<20", 20: "20", 1234567: "1234567"} {
		if got := People(n); got != want {
			t.Errorf("People(%d) = %s, want %s", n, got, want)
		}
	}
}
