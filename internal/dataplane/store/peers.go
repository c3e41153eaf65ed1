package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/domain/census"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// maxPeers bounds with how many stores a counter is shared.
const maxPeers = 64

// errPeer says that another store could not be compared with. What it answered stays here.
var errPeer = connect.NewError(connect.CodeUnavailable, &store.Error{Word: "PeerUnavailable", Message: "another store of the processor does not tell whom it has counted"})

// Peers compares whom this store has counted with what other stores of the processor list.
// Commitments go from store to store, within the region; what leaves is a number.
type Peers struct {
	// Source yields the certificate that one peer accepts.
	Source func(namespace, name string) (identity.Source, error)

	mu   sync.Mutex
	last *comparison
}

// comparison is kept until a counter moves: within a window, none loses anybody.
type comparison struct {
	of     string
	beyond transfer.Counter
}

// FilePeers reads the certificates from a folder, three files for each peer.
func FilePeers(dir string) *Peers {
	return &Peers{Source: func(namespace, name string) (identity.Source, error) {
		at := filepath.Join(dir, namespace+"."+name)
		return identity.NewFileSource(identity.Files{CertFile: at + ".crt", KeyFile: at + ".key", CAFile: at + ".ca"})
	}}
}

// lister is one store whose counter is compared.
type lister struct {
	client *storeclient.Client
	total  transfer.Counter
}

// beyond tells how many people the peers have counted whom this store has not.
func (p *Peers) beyond(ctx context.Context, l store.Ledger, peers []*storev1.Peer) (transfer.Counter, error) {
	set, err := l.CountedOf(ctx)
	if err != nil {
		return transfer.Counter{}, err
	}
	if len(peers) > maxPeers {
		return transfer.Counter{}, store.ErrInvalid
	}
	own, err := l.CountedSince(ctx, set)
	if err != nil {
		return transfer.Counter{}, err
	}
	of := fmt.Sprint(set, own)
	listers := make([]lister, 0, len(peers))
	defer func() {
		for _, x := range listers {
			x.client.Close()
		}
	}()
	for _, x := range peers {
		at, err := p.dial(ctx, set, x)
		if err != nil {
			return transfer.Counter{}, err
		}
		listers = append(listers, at)
		of += fmt.Sprint(" ", x.GetNamespace(), "/", x.GetName(), at.total)
	}
	if c := p.cached(of); c != nil {
		return *c, nil
	}
	out, err := compare(ctx, l, set, listers)
	if err == nil {
		p.keep(of, out)
	}
	return out, err
}

// dial asks a peer how many people it lists.
func (p *Peers) dial(ctx context.Context, set store.CountedSet, x *storev1.Peer) (lister, error) {
	role := identity.Role{Kind: identity.Peer, Namespace: x.GetNamespace(), Store: x.GetName(), Name: "own", Run: "own"}
	if _, err := identity.Parse(role.URI()); err != nil { // it becomes the name of a file
		return lister{}, store.ErrInvalid
	}
	src, err := p.Source(x.GetNamespace(), x.GetName())
	if err != nil {
		return lister{}, errPeer
	}
	c := storeclient.New(src, storeclient.Config{Address: x.GetAddress(), Namespace: x.GetNamespace(), Name: x.GetName()})
	answer, err := c.Peer.GetCounted(ctx, counterOf(set))
	if err != nil {
		c.Close()
		return lister{}, refusedBy(err)
	}
	n := answer.GetCounted()
	return lister{c, transfer.Counter{NonSensitive: n.GetNonSensitive(), Sensitive: n.GetSensitive()}}, nil
}

// refusedBy tells a peer that does not count alike from one that is away.
func refusedBy(err error) error {
	if storeclient.Word(err) == store.ErrCountingDiffers.Word {
		return store.ErrCountingDiffers
	}
	return errPeer
}

func counterOf(s store.CountedSet) *storev1.GetCountedRequest {
	return &storev1.GetCountedRequest{Processor: s.Processor, SinceYear: int64(s.SinceYear), KeyId: s.KeyID}
}

// compare reads all lists side by side, once for each kind of counter.
func compare(ctx context.Context, l store.Ledger, set store.CountedSet, listers []lister) (out transfer.Counter, err error) {
	for _, kind := range []struct {
		sensitive bool
		into      *int64
	}{{false, &out.NonSensitive}, {true, &out.Sensitive}} {
		own, err := l.ListCounted(ctx, set, kind.sensitive)
		if err != nil {
			return out, err
		}
		lists := make([]census.List, 0, len(listers))
		for _, x := range listers {
			lists = append(lists, x.list(ctx, set, kind.sensitive))
		}
		if *kind.into, err = census.Beyond(own, lists...); err != nil {
			return out, err
		}
	}
	return out, nil
}

// list reads what a peer lists. One that lists fewer people than it told breaks off.
func (x lister) list(ctx context.Context, set store.CountedSet, sensitive bool) census.List {
	return func(yield func(subject.Commitment, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := x.client.Peer.ListCounted(ctx, &storev1.ListCountedRequest{Of: counterOf(set), Sensitive: sensitive})
		if err != nil {
			yield(subject.Commitment{}, refusedBy(err))
			return
		}
		var got int64
		for stream.Receive() {
			for raw := stream.Msg().GetCommitments(); len(raw) > 0; got++ {
				var c subject.Commitment
				if len(raw) < len(c) {
					yield(c, errPeer)
					return
				}
				raw = raw[copy(c[:], raw):]
				if !yield(c, nil) {
					return
				}
			}
		}
		told := x.total.NonSensitive
		if sensitive {
			told = x.total.Sensitive
		}
		if stream.Err() != nil || got < told {
			yield(subject.Commitment{}, errPeer)
		}
	}
}

func (p *Peers) cached(of string) *transfer.Counter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil || p.last.of != of {
		return nil
	}
	return &p.last.beyond
}

func (p *Peers) keep(of string, c transfer.Counter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &comparison{of, c}
}

// peer answers the processor's other stores.
type peer struct{ ledger store.Ledger }

func setOf(r *storev1.GetCountedRequest) store.CountedSet {
	return store.CountedSet{Processor: r.GetProcessor(), SinceYear: int(r.GetSinceYear()), KeyID: r.GetKeyId()}
}

// GetCounted tells how many people are listed.
func (s *peer) GetCounted(ctx context.Context, r *storev1.GetCountedRequest) (*storev1.GetCountedResponse, error) {
	n, err := s.ledger.CountedSince(ctx, setOf(r))
	if err != nil {
		return nil, err
	}
	return &storev1.GetCountedResponse{Counted: &storev1.Persons{NonSensitive: n.NonSensitive, Sensitive: n.Sensitive}}, nil
}

// listChunk is how many people one message holds: 64 KiB.
const listChunk = 4096

// ListCounted lists the people of one counter.
func (s *peer) ListCounted(ctx context.Context, r *storev1.ListCountedRequest, out *connect.ServerStream[storev1.ListCountedResponse]) error {
	list, err := s.ledger.ListCounted(ctx, setOf(r.GetOf()), r.GetSensitive())
	if err != nil {
		return err
	}
	page := make([]byte, 0, listChunk*len(subject.Commitment{}))
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		err := out.Send(&storev1.ListCountedResponse{Commitments: page})
		page = page[:0]
		return err
	}
	for c, err := range list {
		if err != nil {
			return err
		}
		if page = append(page, c[:]...); len(page) == cap(page) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
