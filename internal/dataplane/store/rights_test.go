package store_test

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// TestRights goes over the wire from a record to an erasure.
func TestRights(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	w.Fan("a")
	gateway, manager := w.client(role(identity.Gateway, "brand", "")).Intake, w.client(role(identity.Manager, "", "")).Control
	who := storetest.OpenID("a").Reveal()
	got, err := gateway.GetRecord(t.Context(), &storev1.GetRecordRequest{Account: "brand", OpenId: who, As: "Copy"})
	r := got.GetRecord()
	if err != nil || !r.GetKnown() || r.GetAgeBand() != "Adult" || len(r.GetTags()) != 1 || len(r.GetConsents()) != 3 || len(r.GetInteractions()) != 4 ||
		r.GetRequests()[0].GetKind() != "Copy" || r.GetLeads()[0].GetStage() != "Engaged" || r.GetNotice().GetRevision() != 3 {
		t.Fatalf("%v %v", r, err)
	}
	fixed, err := gateway.CorrectRecord(t.Context(), &storev1.CorrectRecordRequest{Account: "brand", OpenId: who, RemoveTags: []string{"tea"}})
	if err != nil || len(fixed.GetRecord().GetTags()) != 0 {
		t.Fatal(err)
	}
	asked, err := gateway.MakeRequest(t.Context(), &storev1.MakeRequestRequest{Account: "brand", OpenId: who, Kind: "Explanation"})
	if err != nil || asked.GetRequest().GetDone() != nil || asked.GetRequest().GetDue() == nil {
		t.Fatal(asked, err)
	}
	status, err := manager.GetStatus(t.Context(), &storev1.GetStatusRequest{})
	if n := status.GetRequests(); err != nil || n.GetOpen() != "<20" || n.GetOverdue() != "<20" || n.GetAnyOverdue() || n.GetNextDue() == nil {
		t.Errorf("%v %v", n, err)
	}
	w.Clock.Move(40 * 24 * time.Hour)
	status, err = manager.GetStatus(t.Context(), &storev1.GetStatusRequest{})
	if n := status.GetRequests(); err != nil || n.GetOverdue() != "<20" || !n.GetAnyOverdue() {
		t.Errorf("later: %v %v", n, err)
	}
	gone, err := gateway.ErasePerson(t.Context(), &storev1.ErasePersonRequest{Account: "brand", OpenId: who})
	if err != nil || !gone.GetFound() || !gone.GetAcknowledged() {
		t.Fatal(gone, err)
	}
	if got, err = gateway.GetRecord(t.Context(), &storev1.GetRecordRequest{Account: "brand", OpenId: who}); err != nil || got.GetRecord().GetKnown() {
		t.Error("something is still held", err)
	}
	if strings.Contains(w.log.String(), who) {
		t.Error("the log holds an identifier")
	}
}

// TestRights_Refused: of another account, of nobody, and of what there is not.
func TestRights_Refused(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	w.Fan("a")
	who := storetest.OpenID("a").Reveal()
	other := w.client(role(identity.Gateway, "other", "")).Intake
	own := w.client(role(identity.Gateway, "brand", "")).Intake
	worker := w.client(role(identity.Dispatch, "spring-tea", "run")).Intake
	_, record := other.GetRecord(t.Context(), &storev1.GetRecordRequest{Account: "brand", OpenId: who})
	_, fix := other.CorrectRecord(t.Context(), &storev1.CorrectRecordRequest{Account: "brand", OpenId: who, RemoveTags: []string{"tea"}})
	_, ask := other.MakeRequest(t.Context(), &storev1.MakeRequestRequest{Account: "brand", OpenId: who, Kind: "Explanation"})
	_, erase := other.ErasePerson(t.Context(), &storev1.ErasePersonRequest{Account: "brand", OpenId: who})
	_, by := worker.ErasePerson(t.Context(), &storev1.ErasePersonRequest{Account: "brand", OpenId: who})
	for what, err := range map[string]error{"record": record, "correction": fix, "request": ask, "erasure": erase, "erasure by a worker": by} {
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, kind := own.MakeRequest(t.Context(), &storev1.MakeRequestRequest{Account: "brand", OpenId: who, Kind: "Everything"})
	_, as := own.GetRecord(t.Context(), &storev1.GetRecordRequest{Account: "brand", OpenId: who, As: "Erasure"})
	_, malformed := own.ErasePerson(t.Context(), &storev1.ErasePersonRequest{Account: "brand", OpenId: "'"})
	for err, word := range map[error]string{kind: "RequestInvalid", as: "RequestInvalid", malformed: "Invalid"} {
		if connect.CodeOf(err) != connect.CodeInvalidArgument || storeclient.Word(err) != word {
			t.Errorf("%s: %v", word, err)
		}
	}
	if !w.All("a").Known {
		t.Error("somebody was erased")
	}
}

// TestOfficer: who answers requests finds the person by the reference, or by an openid.
func TestOfficer(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	w.Fan("a")
	desk, who := w.client(role(identity.Officer, "", "")).Officer, storetest.OpenID("a").Reveal()
	gateway := w.client(role(identity.Gateway, "brand", "")).Intake
	if _, err := gateway.MakeRequest(t.Context(), &storev1.MakeRequestRequest{Account: "brand", OpenId: who, Kind: "Explanation"}); err != nil {
		t.Fatal(err)
	}
	list, err := desk.ListRequests(t.Context(), &storev1.ListRequestsRequest{})
	if err != nil || len(list.GetRequests()) != 1 || list.GetRequests()[0].GetAccount() != "brand" {
		t.Fatal(list, err)
	}
	ref := list.GetRequests()[0].GetReference()
	for name, r := range map[string]*storev1.FetchRecordRequest{"by reference": {Reference: ref}, "by openid": {Account: "brand", OpenId: who}} {
		if got, err := desk.FetchRecord(t.Context(), r); err != nil || !got.GetRecord().GetKnown() {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, both := desk.FetchRecord(t.Context(), &storev1.FetchRecordRequest{Reference: ref, Account: "brand", OpenId: who})
	_, unknown := desk.FetchRecord(t.Context(), &storev1.FetchRecordRequest{Reference: "0000"})
	_, outcome := desk.AnswerRequest(t.Context(), &storev1.AnswerRequestRequest{Reference: ref, Outcome: "Perhaps"})
	for what, err := range map[string]error{"both": both, "unknown": unknown, "outcome": outcome} {
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := desk.AnswerRequest(t.Context(), &storev1.AnswerRequestRequest{Reference: ref, Outcome: "Done"}); err != nil {
		t.Error(err)
	}
	if list, err = desk.ListRequests(t.Context(), &storev1.ListRequestsRequest{}); err != nil || len(list.GetRequests()) != 0 {
		t.Error(list, err)
	}
	gone, err := desk.RemovePerson(t.Context(), &storev1.RemovePersonRequest{Account: "brand", OpenId: who})
	if err != nil || !gone.GetFound() || w.All("a").Known {
		t.Error(gone, err)
	}
}
