package envtestrig

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/maodian-dev/maodian/internal/domain/notice"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
)

// Stores stands for all stores of a cluster. It implements gather.Stores.
type Stores struct {
	mu     sync.Mutex
	stores map[string]*Store
}

// Control returns the store of this name; every name has one.
func (s *Stores) Control(_ context.Context, namespace, name string) (storev1connect.ControlServiceClient, error) {
	return s.Of(namespace, name), nil
}

// Of returns the store of this name for a test to set up and to look at.
func (s *Stores) Of(namespace, name string) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := namespace + "/" + name
	if s.stores[key] == nil {
		if s.stores == nil {
			s.stores = map[string]*Store{}
		}
		s.stores[key] = &Store{state: StoreState{
			Subjects: "1234", Year: 2026, NonSensitive: "<20", Sensitive: "<20", AnyoneConsents: true, Size: "321", Stale: "<20",
			Runs: map[string]*storev1.Run{}, Transfers: map[string]*storev1.Transfer{}, Declare: "Declared",
		}}
	}
	return s.stores[key]
}

// StoreState is what a store would answer, and what it was told.
type StoreState struct {
	Down                    bool
	LedgerID                string // empty: takes the first it is told, as a new store does
	Subjects                string
	Year                    int64
	NonSensitive, Sensitive string
	AnyoneConsents          bool
	Counted, Recent         int64           // people without sensitive data: in the year, and at any recipient
	CountingKeyID           string          // by which it counts with others; empty: alone
	Elsewhere               int64           // people without sensitive data whom those have counted, and it has not
	Asked                   []*storev1.Peer // whom it was asked to compare with, the last time
	Size                    string          // of every audience
	Requests                *storev1.RequestCounts
	Recipients              []*storev1.RecipientState
	Invalid                 string // what is wrong with every expression; empty: nothing
	Plan                    *storev1.Run
	Declare                 string // state of a transfer once declared
	Refusals                []*storev1.Refusal
	Stale                   string         // people whose consents are to an older notice
	Notice                  notice.Version // the newest one taken; a store does not go back
	NoticeRefused           bool
	NoticeRefusal           string // what Status says of every notice, if anything

	Bundle    *storev1.Bundle // the last one taken
	Planned   []*storev1.RunSpec
	Declared  []*storev1.TransferSpec
	Runs      map[string]*storev1.Run
	Transfers map[string]*storev1.Transfer
}

// Store answers the manager as a store would, by a state that tests write.
type Store struct {
	mu    sync.Mutex
	state StoreState
}

// Set changes the state.
func (s *Store) Set(change func(*StoreState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
}

// Look reads the state.
func Look[T any](s *Store, read func(*StoreState) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return read(&s.state)
}

// up locks the store for one call; a store that is down gives no answer.
func (s *Store) up() (func(), error) {
	s.mu.Lock()
	if s.state.Down {
		s.mu.Unlock()
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("nobody listens"))
	}
	return s.mu.Unlock, nil
}

// PushBundle keeps the bundle.
func (s *Store) PushBundle(_ context.Context, r *storev1.PushBundleRequest) (*storev1.PushBundleResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	if s.state.LedgerID == "" {
		s.state.LedgerID = r.GetLedgerId()
	}
	if s.state.LedgerID != r.GetLedgerId() {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("LedgerMissing: another ledger is here"))
	}
	s.state.Bundle = r.GetBundle()
	told := notice.Version{Revision: r.GetBundle().GetNotice().GetRevision(), Hash: r.GetBundle().GetNotice().GetContentHash()}
	s.state.NoticeRefused = told.Revision > 0 && !told.Follows(s.state.Notice)
	if told.Revision > 0 && !s.state.NoticeRefused {
		s.state.Notice = told
	}
	timeless := proto.CloneOf(r.GetBundle())
	timeless.IssuedAt = nil
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(timeless)
	sum := sha256.Sum256(raw)
	return &storev1.PushBundleResponse{Hash: hex.EncodeToString(sum[:])}, err
}

// GetStatus tells the state.
func (s *Store) GetStatus(context.Context, *storev1.GetStatusRequest) (*storev1.GetStatusResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	return &storev1.GetStatusResponse{
		LedgerId: s.state.LedgerID, Subjects: s.state.Subjects, LogSize: 7, LogRoot: "abcd", SizeBytes: 4096,
		Year: s.state.Year, NonSensitivePersons: s.state.NonSensitive, SensitivePersons: s.state.Sensitive,
		Requests: s.state.Requests, Recipients: s.state.Recipients,
		NoticeRevision: s.state.Notice.Revision, NoticeContentHash: s.state.Notice.Hash, NoticeRefused: s.state.NoticeRefused || s.state.NoticeRefusal != "",
		NoticeRefusal: s.state.NoticeRefusal, StaleConsents: s.state.Stale, CountingKeyId: s.state.CountingKeyID,
	}, nil
}

func (s *Store) invalid() error {
	if s.state.Invalid == "" {
		return nil
	}
	return connect.NewError(connect.CodeInvalidArgument, errors.New(s.state.Invalid))
}

// SizeAudience answers with the one size.
func (s *Store) SizeAudience(context.Context, *storev1.SizeAudienceRequest) (*storev1.SizeAudienceResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	return &storev1.SizeAudienceResponse{People: s.state.Size}, s.invalid()
}

// PlanRun keeps the run.
func (s *Store) PlanRun(_ context.Context, r *storev1.PlanRunRequest) (*storev1.PlanRunResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.invalid(); err != nil {
		return nil, err
	}
	run := proto.CloneOf(s.state.Plan)
	if run == nil {
		run = &storev1.Run{Audience: "900", Eligible: "850", Pending: "850", Sent: "<20", Refused: "<20", Failed: "<20", Unknown: "<20", HasWork: true,
			Excluded: []*storev1.Excluded{{Reason: "MarketingConsentMissing", People: "30"}, {Reason: "AgeUnknown", People: "<20"}}}
	}
	run.RunId = r.GetSpec().GetRunId()
	s.state.Planned, s.state.Runs[run.GetRunId()] = append(s.state.Planned, r.GetSpec()), run
	return &storev1.PlanRunResponse{Run: run}, nil
}

// GetRun tells a run.
func (s *Store) GetRun(_ context.Context, r *storev1.GetRunRequest) (*storev1.GetRunResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	run := s.state.Runs[r.GetRunId()]
	if run == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such run"))
	}
	return &storev1.GetRunResponse{Run: run}, nil
}

// GetTransferFacts tells the counters.
func (s *Store) GetTransferFacts(context.Context, *storev1.GetTransferFactsRequest) (*storev1.GetTransferFactsResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	return &storev1.GetTransferFactsResponse{Year: s.state.Year, NonSensitiveAtMost: 19, AnyoneConsents: s.state.AnyoneConsents}, nil
}

// GetCounters tells what the state says of the year and of every recipient.
func (s *Store) GetCounters(context.Context, *storev1.GetCountersRequest) (*storev1.GetCountersResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	return &storev1.GetCountersResponse{Year: s.state.Year, Counted: &storev1.Persons{NonSensitive: s.state.Counted}, Recent: &storev1.Persons{NonSensitive: s.state.Recent}}, nil
}

// GetElsewhere tells what the state says, to a store that counts with others.
func (s *Store) GetElsewhere(_ context.Context, r *storev1.GetElsewhereRequest) (*storev1.GetElsewhereResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	if s.state.CountingKeyID == "" {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("CountingDiffers: no key"))
	}
	s.state.Asked = r.GetPeers()
	return &storev1.GetElsewhereResponse{Counted: &storev1.Persons{NonSensitive: s.state.Elsewhere}}, nil
}

// DeclareTransfer keeps the transfer.
func (s *Store) DeclareTransfer(_ context.Context, r *storev1.DeclareTransferRequest) (*storev1.DeclareTransferResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	x := &storev1.Transfer{TransferId: r.GetSpec().GetTransferId(), State: s.state.Declare, Refusals: s.state.Refusals}
	s.state.Declared, s.state.Transfers[x.GetTransferId()] = append(s.state.Declared, r.GetSpec()), x
	return &storev1.DeclareTransferResponse{Transfer: x}, nil
}

// GetTransfer tells a transfer.
func (s *Store) GetTransfer(_ context.Context, r *storev1.GetTransferRequest) (*storev1.GetTransferResponse, error) {
	done, err := s.up()
	if err != nil {
		return nil, err
	}
	defer done()
	x := s.state.Transfers[r.GetTransferId()]
	if x == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such transfer"))
	}
	return &storev1.GetTransferResponse{Transfer: x}, nil
}

var _ storev1connect.ControlServiceClient = (*Store)(nil)
