package store_test

import (
	"bytes"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// TestReceipt goes the person's way: the gateway asks, and what the manager published as the
// verifier key is all that is needed to check the answer.
func TestReceipt(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	w.Choose(t.Context(), "a", consent.Adult, storetest.Purpose)
	who := storetest.OpenID("a").Reveal()
	status, err := w.client(role(identity.Manager, "", "")).Control.GetStatus(t.Context(), &storev1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewVerifier(status.GetVerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	head, err := key.Open(status.GetCheckpoint())
	if err != nil || int64(head.Size) != status.GetLogSize() {
		t.Fatal(head, err)
	}
	gateway := w.client(role(identity.Gateway, "brand", ""))
	got, err := gateway.Intake.GetReceipt(t.Context(), &storev1.GetReceiptRequest{Account: "brand", OpenId: who})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := receipt.Verify(bytes.NewReader(got.GetReceipt()), key); err != nil || r.Events != 3 {
		t.Error(r, err)
	}
	if strings.Contains(string(got.GetReceipt()), who) {
		t.Error("the receipt holds an identifier")
	}
	_, other := w.client(role(identity.Gateway, "other", "")).Intake.GetReceipt(t.Context(), &storev1.GetReceiptRequest{Account: "brand", OpenId: who})
	_, stranger := gateway.Intake.GetReceipt(t.Context(), &storev1.GetReceiptRequest{Account: "brand", OpenId: storetest.OpenID("z").Reveal()})
	_, odd := gateway.Intake.GetReceipt(t.Context(), &storev1.GetReceiptRequest{Account: "brand", OpenId: "x"})
	for _, c := range []struct {
		err  error
		code connect.Code
		word string
	}{{other, connect.CodePermissionDenied, "RoleDenied"}, {stranger, connect.CodeNotFound, "NoConsents"}, {odd, connect.CodeInvalidArgument, "Invalid"}} {
		if connect.CodeOf(c.err) != c.code || storeclient.Word(c.err) != c.word {
			t.Errorf("%v, want %s", c.err, c.word)
		}
	}
}
