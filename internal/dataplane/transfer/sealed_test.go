package transfer

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

// recipientKey is the public key of nobody: the private one was thrown away.
const recipientKey = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

func TestSealed_OnlyTheRecipientReads(t *testing.T) {
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys  []string
		opens age.Identity
	}{
		"one key":                            {[]string{x.Recipient().String()}, x},
		"one that outlasts quantum machines": {[]string{hybrid.Recipient().String()}, hybrid},
		"the second of two keys":             {[]string{recipientKey, x.Recipient().String()}, x},
	} {
		e, err := encodingOf(CSV, []string{"id"}, c.keys)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := e.Encode([]string{"id"}, [][]byte{[]byte(`{"id":"` + canary + `"}`)})
		if err != nil || strings.Contains(string(body), canary) {
			t.Fatalf("%s: %v, %q", name, err, body)
		}
		r, err := age.Decrypt(bytes.NewReader(body), c.opens)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != "id\n"+canary+"\n" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if e.Extension() != ".csv.age" || e.ContentType() != "application/octet-stream" {
			t.Errorf("%s: %s, %s", name, e.Extension(), e.ContentType())
		}
	}
}
