package main

import (
	"encoding/base64"
	"testing"
)

func TestCount(t *testing.T) {
	needles := []string{"oAAAAAAAAAAAAAAAAAAAAAAAAAAA", "secret-one", "secret-two"}
	text := "x" + needles[0] + "|" + base64.StdEncoding.EncodeToString([]byte(needles[1])) + "|secret-tw"
	if got := count([]byte(text), needles); got != 2 {
		t.Errorf("count = %d, want 2: one plain, one in base64, none cut short", got)
	}
}
