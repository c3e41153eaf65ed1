package notice

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func text(s string) Text { return Text{Chinese: s} }

// everything is a notice to which all columns of law.md 3.4 apply, and which lacks nothing.
func everything() Facts {
	return Facts{Guardian: true, Notice: Notice{
		Processor: "Acme (China)", Contact: "privacy@acme.example", RetentionDays: 730, StoragePlace: "Mainland China",
		Purposes: []Purpose{
			{Name: "PersonalizedMarketing", Description: text("推荐"), Categories: []string{"LeadScore"}},
			{Name: "CustomerService", Description: text("客服"), Categories: []string{"MessageContent"}, Necessity: text("必要"), Impact: text("影响")},
		},
		Recipients: []Recipient{
			{Name: "abroad", DisplayName: "Acme AG", Contact: "dpo@acme.example", Country: "CH", Purposes: []string{"GroupReporting"},
				Categories: []string{"LeadScore", "MessageContent"}, Method: text("分析"), RightsChannel: "https://acme.example"},
			{Name: "partner", DisplayName: "Partner Ltd.", Contact: "p@partner.example", Country: "CN", Purposes: []string{"CustomerService"},
				Categories: []string{"InterestTag"}, Method: text("回复"), RightsChannel: "https://partner.example"},
		},
		Rights: text("权利"), Refusal: text("拒绝"), Method: text("方式"), Safeguards: text("措施"), AutomatedDecision: text("规则"), Complaints: text("投诉"),
	}}
}

// crosses is the table of law.md 3.4, and how to take the item away. The columns are General,
// Another processor, Sensitive, Overseas, Children under 14; "a" is where it says "advised".
var crosses = map[string]struct {
	crosses string // G P S O U
	path    string
	take    func(*Notice)
}{
	"processor name":                         {"X...X", "processor.name", func(n *Notice) { n.Processor = "" }},
	"processor contact":                      {"X...X", "processor.contact", func(n *Notice) { n.Contact = " " }},
	"purpose":                                {"X.X.X", "purposes[1].description", func(n *Notice) { n.Purposes[1].Description = nil }},
	"purpose of the recipient":               {"...X.", "recipients[0].purposes", func(n *Notice) { n.Recipients[0].Purposes = nil }},
	"purpose of a recipient in China":        {".X...", "recipients[1].purposes", func(n *Notice) { n.Recipients[1].Purposes = nil }},
	"method":                                 {"X.X.X", "method", func(n *Notice) { n.Method = nil }},
	"method of the recipient":                {"...X.", "recipients[0].method", func(n *Notice) { n.Recipients[0].Method = nil }},
	"method of a recipient in China":         {".X...", "recipients[1].method", func(n *Notice) { n.Recipients[1].Method = nil }},
	"categories":                             {"X...X", "purposes[0].categories", func(n *Notice) { n.Purposes[0].Categories = nil }},
	"categories for the recipient":           {"...X.", "recipients[0].categories", func(n *Notice) { n.Recipients[0].Categories = nil }},
	"categories for a recipient in China":    {".X...", "recipients[1].categories", func(n *Notice) { n.Recipients[1].Categories = nil }},
	"retention":                              {"X..aX", "retentionDays", func(n *Notice) { n.RetentionDays = 0 }},
	"rights":                                 {"X...X", "rights", func(n *Notice) { n.Rights = text(" \n") }},
	"rights against the recipient":           {"...X.", "recipients[0].rightsChannel", func(n *Notice) { n.Recipients[0].RightsChannel = "" }},
	"recipient name":                         {"X..XX", "recipients[0].displayName", func(n *Notice) { n.Recipients[0].DisplayName = "" }},
	"recipient contact":                      {"X..XX", "recipients[0].contact", func(n *Notice) { n.Recipients[0].Contact = "" }},
	"name of a recipient in China":           {"XX..X", "recipients[1].displayName", func(n *Notice) { n.Recipients[1].DisplayName = "" }},
	"contact of a recipient in China":        {"XX..X", "recipients[1].contact", func(n *Notice) { n.Recipients[1].Contact = "" }},
	"necessity":                              {"..X..", "purposes[1].sensitive.necessity", func(n *Notice) { n.Purposes[1].Necessity = nil }},
	"impact":                                 {"..X..", "purposes[1].sensitive.impact", func(n *Notice) { n.Purposes[1].Impact = nil }},
	"necessity and impact for the recipient": {"..X..", "recipients[0].categories", func(n *Notice) { n.Recipients[0].Categories = []string{"Health"} }},
	"storage place":                          {"...aX", "storagePlace", func(n *Notice) { n.StoragePlace = "" }},
	"safeguards":                             {"...aX", "safeguards", func(n *Notice) { n.Safeguards = nil }},
	"refusal":                                {"X...X", "refusal", func(n *Notice) { n.Refusal = nil }}, // General by PIPL 16, beyond the table
	"complaints":                             {"X...X", "complaints", func(n *Notice) { n.Complaints = nil }},
	"automated decision":                     {"X....", "automatedDecision", func(n *Notice) { n.AutomatedDecision = nil }},
}

// TestEveryCrossOfTheLaw takes one item after the other away.
func TestEveryCrossOfTheLaw(t *testing.T) {
	for item, c := range crosses {
		t.Run(item, func(t *testing.T) {
			f := everything()
			c.take(&f.Notice)
			got := Missing(f)
			if len(got) != 1 || got[0].Path != c.path {
				t.Fatalf("missing = %v, want %s alone", got, c.path)
			}
			if n := len(c.crosses) - strings.Count(c.crosses, "."); len(got[0].Articles) != n {
				t.Errorf("articles %q, want one for each cross of %q", got[0].Articles, c.crosses)
			}
		})
	}
	if got := Missing(everything()); got != nil {
		t.Errorf("the whole notice lacks %v", got)
	}
}

func TestEveryRowHasItsCaseAndArticles(t *testing.T) {
	known := []string{"PIPL 16", "PIPL 17", "PIPL 17; NDSMR 21", "NDSMR 20", "NDSMR 21", "PIPL 23", "PIPL 24", "PIPL 30", "PIPL 39", "CHILD 10"}
	for _, r := range checklist {
		if len(r.articles) == 0 || r.remedy == "" || len(r.places(everything())) == 0 {
			t.Errorf("%s: no article, remedy or place", r.item)
		}
		if _, ok := crosses[r.item]; !ok {
			t.Errorf("%s: no case", r.item)
		}
		for _, a := range slices.Sorted(maps.Values(r.articles)) {
			if !slices.Contains(known, a) {
				t.Errorf("%s: article %s", r.item, a)
			}
		}
	}
}

// TestWhoseWords says where a standard text stands in, and where only the processor's own
// words will do.
func TestWhoseWords(t *testing.T) {
	bare := func() Facts { // as the sample is: no optional item
		f := everything()
		f.Purposes, f.Recipients = f.Purposes[:1], f.Recipients[:1]
		f.Recipients[0].Categories, f.Recipients[0].Method = []string{"LeadScore"}, nil
		f.Method, f.Safeguards, f.AutomatedDecision, f.Complaints = nil, nil, nil, nil
		return f
	}
	for name, c := range map[string]struct {
		change   func(*Notice)
		refused  string
		standard string
	}{
		"ordinary data": {func(*Notice) {}, "", "method recipients[0].method safeguards complaints automatedDecision"},
		"sensitive data": {func(n *Notice) {
			n.Purposes[0].Categories = []string{"Health"}
			n.Purposes[0].Necessity, n.Purposes[0].Impact = text("必要"), text("影响")
		}, "method", "recipients[0].method safeguards complaints automatedDecision"},
		"sensitive data abroad": {func(n *Notice) {
			n.Purposes[0].Categories, n.Recipients[0].Categories = []string{"Health"}, []string{"Health"}
			n.Purposes[0].Necessity, n.Purposes[0].Impact = text("必要"), text("影响")
		}, "method recipients[0].method", "safeguards complaints automatedDecision"},
		"children's data": {func(n *Notice) {
			n.Purposes[0].Categories = []string{"AnyUnder14"}
			n.Purposes[0].Necessity, n.Purposes[0].Impact = text("必要"), text("影响")
		}, "method safeguards complaints", "recipients[0].method automatedDecision"},
		"nobody is scored": {func(n *Notice) {
			n.Purposes[0].Name, n.Purposes[0].Categories, n.Recipients = "DirectMarketing", []string{"WeChatOpenID"}, nil
		}, "", "method safeguards complaints"},
		"no words at all": {func(n *Notice) { n.Rights = text("　") }, "rights", "method recipients[0].method safeguards complaints automatedDecision"},
	} {
		t.Run(name, func(t *testing.T) {
			f := bare()
			c.change(&f.Notice)
			all := Missing(f)
			var refused, standard []string
			for _, i := range Refusals(all) {
				refused = append(refused, i.Path)
			}
			for _, i := range all {
				if i.Standard {
					standard = append(standard, i.Path)
				}
			}
			if got := strings.Join(refused, " "); got != c.refused {
				t.Errorf("refused for %q, want %q", got, c.refused)
			}
			if got := strings.Join(standard, " "); got != c.standard {
				t.Errorf("standard text for %q, want %q", got, c.standard)
			}
			if c.refused == "" {
				if left := Missing(Facts{Notice: f.Complete(), Guardian: true}); left != nil {
					t.Errorf("after standard texts %v", left)
				}
			}
		})
	}
}

func TestItemsNameFieldArticleAndRemedy(t *testing.T) {
	f := everything()
	f.Recipients[0].Method = nil
	const want = "recipients[0].method is missing (PIPL 39): say how the recipient processes the data"
	if got := Missing(f)[0].String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWithoutGuardianFlowNobodyAsksForChildren(t *testing.T) {
	f := everything()
	f.Guardian, f.Safeguards, f.Recipients = false, nil, nil
	if got := Missing(f); got != nil {
		t.Errorf("missing = %v", got)
	}
}
