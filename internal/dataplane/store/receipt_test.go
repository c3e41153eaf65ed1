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

// TestShown goes the way of the page: what is noted before it is sent is in the person's record.
func TestShown(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	who := storetest.OpenID("a").Reveal()
	gateway := w.client(role(identity.Gateway, "brand", ""))
	if _, err := gateway.Intake.RecordShown(t.Context(), &storev1.RecordShownRequest{Account: "brand", OpenId: who, NoticeRevision: 3, Language: "en"}); err != nil {
		t.Fatal(err)
	}
	got, err := gateway.Intake.GetRecord(t.Context(), &storev1.GetRecordRequest{Account: "brand", OpenId: who})
	if err != nil || len(got.GetRecord().GetShown()) != 1 {
		t.Fatal(got.GetRecord().GetShown(), err)
	}
	if x := got.GetRecord().GetShown()[0]; x.GetLanguage() != "en" || x.GetNoticeRevision() != 3 || x.GetControl() != "page" || x.GetHash() == "" || !x.GetAt().AsTime().Equal(w.Clock.Now()) {
		t.Errorf("%v", x)
	}
	for word, r := range map[string]*storev1.RecordShownRequest{
		"RoleDenied":     {Account: "other", OpenId: who, NoticeRevision: 3, Language: "en"},
		"NoticeRevision": {Account: "brand", OpenId: who, NoticeRevision: 2, Language: "en"},
		"GuardianLink":   {Account: "brand", OpenId: who, NoticeRevision: 3, Language: "en", Secret: make([]byte, 32)},
		"Invalid":        {Account: "brand", OpenId: who, NoticeRevision: 3, Language: "en", Secret: make([]byte, 31)},
	} {
		if _, err := gateway.Intake.RecordShown(t.Context(), r); storeclient.Word(err) != word {
			t.Errorf("%v, want %s", err, word)
		}
	}
}
