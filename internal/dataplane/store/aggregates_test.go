package store_test

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/maodian-dev/maodian/internal/identity"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// TestCountsHaveNoWayToARow goes both ways with both certificates: one that tells counts opens
// no row, one that sends rows opens no row of a transfer of counts, and no counts.
func TestCountsHaveNoWayToARow(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	for i := range 25 {
		w.Event(fmt.Sprint("follower", i), "subscribe", "")
		w.Event(fmt.Sprint("follower", i), "CLICK", "tag:tea")
	}
	w.Event("one", "subscribe", "")
	w.Event("one", "CLICK", "tag:jade")
	spec := &storev1.TransferSpec{
		TransferId: "t", Name: "counts", Recipient: "acme-group-crm", Country: "CH", Purpose: "GroupReporting",
		Categories: []string{"AnonymousAggregate"}, Aggregates: []string{"FollowersByTag"}, Necessity: "report", HasDestination: true,
	}
	manager := w.client(role(identity.Manager, "", ""))
	if _, err := manager.Control.DeclareTransfer(t.Context(), &storev1.DeclareTransferRequest{Spec: spec}); err != nil {
		t.Fatal(err)
	}

	counts := w.client(role(identity.Aggregate, "counts", "t"))
	denied(t, counts.Transfer, "RoleDenied", connect.CodePermissionDenied)
	rows := w.client(role(identity.Transfer, "counts", "t"))
	denied(t, rows.Transfer, "TransferKind", connect.CodeFailedPrecondition)
	_, err := rows.Aggregate.ReleaseAggregates(t.Context(), &storev1.ReleaseAggregatesRequest{TransferId: "t"})
	if storeclient.Word(err) != "RoleDenied" {
		t.Errorf("counts by the certificate of a transfer of records: %v", err)
	}

	r, err := counts.Aggregate.ReleaseAggregates(t.Context(), &storev1.ReleaseAggregatesRequest{TransferId: "t"})
	if err != nil || len(r.GetTables()) != 1 || r.GetLeaseMillis() <= 0 || r.GetDecision() == "" || r.GetRules() != "cn-2026-01" {
		t.Fatal(r, err)
	}
	if table := r.GetTables()[0]; len(table.GetCells()) != 1 || table.GetCells()[0].GetPeople() != 30 || fmt.Sprint(table.GetCells()[0].GetKeys(), table.GetDimensions()) != "[tea] [tag]" {
		t.Errorf("told %v", table)
	}
	m := &storev1.Manifest{Object: "o", Sha256: strings.Repeat("0", 64)}
	if _, err := counts.Aggregate.FinishAggregates(t.Context(), &storev1.FinishAggregatesRequest{TransferId: "t", Manifest: m}); err != nil {
		t.Fatal(err)
	}
	x, err := manager.Control.GetTransfer(t.Context(), &storev1.GetTransferRequest{TransferId: "t"})
	if err != nil || x.GetTransfer().GetState() != "Complete" || x.GetTransfer().GetDecision() != r.GetDecision() || len(x.GetTransfer().GetReleased()) != 1 {
		t.Fatal(x, err)
	}
	if told := x.GetTransfer().GetReleased()[0]; told.GetCells() != 1 || told.GetSuppressed() != 1 || told.GetName() != "FollowersByTag" {
		t.Errorf("the manager is told %v", told)
	}
}

// TestTheWayForCountsCarriesNothingElse reads the service's own description: whatever it may
// answer is listed here, and none of it could hold a row.
func TestTheWayForCountsCarriesNothingElse(t *testing.T) {
	service := storev1.File_maodian_store_v1_store_proto.Services().ByName("AggregateService")
	var answers []string
	var walk func(path string, m protoreflect.MessageDescriptor)
	walk = func(path string, m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			at := path + "." + string(f.Name())
			if f.Message() != nil && f.Message().FullName() != "google.protobuf.Timestamp" {
				walk(at, f.Message())
				continue
			}
			answers = append(answers, at+" "+f.Kind().String())
		}
	}
	for i := range service.Methods().Len() {
		walk(string(service.Methods().Get(i).Name()), service.Methods().Get(i).Output())
	}
	want := []string{
		"ReleaseAggregates.refusals.code string", "ReleaseAggregates.refusals.field string", "ReleaseAggregates.refusals.message string",
		"ReleaseAggregates.tables.name string", "ReleaseAggregates.tables.dimensions string", "ReleaseAggregates.tables.cells.keys string",
		"ReleaseAggregates.tables.cells.people int64", "ReleaseAggregates.tables.counted_at message",
		"ReleaseAggregates.started_at message", "ReleaseAggregates.lease_millis int32", "ReleaseAggregates.decision string", "ReleaseAggregates.rules string",
	}
	if d := cmp.Diff(want, answers); d != "" {
		t.Error(d)
	}
}

func denied(t *testing.T, c storev1connect.TransferServiceClient, word string, code connect.Code) {
	t.Helper()
	_, start := c.StartTransfer(t.Context(), &storev1.StartTransferRequest{TransferId: "t"})
	_, part := c.LeasePart(t.Context(), &storev1.LeasePartRequest{TransferId: "t", Max: 10})
	_, finish := c.FinishTransfer(t.Context(), &storev1.FinishTransferRequest{TransferId: "t"})
	for what, err := range map[string]error{"start": start, "part": part, "finish": finish} {
		if storeclient.Word(err) != word || connect.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", what, err, word)
		}
	}
}
