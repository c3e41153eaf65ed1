package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

const (
	transferID = "0b6f2a3e-7f1d-4f51-9a58-5b0c1d1f0a01"
	canary     = "CANARY-person"
	part       = "cn/2026/leads-q4/part-0000"
	manifest   = "cn/2026/leads-q4/manifest.json"
)

// began is when the transfer of ledger started.
var began = time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)

// ledger is a store with one transfer, and remembers it as a real one does.
type ledger struct {
	storev1connect.UnimplementedTransferServiceHandler
	startErr error
	refusals []*storev1.Refusal
	pages    int
	page     func(i int) [][]byte
	stopped  string // sent last
	broken   error  // returned last
	away     int    // FinishTransfer calls that find nobody
	late     int    // reports that come too late
	wait     int    // leases that find another Job's

	leased   int
	parts    []*storev1.Part
	finished []*storev1.Manifest
}

func (l *ledger) StartTransfer(context.Context, *storev1.StartTransferRequest) (*storev1.StartTransferResponse, error) {
	if l.startErr != nil {
		return nil, l.startErr
	}
	return &storev1.StartTransferResponse{Allowed: len(l.refusals) == 0, Refusals: l.refusals, StartedAt: timestamppb.New(began)}, nil
}

func (l *ledger) LeasePart(context.Context, *storev1.LeasePartRequest) (*storev1.LeasePartResponse, error) {
	l.leased++
	switch n := len(l.parts); {
	case l.wait > 0:
		l.wait--
		return &storev1.LeasePartResponse{WaitMillis: 7000}, nil
	case n < l.pages:
		return &storev1.LeasePartResponse{Part: int64(n), Rows: l.page(n), LeaseMillis: 3_600_000}, nil
	case l.broken != nil:
		return nil, l.broken
	case l.stopped != "":
		return &storev1.LeasePartResponse{StoppedBy: l.stopped}, nil
	}
	return &storev1.LeasePartResponse{Done: true}, nil
}

func (l *ledger) ReportPart(_ context.Context, r *storev1.ReportPartRequest) (*storev1.ReportPartResponse, error) {
	if l.late > 0 {
		l.late--
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New(store.ErrLeaseOver.Error()))
	}
	l.parts = append(l.parts, r.GetPart())
	return &storev1.ReportPartResponse{}, nil
}

const decision = "0123456789abcdef0123456789abcdef"

func (l *ledger) ListParts(context.Context, *storev1.ListPartsRequest) (*storev1.ListPartsResponse, error) {
	return &storev1.ListPartsResponse{
		Parts: l.parts, Decision: decision, Rules: "cn-2026-01", Tier: "None", Excluded: []*storev1.Excluded{{Reason: "ConsentMissing", People: "<20"}}, Checkpoint: "ledger\n4\n",
	}, nil
}

func (l *ledger) FinishTransfer(_ context.Context, r *storev1.FinishTransferRequest) (*storev1.FinishTransferResponse, error) {
	if l.away > 0 {
		l.away--
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("away"))
	}
	l.finished = append(l.finished, r.GetManifest())
	return &storev1.FinishTransferResponse{}, nil
}

// rows is a page like those of a store, with things that a log must not hold.
func rows(i int) [][]byte {
	return [][]byte{
		fmt.Appendf(nil, `{"leadID":"%s-%d","interests":["tea","jade"],"note":"=1+1"}`, canary, 2*i),
		fmt.Appendf(nil, `{"leadID":"%s-%d","interests":[],"note":null}`, canary, 2*i+1),
	}
}

// job makes a Job that speaks to l. Its clock moves a minute at each look.
func job(tb testing.TB, cfg Config, l *ledger) (*Job, *bytes.Buffer) {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle(storev1connect.NewTransferServiceHandler(l))
	srv := httptest.NewServer(mux)
	tb.Cleanup(srv.Close)
	log, now := &bytes.Buffer{}, began
	return &Job{
		Config: cfg, Store: storev1connect.NewTransferServiceClient(srv.Client(), srv.URL), Bucket: open(tb, cfg), Encoding: text(cfg.Format),
		Clock: func() time.Time { now = now.Add(time.Minute); return now },
		Wait:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Log:   slog.New(slog.NewJSONHandler(log, nil)),
	}, log
}

// silent fails if a log or an error holds something of a person or a credential.
func silent(tb testing.TB, log *bytes.Buffer, err error) {
	tb.Helper()
	text := fmt.Sprintf("%s %v %+v %#v", log, err, err, err)
	for _, c := range []string{canary, accessKey, secretKey, "wrong-canary", "jade"} {
		if strings.Contains(text, c) {
			tb.Errorf("%q is in a log or an error: %s", c, text)
		}
	}
}

func TestJob_WholeWay(t *testing.T) {
	for name, c := range map[string]struct {
		format, ext string
		bodies      [2]string
	}{
		"lines of JSON": {JSONLines, ".jsonl", [2]string{lined(0), lined(1)}},
		"CSV": {CSV, ".csv", [2]string{
			"leadID,interests,note\nCANARY-person-0,tea;jade,'=1+1\nCANARY-person-1,,\n", "leadID,interests,note\nCANARY-person-2,tea;jade,'=1+1\nCANARY-person-3,,\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configured(t)
			cfg.Format = c.format
			l := &ledger{pages: 2, page: rows, away: 3}
			j, log := job(t, cfg, l)
			err := j.Run(t.Context())
			silent(t, log, err)
			if err != nil {
				t.Fatal(err)
			}
			got := objects(t, cfg)
			want := Manifest{
				TransferID: transferID, Name: "leads-q4", Recipient: "zurich-sales", Rows: 4, Fields: cfg.Fields, StartedAt: began, CompletedAt: began.Add(10 * time.Minute),
				Decision: decision, Rules: "cn-2026-01", Mechanism: "None", Excluded: []Excluded{{"ConsentMissing", "<20"}}, Checkpoint: "ledger\n4\n",
			}
			for i, body := range c.bodies {
				object := fmt.Sprint(part, i, c.ext)
				if d := cmp.Diff(body, got[object]); d != "" {
					t.Error(d)
				}
				want.Parts = append(want.Parts, Part{Object: object, SHA256: sum(body), Rows: 2, Bytes: int64(len(body))})
				want.Bytes += int64(len(body))
			}
			if d := cmp.Diff(want, readManifest(t, got)); d != "" || len(got) != 3 {
				t.Errorf("%d objects: %s", len(got), d)
			}
			if len(l.finished) != 1 || l.finished[0].GetSha256() != sum(got[manifest]) || l.finished[0].GetObject() != manifest || l.finished[0].GetRows() != 4 ||
				l.finished[0].GetBytes() != want.Bytes || l.finished[0].GetPartial() {
				t.Errorf("the store was told %v", l.finished)
			}
			if !strings.Contains(log.String(), `"rows":"<20"`) || strings.Contains(log.String(), "bytes") {
				t.Errorf("the log tells how few people left: %s", log)
			}
		})
	}
}

// lined is a page as lines of JSON.
func lined(i int) string { return string(bytes.Join(rows(i), []byte("\n"))) + "\n" }

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func readManifest(tb testing.TB, objects map[string]string) (m Manifest) {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(objects[manifest]))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestJob_RefusedSendsNothing(t *testing.T) {
	cfg := configured(t)
	l := &ledger{refusals: []*storev1.Refusal{{Code: "NoSeparateConsent", Field: "spec.legalBasis", Message: canary}, {Code: "FieldNotAllowed"}}}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if got := objects(t, cfg); err != nil || len(got) != 0 || l.leased != 0 || len(l.finished) != 0 {
		t.Errorf("%v; objects %v, leases %d, finished %v", err, got, l.leased, l.finished)
	}
	if !strings.Contains(log.String(), "NoSeparateConsent") || !strings.Contains(log.String(), "FieldNotAllowed") {
		t.Errorf("a code is missing: %s", log)
	}
}

func TestJob_OverAlreadySendsNothing(t *testing.T) {
	cfg := configured(t)
	l := &ledger{startErr: connect.NewError(connect.CodeFailedPrecondition, errors.New(store.ErrTransferState.Word+": over"))}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if got := objects(t, cfg); err != nil || len(got) != 0 || l.leased != 0 {
		t.Errorf("%v; objects %v", err, got)
	}
	l.startErr = connect.NewError(connect.CodeFailedPrecondition, errors.New("PolicyStale: wait"))
	if err := j.Run(t.Context()); err == nil {
		t.Error("a start that failed must be tried again")
	}
}

func TestJob_HoldLeavesPartialManifest(t *testing.T) {
	for name, pages := range map[string]int{"after two parts": 2, "before the first row": 0} {
		t.Run(name, func(t *testing.T) {
			cfg := configured(t)
			l := &ledger{pages: pages, page: rows, stopped: "PublicSecurityHold"}
			j, log := job(t, cfg, l)
			err := j.Run(t.Context())
			silent(t, log, err)
			if err != nil {
				t.Fatal(err)
			}
			got := objects(t, cfg)
			m := readManifest(t, got)
			if !m.Partial || m.StoppedBy != "PublicSecurityHold" || m.Rows != int64(2*pages) || len(m.Parts) != pages || len(got) != pages+1 {
				t.Errorf("manifest %+v of %d objects", m, len(got))
			}
			if len(l.finished) != 1 || !l.finished[0].GetPartial() || l.finished[0].GetStoppedBy() != "PublicSecurityHold" {
				t.Errorf("the store was told %v", l.finished)
			}
			if !strings.Contains(log.String(), `"rows":"<20"`) {
				t.Errorf("the log tells how few people left: %s", log)
			}
		})
	}
}

// TestJob_GoesOnWhereItWasBrokenOff loses the store behind five parts.
func TestJob_GoesOnWhereItWasBrokenOff(t *testing.T) {
	cfg := configured(t)
	l := &ledger{pages: 5, page: rows, broken: connect.NewError(connect.CodeInternal, errors.New("store breaks"))}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if connect.CodeOf(err) != connect.CodeInternal || errors.Is(err, destination.ErrUnreachable) {
		t.Errorf("the store broke off, not the destination: %v", err)
	}
	if got := objects(t, cfg); len(got) != 5 || len(l.finished) != 0 {
		t.Errorf("%d objects, finished %v", len(got), l.finished)
	}
	l.broken, l.pages = nil, 7
	puts := &countingBucket{Bucket: j.Bucket}
	j.Bucket = puts
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := readManifest(t, objects(t, cfg)); m.Rows != 14 || len(m.Parts) != 7 || puts.n != 3 {
		t.Errorf("%+v, %d puts", m, puts.n)
	}
}

type countingBucket struct {
	Bucket
	n int
}

func (b *countingBucket) Put(ctx context.Context, name, contentType string, body []byte) error {
	b.n++
	return b.Bucket.Put(ctx, name, contentType, body)
}

func TestJob_PartReportedTooLateIsWrittenAgain(t *testing.T) {
	cfg := configured(t)
	l := &ledger{pages: 1, page: rows, late: 1}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if m := readManifest(t, objects(t, cfg)); err != nil || m.Rows != 2 || l.leased != 3 {
		t.Errorf("%+v, %d leases, %v", m, l.leased, err)
	}
}

func TestJob_WaitsForTheLeaseOfAnother(t *testing.T) {
	cfg := configured(t)
	j, _ := job(t, cfg, &ledger{pages: 1, page: rows, wait: 2})
	puts, waited := &countingBucket{Bucket: j.Bucket}, time.Duration(0)
	j.Bucket, j.Wait = puts, func(_ context.Context, d time.Duration) error { waited += d; return nil }
	if err := j.Run(t.Context()); err != nil || waited != 14*time.Second || puts.n != 2 {
		t.Errorf("waited %s, %d puts, %v", waited, puts.n, err)
	}
}

// TestJob_PartOfNobodyHasNoObject: everybody of a part withdrew between two Jobs.
func TestJob_PartOfNobodyHasNoObject(t *testing.T) {
	cfg := configured(t)
	l := &ledger{pages: 1, page: rows}
	j, _ := job(t, cfg, l)
	j.Bucket = reporting{j.Bucket, errors.New("killed")}
	if err := j.Run(t.Context()); err == nil || len(objects(t, cfg)[part+"0.jsonl"]) == 0 {
		t.Fatalf("nothing was written before it died: %v", err)
	}
	l.page = func(int) [][]byte { return nil }
	j, _ = job(t, cfg, l)
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := objects(t, cfg)
	if m := readManifest(t, got); m.Rows != 0 || len(m.Parts) != 0 || got[part+"0.jsonl"] != "" {
		t.Errorf("%+v; what the killed Job wrote: %q", m, got[part+"0.jsonl"])
	}
	if len(l.parts) != 1 || l.parts[0].GetObject() != "" || l.parts[0].GetSha256() != "" || l.parts[0].GetBytes() != 0 {
		t.Errorf("reported %v", l.parts)
	}
}

// reporting fails after it has written.
type reporting struct {
	Bucket
	err error
}

func (b reporting) Put(ctx context.Context, name, contentType string, body []byte) error {
	return errors.Join(b.Bucket.Put(ctx, name, contentType, body), b.err)
}

// TestJob_WriteEndsWithTheLease runs in a bubble of time.
func TestJob_WriteEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			ask  time.Duration // how long the store takes to answer
			want int           // writes that begin
		}{"a slow destination": {0, 1}, "a slow store": {time.Minute, 0}} {
			asked := time.Now()
			slow := &slowBucket{}
			j := &Job{
				Store: slowStore{ask: c.ask, life: 20 * time.Second}, Bucket: slow, Encoding: text(JSONLines), Clock: time.Now, Wait: storeclient.Wait,
				Log: slog.New(slog.DiscardHandler),
			}
			if err := j.Run(t.Context()); !errors.Is(err, errLeaseOver) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(asked); took != max(c.ask, 20*time.Second) || slow.begun != c.want {
				t.Errorf("%s: %d writes, over after %s", name, slow.begun, took)
			}
		}
	})
}

type slowBucket struct{ begun int }

func (b *slowBucket) Put(ctx context.Context, _, _ string, _ []byte) error {
	b.begun++
	<-ctx.Done()
	return context.Cause(ctx)
}

// slowStore leases one part.
type slowStore struct {
	storev1connect.TransferServiceClient
	ask, life time.Duration
}

func (slowStore) StartTransfer(context.Context, *storev1.StartTransferRequest) (*storev1.StartTransferResponse, error) {
	return &storev1.StartTransferResponse{Allowed: true}, nil
}

func (slowStore) ListParts(context.Context, *storev1.ListPartsRequest) (*storev1.ListPartsResponse, error) {
	return &storev1.ListPartsResponse{}, nil
}

func (s slowStore) LeasePart(ctx context.Context, _ *storev1.LeasePartRequest) (*storev1.LeasePartResponse, error) {
	return &storev1.LeasePartResponse{Rows: rows(0), LeaseMillis: int32(s.life.Milliseconds())}, storeclient.Wait(ctx, s.ask)
}

func TestJob_BadRowSendsNothing(t *testing.T) {
	for _, format := range []string{JSONLines, CSV} {
		for name, row := range map[string]string{"no object": `"` + canary + `"`, "null": "null", "empty": "", "two lines": "{\n" + canary} {
			cfg := configured(t)
			cfg.Format = format
			j, log := job(t, cfg, &ledger{pages: 1, page: func(int) [][]byte { return [][]byte{[]byte(row)} }})
			err := j.Run(t.Context())
			silent(t, log, err)
			if got := objects(t, cfg); !errors.Is(err, errRow) || len(got) != 0 {
				t.Errorf("%s, %s: %v", format, name, err)
			}
		}
	}
}

func TestJob_StoreThatStaysAwayIsAnError(t *testing.T) {
	cfg := configured(t)
	l := &ledger{away: storeclient.Patience + 1}
	j, _ := job(t, cfg, l)
	if err := j.Run(t.Context()); connect.CodeOf(err) != connect.CodeUnavailable || l.away != 1 {
		t.Errorf("%v, %d left", err, l.away)
	}
}

func TestJob_DestinationErrors(t *testing.T) {
	redirects, reached := redirecting(t)
	closed, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *Config)
		want   error
	}{
		"the secret is wrong":     {func(t *testing.T, c *Config) { c.CredentialsDir = credentialFiles(t, accessKey, "wrong-canary") }, destination.ErrDenied},
		"the key is unknown":      {func(t *testing.T, c *Config) { c.CredentialsDir = credentialFiles(t, "wrong-canary", secretKey) }, destination.ErrDenied},
		"there is no such bucket": {func(_ *testing.T, c *Config) { c.Destination.S3.Bucket = "no-such-bucket" }, destination.ErrFailed},
		"nobody listens":          {func(_ *testing.T, c *Config) { c.Destination.S3.Endpoint = "https://" + closed }, destination.ErrUnreachable},
		"a certificate unknown":   {func(_ *testing.T, c *Config) { c.ExtraCAFile = "" }, destination.ErrUntrusted},
		"a redirect": {func(t *testing.T, c *Config) {
			c.Destination.S3.Endpoint, c.ExtraCAFile = redirects.URL, authorityOf(t, redirects)
		}, destination.ErrRedirected},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configured(t)
			c.change(t, &cfg)
			l := &ledger{pages: 40, page: bulk}
			j, log := job(t, cfg, l)
			err := j.Run(t.Context())
			silent(t, log, err)
			if !errors.Is(err, c.want) || len(l.finished) != 0 {
				t.Errorf("%v, want %v; finished %v", err, c.want, l.finished)
			}
		})
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func TestJob_CancelledIsNotAnUnreachableDestination(t *testing.T) {
	cfg := configured(t)
	ctx, cancel := context.WithCancel(t.Context())
	j, log := job(t, cfg, &ledger{pages: 40, page: bulk})
	j.Encoding = cancelling{j.Encoding, cancel}
	err := j.Run(ctx)
	silent(t, log, err)
	if !errors.Is(err, context.Canceled) || errors.Is(err, destination.ErrUnreachable) {
		t.Error(err)
	}
	if got := objects(t, cfg); len(got) != 0 {
		t.Errorf("%d objects", len(got))
	}
}

// cancelling ends the Job between lease and write.
type cancelling struct {
	Encoding
	cancel func()
}

func (c cancelling) Encode(fields []string, rows [][]byte) ([]byte, error) {
	c.cancel()
	return c.Encoding.Encode(fields, rows)
}

// redirecting answers everything with a redirect to another server, which counts.
func redirecting(t *testing.T) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	reached := &atomic.Int64{}
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(other.Close)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(srv.Close)
	return srv, reached
}

func authorityOf(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// bulkRows is the size of a large page, about 1 MiB.
const bulkRows = 4000

var filler = strings.Repeat("x", 200)

func bulk(i int) [][]byte {
	out := make([][]byte, bulkRows)
	for k := range out {
		out[k] = fmt.Appendf(nil, `{"leadID":"%s-%d","interests":["tea","jade"],"note":"%s"}`, canary, i*bulkRows+k, filler)
	}
	return out
}

// TestJob_MemoryIsBounded sends many times what may be held at once.
func TestJob_MemoryIsBounded(t *testing.T) {
	const pages, allowed = 50, 16 << 20
	cfg := configured(t)
	live := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	base, peak := live(), uint64(0)
	j, _ := job(t, cfg, &ledger{pages: pages, page: func(i int) [][]byte {
		if i%5 == 4 {
			peak = max(peak, live())
		}
		return bulk(i)
	}})
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if peak > base+allowed {
		t.Errorf("%d MiB live", (peak-base)>>20)
	}
	m := readManifest(t, objects(t, cfg))
	if m.Rows != pages*bulkRows || m.Bytes < 2*allowed {
		t.Errorf("%+v", m)
	}
}

func BenchmarkJob(b *testing.B) {
	for _, format := range []string{JSONLines, CSV} {
		b.Run(format, func(b *testing.B) {
			cfg := configured(b)
			cfg.Format = format
			l := &ledger{pages: 50, page: bulk}
			j, _ := job(b, cfg, l)
			for b.Loop() {
				l.parts = nil
				if err := j.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*50*bulkRows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func TestRun_BadMountsAreErrorsAtStart(t *testing.T) {
	dir := credentialFiles(t, accessKey, secretKey)
	none := filepath.Join(dir, "none")
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no credentials": {func(c *Config) { c.CredentialsDir = none }, config.ErrConfig},
		"no authority":   {func(c *Config) { c.ExtraCAFile = filepath.Join(dir, "accessKeyID") }, config.ErrConfig},
		"no certificate": {func(*Config) {}, os.ErrNotExist},
	} {
		cfg := Config{Format: CSV, CredentialsDir: dir, Destination: destination.Config{Type: destination.TypeS3, S3: destination.S3{Endpoint: "https://s3.example", Region: region, Bucket: "b"}}}
		cfg.TLS.CertFile, cfg.TLS.KeyFile, cfg.TLS.CAFile = none, none, none
		c.change(&cfg)
		err := Run(t.Context(), cfg)
		silent(t, &bytes.Buffer{}, err)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
