package aggregate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	dpstore "github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/pki"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// realStore serves a ledger by mTLS, and returns a client with the certificate of a Job.
func realStore(t *testing.T) (*storetest.World, *storeclient.Client) {
	t.Helper()
	clock := storetest.NewClock()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	source := func(r identity.Role) *identity.Static {
		r.Namespace, r.Store = "brand-cn", "brand-store"
		leaf, err := pki.Issue(ca, r, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(leaf.Cert, leaf.Key)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca.Cert)
		return &identity.Static{Pair: pair, Roots: roots}
	}
	s := &dpstore.Server{Ledger: l, Namespace: "brand-cn", Name: "brand-store", Log: slog.New(slog.DiscardHandler)}
	srv, src := httptest.NewUnstartedServer(s.Handler()), source(identity.Role{Kind: identity.Store})
	srv.EnableHTTP2, srv.TLS = true, identity.Server(src)
	srv.TLS.Certificates = []tls.Certificate{src.Pair} // or httptest puts one of its own
	srv.StartTLS()
	c := storeclient.New(source(identity.Role{Kind: identity.Aggregate, Name: "counts", Run: "t-1"}), storeclient.Config{Address: srv.URL, Namespace: "brand-cn", Name: "brand-store"})
	t.Cleanup(func() {
		c.Close()
		srv.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	return w, c
}

// breaking is a destination that takes so many objects, and then none.
type breaking struct {
	*bucket
	left int
}

func (b *breaking) Put(ctx context.Context, name, contentType string, body []byte) error {
	if b.left--; b.left < 0 {
		return destination.ErrUnreachable
	}
	return b.bucket.Put(ctx, name, contentType, body)
}

// TestAJobThatIsKilledTellsTheSame breaks off at each object; meanwhile people come, and days
// go by. What lies in the destination in the end is what was told first, in all objects.
func TestAJobThatIsKilledTellsTheSame(t *testing.T) {
	w, c := realStore(t)
	for i := range 25 {
		w.Fan(fmt.Sprint("a", i))
	}
	if _, err := w.Ledger.DeclareTransfer(t.Context(), w.Counts("t-1", aggregate.LeadsByStage, aggregate.FollowersByTag)); err != nil {
		t.Fatal(err)
	}
	b, cfg := &bucket{bodies: map[string]string{}, types: map[string]string{}}, sample("CSV")
	encoding, err := transfer.EncodingOf(cfg.outlet())
	if err != nil {
		t.Fatal(err)
	}
	for objects := range 4 {
		j := &Job{
			Config: cfg, Store: c.Aggregate, Bucket: &breaking{b, objects}, Encoding: encoding,
			Clock: func() time.Time { return began }, Wait: storeclient.Wait, Log: slog.New(slog.DiscardHandler),
		}
		if err := j.Run(t.Context()); (objects < 3) != errors.Is(err, destination.ErrUnreachable) {
			t.Fatalf("after %d objects: %v", objects, err)
		}
		w.Clock.Move(48 * time.Hour)
		w.Push(nil)
		for i := range 30 {
			w.Fan(fmt.Sprint("b", objects, "-", i))
		}
	}
	manifest := b.bodies["cn/counts/manifest.json"]
	delete(b.bodies, "cn/counts/manifest.json")
	want := map[string]string{
		"cn/counts/LeadsByStage.csv":   "stage,people\n,30\n(none),\nEngaged,\nLead,\nQualified,\n",
		"cn/counts/FollowersByTag.csv": "tag,people\ntea,30\n",
	}
	if d := cmp.Diff(want, b.bodies); d != "" {
		t.Error(d)
	}
	for _, body := range b.bodies {
		if !strings.Contains(manifest, digest([]byte(body))) {
			t.Errorf("the manifest does not name %q", body)
		}
	}
	x, err := w.Ledger.Transfer(t.Context(), "t-1")
	if err != nil || x.State != store.TransferComplete || x.Manifest.SHA256 != digest([]byte(manifest)) {
		t.Errorf("%+v, %v", x, err)
	}
}
