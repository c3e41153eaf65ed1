package notice

import (
	"slices"
	"testing"
)

func TestHash_ChangesWithEveryWord(t *testing.T) {
	seen := map[string]string{everything().Hash(): "nothing"}
	for what, change := range map[string]func(*Notice){
		"processor":              func(n *Notice) { n.Processor += "x" },
		"contact":                func(n *Notice) { n.Contact += "x" },
		"a purpose":              func(n *Notice) { n.Purposes[0].Name = "DirectMarketing" },
		"a purpose less":         func(n *Notice) { n.Purposes = n.Purposes[1:] },
		"description":            func(n *Notice) { n.Purposes[0].Description = text("x") },
		"English description":    func(n *Notice) { n.Purposes[0].Description = Text{Chinese: "推荐", English: "x"} },
		"category":               func(n *Notice) { n.Purposes[0].Categories = []string{"LeadScore", "Nickname"} },
		"necessity":              func(n *Notice) { n.Purposes[1].Necessity = text("x") },
		"impact":                 func(n *Notice) { n.Purposes[1].Impact = text("x") },
		"necessity for impact":   func(n *Notice) { p := &n.Purposes[1]; p.Necessity, p.Impact = p.Impact, p.Necessity },
		"recipient":              func(n *Notice) { n.Recipients[0].Name = "x" },
		"recipient's company":    func(n *Notice) { n.Recipients[0].DisplayName = "x" },
		"recipient's contact":    func(n *Notice) { n.Recipients[0].Contact = "x" },
		"recipient's country":    func(n *Notice) { n.Recipients[0].Country = "HK" },
		"recipient's purposes":   func(n *Notice) { n.Recipients[0].Purposes = []string{"DirectMarketing"} },
		"recipient's categories": func(n *Notice) { n.Recipients[0].Categories = []string{"InterestTag"} },
		"recipient's method":     func(n *Notice) { n.Recipients[0].Method = text("x") },
		"recipient's channel":    func(n *Notice) { n.Recipients[0].RightsChannel += "x" },
		"retention":              func(n *Notice) { n.RetentionDays = 731 },
		"storage":                func(n *Notice) { n.StoragePlace += "x" },
		"storage by language":    func(n *Notice) { n.StoragePlaceText = text("x") },
		"rights":                 func(n *Notice) { n.Rights = text("x") },
		"refusal":                func(n *Notice) { n.Refusal = text("x") },
		"method":                 func(n *Notice) { n.Method = text("x") },
		"safeguards":             func(n *Notice) { n.Safeguards = text("x") },
		"automated decision":     func(n *Notice) { n.AutomatedDecision = text("x") },
		"complaints":             func(n *Notice) { n.Complaints = text("x") },
		"rights for refusal":     func(n *Notice) { n.Rights, n.Refusal = n.Refusal, n.Rights },
		"a word that moved":      func(n *Notice) { n.Processor, n.Contact = n.Processor+n.Contact[:1], n.Contact[1:] },
		"a category that moved": func(n *Notice) {
			n.Purposes[0].Categories, n.Purposes[1].Categories = nil, []string{"LeadScore", "MessageContent"}
		},
		"recipients' words joined": func(n *Notice) { n.Recipients[0].Purposes = []string{"Group", "Reporting"} },
	} {
		f := everything()
		change(&f.Notice)
		h := f.Hash()
		if other, twice := seen[h]; twice {
			t.Errorf("%s has the hash of %s", what, other)
		}
		seen[h] = what
	}
}

func TestHash_DoesNotDependOnOrder(t *testing.T) {
	a, b := everything(), everything()
	slices.Reverse(b.Purposes)
	slices.Reverse(b.Recipients)
	slices.Reverse(b.Recipients[1].Categories)
	if a.Hash() != b.Hash() {
		t.Error("another order is another hash")
	}
}

// TestHash_Golden: a published text keeps its hash in every later version; if this fails,
// every store would refuse the notice that it has.
func TestHash_Golden(t *testing.T) {
	f := everything()
	f.Recipients[0].Method, f.Method, f.Safeguards, f.AutomatedDecision, f.Complaints = nil, nil, nil, nil, nil
	const own, complete = "7a01ed41aac1dab7ae2fa4eb99279b7bbe9456c2b9ffacf4429548e177c95f38", "599760cbf65369807f2339d4d841c2af9c34aa87ac39700cb33395eabd7ab2a7"
	if got := f.Hash(); got != own {
		t.Errorf("own words: %s", got)
	}
	if got := f.Complete().Hash(); got != complete {
		t.Errorf("with standard texts: %s", got)
	}
}

func TestComplete_LeavesTheGivenNoticeAlone(t *testing.T) {
	f := everything()
	f.Recipients[0].Method = nil
	_ = f.Complete()
	if f.Recipients[0].Method != nil {
		t.Error("the notice that was given has changed")
	}
}

func TestFollows(t *testing.T) {
	last := Version{Revision: 3, Hash: "a"}
	for name, c := range map[string]struct {
		next, last Version
		want       bool
	}{
		"the first revision of all":              {Version{1, "a"}, Version{}, true},
		"a newer revision":                       {Version{4, "b"}, last, true},
		"the same text again":                    {Version{3, "a"}, last, true},
		"another text under the same number":     {Version{3, "b"}, last, false},
		"an older revision":                      {Version{2, "b"}, last, false},
		"an older revision with the newer text":  {Version{2, "a"}, last, false},
		"a number from before there were hashes": {Version{3, "b"}, Version{Revision: 3}, true},
		"a text whose hash is not told":          {Version{Revision: 3}, last, false},
	} {
		if got := c.next.Follows(c.last); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
