package transfer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	dpstore "github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// errKilled is how a kill looks from inside the test.
var errKilled = errors.New("killed")

// town is a real ledger with people, and a real bucket behind a line that may break.
type town struct {
	*storetest.World
	line   *line
	people int
	year   map[string]bool // whoever was ever handed to a Job
}

func newTown(t *testing.T, people int) *town {
	t.Helper()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	clock := storetest.NewClock()
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := &town{World: &storetest.World{T: t, Ledger: l, Clock: clock}, line: newLine(t), people: people, year: map[string]bool{}}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Push(nil)
	for i := range people {
		w.Fan(fmt.Sprint(i))
		w.Event(fmt.Sprint(i), "CLICK", fmt.Sprint("tag:", i)) // a row tells who it is
	}
	return w
}

// as calls the store's own handler with the certificate of a transfer.
func (w *town) as(id string) storev1connect.TransferServiceClient {
	role := identity.Role{Kind: identity.Transfer, Namespace: "n", Store: "s", Name: "leads", Run: id}
	h := (&dpstore.Server{Ledger: w.Ledger, Namespace: "n", Name: "s", Log: slog.New(slog.DiscardHandler)}).Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{role.URI()}}}}
		h.ServeHTTP(out, r)
	}))
	w.Cleanup(srv.Close)
	return storev1connect.NewTransferServiceClient(srv.Client(), srv.URL)
}

// dice decide where a Job is cut off or killed.
type dice struct {
	*rand.Rand
	kills, cuts int
}

// fate of one call: it is made or not, and what its caller hears of it.
func (d *dice) fate() (made bool, err error) {
	lost := connect.NewError(connect.CodeUnavailable, errors.New("cut off"))
	switch d.IntN(14) {
	case 0:
		d.kills++
		return false, errKilled
	case 1:
		d.kills++
		return true, errKilled
	case 2:
		d.cuts++
		return false, lost
	case 3:
		d.cuts++
		return true, lost
	}
	return true, nil
}

// faulty is a store behind a bad line.
type faulty struct {
	storev1connect.TransferServiceClient
	dice *dice
	town *town
}

func call[Q, A any](d *dice, ctx context.Context, q *Q, f func(context.Context, *Q) (*A, error)) (*A, error) { //nolint:revive // the dice stand in for a receiver
	made, fault := d.fate()
	if !made {
		return nil, fault
	}
	a, err := f(ctx, q)
	if fault != nil {
		return nil, fault
	}
	return a, err
}

func (f faulty) StartTransfer(ctx context.Context, q *storev1.StartTransferRequest) (*storev1.StartTransferResponse, error) {
	return call(f.dice, ctx, q, f.TransferServiceClient.StartTransfer)
}

func (f faulty) LeasePart(ctx context.Context, q *storev1.LeasePartRequest) (*storev1.LeasePartResponse, error) {
	return call(f.dice, ctx, q, func(ctx context.Context, q *storev1.LeasePartRequest) (*storev1.LeasePartResponse, error) {
		a, err := f.TransferServiceClient.LeasePart(ctx, q)
		for _, row := range a.GetRows() {
			f.town.year[who(f.town, row)] = true // also where the answer is lost
		}
		return a, err
	})
}

func (f faulty) ReportPart(ctx context.Context, q *storev1.ReportPartRequest) (*storev1.ReportPartResponse, error) {
	return call(f.dice, ctx, q, f.TransferServiceClient.ReportPart)
}

func (f faulty) ListParts(ctx context.Context, q *storev1.ListPartsRequest) (*storev1.ListPartsResponse, error) {
	return call(f.dice, ctx, q, f.TransferServiceClient.ListParts)
}

func (f faulty) FinishTransfer(ctx context.Context, q *storev1.FinishTransferRequest) (*storev1.FinishTransferResponse, error) {
	return call(f.dice, ctx, q, f.TransferServiceClient.FinishTransfer)
}

// who reads a row: the tag that only this person has.
func who(t testing.TB, row []byte) string {
	var r struct{ Tags []string }
	if err := json.Unmarshal(row, &r); err != nil || len(r.Tags) != 2 {
		t.Errorf("row %s: %v", row, err)
		return ""
	}
	return r.Tags[0]
}

// shaky is the bucket behind the line.
type shaky struct {
	Bucket
	dice *dice
	line *line
}

func (s shaky) Put(ctx context.Context, name, contentType string, body []byte) error {
	made, fault := s.dice.fate()
	switch {
	case !made:
		return fault
	case s.dice.IntN(8) == 0:
		s.dice.cuts++
		s.line.left.Store(int64(s.dice.IntN(len(body) + 2000)))
		defer s.line.left.Store(1 << 40)
	}
	return errors.Join(s.Bucket.Put(ctx, name, contentType, body), fault)
}

// line leads to the S3 server and breaks after so many bytes.
type line struct {
	addr string
	left atomic.Int64
}

func newLine(t *testing.T) *line {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: in.Addr().String()}
	l.left.Store(1 << 40)
	t.Cleanup(func() { _ = in.Close() })
	go func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			go l.carry(c)
		}
	}()
	return l
}

func (l *line) carry(c net.Conn) {
	defer c.Close()
	out, err := net.Dial("tcp", s3.addr)
	if err != nil {
		return
	}
	defer out.Close()
	go func() { _, _ = io.Copy(c, out) }()
	buf := make([]byte, 256)
	for {
		n, err := c.Read(buf)
		if err != nil || l.left.Add(-int64(n)) < 0 {
			return
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestJob_EverybodyOnce cuts lines and kills Jobs at every step, while people withdraw: in
// the end everybody who may be there is there once, the manifest tells the truth, and the
// year's counter is exact.
func TestJob_EverybodyOnce(t *testing.T) {
	seeds := uint64(10)
	if testing.Short() {
		seeds = 4
	}
	w := newTown(t, 24)
	kills, cuts := 0, 0
	for seed := range seeds {
		d := &dice{Rand: rand.New(rand.NewPCG(seed, 99))}
		w.export(d, fmt.Sprint("t", seed))
		kills, cuts = kills+d.kills, cuts+d.cuts
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if kills < int(seeds) || cuts < int(seeds) {
		t.Errorf("%d kills, %d cuts: this test shows nothing", kills, cuts)
	}
	if _, err := w.Ledger.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func (w *town) export(d *dice, id string) {
	w.Helper()
	cfg := configured(w)
	cfg.TransferID, cfg.Destination.S3.Endpoint = id, "https://"+w.line.addr
	cfg.Fields = []string{"id", "tags", "lead.score", "lead.stage"}
	w.Clock.Move(time.Second)
	w.Push(nil)
	if _, err := w.Ledger.DeclareTransfer(w.Context(), w.Export(id)); err != nil {
		w.Fatal(err)
	}
	withdrew := map[string]bool{}
	for attempt := 0; ; attempt++ {
		w.Clock.Move(time.Duration(d.IntN(30)) * time.Second)
		w.Push(nil)
		j := &Job{
			Config: cfg, Store: faulty{w.as(id), d, w}, Bucket: shaky{open(w, cfg), d, w.line}, Encoding: text(cfg.Format), PartRows: 1 + d.IntN(5),
			Clock: w.Clock.Now, Log: slog.New(slog.DiscardHandler),
			Wait: func(ctx context.Context, wait time.Duration) error { w.Clock.Move(wait); return ctx.Err() },
		}
		err := j.Run(w.Context())
		if err == nil {
			break
		}
		if attempt == 500 {
			w.Fatal(err)
		}
		if d.IntN(4) == 0 {
			name := fmt.Sprint(d.IntN(w.people))
			patience, cancel := context.WithTimeout(w.Context(), time.Millisecond)
			w.Choose(patience, name, consent.Adult, storetest.Purpose)
			cancel()
			withdrew[name] = true
		}
	}
	w.compare(cfg, id, withdrew)
	for name := range withdrew {
		w.Clock.Move(time.Minute)
		w.Choose(w.Context(), name, consent.Adult, storetest.Purpose, storetest.Reporting)
	}
}

// compare looks at the bucket as its owner does.
func (w *town) compare(cfg Config, id string, withdrew map[string]bool) {
	w.Helper()
	got := objects(w, cfg)
	m, seen := readManifest(w, got), map[string]int{}
	var rows, size int64
	for _, p := range m.Parts {
		body := got[p.Object]
		if sum(body) != p.SHA256 || int64(len(body)) != p.Bytes || int64(strings.Count(body, "\n")) != p.Rows {
			w.Errorf("%+v is not what stands there", p)
		}
		for row := range strings.Lines(body) {
			seen[who(w, []byte(row))]++
		}
		rows, size = rows+p.Rows, size+p.Bytes
		delete(got, p.Object)
	}
	for name, body := range got {
		if name != manifest && body != "" {
			w.Errorf("%s stands there and in no manifest", name)
		}
	}
	for i := range w.people {
		name := fmt.Sprint(i)
		if n := seen[name]; n != 1 && (n != 0 || !withdrew[name]) {
			w.Errorf("%s is there %d times", name, n)
		}
	}
	t, err := w.Ledger.Transfer(w.Context(), id)
	if err != nil || t.Manifest.SHA256 != sum(got[manifest]) || t.Manifest.Rows != rows || t.Manifest.Bytes != size || m.Rows != rows || m.Bytes != size || m.Partial {
		w.Errorf("the store has %+v, the bucket %+v, %v", t.Manifest, m, err)
	}
	if m.Decision != t.Decision.ID || len(m.Decision) != 32 || m.Rules != t.Decision.Rules || m.Mechanism != t.Decision.Tier || !strings.HasPrefix(m.Checkpoint, "maodian.dev/ledger/"+storetest.LedgerID+"\n") {
		w.Errorf("the store has decision %+v, the bucket %+v", t.Decision, m)
	}
	f, err := w.Ledger.TransferFacts(w.Context(), w.Export("x"))
	if err != nil || f.Counter.NonSensitive != int64(len(w.year)) {
		w.Errorf("the year's counter is %d after %d people, %v", f.Counter.NonSensitive, len(w.year), err)
	}
}
