package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	dpstore "github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/pki"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

type world struct {
	*storetest.World
	namespace, name string
	url             string
	ca              pki.Pair
	log             *bytes.Buffer
}

func role(kind identity.Kind, name, run string) identity.Role {
	return identity.Role{Kind: kind, Namespace: "brand-cn", Store: "brand-store", Name: name, Run: run}
}

func serve(t *testing.T) *world {
	t.Helper()
	return serveAs(t, "brand-cn", "brand-store", sqlite.Config{}, nil)
}

// serveAs serves a ledger of its own under a store's name.
func serveAs(t *testing.T, namespace, name string, cfg sqlite.Config, peers *dpstore.Peers) *world {
	t.Helper()
	clock := storetest.NewClock()
	ring, err := seal.NewRing(bytes.Repeat([]byte(name)[:1], seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.LedgerID, cfg.Create, cfg.Ring, cfg.Clock = t.TempDir(), storetest.LedgerID, true, ring, clock.Now
	l, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{World: &storetest.World{T: t, Ledger: l, Clock: clock}, namespace: namespace, name: name, log: &bytes.Buffer{}}
	if w.ca, err = pki.NewAuthority("test", time.Now()); err != nil {
		t.Fatal(err)
	}
	s := &dpstore.Server{Ledger: l, Namespace: namespace, Name: name, Log: slog.New(slog.NewJSONHandler(w.log, nil)), Peers: peers}
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.EnableHTTP2 = true
	src := w.source(identity.Role{Kind: identity.Store, Namespace: namespace, Store: name})
	srv.TLS = identity.Server(src)
	srv.TLS.Certificates = []tls.Certificate{src.Pair} // or httptest puts one of its own
	srv.StartTLS()
	w.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) source(r identity.Role) *identity.Static {
	w.Helper()
	leaf, err := pki.Issue(w.ca, r, time.Now())
	if err != nil {
		w.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leaf.Cert, leaf.Key)
	if err != nil {
		w.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.ca.Cert)
	return &identity.Static{Pair: pair, Roots: roots}
}

func (w *world) client(r identity.Role) *storeclient.Client {
	w.Helper()
	c := storeclient.New(w.source(r), storeclient.Config{Address: w.url, Namespace: w.namespace, Name: w.name})
	w.Cleanup(c.Close)
	return c
}

// TestRoles asks every service with every role: a certificate opens its own door only.
func TestRoles(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	w.Fan("a")
	w.Plan("run")
	calls := map[identity.Kind]func(context.Context, *storeclient.Client) error{
		identity.Manager: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Control.GetStatus(ctx, &storev1.GetStatusRequest{})
			return err
		},
		identity.Gateway: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Intake.GetPreferences(ctx, &storev1.GetPreferencesRequest{Account: "brand", OpenId: storetest.OpenID("a").Reveal()})
			return err
		},
		identity.Dispatch: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Dispatch.Lease(ctx, &storev1.LeaseRequest{RunId: "run", Max: 1})
			return err
		},
		identity.Transfer: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Transfer.StartTransfer(ctx, &storev1.StartTransferRequest{TransferId: "t"})
			if connect.CodeOf(err) == connect.CodeNotFound {
				return nil // let through, and not found
			}
			return err
		},
		identity.Aggregate: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Aggregate.ReleaseAggregates(ctx, &storev1.ReleaseAggregatesRequest{TransferId: "t"})
			if connect.CodeOf(err) == connect.CodeNotFound {
				return nil // let through, and not found
			}
			return err
		},
		identity.Officer: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Officer.ListRequests(ctx, &storev1.ListRequestsRequest{})
			return err
		},
		identity.Peer: func(ctx context.Context, c *storeclient.Client) error {
			_, err := c.Peer.GetCounted(ctx, &storev1.GetCountedRequest{})
			if connect.CodeOf(err) == connect.CodeFailedPrecondition {
				return nil // let through, and there is no key
			}
			return err
		},
	}
	roles := []identity.Role{
		role(identity.Manager, "", ""), role(identity.Gateway, "brand", ""), role(identity.Dispatch, "spring-tea", "run"),
		role(identity.Transfer, "leads", "t"), role(identity.Aggregate, "counts", "t"), role(identity.Store, "", ""), role(identity.Officer, "", ""), role(identity.Peer, "other-cn", "other-store"),
	}
	for _, r := range roles {
		for kind, call := range calls {
			err := call(t.Context(), w.client(r))
			if kind == r.Kind && err != nil {
				t.Errorf("%s calling its own service: %v", r.Kind, err)
			}
			if kind != r.Kind && connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s calling the service of %s: %v", r.Kind, kind, err)
			}
		}
	}
}

// TestRoles_OtherObject: the right kind of certificate, for another run, account, transfer or store.
func TestRoles_OtherObject(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	other := role(identity.Manager, "", "")
	other.Namespace = "another"
	_, lease := w.client(role(identity.Dispatch, "spring-tea", "other-run")).Dispatch.Lease(t.Context(), &storev1.LeaseRequest{RunId: "run", Max: 1})
	_, prefs := w.client(role(identity.Gateway, "other", "")).Intake.GetPreferences(t.Context(), &storev1.GetPreferencesRequest{Account: "brand", OpenId: storetest.OpenID("a").Reveal()})
	job := w.client(role(identity.Transfer, "leads", "x")).Transfer
	_, start := job.StartTransfer(t.Context(), &storev1.StartTransferRequest{TransferId: "t"})
	_, part := job.LeasePart(t.Context(), &storev1.LeasePartRequest{TransferId: "t"})
	_, report := job.ReportPart(t.Context(), &storev1.ReportPartRequest{TransferId: "t"})
	_, list := job.ListParts(t.Context(), &storev1.ListPartsRequest{TransferId: "t"})
	_, finish := job.FinishTransfer(t.Context(), &storev1.FinishTransferRequest{TransferId: "t"})
	counts := w.client(role(identity.Aggregate, "counts", "x")).Aggregate
	_, release := counts.ReleaseAggregates(t.Context(), &storev1.ReleaseAggregatesRequest{TransferId: "t"})
	_, released := counts.FinishAggregates(t.Context(), &storev1.FinishAggregatesRequest{TransferId: "t"})
	_, status := w.client(other).Control.GetStatus(t.Context(), &storev1.GetStatusRequest{})
	for what, err := range map[string]error{"run": lease, "account": prefs, "transfer": start, "part": part, "report": report, "parts": list, "finish": finish, "release": release, "released": released, "namespace": status} {
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWholeWay goes from a pushed bundle to a report over the wire.
func TestWholeWay(t *testing.T) {
	w := serve(t)
	manager, gateway := w.client(role(identity.Manager, "", "")), w.client(role(identity.Gateway, "brand", ""))
	worker := w.client(role(identity.Dispatch, "spring-tea", "run"))
	_, err := manager.Control.PlanRun(t.Context(), &storev1.PlanRunRequest{Spec: &storev1.RunSpec{RunId: "run", Account: "brand", Shards: 1, AudienceExpression: "true"}})
	if storeclient.Word(err) != "PolicyMissing" {
		t.Fatalf("planning without a policy: %v", err)
	}
	bundle := &storev1.Bundle{
		IssuedAt: timestamppb.New(w.Clock.Now()), ValidForSeconds: 600,
		Policy: &storev1.Policy{Name: "cn-mainland", CiioStatus: "No", GuardianConsentAge: 18, Processor: "acme"},
		Notice: &storev1.Notice{Name: "n", Revision: 3, RetentionDays: 1, Purposes: []*storev1.Purpose{{Name: "DirectMarketing"}}},
	}
	pushed, err := manager.Control.PushBundle(t.Context(), &storev1.PushBundleRequest{LedgerId: storetest.LedgerID, Bundle: bundle})
	if err != nil || pushed.GetHash() == "" {
		t.Fatal(pushed, err)
	}
	who := storetest.OpenID("a").Reveal()
	key := sha256.Sum256([]byte("1"))
	if _, err := gateway.Intake.RecordEvent(t.Context(), &storev1.RecordEventRequest{
		Account: "brand", DedupeKey: key[:], Kind: "subscribe_msg_popup_event", OpenId: who, At: timestamppb.New(w.Clock.Now()),
		Subscriptions: []*storev1.SubscriptionAnswer{{TemplateId: "T", Accepted: true}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.Intake.RecordChoices(t.Context(), &storev1.RecordChoicesRequest{
		Account: "brand", OpenId: who, NoticeRevision: 3, AgeBand: "Adult", Choices: []*storev1.Choice{{Purpose: "DirectMarketing", Granted: true}},
	}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Second)
	spec := &storev1.RunSpec{
		RunId: "run", Campaign: "spring-tea", Account: "brand", Purpose: "DirectMarketing", AudienceExpression: "true",
		Channel: "Subscription", TemplateId: "T", PerSecond: 100, Shards: 1,
	}
	plan, err := manager.Control.PlanRun(t.Context(), &storev1.PlanRunRequest{Spec: spec})
	if err != nil || plan.GetRun().GetEligible() != "<20" || !plan.GetRun().GetHasWork() {
		t.Fatal(plan, err)
	}
	lease, err := worker.Dispatch.Lease(t.Context(), &storev1.LeaseRequest{RunId: "run", Max: 10})
	if err != nil || len(lease.GetPermits()) != 1 || lease.GetPermits()[0].GetOpenId() != who {
		t.Fatal(err)
	}
	if _, err := worker.Dispatch.Report(t.Context(), &storev1.ReportRequest{RunId: "run", Outcomes: []*storev1.Outcome{{PermitId: lease.GetPermits()[0].GetPermitId(), Result: "Sent"}}}); err != nil {
		t.Fatal(err)
	}
	audit, err := worker.Dispatch.Reconcile(t.Context(), &storev1.ReconcileRequest{RunId: "run", Received: []*storev1.Received{{OpenId: who, Messages: 1}}})
	if err != nil || audit.GetSentOnce() != 1 || audit.GetSentNotOnce() != 0 {
		t.Fatal(audit, err)
	}
	if strings.Contains(w.log.String(), who) {
		t.Error("the log holds an identifier")
	}
}

func TestBadInput(t *testing.T) {
	w := serve(t)
	w.Push(nil)
	gateway := w.client(role(identity.Gateway, "brand", ""))
	for name, r := range map[string]*storev1.RecordEventRequest{
		"an empty openid":     {Account: "brand", DedupeKey: make([]byte, 32)},
		"a short dedupe key":  {Account: "brand", DedupeKey: []byte{1}, OpenId: storetest.OpenID("a").Reveal()},
		"a malformed openid":  {Account: "brand", DedupeKey: make([]byte, 32), OpenId: "'; DROP TABLE subjects; --"},
		"an endless menu key": {Account: "brand", DedupeKey: make([]byte, 32), OpenId: storetest.OpenID("a").Reveal(), Key: strings.Repeat("k", 4096)},
	} {
		_, err := gateway.Intake.RecordEvent(t.Context(), r)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || storeclient.Word(err) != "Invalid" {
			t.Errorf("%s: %v", name, err)
		}
		if r.GetOpenId() != "" && err != nil && strings.Contains(err.Error(), r.GetOpenId()) {
			t.Errorf("%s: the error repeats the value", name)
		}
	}
}
