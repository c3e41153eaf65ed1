package aggregate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// began is when the transfer of the ledger started.
var began = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// ledger tells the same tables at every call, as a store does.
type ledger struct {
	storev1connect.UnimplementedAggregateServiceHandler
	refusals []*storev1.Refusal
	errs     []error // of the next calls
	lease    time.Duration
	asked    int
	finished []*storev1.Manifest
}

func (l *ledger) ReleaseAggregates(context.Context, *storev1.ReleaseAggregatesRequest) (*storev1.ReleaseAggregatesResponse, error) {
	l.asked++
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	if len(l.refusals) > 0 {
		return &storev1.ReleaseAggregatesResponse{Refusals: l.refusals}, nil
	}
	cell := func(n int64, keys ...string) *storev1.AggregateCell {
		return &storev1.AggregateCell{Keys: keys, People: n}
	}
	return &storev1.ReleaseAggregatesResponse{
		StartedAt: timestamppb.New(began), Decision: "d-1", Rules: "cn-2026-01", LeaseMillis: int32(l.lease.Milliseconds()), Tables: []*storev1.AggregateTable{
			{Name: "LeadsByStage", Dimensions: []string{"stage"}, CountedAt: timestamppb.New(began), Cells: []*storev1.AggregateCell{cell(120), cell(80, "Lead"), cell(0, "=Hot")}},
			{Name: "ConsentsByPurpose", Dimensions: []string{"purpose", "answer"}, CountedAt: timestamppb.New(began.Add(-time.Hour)), Cells: []*storev1.AggregateCell{
				cell(120, "DirectMarketing"), cell(0, "DirectMarketing", "Given"),
			}},
		},
	}, nil
}

func (l *ledger) FinishAggregates(_ context.Context, r *storev1.FinishAggregatesRequest) (*storev1.FinishAggregatesResponse, error) {
	l.finished = append(l.finished, r.GetManifest())
	return &storev1.FinishAggregatesResponse{}, nil
}

// bucket keeps what is written, in order.
type bucket struct {
	names  []string
	bodies map[string]string
	types  map[string]string
	broken error
}

func (b *bucket) Put(ctx context.Context, name, contentType string, body []byte) error {
	if b.broken != nil || ctx.Err() != nil {
		return errors.Join(b.broken, ctx.Err())
	}
	b.names, b.bodies[name], b.types[name] = append(b.names, name), string(body), contentType
	return nil
}

func sample(format string) Config {
	return Config{
		TransferID: "t-1", Name: "counts", Recipient: "acme-group", Format: format, Aggregates: []string{"LeadsByStage", "ConsentsByPurpose"},
		Destination: destination.Config{Type: "S3", S3: destination.S3{Endpoint: "https://s3.example", Bucket: "b", Prefix: "cn/"}},
	}
}

func job(t *testing.T, format string, l *ledger) (*Job, *bucket, *bytes.Buffer) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(storev1connect.NewAggregateServiceHandler(l))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	if l.lease == 0 {
		l.lease = time.Hour
	}
	b, log := &bucket{bodies: map[string]string{}, types: map[string]string{}}, &bytes.Buffer{}
	now, cfg := began, sample(format)
	encoding, err := transfer.EncodingOf(cfg.outlet())
	if err != nil {
		t.Fatal(err)
	}
	return &Job{
		Config: cfg, Store: storev1connect.NewAggregateServiceClient(srv.Client(), srv.URL), Bucket: b, Encoding: encoding,
		Clock: func() time.Time { now = now.Add(time.Second); return now },
		Wait:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Log:   slog.New(slog.NewJSONHandler(log, nil)),
	}, b, log
}

func TestWhatArrives(t *testing.T) {
	for format, want := range map[string]map[string]string{
		"JSONLines": {
			"cn/counts/LeadsByStage.jsonl":      `{"stage":null,"people":120}` + "\n" + `{"stage":"Lead","people":80}` + "\n" + `{"stage":"=Hot","people":null}` + "\n",
			"cn/counts/ConsentsByPurpose.jsonl": `{"purpose":"DirectMarketing","answer":null,"people":120}` + "\n" + `{"purpose":"DirectMarketing","answer":"Given","people":null}` + "\n",
		},
		"CSV": {
			"cn/counts/LeadsByStage.csv":      "stage,people\n,120\nLead,80\n'=Hot,\n",
			"cn/counts/ConsentsByPurpose.csv": "purpose,answer,people\nDirectMarketing,,120\nDirectMarketing,Given,\n",
		},
	} {
		t.Run(format, func(t *testing.T) {
			l := &ledger{}
			j, b, _ := job(t, format, l)
			if err := j.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			const manifest = "cn/counts/manifest.json"
			if last := b.names[len(b.names)-1]; last != manifest || len(b.names) != 3 {
				t.Errorf("written: %v", b.names)
			}
			var m Manifest
			if err := json.Unmarshal([]byte(b.bodies[manifest]), &m); err != nil {
				t.Fatal(err)
			}
			body := b.bodies[manifest]
			delete(b.bodies, manifest)
			if d := cmp.Diff(want, b.bodies); d != "" {
				t.Error(d)
			}
			for _, table := range m.Tables {
				if table.SHA256 != digest([]byte(b.bodies[table.Object])) || table.Bytes != int64(len(b.bodies[table.Object])) {
					t.Errorf("the manifest says of %s: %+v", table.Name, table)
				}
			}
			if m.Threshold != 20 || m.Decision != "d-1" || m.Rules != "cn-2026-01" || m.RoundedTo != 10 || !m.StartedAt.Equal(began) || !m.Tables[1].CountedAt.Equal(began.Add(-time.Hour)) {
				t.Errorf("manifest: %+v", m)
			}
			if len(l.finished) != 1 || l.finished[0].GetObject() != manifest || l.finished[0].GetSha256() != digest([]byte(body)) {
				t.Errorf("finished: %v", l.finished)
			}
		})
	}
}

func TestWhatArrivesIsEncryptedWhereThatIsAsked(t *testing.T) {
	j, b, _ := job(t, "CSV", &ledger{})
	j.EncryptFor = []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
	var err error
	if j.Encoding, err = transfer.EncodingOf(j.outlet()); err != nil {
		t.Fatal(err)
	}
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := b.bodies["cn/counts/LeadsByStage.csv.age"]
	if body == "" || strings.Contains(body, "Lead,80") || len(b.names) != 3 {
		t.Errorf("written: %v", b.names)
	}
}

func TestNothingArrives(t *testing.T) {
	over := connect.NewError(connect.CodeFailedPrecondition, errors.New(store.ErrTransferState.Error()))
	stale := connect.NewError(connect.CodeFailedPrecondition, errors.New(store.ErrPolicyStale.Error()))
	for name, c := range map[string]struct {
		ledger *ledger
		broken error
		want   string // of the error; empty: there is none
	}{
		"of a transfer that is refused":           {&ledger{refusals: []*storev1.Refusal{{Code: "PublicSecurityHold"}}}, nil, ""},
		"of one that is over":                     {&ledger{errs: []error{over}}, nil, ""},
		"while the store's view is stale":         {&ledger{errs: []error{stale}}, nil, "PolicyStale"},
		"after the store's word is over":          {&ledger{lease: time.Millisecond}, nil, "lease of the release is over"},
		"where the destination does not take it":  {&ledger{}, destination.ErrDenied, "DestinationDenied"},
		"of a store that stays away for a minute": {&ledger{errs: slices.Repeat([]error{connect.NewError(connect.CodeUnavailable, errors.New("away"))}, storeclient.Patience)}, nil, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			j, b, _ := job(t, "JSONLines", c.ledger)
			b.broken = c.broken
			err := j.Run(t.Context())
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
			if len(b.names) != 0 || len(c.ledger.finished) != 0 {
				t.Errorf("written: %v, finished %d times", b.names, len(c.ledger.finished))
			}
		})
	}
}

func TestAStoreThatWasAwayIsAskedAgain(t *testing.T) {
	l := &ledger{errs: []error{connect.NewError(connect.CodeUnavailable, errors.New("away"))}}
	j, _, log := job(t, "JSONLines", l)
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.asked != 2 || len(l.finished) != 1 {
		t.Errorf("asked %d times, finished %d times", l.asked, len(l.finished))
	}
	if strings.Contains(log.String(), "120") {
		t.Errorf("the log tells numbers: %s", log)
	}
}

func TestATableThatCannotBeRead(t *testing.T) {
	for name, keys := range map[string][]string{"too many keys": {"a", "b", "c"}, "too few": {}} {
		if _, err := line([]string{"x", "y"}, &storev1.AggregateCell{Keys: keys}); !errors.Is(err, errTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	good := func() Config {
		c := sample("CSV")
		c.Store.Address, c.CredentialsDir = "https://s", "/credentials"
		return c
	}
	c := good()
	if err := c.Validate(); err != nil || c.Destination.S3.Region == "" {
		t.Errorf("%+v: %v", c.Destination, err)
	}
	for name, x := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no table":              {func(c *Config) { c.Aggregates = nil }, "`aggregates` must be set"},
		"an empty table":        {func(c *Config) { c.Aggregates = []string{""} }, "`aggregates` must be set"},
		"a format of records":   {func(c *Config) { c.Format = "Parquet" }, "counts are not written as Parquet"},
		"another destination":   {func(c *Config) { c.Destination.Type = "Mail" }, "DestinationUnsupported"},
		"a prefix that climbs":  {func(c *Config) { c.Destination.S3.Prefix = "../" }, "prefix"},
		"a key that is none":    {func(c *Config) { c.EncryptFor = []string{"age1x"} }, "encryptFor"},
		"an unencrypted bucket": {func(c *Config) { c.Destination.S3.Endpoint = "http://s3.example" }, "endpoint"},
	} {
		c := good()
		x.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}
