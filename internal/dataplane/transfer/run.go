// Package transfer is the `maodian transfer` subcommand: the Job of one DataTransfer. It
// streams the rows that the store permits to a bucket, and writes a manifest last. It
// decides nothing: the store does, before the first byte and again before each page.
package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// finishAttempts bounds how long a Job waits for a store that is away, a second each.
const finishAttempts = 60

// Bucket takes objects. Put returns when the object is there, whole; a size below zero is
// not known yet.
type Bucket interface {
	Put(ctx context.Context, name, contentType string, body io.Reader, size int64) error
}

// Job is one transfer.
type Job struct {
	Config
	Store  storev1connect.TransferServiceClient
	Bucket Bucket
	Clock  func() time.Time
	Wait   func(ctx context.Context, d time.Duration) error
	Log    *slog.Logger
}

// Run runs the transfer of the configuration.
func Run(ctx context.Context, cfg Config) error {
	bucket, err := openBucket(cfg, attempts)
	if err != nil {
		return err
	}
	defer bucket.close()
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	client := storeclient.New(src, cfg.Store)
	defer client.Close()
	j := &Job{Config: cfg, Store: client.Transfer, Bucket: bucket, Clock: time.Now, Wait: wait, Log: slog.Default().With("transfer", cfg.TransferID)}
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
	body = append(body, '\n')
	if err := j.Bucket.Put(ctx, j.object("manifest.json"), "application/json", bytes.NewReader(body), int64(len(body))); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return j.finish(ctx, m)
}

// Manifest stands beside the records.
type Manifest struct {
	TransferID  string    `json:"transferID"`
	Name        string    `json:"name"`
	Recipient   string    `json:"recipient"`
	Object      string    `json:"object"`
	SHA256      string    `json:"sha256"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes"`
	Fields      []string  `json:"fields"`
	Partial     bool      `json:"partial"`
	StoppedBy   string    `json:"stoppedBy,omitempty"` // reason code, when partial
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"`
}

func (j *Job) object(name string) string { return j.Destination.S3.Prefix + j.Name + "/" + name }

// send streams rows into one object, hashing what goes through.
func (j *Job) send(ctx context.Context) (Manifest, error) {
	kind, file := "application/x-ndjson", "part-00000.jsonl"
	if j.Format == CSV {
		kind, file = "text/csv; charset=utf-8", "part-00000.csv"
	}
	m := Manifest{TransferID: j.TransferID, Name: j.Name, Recipient: j.Recipient, Object: j.object(file), Fields: j.Fields}
	read, write := io.Pipe()
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	put := make(chan error, 1)
	go func() {
		err := j.Bucket.Put(ctx, m.Object, kind, read, unknownSize)
		if err != nil {
			stop(err)
		}
		_ = read.CloseWithError(io.ErrClosedPipe) // a failed upload stops the writer
		put <- err
	}()
	sum := sha256.New()
	count := &counter{w: io.MultiWriter(write, sum)}
	stopped, err := j.rows(reading, &m, newEncoder(j.Format, j.Fields, count))
	first := context.Cause(reading)
	_ = write.CloseWithError(err) // nil ends the object; an error breaks it off, so that no half object looks whole
	putErr := <-put
	switch {
	case err != nil && first != nil: // the upload failed first, and the rows for want of it
		return m, fmt.Errorf("write %s: %w", file, first)
	case err != nil:
		return m, err
	case putErr != nil:
		return m, fmt.Errorf("write %s: %w", file, putErr)
	}
	m.SHA256, m.Bytes, m.StoppedBy, m.Partial = hex.EncodeToString(sum.Sum(nil)), count.n, stopped, stopped != ""
	return m, nil
}

// rows writes what the store sends. A stream that the store stopped ends with the reason;
// one that merely broke is an error.
func (j *Job) rows(ctx context.Context, m *Manifest, enc encoder) (stopped string, err error) {
	stream, err := j.Store.StreamRows(ctx, &storev1.StreamRowsRequest{TransferId: j.TransferID})
	if err != nil {
		return "", fmt.Errorf("stream rows: %w", err)
	}
	defer func() { err = errors.Join(err, closed(stream.Close())) }()
	if err := enc.begin(); err != nil {
		return "", fmt.Errorf("write rows: %w", err)
	}
	for stopped == "" && stream.Receive() {
		for _, row := range stream.Msg().GetRows() {
			if err := enc.row(row); err != nil {
				return "", fmt.Errorf("write rows: %w", err)
			}
			m.Rows++
		}
		stopped = stream.Msg().GetStoppedBy()
	}
	if err := stream.Err(); err != nil {
		return "", fmt.Errorf("stream rows: %w", err)
	}
	if err := enc.end(); err != nil {
		return "", fmt.Errorf("write rows: %w", err)
	}
	if stopped != "" {
		j.Log.Warn("Transfer stopped", "reason", stopped, "rows", subject.People(m.Rows))
	}
	return stopped, nil
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
			// A row is a person; the size would tell how many, so it stands in the manifest only.
			j.Log.Info("Transfer finished", "rows", subject.People(m.Rows), "partial", m.Partial)
			return nil
		}
		if connect.CodeOf(err) != connect.CodeUnavailable || try == finishAttempts {
			return fmt.Errorf("finish transfer: %w", err)
		}
		if err := j.Wait(ctx, time.Second); err != nil {
			return fmt.Errorf("finish transfer: %w", err)
		}
	}
}

// wait pauses, unless the Job is told to end.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
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
