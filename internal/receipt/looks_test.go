package receipt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
)

// TestBuild_AnAnswerNeedsWhatWasShownBeforeIt: a receipt tells of the looks that its events
// answer, each before its answer, and of no others.
func TestBuild_AnAnswerNeedsWhatWasShownBeforeIt(t *testing.T) {
	text := `{"notice":"n","revision":3}`
	hash, other := receipt.Hash([]byte(text)), receipt.Hash([]byte("other"))
	look := func(seq uint64, n int, hash string) receipt.Proven {
		body := fmt.Sprintf(`{"look":%d,"shown":%q,"revision":3,"language":"en","control":"page","opened":true}`, n, hash)
		return receipt.Proven{Entry: ledger.Entry{Seq: seq, Kind: receipt.KindShown, Body: json.RawMessage(body)}}
	}
	answer := func(seq uint64, n int) receipt.Proven {
		body := fmt.Sprintf(`{"purpose":"DirectMarketing","action":"Given","control":"page","look":%d,"shown":%q}`, n, hash)
		return receipt.Proven{Entry: ledger.Entry{Seq: seq, Kind: receipt.Kind, Body: json.RawMessage(body)}}
	}
	guardian := func(seq uint64, n int, state string) receipt.Proven {
		body := fmt.Sprintf(`{"state":%q,"revision":3,"relation":"Parent","look":%d}`, state, n)
		if n > 0 {
			body = fmt.Sprintf(`{"state":%q,"revision":3,"relation":"Parent","look":%d,"shown":%q}`, state, n, hash)
		}
		return receipt.Proven{Entry: ledger.Entry{Seq: seq, Kind: receipt.KindGuardian, Body: json.RawMessage(body)}}
	}
	for name, c := range map[string]struct {
		entries []receipt.Proven
		ok      bool
	}{
		"a look and its answer":                 {[]receipt.Proven{look(1, 1, hash), answer(2, 1)}, true},
		"an answer from before looks were kept": {[]receipt.Proven{answer(2, 0)}, true},
		"an answer to a look that is not there": {[]receipt.Proven{answer(2, 1)}, false},
		"an answer to another look":             {[]receipt.Proven{look(1, 1, hash), answer(2, 2)}, false},
		"a look after its answer":               {[]receipt.Proven{answer(1, 1), look(2, 1, hash)}, false},
		"a look at another text":                {[]receipt.Proven{look(1, 1, other), answer(2, 1)}, false},
		"a look that nothing answers":           {[]receipt.Proven{look(1, 1, hash), answer(2, 1), look(3, 2, hash)}, false},
		"a guardian's answer to a look":         {[]receipt.Proven{look(1, 1, hash), answer(2, 1), guardian(3, 0, "Pending"), look(4, 2, hash), guardian(5, 2, "Verified")}, true},
		"a guardian's answer to no look":        {[]receipt.Proven{look(1, 1, hash), answer(2, 1), guardian(3, 2, "Verified")}, false},
		"a guardian who says nothing":           {[]receipt.Proven{look(1, 1, hash), answer(2, 1), guardian(3, 0, "")}, false},
		"a guardian's word without a consent":   {[]receipt.Proven{look(1, 1, hash), guardian(3, 1, "Verified")}, false},
		"looks alone":                           {[]receipt.Proven{look(1, 1, hash)}, false},
	} {
		r, err := receipt.Build([]byte{1}, receipt.Evidence{Entries: c.entries, Shown: []json.RawMessage{json.RawMessage(text)}})
		var fault *ledger.Fault
		if (err == nil) != c.ok || (err != nil && !errors.As(err, &fault)) {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && len(r.Records) != 1 {
			t.Errorf("%s: %d records", name, len(r.Records))
		}
	}
}
