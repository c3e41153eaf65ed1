package store_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"

	dpstore "github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// family is two stores of one processor.
type family struct {
	t            *testing.T
	here, there  *world
	manager      *storeclient.Client
	asked        int  // how often a certificate was fetched
	certificates bool // whether there are any
}

// related serves two stores with these counting keys; 0 is none.
func related(t *testing.T, here, there byte) *family {
	t.Helper()
	f := &family{t: t, certificates: true}
	peers := &dpstore.Peers{Source: func(namespace, name string) (identity.Source, error) {
		f.asked++
		if !f.certificates {
			return nil, errors.New("none yet")
		}
		return f.there.source(identity.Role{Kind: identity.Peer, Namespace: namespace, Store: name, Name: "brand-cn", Run: "brand-store"}), nil
	}}
	f.here = serveAs(t, "brand-cn", "brand-store", sqlite.Config{Counting: countingBy(t, here)}, peers)
	f.there = serveAs(t, "outlet-cn", "outlet-store", sqlite.Config{Counting: countingBy(t, there)}, nil)
	f.manager = f.here.client(role(identity.Manager, "", ""))
	for _, w := range []*world{f.here, f.there} {
		w.Push(nil)
	}
	return f
}

func countingBy(t *testing.T, b byte) *seal.Counting {
	t.Helper()
	if b == 0 {
		return nil
	}
	c, err := seal.NewCounting(bytes.Repeat([]byte{b}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sends exports people with these numbers from a store.
func (f *family) sends(w *world, id string, from, to int, change ...func(*store.TransferSpec)) {
	f.t.Helper()
	for i := from; i < to; i++ {
		w.Fan(fmt.Sprint("person", i))
	}
	w.Clock.Move(time.Second)
	spec := w.Export(id)
	for _, c := range change {
		c(&spec)
	}
	if _, err := w.Ledger.DeclareTransfer(f.t.Context(), spec); err != nil {
		f.t.Fatal(err)
	}
	if x, err := w.Ledger.StartTransfer(f.t.Context(), id); err != nil || x.State != store.TransferStarted {
		f.t.Fatal(x.Refusals, err)
	}
	w.Drain(id, 7)
}

// elsewhere asks for what the other store has counted beyond.
func (f *family) elsewhere() (*storev1.Persons, error) {
	answer, err := f.manager.Control.GetElsewhere(f.t.Context(), &storev1.GetElsewhereRequest{Peers: []*storev1.Peer{{Namespace: "outlet-cn", Name: "outlet-store", Address: f.there.url}}})
	return answer.GetCounted(), err
}

func (f *family) wants(plain, sensitive int64) {
	f.t.Helper()
	got, err := f.elsewhere()
	if err != nil || got.GetNonSensitive() != plain || got.GetSensitive() != sensitive {
		f.t.Errorf("elsewhere %v, %v; want %d and %d", got, err, plain, sensitive)
	}
}

// TestPeers_CountEverybodyOnce: of 30 people here and 60 there, 20 are the same, though each
// store has random numbers of its own for them.
func TestPeers_CountEverybodyOnce(t *testing.T) {
	f := related(t, 1, 1)
	f.wants(19, 0) // nobody, told as fewer than 20
	f.sends(f.here, "t", 0, 30)
	f.sends(f.there, "t", 10, 70)
	f.wants(40, 0)
	f.sends(f.here, "again", 0, 0) // the same people once more move nothing
	f.wants(40, 0)
	f.sends(f.here, "more", 30, 50) // and people who were counted there are no new ones
	f.wants(20, 0)
}

// TestPeers_HaveTwoCounters: who was sent out with sensitive data is compared with those alone.
func TestPeers_HaveTwoCounters(t *testing.T) {
	f := related(t, 1, 1)
	sensitive := func(s *store.TransferSpec) {
		s.Categories, s.MaxPersons = append(s.Categories, "PreciseLocation"), 5000
	}
	for _, w := range []*world{f.here, f.there} {
		w.Push(allowSensitive)
	}
	f.sends(f.here, "t", 0, 30)
	f.sends(f.there, "s", 0, 30, sensitive, func(s *store.TransferSpec) { s.Mechanism = "filed" })
	f.wants(19, 30)
}

// allowSensitive has the papers for sensitive data in order.
func allowSensitive(v *store.View) {
	n, said := &v.Notice, map[string]string{"en": "said"}
	n.Revision = 4
	n.Recipients[0].Categories = append(n.Recipients[0].Categories, "PreciseLocation")
	n.Purposes = append(n.Purposes, store.Purpose{Name: storetest.Reporting, Necessity: said, Impact: said})
	n.Hash = n.Text().Hash()
	at := v.IssuedAt.AddDate(0, -1, 0)
	v.Mechanisms["filed"] = store.Mechanism{
		Type: transfer.StandardContract, State: "InForce", EffectiveAt: at, FiledAt: at,
		Recipients: []string{storetest.Recipient}, Purposes: []string{storetest.Reporting}, Categories: n.Recipients[0].Categories,
	}
}

// TestPeers_ReadAgainOnlyWhatMoved: as long as no counter moves, the answer is the one before.
func TestPeers_ReadAgainOnlyWhatMoved(t *testing.T) {
	f := related(t, 1, 1)
	f.sends(f.there, "t", 0, 30)
	f.wants(30, 0)
	f.there.Clock.Move(time.Hour)
	f.wants(30, 0)
	f.there.Push(nil)
	f.sends(f.there, "u", 30, 60)
	f.wants(60, 0)
	if f.asked != 3 {
		t.Errorf("asked %d times", f.asked)
	}
}

// TestPeers_AreRefusedOrAway: a number that is not known is no number.
func TestPeers_AreRefusedOrAway(t *testing.T) {
	for name, c := range map[string]struct {
		here, there byte
		change      func(*family)
		word        string
	}{
		"no key here":           {0, 1, nil, "CountingDiffers"},
		"no key there":          {1, 0, nil, "CountingDiffers"},
		"another key there":     {1, 2, nil, "CountingDiffers"},
		"another processor":     {1, 1, func(f *family) { f.there.Push(func(v *store.View) { v.Policy.Processor = "other" }) }, "CountingDiffers"},
		"no certificate yet":    {1, 1, func(f *family) { f.certificates = false }, "PeerUnavailable"},
		"nobody answers":        {1, 1, func(f *family) { f.there.url = "https://127.0.0.1:1" }, "PeerUnavailable"},
		"another store answers": {1, 1, func(f *family) { f.there.url = f.here.url }, "PeerUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			f := related(t, c.here, c.there)
			if c.change != nil {
				c.change(f)
			}
			if got, err := f.elsewhere(); storeclient.Word(err) != c.word {
				t.Errorf("%v, %v; want %s", got, err, c.word)
			}
		})
	}
}

// TestPeers_NamesAreNoPaths: a name is part of a file's name.
func TestPeers_NamesAreNoPaths(t *testing.T) {
	f := related(t, 1, 1)
	for _, name := range []string{"", "../outlet-store", "a/b", "A"} {
		_, err := f.manager.Control.GetElsewhere(t.Context(), &storev1.GetElsewhereRequest{Peers: []*storev1.Peer{{Namespace: "outlet-cn", Name: name, Address: f.there.url}}})
		if storeclient.Word(err) != store.ErrInvalid.Word || f.asked != 0 {
			t.Errorf("%q: %v, %d certificates", name, err, f.asked)
		}
	}
}

// TestPeers_TellNoCommitmentToOthers: the manager gets a number, and no other role the list.
func TestPeers_TellNoCommitmentToOthers(t *testing.T) {
	f := related(t, 1, 1)
	f.sends(f.here, "t", 0, 30)
	for _, r := range []identity.Role{role(identity.Manager, "", ""), role(identity.Transfer, "leads", "t"), role(identity.Store, "", ""), role(identity.Officer, "", "")} {
		stream, err := f.here.client(r).Peer.ListCounted(t.Context(), &storev1.ListCountedRequest{})
		if err == nil {
			for stream.Receive() {
				t.Errorf("%s reads commitments", r.Kind)
			}
			err = stream.Err()
		}
		if storeclient.Word(err) != "RoleDenied" {
			t.Errorf("%s: %v", r.Kind, err)
		}
	}
}

// liar answers as a peer would, wrongly.
type liar struct {
	storev1connect.UnimplementedPeerServiceHandler

	told  int64
	pages [][]byte
}

func (l *liar) GetCounted(context.Context, *storev1.GetCountedRequest) (*storev1.GetCountedResponse, error) {
	return &storev1.GetCountedResponse{Counted: &storev1.Persons{NonSensitive: l.told}}, nil
}

func (l *liar) ListCounted(_ context.Context, r *storev1.ListCountedRequest, out *connect.ServerStream[storev1.ListCountedResponse]) error {
	for _, p := range l.pages {
		if err := out.Send(&storev1.ListCountedResponse{Commitments: p}); err != nil || r.GetSensitive() {
			return err
		}
	}
	return nil
}

// names are commitments as a page holds them.
func names(of ...byte) []byte {
	var page []byte
	for _, b := range of {
		page = append(page, bytes.Repeat([]byte{b}, 16)...)
	}
	return page
}

// TestPeers_ListsAreChecked: a list that is cut off or in disorder would make the count too low.
func TestPeers_ListsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		liar liar
		word string
	}{
		"as told":         {liar{told: 3, pages: [][]byte{names(1, 2), names(3)}}, ""},
		"more than told":  {liar{told: 1, pages: [][]byte{names(1, 2)}}, ""}, // counted in between
		"fewer than told": {liar{told: 4, pages: [][]byte{names(1, 2), names(3)}}, "PeerUnavailable"},
		"half a name":     {liar{told: 1, pages: [][]byte{names(1, 2)[:24]}}, "PeerUnavailable"},
		"not ascending":   {liar{told: 3, pages: [][]byte{names(1, 3), names(2)}}, "Internal"},
		"somebody twice":  {liar{told: 2, pages: [][]byte{names(1, 1)}}, "Internal"},
	} {
		t.Run(name, func(t *testing.T) {
			f := related(t, 1, 1)
			path, handler := storev1connect.NewPeerServiceHandler(&c.liar)
			mux := http.NewServeMux()
			mux.Handle(path, handler)
			srv := httptest.NewUnstartedServer(mux)
			srv.EnableHTTP2 = true
			src := f.there.source(identity.Role{Kind: identity.Store, Namespace: "outlet-cn", Store: "outlet-store"})
			srv.TLS = identity.Server(src)
			srv.TLS.Certificates = []tls.Certificate{src.Pair}
			srv.StartTLS()
			defer srv.Close()
			f.there.url = srv.URL
			if got, err := f.elsewhere(); storeclient.Word(err) != c.word {
				t.Errorf("%v, %v; want %q", got, err, c.word)
			}
		})
	}
}
