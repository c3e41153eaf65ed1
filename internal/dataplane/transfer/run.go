// Package transfer is the `maodian transfer` subcommand: the Job of one DataTransfer. It
// writes what the store permits to a destination, part by part, and a manifest last. It
// decides nothing: the store does, before each part. It keeps nothing: another Job goes on
// where one was killed.
package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/destination"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

const (
	// partRows bounds what a Job holds at once: some hundred bytes each.
	partRows = 2000
	// attempts of one write, with growing pauses, within the lease of a part.
	attempts = 10
)

// errLeaseOver ends a write at the end of its lease.
var errLeaseOver = errors.New("the lease of the part is over")

// Bucket takes objects. Put returns when the object is there, whole; one of the same name
// is replaced.
type Bucket interface {
	Put(ctx context.Context, name, contentType string, body []byte) error
}

// Encoding renders the rows of one part. A row comes as a JSON object with the fields of
// the request, in their order.
type Encoding interface {
	Encode(fields []string, rows [][]byte) ([]byte, error)
	ContentType() string
	Extension() string // of the object's name, with its dot
}

// Job is one transfer.
type Job struct {
	Config
	Store    storev1connect.TransferServiceClient
	Bucket   Bucket
	Encoding Encoding
	PartRows int // it holds at once; the store has a bound of its own
	Clock    func() time.Time
	Wait     func(ctx context.Context, d time.Duration) error
	Log      *slog.Logger
}

// Run runs the transfer of the configuration.
func Run(ctx context.Context, cfg Config) error {
	encoding, err := encodingOf(cfg.Format, cfg.Fields, cfg.EncryptFor)
	if err != nil {
		return err
	}
	bucket, err := destination.Open(cfg.Destination, destination.Options{
		CredentialsDir: cfg.CredentialsDir, ExtraCAFile: cfg.ExtraCAFile, Attempts: attempts, Clock: time.Now,
	})
	if err != nil {
		return err
	}
	defer bucket.Close()
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	client := storeclient.New(src, cfg.Store)
	defer client.Close()
	j := &Job{
		Config: cfg, Store: client.Transfer, Bucket: bucket, Encoding: encoding, PartRows: cfg.Limits.People, Clock: time.Now, Wait: storeclient.Wait,
		Log: slog.Default().With("transfer", cfg.TransferID),
	}
	return j.Run(ctx)
}

// Run asks, writes what it may, and finishes. A refusal is an answer, not an error: nothing
// was sent, and the store knows. After an error the Job runs again: parts that are written
// stay, and one that is not is written under the same name.
func (j *Job) Run(ctx context.Context) error {
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
	stopped, err := j.parts(ctx)
	if err != nil {
		return err
	}
	m, err := j.manifest(ctx, stopped)
	if err != nil {
		return err
	}
	m.StartedAt, m.CompletedAt = start.GetStartedAt().AsTime(), j.Clock().UTC()
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	body = append(body, '\n')
	if err := j.Bucket.Put(ctx, j.object("manifest.json"), "application/json", body); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return j.finish(ctx, m, body)
}

func (j *Job) object(name string) string { return j.Destination.Prefix() + j.Name + "/" + name }

// parts writes parts until there are no more, or a limit is reached, or the store stops it
// with a reason.
func (j *Job) parts(ctx context.Context) (stopped string, err error) {
	before, err := j.written(ctx)
	if err != nil {
		return "", err
	}
	size := meter{limits: j.Limits}
	for _, p := range before.GetParts() {
		size.written += p.GetBytes()
	}
	for {
		p, until, err := j.lease(ctx)
		switch {
		case err != nil:
			return "", fmt.Errorf("lease part: %w", err)
		case p.GetStoppedBy() != "":
			j.Log.Warn("Transfer stopped", "reason", p.GetStoppedBy())
			return p.GetStoppedBy(), nil
		case p.GetDone():
			return "", nil
		case p.GetWaitMillis() > 0: // a Job from before may still be writing
			err = j.Wait(ctx, time.Duration(p.GetWaitMillis())*time.Millisecond)
		default:
			err = j.write(ctx, p, until, &size)
		}
		switch {
		case errors.Is(err, errSize):
			j.Log.Warn("Transfer stopped", "reason", reason.SizeLimitReached)
			return string(reason.SizeLimitReached), nil
		case err != nil:
			return "", err
		}
	}
}

// lease asks for a part, and tells until when it may be written: by our own clock, from
// before the store counts.
func (j *Job) lease(ctx context.Context) (p *storev1.LeasePartResponse, until time.Time, err error) {
	err = storeclient.Patiently(ctx, j.Wait, func() error {
		asked := j.Clock()
		p, err = j.Store.LeasePart(ctx, &storev1.LeasePartRequest{TransferId: j.TransferID, Max: int32(j.PartRows)})
		until = asked.Add(time.Duration(p.GetLeaseMillis()) * time.Millisecond)
		return err
	})
	return p, until, err
}

// write writes one part and reports it. Where everybody has withdrawn meanwhile, what may
// stand there from an earlier attempt is emptied, and the part has no object.
func (j *Job) write(ctx context.Context, p *storev1.LeasePartResponse, until time.Time, size *meter) error {
	began, name := j.Clock(), j.object(fmt.Sprintf("part-%05d%s", p.GetPart(), j.Encoding.Extension()))
	body, err := j.Encoding.Encode(j.Fields, p.GetRows())
	if err != nil {
		return fmt.Errorf("encode part: %w", err)
	}
	if !size.take(len(body)) {
		return errSize
	}
	put, cancel := context.WithTimeoutCause(ctx, until.Sub(j.Clock()), errLeaseOver)
	defer cancel()
	if put.Err() != nil {
		return fmt.Errorf("write part: %w", context.Cause(put))
	}
	if err := j.Bucket.Put(put, name, j.Encoding.ContentType(), body); err != nil {
		return fmt.Errorf("write part: %w", err)
	}
	done := &storev1.Part{Part: p.GetPart()}
	if n := len(p.GetRows()); n > 0 {
		done.Object, done.Sha256, done.Rows, done.Bytes = name, digest(body), int64(n), int64(len(body))
	}
	if err := j.report(ctx, done, p.GetLease()); err != nil {
		return err
	}
	if pause := size.pause(len(body), j.Clock().Sub(began)); pause > 0 {
		return j.Wait(ctx, pause)
	}
	return nil
}

func (j *Job) report(ctx context.Context, done *storev1.Part, lease int64) error {
	err := storeclient.Patiently(ctx, j.Wait, func() error {
		_, err := j.Store.ReportPart(ctx, &storev1.ReportPartRequest{TransferId: j.TransferID, Part: done, Lease: lease})
		return err
	})
	if storeclient.Word(err) == store.ErrLeaseOver.Word {
		j.Log.Warn("Part is written again: it was reported too late", "part", done.GetPart())
		return nil
	}
	if err != nil {
		return fmt.Errorf("report part: %w", err)
	}
	return nil
}

// Manifest stands beside the records.
type Manifest struct {
	TransferID  string    `json:"transferID"`
	Name        string    `json:"name"`
	Recipient   string    `json:"recipient"`
	Parts       []Part    `json:"parts"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes"`
	Fields      []string  `json:"fields"`
	Partial     bool      `json:"partial"`
	StoppedBy   string    `json:"stoppedBy,omitempty"` // reason code, when partial
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"`

	Decision   string     `json:"decision"`           // its name in the ledger
	Rules      string     `json:"rules"`              // the rule pack that it was made by
	Mechanism  string     `json:"mechanism"`          // the tier that it asked for
	Excluded   []Excluded `json:"excluded,omitempty"` // as of the start
	Checkpoint string     `json:"checkpoint"`         // of the ledger, in which every person of every part stands
}

// Excluded is how many people were left out for a reason.
type Excluded struct {
	Reason string `json:"reason"`
	People string `json:"people"`
}

// Part is one object of the transfer.
type Part struct {
	Object string `json:"object"`
	SHA256 string `json:"sha256"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// manifest lists what the store knows to be written, by whichever Job.
func (j *Job) manifest(ctx context.Context, stopped string) (Manifest, error) {
	m := Manifest{TransferID: j.TransferID, Name: j.Name, Recipient: j.Recipient, Parts: []Part{}, Fields: j.Fields, Partial: stopped != "", StoppedBy: stopped}
	list, err := j.written(ctx)
	if err != nil {
		return m, err
	}
	m.Decision, m.Rules, m.Mechanism, m.Checkpoint = list.GetDecision(), list.GetRules(), list.GetTier(), list.GetCheckpoint()
	for _, x := range list.GetExcluded() {
		m.Excluded = append(m.Excluded, Excluded{Reason: x.GetReason(), People: x.GetPeople()})
	}
	for _, p := range list.GetParts() {
		if p.GetRows() == 0 {
			continue
		}
		m.Parts = append(m.Parts, Part{Object: p.GetObject(), SHA256: p.GetSha256(), Rows: p.GetRows(), Bytes: p.GetBytes()})
		m.Rows, m.Bytes = m.Rows+p.GetRows(), m.Bytes+p.GetBytes()
	}
	return m, nil
}

// written lists the parts that are there, by whichever Job.
func (j *Job) written(ctx context.Context) (list *storev1.ListPartsResponse, err error) {
	err = storeclient.Patiently(ctx, j.Wait, func() error {
		list, err = j.Store.ListParts(ctx, &storev1.ListPartsRequest{TransferId: j.TransferID})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list parts: %w", err)
	}
	return list, nil
}

// finish tells the store: the records have left.
func (j *Job) finish(ctx context.Context, m Manifest, body []byte) error {
	req := &storev1.FinishTransferRequest{TransferId: j.TransferID, Manifest: &storev1.Manifest{
		Object: j.object("manifest.json"), Sha256: digest(body), Rows: m.Rows, Bytes: m.Bytes, Partial: m.Partial, StoppedBy: m.StoppedBy,
	}}
	err := storeclient.Patiently(ctx, j.Wait, func() error {
		_, err := j.Store.FinishTransfer(ctx, req)
		return err
	})
	if err != nil {
		return fmt.Errorf("finish transfer: %w", err)
	}
	// A row is a person; the size would tell how many, so it stands in the manifest only.
	j.Log.Info("Transfer finished", "rows", subject.People(m.Rows), "partial", m.Partial)
	return nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
