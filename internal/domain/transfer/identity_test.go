package transfer_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

func TestDecision_OfNamesWhatItWasMadeOf(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*transfer.Facts){
		"as it is":       func(*transfer.Facts) {},
		"a moment later": func(f *transfer.Facts) { f.Now = f.Now.Add(time.Millisecond) },
		"one person more": func(f *transfer.Facts) {
			f.People = &transfer.People{Included: 8, Excluded: map[reason.Code]int64{reason.ConsentMissing: 2}}
		},
		"another recipient":       func(f *transfer.Facts) { f.Request.Recipient = "other" },
		"another order":           func(f *transfer.Facts) { f.Holds = []transfer.Hold{{Reference: "H-1"}} },
		"the year moved":          func(f *transfer.Facts) { f.Year = &transfer.Counter{NonSensitive: 1} },
		"nobody says who decides": func(f *transfer.Facts) { f.Policy.Name = "" },
		"no rules are known":      func(f *transfer.Facts) { f.Pack = nil },
	} {
		f := inOrder(t)
		change(&f)
		d := transfer.Decide(f)
		of := d.Of(f)
		if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(of.ID) || of != d.Of(f) {
			t.Errorf("%s: %+v, then %+v", name, of, d.Of(f))
		}
		if (f.Pack == nil) != (of.Rules == "") || of.Tier != d.Mechanism {
			t.Errorf("%s: %+v", name, of)
		}
		if other, twice := seen[of.ID]; twice {
			t.Errorf("%s has the name of %s", name, other)
		}
		seen[of.ID] = name
	}
}
