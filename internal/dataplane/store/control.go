package store

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// control answers the manager: numbers only, and none under 20.
type control struct {
	ledger store.Ledger
	peers  *Peers
}

// PushBundle replaces the view.
func (c *control) PushBundle(ctx context.Context, r *storev1.PushBundleRequest) (*storev1.PushBundleResponse, error) {
	hash, err := c.ledger.PutView(ctx, r.GetLedgerId(), viewOf(r.GetBundle()))
	if err != nil {
		return nil, err
	}
	return &storev1.PushBundleResponse{Hash: hash}, nil
}

// GetStatus tells identity and size of the ledger.
func (c *control) GetStatus(ctx context.Context, _ *storev1.GetStatusRequest) (*storev1.GetStatusResponse, error) {
	s, err := c.ledger.Status(ctx)
	if err != nil {
		return nil, err
	}
	return &storev1.GetStatusResponse{
		LedgerId: s.LedgerID, Subjects: subject.People(s.Subjects), LogSize: s.LogSize, LogRoot: hex.EncodeToString(s.LogRoot), SizeBytes: s.SizeBytes,
		BundleHash: s.ViewHash, BundleIssuedAt: timestamp(s.ViewIssued), Year: int64(s.Year),
		NonSensitivePersons: subject.People(s.Counter.NonSensitive), SensitivePersons: subject.People(s.Counter.Sensitive),
		Requests: requestCountsOf(s.Requests), Recipients: recipientsOf(s.Duties),
		NoticeRevision: s.Notice.Revision, NoticeContentHash: s.Notice.Hash, NoticeRefused: s.NoticeRefused, NoticeRefusal: s.NoticeRefusal,
		StaleConsents: subject.People(s.StaleConsents),
		VerifierKey:   s.VerifierKey, Checkpoint: s.Checkpoint, CountingKeyId: s.CountingKeyID,
	}, nil
}

// recipientsOf rounds: it leaves the region.
func recipientsOf(list []store.RecipientDuties) []*storev1.RecipientState {
	var out []*storev1.RecipientState
	for _, d := range list {
		out = append(out, &storev1.RecipientState{
			Recipient: d.Recipient, Open: subject.People(d.Open), Overdue: subject.People(d.Overdue), AnyOpen: d.Open > 0, AnyOverdue: d.Overdue > 0, NextDue: timestamp(d.NextDue),
		})
	}
	return out
}

// SizeAudience counts an audience.
func (c *control) SizeAudience(ctx context.Context, r *storev1.SizeAudienceRequest) (*storev1.SizeAudienceResponse, error) {
	n, err := c.ledger.SizeAudience(ctx, r.GetExpression(), r.GetLeadModel())
	if err != nil {
		return nil, err
	}
	return &storev1.SizeAudienceResponse{People: subject.People(n)}, nil
}

// PlanRun plans a run, or returns the plan that there is.
func (c *control) PlanRun(ctx context.Context, r *storev1.PlanRunRequest) (*storev1.PlanRunResponse, error) {
	s := r.GetSpec()
	run, err := c.ledger.PlanRun(ctx, store.RunSpec{
		ID: s.GetRunId(), Campaign: s.GetCampaign(), Account: s.GetAccount(), Purpose: s.GetPurpose(),
		Expression: s.GetAudienceExpression(), LeadModel: s.GetLeadModel(), Channel: s.GetChannel(), TemplateID: s.GetTemplateId(),
		NotBefore: moment(s.GetNotBefore()), NotAfter: moment(s.GetNotAfter()), Zone: s.GetTimeZone(), Start: s.GetWindowStart(), End: s.GetWindowEnd(),
		PerSecond: int(s.GetPerSecond()), CapMessages: int(s.GetCapMessages()), CapDays: int(s.GetCapDays()), Shards: int(s.GetShards()),
	})
	if err != nil {
		return nil, err
	}
	return &storev1.PlanRunResponse{Run: runOf(run)}, nil
}

// GetRun counts a run.
func (c *control) GetRun(ctx context.Context, r *storev1.GetRunRequest) (*storev1.GetRunResponse, error) {
	run, err := c.ledger.Run(ctx, r.GetRunId())
	if err != nil {
		return nil, err
	}
	return &storev1.GetRunResponse{Run: runOf(run)}, nil
}

func runOf(r store.Run) *storev1.Run {
	return &storev1.Run{
		RunId: r.ID, Audience: subject.People(r.Audience), Eligible: subject.People(r.Eligible), Excluded: excludedOf(r.Excluded),
		Pending: subject.People(r.Pending), Sent: subject.People(r.Sent), Refused: subject.People(r.Refused), Failed: subject.People(r.Failed),
		Unknown: subject.People(r.Unknown), Finished: r.Finished, HasWork: r.Eligible > 0,
	}
}

func excludedOf(m map[reason.Code]int64) []*storev1.Excluded {
	var out []*storev1.Excluded
	for _, code := range slices.Sorted(maps.Keys(m)) {
		out = append(out, &storev1.Excluded{Reason: string(code), People: subject.People(m[code])})
	}
	return out
}

// GetTransferFacts tells what a decision needs; small numbers are rounded up.
func (c *control) GetTransferFacts(ctx context.Context, r *storev1.GetTransferFactsRequest) (*storev1.GetTransferFactsResponse, error) {
	f, err := c.ledger.TransferFacts(ctx, transferSpecOf(r.GetSpec()))
	if err != nil {
		return nil, err
	}
	counted, recent := atMost(f.Counter), atMost(f.Recent)
	out := &storev1.GetTransferFactsResponse{
		Year: int64(f.Year), NonSensitiveAtMost: counted.GetNonSensitive(), SensitiveAtMost: counted.GetSensitive(),
		RecentNonSensitiveAtMost: recent.GetNonSensitive(), RecentSensitiveAtMost: recent.GetSensitive(),
		AnyoneConsents: f.People.Included > 0, YoungAtMost: sensitiveAtMost(f.People.Young),
	}
	for _, code := range slices.Sorted(maps.Keys(f.People.Excluded)) {
		out.Excluded = append(out.Excluded, string(code))
	}
	return out, nil
}

// GetCounters tells the processor's meter; small numbers are rounded up.
func (c *control) GetCounters(ctx context.Context, r *storev1.GetCountersRequest) (*storev1.GetCountersResponse, error) {
	n, err := c.ledger.Counters(ctx, r.GetRecipient())
	if err != nil {
		return nil, err
	}
	return &storev1.GetCountersResponse{Year: int64(n.Year), Counted: atMost(n.Counted), Recent: atMost(n.Recent)}, nil
}

// GetElsewhere counts the people of other stores; small numbers are rounded up.
func (c *control) GetElsewhere(ctx context.Context, r *storev1.GetElsewhereRequest) (*storev1.GetElsewhereResponse, error) {
	if c.peers == nil {
		return nil, store.ErrCountingDiffers
	}
	n, err := c.peers.beyond(ctx, c.ledger, r.GetPeers())
	if err != nil {
		return nil, err
	}
	return &storev1.GetElsewhereResponse{Counted: atMost(n)}, nil
}

// atMost rounds a counter up.
func atMost(c transfer.Counter) *storev1.Persons {
	return &storev1.Persons{NonSensitive: max(c.NonSensitive, subject.Few-1), Sensitive: sensitiveAtMost(c.Sensitive)}
}

// sensitiveAtMost keeps zero: one sensitive record already asks for a mechanism, so rounding
// zero up would refuse everybody.
func sensitiveAtMost(n int64) int64 {
	if n == 0 {
		return 0
	}
	return max(n, subject.Few-1)
}

// DeclareTransfer makes a transfer known.
func (c *control) DeclareTransfer(ctx context.Context, r *storev1.DeclareTransferRequest) (*storev1.DeclareTransferResponse, error) {
	spec := transferSpecOf(r.GetSpec())
	spec.Elsewhere = transfer.Counter{NonSensitive: r.GetElsewhere().GetNonSensitive(), Sensitive: r.GetElsewhere().GetSensitive()}
	t, err := c.ledger.DeclareTransfer(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &storev1.DeclareTransferResponse{Transfer: transferOf(t)}, nil
}

// GetTransfer tells how far a transfer is.
func (c *control) GetTransfer(ctx context.Context, r *storev1.GetTransferRequest) (*storev1.GetTransferResponse, error) {
	t, err := c.ledger.Transfer(ctx, r.GetTransferId())
	if err != nil {
		return nil, err
	}
	return &storev1.GetTransferResponse{Transfer: transferOf(t)}, nil
}

func transferOf(t store.Transfer) *storev1.Transfer {
	out := &storev1.Transfer{
		TransferId: t.ID, State: t.State, Refusals: refusalsOf(t.Refusals), Persons: subject.People(t.Persons), NewlyCounted: subject.People(t.Newly),
		Excluded: excludedOf(t.Excluded), Decision: t.Decision.ID,
	}
	for _, r := range t.Released {
		out.Released = append(out.Released, &storev1.ReleasedTable{Name: string(r.Name), Cells: r.Cells, Suppressed: r.Suppressed, CountedAt: timestamp(r.CountedAt)})
	}
	if m := t.Manifest; m != nil {
		out.Manifest = &storev1.Manifest{Object: m.Object, Sha256: m.SHA256, Rows: m.Rows, Bytes: m.Bytes, Partial: m.Partial, StoppedBy: m.StoppedBy}
		if m.Rows < subject.Few { // rows are people
			out.Manifest.Rows, out.Manifest.Bytes = -1, -1
		}
	}
	return out
}

func refusalsOf(list []transfer.Refusal) []*storev1.Refusal {
	var out []*storev1.Refusal
	for _, r := range list {
		out = append(out, &storev1.Refusal{Code: string(r.Code), Field: r.Field, Message: r.Message})
	}
	return out
}

func transferSpecOf(s *storev1.TransferSpec) store.TransferSpec {
	out := store.TransferSpec{
		ID: s.GetTransferId(), Name: s.GetName(), Mechanism: s.GetMechanism(), LeadModel: s.GetLeadModel(),
		Assessment: transfer.Assessment{
			Reference: s.GetAssessmentReference(), CompletedAt: moment(s.GetAssessmentCompletedAt()), ReviewBy: moment(s.GetAssessmentReviewBy()), Outcome: s.GetAssessmentOutcome(),
		},
		Request: transfer.Request{
			Store: s.GetStore(), Recipient: s.GetRecipient(), Country: s.GetCountry(), Purpose: s.GetPurpose(), LegalBasis: s.GetLegalBasis(),
			Categories: s.GetCategories(), Fields: s.GetFields(), MaxPersons: s.GetMaxPersons(), Necessity: s.GetNecessity(), HasDestination: s.GetHasDestination(),
			DataStatus: s.GetDataStatus(), VolumeReview: s.GetVolumeReview(), ForeignAuthority: s.GetForeignAuthority(), Approval: s.GetApproval(),
			OnwardTo: s.GetOnwardTo(), RetentionDays: s.GetRetentionDays(), Aggregates: s.GetAggregates(),
		},
	}
	if s.GetExemptionGround() != "" {
		out.Exemption = &transfer.Exemption{Ground: s.GetExemptionGround(), Evidence: s.GetExemptionEvidence(), Mixed: true} // a store holds what was collected here
	}
	return out
}

// moment reads a timestamp; one that is not set is the zero time, not 1970.
func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
