package residency_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/identity"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// TestTheOfficersCertificateIsThere: people's requests are answered with a role of its own.
func TestTheOfficersCertificateIsThere(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	cs := readyStore(t, ns)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: desired.OfficerTLSName(cs.Name)}}
	if _, err := get(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.Data[corev1.TLSCertKey])
	if block == nil {
		t.Fatal("no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Role{Kind: identity.Officer, Namespace: ns, Store: cs.Name}
	if got, err := identity.Of(cert); err != nil || got != want {
		t.Errorf("certificate of %+v, %v", got, err)
	}
}

// TestRequestsOfPeopleShowInNumbers: what waits for an answer is seen outside the region,
// without whose it is, and an overdue one without the store being unwell.
func TestRequestsOfPeopleShowInNumbers(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	due := time.Date(2026, 12, 15, 16, 0, 0, 0, time.UTC)
	s := stores.Of(ns, "brand-store")
	s.Set(func(s *envtestrig.StoreState) {
		s.Requests = &storev1.RequestCounts{Open: "<20", Overdue: "<20", NextDue: timestamppb.New(due)}
	})
	cs := readyStore(t, ns)
	waitStore(t, cs, string(residencyv1.ConditionRequestsAnswered), "True", residencyv1.ReasonRequestsInTime)
	if r := cs.Status.Requests; r.Open != "<20" || r.Overdue != "<20" || !r.NextDueTime.Time.Equal(due) {
		t.Errorf("requests = %+v", r)
	}
	s.Set(func(s *envtestrig.StoreState) { s.Requests.Open, s.Requests.AnyOverdue = "23", true })
	touch(t, cs)
	waitStore(t, cs, string(residencyv1.ConditionRequestsAnswered), "False", residencyv1.ReasonRequestsOverdue)
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
	if cs.Status.Requests.Open != "23" {
		t.Errorf("requests = %+v", cs.Status.Requests)
	}
	s.Set(func(s *envtestrig.StoreState) { s.Requests = &storev1.RequestCounts{Open: "<20", Overdue: "<20"} })
	touch(t, cs)
	waitStore(t, cs, string(residencyv1.ConditionRequestsAnswered), "True", residencyv1.ReasonRequestsInTime)
	if !cs.Status.Requests.NextDueTime.IsZero() {
		t.Errorf("nothing is open, and due is %v", cs.Status.Requests.NextDueTime)
	}
}

// TestRecipientsWhoMustBeToldShowInNumbers: who they are, and how many people it is about.
func TestRecipientsWhoMustBeToldShowInNumbers(t *testing.T) {
	ns := rig.Namespace(t, policyName)
	due := time.Date(2026, 12, 15, 16, 0, 0, 0, time.UTC)
	s := stores.Of(ns, "brand-store")
	s.Set(func(s *envtestrig.StoreState) {
		s.Recipients = []*storev1.RecipientState{{Recipient: "acme-group-crm", Open: "<20", Overdue: "<20", AnyOpen: true, NextDue: timestamppb.New(due)}, {Recipient: "done", Open: "<20", Overdue: "<20"}}
	})
	cs := readyStore(t, ns)
	waitStore(t, cs, string(residencyv1.ConditionRecipientsTold), "True", residencyv1.ReasonRecipientsInTime)
	if r := cs.Status.Recipients; len(r) != 1 || r[0].Recipient != "acme-group-crm" || r[0].Open != "<20" || !r[0].NextDueTime.Time.Equal(due) {
		t.Errorf("recipients = %+v", r)
	}
	s.Set(func(s *envtestrig.StoreState) { s.Recipients[0].AnyOverdue = true })
	touch(t, cs)
	waitStore(t, cs, string(residencyv1.ConditionRecipientsTold), "False", residencyv1.ReasonRecipientsOverdue)
	waitStore(t, cs, "Ready", "True", residencyv1.ReasonPlacementProven)
}
