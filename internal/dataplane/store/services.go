package store

import (
	"context"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// acknowledgeWithin bounds how long a call waits for live permits to end; WeChat gives a
// callback 5 s in all.
const acknowledgeWithin = 3 * time.Second

// maxReconcile bounds one audit.
const maxReconcile = 20_000

// intake serves the gateway of one account.
type intake struct{ ledger store.Ledger }

// RecordEvent stores an event.
func (i *intake) RecordEvent(ctx context.Context, r *storev1.RecordEventRequest) (*storev1.RecordEventResponse, error) {
	if err := scoped(ctx, name, r.GetAccount()); err != nil {
		return nil, err
	}
	who, err := subject.NewOpenID(r.GetOpenId())
	if err != nil {
		return nil, store.ErrInvalid
	}
	e := store.Event{
		Account: r.GetAccount(), Dedupe: r.GetDedupeKey(), Kind: r.GetKind(), Who: who, At: moment(r.GetAt()), Key: r.GetKey(), Withdraw: r.GetWithdraw(),
	}
	for _, s := range r.GetSubscriptions() {
		e.Subscriptions = append(e.Subscriptions, store.SubscriptionAnswer{TemplateID: s.GetTemplateId(), Accepted: s.GetAccepted()})
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	out, err := i.ledger.RecordEvent(ctx, e)
	if err != nil {
		return nil, err
	}
	return &storev1.RecordEventResponse{Duplicate: out.Duplicate, WithdrawalAcknowledged: out.Acknowledged, MayAsk: out.MayAsk}, nil
}

// GetPreferences returns what the page shows.
func (i *intake) GetPreferences(ctx context.Context, r *storev1.GetPreferencesRequest) (*storev1.GetPreferencesResponse, error) {
	if err := scoped(ctx, name, r.GetAccount()); err != nil {
		return nil, err
	}
	who, err := subject.NewOpenID(r.GetOpenId())
	if err != nil {
		return nil, store.ErrInvalid
	}
	p, err := i.ledger.Preferences(ctx, r.GetAccount(), who)
	if err != nil {
		return nil, err
	}
	return &storev1.GetPreferencesResponse{
		Notice: noticeFor(p.Notice), AgeBand: string(p.Age), Choices: choicesFor(p.Items), GuardianState: string(p.Guardian),
	}, nil
}

func choicesFor(items []store.Choice) (out []*storev1.Choice) {
	for _, c := range items {
		out = append(out, &storev1.Choice{Purpose: c.Purpose, Recipient: c.Recipient, Granted: c.Granted})
	}
	return out
}

// RecordShown notes that the notice is about to be shown.
func (i *intake) RecordShown(ctx context.Context, r *storev1.RecordShownRequest) (*storev1.RecordShownResponse, error) {
	who, err := person(ctx, r.GetAccount(), r.GetOpenId())
	if err != nil {
		return nil, err
	}
	k := store.Look{Account: r.GetAccount(), Who: who, Revision: r.GetNoticeRevision(), Language: r.GetLanguage()}
	switch secret := r.GetSecret(); {
	case len(r.GetLanguage()) > 16 || (len(secret) != 0 && len(secret) != 32):
		return nil, store.ErrInvalid
	case len(secret) == 32:
		k.Link = (*[32]byte)(secret)
	}
	if err := i.ledger.RecordLook(ctx, k); err != nil {
		return nil, err
	}
	return &storev1.RecordShownResponse{}, nil
}

// RecordChoices stores the page's answers.
func (i *intake) RecordChoices(ctx context.Context, r *storev1.RecordChoicesRequest) (*storev1.RecordChoicesResponse, error) {
	if err := scoped(ctx, name, r.GetAccount()); err != nil {
		return nil, err
	}
	who, err := subject.NewOpenID(r.GetOpenId())
	if err != nil || len(r.GetLanguage()) > 16 {
		return nil, store.ErrInvalid
	}
	c := store.Choices{Account: r.GetAccount(), Who: who, Revision: r.GetNoticeRevision(), Age: consent.AgeBand(r.GetAgeBand()), Language: r.GetLanguage()}
	if raw := r.GetUnionId(); raw != "" {
		if c.Union, err = subject.NewUnionID(raw); err != nil {
			return nil, store.ErrInvalid
		}
	}
	for _, x := range r.GetChoices() {
		c.Items = append(c.Items, store.Choice{Purpose: x.GetPurpose(), Recipient: x.GetRecipient(), Granted: x.GetGranted()})
	}
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	out, err := i.ledger.RecordChoices(ctx, c)
	if err != nil {
		return nil, err
	}
	return &storev1.RecordChoicesResponse{WithdrawalAcknowledged: out.Acknowledged, GuardianState: string(out.Guardian)}, nil
}

// dispatch serves the workers of one run.
type dispatch struct{ ledger store.Ledger }

// Lease hands out permits.
func (d *dispatch) Lease(ctx context.Context, r *storev1.LeaseRequest) (*storev1.LeaseResponse, error) {
	if err := scoped(ctx, run, r.GetRunId()); err != nil {
		return nil, err
	}
	l, err := d.ledger.Lease(ctx, r.GetRunId(), int(r.GetShard()), int(r.GetMax()))
	if err != nil {
		return nil, err
	}
	out := &storev1.LeaseResponse{State: l.State, WaitMillis: int32(l.Wait.Milliseconds()), PermitMillis: int32(l.Life.Milliseconds())}
	for _, p := range l.Permits {
		out.Permits = append(out.Permits, &storev1.Permit{PermitId: p.ID, OpenId: p.Who.Reveal(), Deadline: timestamp(p.Deadline), IdempotencyKey: p.Key})
	}
	return out, nil
}

// Report records outcomes.
func (d *dispatch) Report(ctx context.Context, r *storev1.ReportRequest) (*storev1.ReportResponse, error) {
	if err := scoped(ctx, run, r.GetRunId()); err != nil {
		return nil, err
	}
	var out []store.Outcome
	for _, o := range r.GetOutcomes() {
		out = append(out, store.Outcome{Permit: o.GetPermitId(), Result: o.GetResult(), Code: o.GetPlatformCode(), GrantVoid: o.GetGrantVoid()})
	}
	if err := d.ledger.Report(ctx, r.GetRunId(), out); err != nil {
		return nil, err
	}
	return &storev1.ReportResponse{}, nil
}

// Reconcile compares an audit with the ledger.
func (d *dispatch) Reconcile(ctx context.Context, r *storev1.ReconcileRequest) (*storev1.ReconcileResponse, error) {
	if err := scoped(ctx, run, r.GetRunId()); err != nil {
		return nil, err
	}
	if len(r.GetReceived()) > maxReconcile {
		return nil, store.ErrInvalid
	}
	received := map[subject.OpenID]int{}
	for _, x := range r.GetReceived() {
		who, err := subject.NewOpenID(x.GetOpenId())
		if err != nil {
			return nil, store.ErrInvalid
		}
		received[who] += int(x.GetMessages())
	}
	c, err := d.ledger.Reconcile(ctx, r.GetRunId(), received)
	if err != nil {
		return nil, err
	}
	return &storev1.ReconcileResponse{
		SentOnce: c.SentOnce, SentNotOnce: c.SentNotOnce, UnknownOnce: c.UnknownOnce, UnknownNone: c.UnknownNone, UnknownMore: c.UnknownMore,
		OthersNone: c.OthersNone, OthersReceived: c.OthersReceived, Unfinished: c.Unfinished,
	}, nil
}

// transfers serves the Job of one transfer.
type transfers struct{ ledger store.Ledger }

// StartTransfer decides.
func (t *transfers) StartTransfer(ctx context.Context, r *storev1.StartTransferRequest) (*storev1.StartTransferResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	x, err := t.ledger.StartTransfer(ctx, r.GetTransferId())
	if err != nil {
		return nil, err
	}
	return &storev1.StartTransferResponse{Allowed: x.State == store.TransferStarted, Refusals: refusalsOf(x.Refusals), StartedAt: timestamp(x.Started)}, nil
}

// LeasePart counts the next people, and hands out their rows.
func (t *transfers) LeasePart(ctx context.Context, r *storev1.LeasePartRequest) (*storev1.LeasePartResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	p, err := t.ledger.LeasePart(ctx, r.GetTransferId(), int(r.GetMax()))
	if err != nil {
		return nil, err
	}
	return &storev1.LeasePartResponse{
		Part: p.Part, Lease: p.Lease, Rows: p.Rows, LeaseMillis: int32(p.Life.Milliseconds()), WaitMillis: int32(p.Wait.Milliseconds()), Done: p.Done, StoppedBy: string(p.Stopped),
	}, nil
}

// ReportPart notes that a part is written.
func (t *transfers) ReportPart(ctx context.Context, r *storev1.ReportPartRequest) (*storev1.ReportPartResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	p := r.GetPart()
	err := t.ledger.ReportPart(ctx, r.GetTransferId(), r.GetLease(), store.Part{
		Number: p.GetPart(), Object: p.GetObject(), SHA256: p.GetSha256(), Rows: p.GetRows(), Bytes: p.GetBytes(),
	})
	if err != nil {
		return nil, err
	}
	return &storev1.ReportPartResponse{}, nil
}

// ListParts lists what is written.
func (t *transfers) ListParts(ctx context.Context, r *storev1.ListPartsRequest) (*storev1.ListPartsResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	list, err := t.ledger.Parts(ctx, r.GetTransferId())
	if err != nil {
		return nil, err
	}
	tr, err := t.ledger.Transfer(ctx, r.GetTransferId())
	if err != nil {
		return nil, err
	}
	checkpoint, err := t.ledger.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	out := &storev1.ListPartsResponse{
		Decision: tr.Decision.ID, Rules: tr.Decision.Rules, Tier: tr.Decision.Tier, Excluded: excludedOf(tr.Excluded), Checkpoint: checkpoint,
	}
	for _, p := range list {
		out.Parts = append(out.Parts, &storev1.Part{Part: p.Number, Object: p.Object, Sha256: p.SHA256, Rows: p.Rows, Bytes: p.Bytes})
	}
	return out, nil
}

// FinishTransfer records the manifest.
func (t *transfers) FinishTransfer(ctx context.Context, r *storev1.FinishTransferRequest) (*storev1.FinishTransferResponse, error) {
	if err := scoped(ctx, run, r.GetTransferId()); err != nil {
		return nil, err
	}
	m := r.GetManifest()
	err := t.ledger.FinishTransfer(ctx, r.GetTransferId(), store.Manifest{
		Object: m.GetObject(), SHA256: m.GetSha256(), Rows: m.GetRows(), Bytes: m.GetBytes(), Partial: m.GetPartial(), StoppedBy: m.GetStoppedBy(),
	})
	if err != nil {
		return nil, err
	}
	return &storev1.FinishTransferResponse{}, nil
}
