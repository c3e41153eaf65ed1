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
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

const (
	transferID = "0b6f2a3e-7f1d-4f51-9a58-5b0c1d1f0a01"
	canary     = "CANARY-person"
	part       = "cn/2026/leads-q4/part-00000"
	manifest   = "cn/2026/leads-q4/manifest.json"
)

// ledger is a store with one transfer.
type ledger struct {
	storev1connect.UnimplementedTransferServiceHandler
	startErr error
	refusals []*storev1.Refusal
	pages    int
	page     func(i int) [][]byte
	stopped  string // sent last
	broken   error  // returned last
	away     int    // FinishTransfer calls that find nobody

	streamed int
	finished []*storev1.Manifest
}

func (l *ledger) StartTransfer(context.Context, *storev1.StartTransferRequest) (*storev1.StartTransferResponse, error) {
	if l.startErr != nil {
		return nil, l.startErr
	}
	return &storev1.StartTransferResponse{Allowed: len(l.refusals) == 0, Refusals: l.refusals}, nil
}

func (l *ledger) StreamRows(_ context.Context, _ *storev1.StreamRowsRequest, out *connect.ServerStream[storev1.StreamRowsResponse]) error {
	l.streamed++
	for i := range l.pages {
		if err := out.Send(&storev1.StreamRowsResponse{Rows: l.page(i)}); err != nil {
			return err
		}
	}
	if l.stopped != "" {
		return out.Send(&storev1.StreamRowsResponse{StoppedBy: l.stopped})
	}
	return l.broken
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
	log, now := &bytes.Buffer{}, time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)
	return &Job{
		Config: cfg, Store: storev1connect.NewTransferServiceClient(srv.Client(), srv.URL), Bucket: open(tb, cfg),
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
	for name, c := range map[string]struct{ format, file, body string }{
		"lines of JSON": {JSONLines, part + ".jsonl", string(bytes.Join(append(rows(0), rows(1)...), []byte("\n"))) + "\n"},
		"CSV": {CSV, part + ".csv", "leadID,interests,note\n" +
			"CANARY-person-0,tea;jade,'=1+1\nCANARY-person-1,,\nCANARY-person-2,tea;jade,'=1+1\nCANARY-person-3,,\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := destination(t)
			cfg.Format = c.format
			l := &ledger{pages: 2, page: rows, away: 3}
			j, log := job(t, cfg, l)
			err := j.Run(t.Context())
			silent(t, log, err)
			if err != nil {
				t.Fatal(err)
			}
			got := objects(t, cfg)
			if d := cmp.Diff(c.body, got[c.file]); d != "" || len(got) != 2 {
				t.Errorf("%d objects: %s", len(got), d)
			}
			want := Manifest{
				TransferID: transferID, Name: "leads-q4", Recipient: "zurich-sales", Object: c.file, SHA256: sum(c.body), Rows: 4, Bytes: int64(len(c.body)),
				Fields: cfg.Fields, StartedAt: time.Date(2026, 10, 1, 8, 1, 0, 0, time.UTC), CompletedAt: time.Date(2026, 10, 1, 8, 2, 0, 0, time.UTC),
			}
			if d := cmp.Diff(want, readManifest(t, got)); d != "" {
				t.Error(d)
			}
			if len(l.finished) != 1 || l.finished[0].GetSha256() != want.SHA256 || l.finished[0].GetRows() != 4 || l.finished[0].GetBytes() != want.Bytes ||
				l.finished[0].GetObject() != c.file || l.finished[0].GetPartial() {
				t.Errorf("the store was told %v", l.finished)
			}
			if !strings.Contains(log.String(), `"rows":"<20"`) || strings.Contains(log.String(), "bytes") {
				t.Errorf("the log tells how few people left: %s", log)
			}
		})
	}
}

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
	cfg := destination(t)
	l := &ledger{refusals: []*storev1.Refusal{{Code: "NoSeparateConsent", Field: "spec.legalBasis", Message: canary}, {Code: "FieldNotAllowed"}}}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if got := objects(t, cfg); err != nil || len(got) != 0 || l.streamed != 0 || len(l.finished) != 0 {
		t.Errorf("%v; objects %v, streams %d, finished %v", err, got, l.streamed, l.finished)
	}
	if !strings.Contains(log.String(), "NoSeparateConsent") || !strings.Contains(log.String(), "FieldNotAllowed") {
		t.Errorf("a code is missing: %s", log)
	}
}

func TestJob_OverAlreadySendsNothing(t *testing.T) {
	cfg := destination(t)
	l := &ledger{startErr: connect.NewError(connect.CodeFailedPrecondition, errors.New(store.ErrTransferState.Word+": over"))}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if got := objects(t, cfg); err != nil || len(got) != 0 || l.streamed != 0 {
		t.Errorf("%v; objects %v", err, got)
	}
	l.startErr = connect.NewError(connect.CodeFailedPrecondition, errors.New("PolicyStale: wait"))
	if err := j.Run(t.Context()); err == nil {
		t.Error("a start that failed must be tried again")
	}
}

func TestJob_HoldLeavesPartialManifest(t *testing.T) {
	for name, pages := range map[string]int{"after two pages": 2, "before the first row": 0} {
		t.Run(name, func(t *testing.T) {
			cfg := destination(t)
			l := &ledger{pages: pages, page: rows, stopped: "PublicSecurityHold"}
			j, log := job(t, cfg, l)
			err := j.Run(t.Context())
			silent(t, log, err)
			if err != nil {
				t.Fatal(err)
			}
			got := objects(t, cfg)
			m, body := readManifest(t, got), got[part+".jsonl"]
			if !m.Partial || m.StoppedBy != "PublicSecurityHold" || m.Rows != int64(2*pages) || m.SHA256 != sum(body) || m.Bytes != int64(len(body)) {
				t.Errorf("manifest %+v of %d bytes", m, len(body))
			}
			if len(l.finished) != 1 || !l.finished[0].GetPartial() || l.finished[0].GetStoppedBy() != "PublicSecurityHold" {
				t.Errorf("the store was told %v", l.finished)
			}
			if strings.Count(log.String(), `"rows":"<20"`) != 2 {
				t.Errorf("the log tells how few people left: %s", log)
			}
		})
	}
}

// TestJob_BrokenStreamLeavesNothing breaks the stream behind two parts of the upload, and
// then runs again.
func TestJob_BrokenStreamLeavesNothing(t *testing.T) {
	cfg := destination(t)
	l := &ledger{pages: 12, page: bulk, broken: connect.NewError(connect.CodeUnavailable, errors.New("store restarts"))}
	j, log := job(t, cfg, l)
	err := j.Run(t.Context())
	silent(t, log, err)
	if connect.CodeOf(err) != connect.CodeUnavailable || errors.Is(err, ErrUnreachable) {
		t.Errorf("the store broke off, not the destination: %v", err)
	}
	if got := objects(t, cfg); len(got) != 0 || len(l.finished) != 0 {
		t.Errorf("%d objects, finished %v", len(got), l.finished)
	}
	l.broken = nil
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := readManifest(t, objects(t, cfg)); m.Rows != 12*bulkRows || m.Bytes < 2*partSize {
		t.Errorf("%+v", m)
	}
}

func TestJob_BadRowSendsNothing(t *testing.T) {
	for _, format := range []string{JSONLines, CSV} {
		for name, row := range map[string]string{"no object": `"` + canary + `"`, "null": "null", "empty": "", "two lines": "{\n" + canary} {
			cfg := destination(t)
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

func TestJob_RunAgainOverwrites(t *testing.T) {
	cfg := destination(t)
	l := &ledger{pages: 3, page: rows}
	for range 2 {
		j, _ := job(t, cfg, l)
		if err := j.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.pages = 1
	}
	got := objects(t, cfg)
	if m := readManifest(t, got); m.Rows != 2 || m.SHA256 != sum(got[part+".jsonl"]) || len(got) != 2 {
		t.Errorf("%d objects, %+v", len(got), m)
	}
}

func TestJob_StoreThatStaysAwayIsAnError(t *testing.T) {
	cfg := destination(t)
	l := &ledger{away: finishAttempts + 1}
	j, _ := job(t, cfg, l)
	if err := j.Run(t.Context()); connect.CodeOf(err) != connect.CodeUnavailable || l.away != 1 {
		t.Errorf("%v, %d left", err, l.away)
	}
}

// TestJob_DestinationErrors also breaks off a long stream, which must not hang.
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
		"the secret is wrong":     {func(t *testing.T, c *Config) { c.CredentialsDir = credentialFiles(t, accessKey, "wrong-canary") }, ErrDenied},
		"the key is unknown":      {func(t *testing.T, c *Config) { c.CredentialsDir = credentialFiles(t, "wrong-canary", secretKey) }, ErrDenied},
		"there is no such bucket": {func(_ *testing.T, c *Config) { c.Destination.S3.Bucket = "no-such-bucket" }, ErrFailed},
		"nobody listens":          {func(_ *testing.T, c *Config) { c.Destination.S3.Endpoint = "https://" + closed }, ErrUnreachable},
		"a certificate unknown":   {func(_ *testing.T, c *Config) { c.ExtraCAFile = "" }, ErrUntrusted},
		"a redirect": {func(t *testing.T, c *Config) {
			c.Destination.S3.Endpoint, c.ExtraCAFile = redirects.URL, authorityOf(t, redirects)
		}, ErrRedirected},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := destination(t)
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
	cfg := destination(t)
	ctx, cancel := context.WithCancel(t.Context())
	l := &ledger{pages: 40, page: func(i int) [][]byte {
		if i == 20 {
			cancel()
		}
		return bulk(i)
	}}
	j, log := job(t, cfg, l)
	err := j.Run(ctx)
	silent(t, log, err)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	if got := objects(t, cfg); len(got) != 0 {
		t.Errorf("%d objects", len(got))
	}
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

// TestJob_MemoryIsBounded sends ten times what may be held at once.
func TestJob_MemoryIsBounded(t *testing.T) {
	const pages, allowed = 50, 24 << 20
	cfg := destination(t)
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
			cfg := destination(b)
			cfg.Format = format
			j, _ := job(b, cfg, &ledger{pages: 50, page: bulk})
			for b.Loop() {
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
		cfg := Config{CredentialsDir: dir, Destination: Destination{Type: TypeS3, S3: S3{Endpoint: "https://s3.example", Region: region, Bucket: "b"}}}
		cfg.TLS.CertFile, cfg.TLS.KeyFile, cfg.TLS.CAFile = none, none, none
		c.change(&cfg)
		err := Run(t.Context(), cfg)
		silent(t, &bytes.Buffer{}, err)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
