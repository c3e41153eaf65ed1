package storetest

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store"
)

// Verifier returns what the ledger's status says its checkpoints are verified with.
func (w *World) Verifier() *ledger.Verifier {
	w.Helper()
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	v, err := ledger.NewVerifier(s.VerifierKey)
	w.ok(err)
	return v
}

// Receipt returns a person's receipt, and what it proves.
func (w *World) Receipt(name string) (raw []byte, r receipt.Receipt, proved receipt.Report) {
	w.Helper()
	raw, err := w.Ledger.Receipt(w.Context(), Account, OpenID(name))
	w.ok(err)
	proved, err = receipt.Verify(bytes.NewReader(raw), w.Verifier())
	w.ok(err)
	r, err = receipt.Decode(raw)
	w.ok(err)
	return raw, r, proved
}

func checkpointOnce(w *World) {
	key := w.Verifier()
	first, err := w.Ledger.Checkpoint(w.Context())
	w.ok(err)
	again, err := w.Ledger.Checkpoint(w.Context())
	w.ok(err)
	want(w, "the same head, the same note", again, first)
	c, err := key.Open(first)
	w.ok(err)
	want(w, "origin", c.Origin, ledger.Origin(LedgerID))
	w.Fan("a")
	s, err := w.Ledger.Status(w.Context())
	w.ok(err)
	next, err := key.Open(s.Checkpoint)
	w.ok(err)
	want(w, "size", int64(next.Size), s.LogSize)
	want(w, "root", string(next.Root), string(s.LogRoot))
	want(w, "it grew", next.Size > c.Size, true)
}

func receiptProves(w *World) {
	w.Choose(w.Context(), "a", consent.Adult, Purpose, Reporting)
	w.Clock.Move(time.Minute)
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	w.Clock.Move(time.Minute)
	w.Event("a", "text", "", func(e *store.Event) { e.Withdraw = true })
	raw, r, proved := w.Receipt("a")
	want(w, "records", proved.Records, 3)
	want(w, "events", proved.Events, 7)
	var story []string
	for _, x := range r.Records {
		for _, e := range x.Events {
			story = append(story, x.Purposes[0].Purpose+" "+e.State+" "+string(e.Evidence.Control)+" "+e.StatutoryArticle)
		}
	}
	want(w, "story", strings.Join(story, "\n"), strings.Join([]string{
		"DirectMarketing ConsentRefused page PIPL 16", "DirectMarketing ConsentRefused page PIPL 16",
		"PersonalizedMarketing ConsentGiven page PIPL 13(1), 14, 24", "PersonalizedMarketing ConsentGiven page PIPL 13(1), 14, 24", "PersonalizedMarketing ConsentWithdrawn keyword PIPL 15",
		"GroupReporting ConsentGiven page PIPL 39", "GroupReporting ConsentWithdrawn page PIPL 15",
	}, "\n"))
	want(w, "the identifier is not in it", strings.Contains(string(raw), OpenID("a").Reveal()), false)
	want(w, "jurisdiction", r.Records[0].Jurisdiction, "cn-mainland")
	want(w, "notice", r.Records[0].PrivacyNotice, "brand-notice, revision 3")
}

func receiptLasts(w *World) {
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	raw, _, _ := w.Receipt("a")
	for _, n := range []string{"b", "c", "d", "e", "f", "g"} {
		w.Fan(n)
	}
	_, err := receipt.Verify(bytes.NewReader(raw), w.Verifier())
	w.ok(err)
	_, again, _ := w.Receipt("a")
	first, err := receipt.Decode(raw)
	w.ok(err)
	want(w, "the same record", again.Records[1].RecordID, first.Records[1].RecordID)
	w.Choose(w.Context(), "a", consent.Adult)
	_, _, proved := w.Receipt("a")
	want(w, "events", proved.Events, 6)
}

func receiptOfOne(w *World) {
	w.Choose(w.Context(), "a", consent.Adult, Purpose)
	w.Choose(w.Context(), "b", consent.Adult, Purpose)
	_, a, _ := w.Receipt("a")
	_, b, _ := w.Receipt("b")
	want(w, "principals differ", a.PIIPrincipalID == b.PIIPrincipalID, false)
	b.Evidence.Checkpoint, b.Evidence.Entries[0] = a.Evidence.Checkpoint, a.Evidence.Entries[0]
	raw, err := receipt.Encode(b)
	w.ok(err)
	var f *ledger.Fault
	if _, err := receipt.Verify(bytes.NewReader(raw), w.Verifier()); !errors.As(err, &f) {
		w.Errorf("an entry about somebody else is accepted: %v", err)
	}
}

func receiptOfNobody(w *World) {
	w.Event("a", "subscribe", "")
	for _, n := range []string{"a", "stranger"} {
		if _, err := w.Ledger.Receipt(w.Context(), Account, OpenID(n)); !errors.Is(err, store.ErrNoConsents) {
			w.Errorf("%s: %v", n, err)
		}
	}
}
