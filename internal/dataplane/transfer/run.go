// Package transfer is the `maodian transfer` subcommand: the Job of one DataTransfer. It
// streams the rows that the store permits to a bucket, and writes a manifest last. It
// decides nothing: the store does, before the first byte and again before each page.
package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Config is the transfer's configuration file.
type Config struct {
	TransferID     string             `json:"transferID"`
	Name           string             `json:"name"`
	Format         string             `json:"format"`
	Fields         []string           `json:"fields"`
	Store          storeclient.Config `json:"store"`
	TLS            identity.Files     `json:"tls"`
	CredentialsDir string             `json:"credentialsDir"`
	ExtraCAFile    string             `json:"extraCAFile"`
	Destination    Destination        `json:"destination"`
}

// Destination is where the records go.
type Destination struct {
	Type string `json:"type"`
	S3   S3     `json:"s3"`
}

// S3 is a bucket.
type S3 struct {
	Endpoint string `json:"endpoint"` // https://host[:port]
	Region   string `json:"region"`
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix"`
}

// Validate checks the file and sets what it leaves out.
func (c *Config) Validate() error {
	if c.Destination.Type != "S3" {
		return fmt.Errorf("DestinationUnsupported: destination %s is not built yet; use S3", c.Destination.Type)
	}
	if c.Format != "JSONLines" && c.Format != "CSV" {
		return fmt.Errorf("FormatUnsupported: format %s is not built yet; use JSONLines or CSV", c.Format)
	}
	u, err := url.Parse(c.Destination.S3.Endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("%w: `destination.s3.endpoint` must be https://host[:port]", config.ErrConfig)
	}
	if len(c.Fields) == 0 {
		return fmt.Errorf("%w: `fields` must be set", config.ErrConfig)
	}
	if c.Destination.S3.Region == "" {
		c.Destination.S3.Region = "us-east-1"
	}
	return config.Require("transferID", c.TransferID, "name", c.Name, "store.address", c.Store.Address,
		"credentialsDir", c.CredentialsDir, "destination.s3.bucket", c.Destination.S3.Bucket)
}

// Bucket takes objects. Put returns when the object is there, whole.
type Bucket interface {
	Put(ctx context.Context, name, contentType string, body io.Reader) error
}

// Job is one transfer.
type Job struct {
	Config
	Store  storev1connect.TransferServiceClient
	Bucket Bucket
	Clock  func() time.Time
	Log    *slog.Logger
}

// Run runs the transfer of the configuration.
func Run(ctx context.Context, cfg Config) error {
	bucket, err := openBucket(cfg)
	if err != nil {
		return err
	}
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	client := storeclient.New(src, cfg.Store)
	defer client.Close()
	j := &Job{Config: cfg, Store: client.Transfer, Bucket: bucket, Clock: time.Now, Log: slog.Default().With("transfer", cfg.TransferID)}
	return j.Run(ctx)
}

// Run asks, streams, and finishes. A refusal is an answer, not an error: nothing was sent,
// and the store knows. A broken stream is an error: the Job runs again and writes the same
// names.
func (j *Job) Run(ctx context.Context) error {
	began := j.Clock().UTC()
	start, err := j.Store.StartTransfer(ctx, &storev1.StartTransferRequest{TransferId: j.TransferID})
	switch {
	case storeclient.Word(err) == store.ErrTransferState.Word:
		j.Log.Info("Transfer is over already")
		return nil
	case err != nil:
		return fmt.Errorf("start transfer: %w", err)
	case !start.GetAllowed():
		for _, r := range start.GetRefusals() {
			j.Log.Info("Transfer refused", "reason", r.GetCode(), "field", r.GetField())
		}
		return nil
	}
	m, err := j.send(ctx)
	if err != nil {
		return err
	}
	m.StartedAt, m.CompletedAt = began, j.Clock().UTC()
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := j.Bucket.Put(ctx, j.object("manifest.json"), "application/json", strings.NewReader(string(body)+"\n")); err != nil {
		return err
	}
	return j.finish(ctx, m)
}

// Manifest stands beside the records.
type Manifest struct {
	TransferID  string    `json:"transferID"`
	Name        string    `json:"name"`
	Object      string    `json:"object"`
	SHA256      string    `json:"sha256"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes"`
	Fields      []string  `json:"fields"`
	Partial     bool      `json:"partial"`
	StoppedBy   string    `json:"stoppedBy,omitempty"`
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"`
}

func (j *Job) object(name string) string { return j.Destination.S3.Prefix + j.Name + "/" + name }

// send streams rows into one object, hashing what goes through.
func (j *Job) send(ctx context.Context) (Manifest, error) {
	kind, file := "application/x-ndjson", "part-00000.jsonl"
	if j.Format == "CSV" {
		kind, file = "text/csv; charset=utf-8", "part-00000.csv"
	}
	m := Manifest{TransferID: j.TransferID, Name: j.Name, Object: j.object(file), Fields: j.Fields}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	read, write := io.Pipe()
	put := make(chan error, 1)
	go func() {
		err := j.Bucket.Put(ctx, m.Object, kind, read)
		_ = read.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // a failed upload stops the writer
		put <- err
	}()
	sum := sha256.New()
	count := &counter{w: io.MultiWriter(write, sum)}
	stopped, err := j.rows(ctx, &m, newEncoder(j.Format, j.Fields, count))
	_ = write.CloseWithError(err) // nil ends the object; an error breaks it off, so that no half object looks whole
	putErr := <-put
	if putErr != nil {
		return m, putErr
	}
	if err != nil {
		return m, err
	}
	m.SHA256, m.Bytes, m.StoppedBy, m.Partial = hex.EncodeToString(sum.Sum(nil)), count.n, stopped, stopped != ""
	return m, nil
}

func (j *Job) rows(ctx context.Context, m *Manifest, enc encoder) (stopped string, err error) {
	stream, err := j.Store.StreamRows(ctx, &storev1.StreamRowsRequest{TransferId: j.TransferID})
	if err != nil {
		return "", fmt.Errorf("stream rows: %w", err)
	}
	defer func() { err = errors.Join(err, closed(stream.Close())) }()
	if err := enc.begin(); err != nil {
		return "", fmt.Errorf("write rows: %w", err)
	}
	for stream.Receive() {
		msg := stream.Msg()
		for _, row := range msg.GetRows() {
			if err := enc.row(row); err != nil {
				return "", fmt.Errorf("write rows: %w", err)
			}
			m.Rows++
		}
		if msg.GetStoppedBy() != "" {
			j.Log.Warn("Transfer stopped", "reason", msg.GetStoppedBy(), "rows", m.Rows)
			return msg.GetStoppedBy(), nil
		}
	}
	if err := stream.Err(); err != nil {
		return "", fmt.Errorf("stream rows: %w", err)
	}
	return "", nil
}

// closed drops the error of closing a stream that was read to its end or given up.
func closed(err error) error {
	if connect.CodeOf(err) == connect.CodeCanceled {
		return nil
	}
	return err
}

// finish tells the store, again and again while it is away: the records have left.
func (j *Job) finish(ctx context.Context, m Manifest) error {
	req := &storev1.FinishTransferRequest{TransferId: j.TransferID, Manifest: &storev1.Manifest{
		Object: m.Object, Sha256: m.SHA256, Rows: m.Rows, Bytes: m.Bytes, Partial: m.Partial, StoppedBy: m.StoppedBy,
	}}
	for try := 1; ; try++ {
		_, err := j.Store.FinishTransfer(ctx, req)
		if err == nil {
			j.Log.Info("Transfer finished", "rows", m.Rows, "bytes", m.Bytes, "partial", m.Partial)
			return nil
		}
		if connect.CodeOf(err) != connect.CodeUnavailable || ctx.Err() != nil || try > 60 {
			return fmt.Errorf("finish transfer: %w", err)
		}
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// counter counts bytes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
