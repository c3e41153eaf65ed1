// Package aggregate is the `maodian aggregate` subcommand: the Job of one DataTransfer of
// counts. It writes the tables that the store tells to a destination, and a manifest last.
// It decides, counts and rounds nothing. Its certificate opens the store's service for
// counts alone, and it knows no other: nothing in it can ask for a row of a person.
package aggregate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// people is the column of the numbers.
const people = "people"

// Errors of a Job. It runs again after one, and asks again.
var (
	errLeaseOver = errors.New("the lease of the release is over")
	errTable     = errors.New("TableInvalid: the store told a table that cannot be read")
)

// Job is one transfer of counts.
type Job struct {
	Config
	Store    storev1connect.AggregateServiceClient
	Bucket   transfer.Bucket
	Encoding transfer.Encoding
	Clock    func() time.Time
	Wait     func(ctx context.Context, d time.Duration) error
	Log      *slog.Logger
}

// Run runs the transfer of the configuration.
func Run(ctx context.Context, cfg Config) error {
	encoding, err := transfer.EncodingOf(cfg.outlet())
	if err != nil {
		return err
	}
	bucket, done, err := transfer.OpenBucket(cfg.outlet())
	if err != nil {
		return err
	}
	defer done()
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	client := storeclient.New(src, cfg.Store)
	defer client.Close()
	j := &Job{
		Config: cfg, Store: client.Aggregate, Bucket: bucket, Encoding: encoding, Clock: time.Now, Wait: storeclient.Wait,
		Log: slog.Default().With("transfer", cfg.TransferID),
	}
	return j.Run(ctx)
}

// Run asks, writes what it is told, and finishes. A refusal is an answer, not an error. After
// an error the Job runs again, is told the same, and writes it under the same names.
func (j *Job) Run(ctx context.Context) error {
	var told *storev1.ReleaseAggregatesResponse
	err := storeclient.Patiently(ctx, j.Wait, func() (err error) {
		told, err = j.Store.ReleaseAggregates(ctx, &storev1.ReleaseAggregatesRequest{TransferId: j.TransferID})
		return err
	})
	until := j.Clock().Add(time.Duration(told.GetLeaseMillis()) * time.Millisecond) // the store counts first, and then decides
	switch {
	case storeclient.Word(err) == store.ErrTransferState.Word:
		j.Log.Info("Transfer is over already")
		return nil
	case err != nil:
		return fmt.Errorf("release aggregates: %w", err)
	case len(told.GetRefusals()) > 0:
		for _, r := range told.GetRefusals() {
			j.Log.Info("Transfer refused", "reason", r.GetCode(), "field", r.GetField())
		}
		return nil
	}
	put, cancel := context.WithTimeoutCause(ctx, until.Sub(j.Clock()), errLeaseOver)
	defer cancel()
	m, err := j.write(put, told)
	if err != nil {
		return err
	}
	return j.finish(ctx, m)
}

// Manifest stands beside the tables.
type Manifest struct {
	TransferID  string    `json:"transferID"`
	Name        string    `json:"name"`
	Recipient   string    `json:"recipient"`
	Tables      []Table   `json:"tables"`
	Threshold   int       `json:"threshold"`   // no number is about fewer people
	RoundedTo   int       `json:"roundedTo"`   // every number by itself: totals are not sums
	StartedAt   time.Time `json:"startedAt"`   // of the transfer
	CompletedAt time.Time `json:"completedAt"` // of this manifest
	Decision    string    `json:"decision"`    // its name in the ledger
	Rules       string    `json:"rules"`       // the rule pack that it was made by
}

// Table is one object of the transfer.
type Table struct {
	Name       string    `json:"name"`
	Object     string    `json:"object"`
	SHA256     string    `json:"sha256"`
	Bytes      int64     `json:"bytes"`
	Dimensions []string  `json:"dimensions"`
	CountedAt  time.Time `json:"countedAt"`
}

// written is a manifest as it lies in the destination.
type written struct{ object, sha256 string }

// write writes every table, and what they are last.
func (j *Job) write(ctx context.Context, told *storev1.ReleaseAggregatesResponse) (written, error) {
	m := Manifest{
		TransferID: j.TransferID, Name: j.Name, Recipient: j.Recipient, Tables: []Table{},
		Threshold: aggregate.Threshold, RoundedTo: aggregate.Base, StartedAt: told.GetStartedAt().AsTime(),
		Decision: told.GetDecision(), Rules: told.GetRules(),
	}
	for _, t := range told.GetTables() {
		table, err := j.table(ctx, t)
		if err != nil {
			return written{}, err
		}
		m.Tables = append(m.Tables, table)
	}
	m.CompletedAt = j.Clock().UTC()
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return written{}, fmt.Errorf("encode manifest: %w", err)
	}
	body = append(body, '\n')
	out := written{j.object("manifest.json"), digest(body)}
	return out, j.put(ctx, out.object, "application/json", body)
}

// table writes one table.
func (j *Job) table(ctx context.Context, t *storev1.AggregateTable) (Table, error) {
	fields := append(append([]string{}, t.GetDimensions()...), people)
	var rows [][]byte
	for _, c := range t.GetCells() {
		row, err := line(t.GetDimensions(), c)
		if err != nil {
			return Table{}, err
		}
		rows = append(rows, row)
	}
	body, err := j.Encoding.Encode(fields, rows)
	if err != nil {
		return Table{}, fmt.Errorf("encode table: %w", err)
	}
	out := Table{
		Name: t.GetName(), Object: j.object(t.GetName() + j.Encoding.Extension()), SHA256: digest(body), Bytes: int64(len(body)),
		Dimensions: t.GetDimensions(), CountedAt: t.GetCountedAt().AsTime(),
	}
	return out, j.put(ctx, out.Object, j.Encoding.ContentType(), body)
}

// line is a cell as a JSON object, in the order of the dimensions. A total has no value in the
// last one, and a number that is suppressed is null.
func line(dimensions []string, c *storev1.AggregateCell) ([]byte, error) {
	if n := len(c.GetKeys()); n > len(dimensions) || n < len(dimensions)-1 {
		return nil, errTable
	}
	var b bytes.Buffer
	for i, d := range dimensions {
		value := any(nil)
		if i < len(c.GetKeys()) {
			value = c.GetKeys()[i]
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, errTable
		}
		fmt.Fprintf(&b, "%q:%s,", d, raw)
	}
	number := "null"
	if c.GetPeople() > 0 {
		number = fmt.Sprint(c.GetPeople())
	}
	return fmt.Appendf(nil, "{%s%q:%s}", &b, people, number), nil
}

func (j *Job) object(name string) string { return j.Destination.Prefix() + j.Name + "/" + name }

// put writes an object, as long as the store's word holds.
func (j *Job) put(ctx context.Context, name, contentType string, body []byte) error {
	if ctx.Err() != nil {
		return fmt.Errorf("write table: %w", context.Cause(ctx))
	}
	if err := j.Bucket.Put(ctx, name, contentType, body); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// finish tells the store: the tables have left.
func (j *Job) finish(ctx context.Context, m written) error {
	req := &storev1.FinishAggregatesRequest{TransferId: j.TransferID, Manifest: &storev1.Manifest{Object: m.object, Sha256: m.sha256}}
	err := storeclient.Patiently(ctx, j.Wait, func() error {
		_, err := j.Store.FinishAggregates(ctx, req)
		return err
	})
	if err != nil {
		return fmt.Errorf("finish transfer: %w", err)
	}
	j.Log.Info("Transfer finished")
	return nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
