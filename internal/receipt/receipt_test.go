package receipt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
)

func key(t testing.TB) *ledger.Verifier {
	t.Helper()
	origin := ledger.Origin("7b0c1f9e-3b1e-4d5e-9a57-0f6f6c2d8a11")
	s, err := ledger.NewSigner(origin, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.NewVerifier(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify_Refuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"no JSON":        "receipt",
		"another object": `{"a": 1}`,
		"no evidence":    `{"schema_version": "1"}`,
		"too much":       strings.Repeat(" ", receipt.MaxSize+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := receipt.Verify(strings.NewReader(text), key(t))
			var fault *ledger.Fault
			if !errors.As(err, &fault) || fault.Word == "" {
				t.Errorf("%v, want a fault with a word", err)
			}
		})
	}
}

// FuzzVerify: whatever somebody presents as a receipt is refused with a word, unless it is one.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"schema_version":"1","evidence":{"entries":[],"checkpoint":""}}`))
	f.Add([]byte(`[]`))
	k := key(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := receipt.Verify(bytes.NewReader(text), k)
		var fault *ledger.Fault
		if !errors.As(err, &fault) {
			t.Errorf("%v, want a fault: nobody has signed this", err)
		}
	})
}
