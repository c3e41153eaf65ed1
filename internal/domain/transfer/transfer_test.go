package transfer

import (
	"slices"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// valid is the base of law.md 9.1: everything in order, 10 people so far.
func valid() Facts {
	some := int64(10)
	return Facts{
		Now: now, PolicyKnown: true, CIIO: "No",
		Request: Request{
			Recipient: "crm", Country: "DE", Purpose: "GroupReporting", LegalBasis: "Consent", Policy: "cn-mainland",
			Categories: []string{"PseudonymousID", "InterestTag"}, Fields: []string{"id", "tags"}, MaxPersons: 10,
			Necessity: "report", HasDestination: true,
		},
		Notice: Notice{Revision: 3, RetentionDays: 730, Recipients: []Recipient{{
			Name: "crm", Country: "DE", Contact: "c", RightsChannel: "r", Purposes: []string{"GroupReporting"},
			Categories: []string{"PseudonymousID", "InterestTag", "LeadScore", "Health"},
		}}},
		Assessment: Assessment{Reference: "P", CompletedAt: now.AddDate(0, -2, 0), ReviewBy: now.AddDate(0, 10, 0), Outcome: "Acceptable"},
		Year:       &Counter{}, Consenting: &some,
	}
}

func contract(kind string, persons int64) *Mechanism {
	return &Mechanism{
		Type: kind, State: "InForce", EffectiveAt: now.AddDate(0, -1, 0), FiledAt: now.AddDate(0, -1, 3),
		Recipients: []string{"crm"}, Purposes: []string{"GroupReporting"},
		Categories: []string{"PseudonymousID", "InterestTag", "LeadScore", "Health"}, MaxPersons: persons,
	}
}

func people(f *Facts, nonSensitive int64) {
	f.Year = &Counter{NonSensitive: nonSensitive - f.Request.MaxPersons}
}

func health(f *Facts, sensitive int64) {
	f.Request.Categories, f.Request.MaxPersons = []string{"Health"}, 1
	f.Request.Fields = []string{}
	f.Year = &Counter{Sensitive: sensitive - 1}
}

// TestDecide_Cases holds the cases of law.md 9.1 that the rules so far decide.
func TestDecide_Cases(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		want   []reason.Code
	}{
		"1: 99,999 people, nothing filed":             {func(f *Facts) { people(f, 99_999) }, nil},
		"2: 100,000 people, nothing filed":            {func(f *Facts) { people(f, 100_000) }, []reason.Code{reason.MechanismMissing}},
		"3: 999,999 people under a standard contract": {func(f *Facts) { people(f, 999_999); f.Mechanism = contract(StandardContract, 1_000_000) }, nil},
		"4: 1,000,000 people under the same":          {func(f *Facts) { people(f, 1_000_000); f.Mechanism = contract(StandardContract, 1_000_000) }, []reason.Code{reason.MechanismInsufficient}},
		"5: one health tag, nothing filed":            {func(f *Facts) { health(f, 1) }, []reason.Code{reason.MechanismMissing}},
		"6: 9,999 sensitive, certified":               {func(f *Facts) { health(f, 9_999); f.Mechanism = contract(Certification, 0) }, nil},
		"6: 10,000 sensitive, certified":              {func(f *Facts) { health(f, 10_000); f.Mechanism = contract(Certification, 0) }, []reason.Code{reason.MechanismInsufficient}},
		"7: a critical infrastructure operator":       {func(f *Facts) { f.CIIO = "Yes"; f.Mechanism = contract(StandardContract, 100) }, []reason.Code{reason.CIIOAssessmentRequired, reason.MechanismInsufficient}},
		"8: status of the operator unknown":           {func(f *Facts) { f.CIIO = "Unknown" }, []reason.Code{reason.CIIOStatusUnknown}},
		"8: status of the operator empty":             {func(f *Facts) { f.CIIO = "" }, []reason.Code{reason.CIIOStatusUnknown}},
		"9: GBA contract, recipient in Germany":       {func(f *Facts) { people(f, 150_000); f.Mechanism = contract(GBAStandardContract, 0) }, []reason.Code{reason.OnwardTransferOutsideGBA}},
		"22: a hold, everything else wrong too":       {func(f *Facts) { f.CIIO = ""; f.Holds = []Hold{{From: now, Recipients: []string{"crm"}}} }, []reason.Code{reason.PublicSecurityHold}},
		"a hold on somebody else":                     {func(f *Facts) { f.Holds = []Hold{{From: now, Recipients: []string{"other"}}} }, nil},
		"a hold that begins tomorrow":                 {func(f *Facts) { f.Holds = []Hold{{From: now.AddDate(0, 0, 1)}} }, nil},
		"a hold that ended":                           {func(f *Facts) { f.Holds = []Hold{{From: now.AddDate(0, -1, 0), Until: now}} }, nil},
		"23: a category outside the assessment": {func(f *Facts) {
			f.Mechanism = contract(SecurityAssessment, 0)
			f.Mechanism.Categories = []string{"InterestTag"}
		}, []reason.Code{reason.MechanismScopeExceeded}},
		"23: expired the very day":                      {func(f *Facts) { f.Mechanism = contract(SecurityAssessment, 0); f.Mechanism.ExpiresAt = now }, []reason.Code{reason.MechanismExpired}},
		"mechanism not yet effective":                   {func(f *Facts) { f.Mechanism = contract(Certification, 0); f.Mechanism.EffectiveAt = now.Add(time.Hour) }, []reason.Code{reason.MechanismNotInForce}},
		"mechanism in draft":                            {func(f *Facts) { f.Mechanism = contract(Certification, 0); f.Mechanism.State = "Draft" }, []reason.Code{reason.MechanismNotInForce}},
		"mechanism suspended":                           {func(f *Facts) { f.Mechanism = contract(Certification, 0); f.Mechanism.State = "Suspended" }, []reason.Code{reason.MechanismSuspended}},
		"contract never filed":                          {func(f *Facts) { f.Mechanism = contract(StandardContract, 0); f.Mechanism.FiledAt = time.Time{} }, []reason.Code{reason.StandardContractNotFiled}},
		"contract scope counts the whole year":          {func(f *Facts) { people(f, 101); f.Mechanism = contract(StandardContract, 100) }, []reason.Code{reason.MechanismScopeExceeded}},
		"no notice":                                     {func(f *Facts) { f.Notice = Notice{} }, []reason.Code{reason.NoticeNotPublished}},
		"notice lists the recipient in another country": {func(f *Facts) { f.Request.Country = "US" }, []reason.Code{reason.RecipientUnidentified}},
		"notice has no rights channel":                  {func(f *Facts) { f.Notice.Recipients[0].RightsChannel = "" }, []reason.Code{reason.NoticeIncomplete}},
		"no retention":                                  {func(f *Facts) { f.Notice.RetentionDays = 0 }, []reason.Code{reason.RecordRetentionNotSet}},
		"a field of no declared category":               {func(f *Facts) { f.Request.Fields = []string{"id", "lead.score"} }, []reason.Code{reason.ExcessiveCategories}},
		"an unknown field":                              {func(f *Facts) { f.Request.Fields = []string{"openid"} }, []reason.Code{reason.ExcessiveCategories}},
		"a category that was not told":                  {func(f *Facts) { f.Request.Categories = append(f.Request.Categories, "PurchaseHistory") }, []reason.Code{reason.ExcessiveCategories}},
		"no necessity":                                  {func(f *Facts) { f.Request.Necessity = "" }, []reason.Code{reason.NecessityNotShown}},
		"no destination":                                {func(f *Facts) { f.Request.HasDestination = false }, []reason.Code{reason.DestinationUnknown}},
		"no assessment":                                 {func(f *Facts) { f.Assessment = Assessment{} }, []reason.Code{reason.PIAMissing}},
		"assessment from the future":                    {func(f *Facts) { f.Assessment.CompletedAt = now.Add(time.Hour) }, []reason.Code{reason.PIAMissing}},
		"assessment overdue":                            {func(f *Facts) { f.Assessment.ReviewBy = now }, []reason.Code{reason.PIAExpired}},
		"assessment says no":                            {func(f *Facts) { f.Assessment.Outcome = "Unacceptable" }, []reason.Code{reason.ConflictsWithSubjectInterests, reason.PIANegative}},
		"assessment says nothing":                       {func(f *Facts) { f.Assessment.Outcome = "" }, []reason.Code{reason.PIAMissing}},
		"the counter cannot be read":                    {func(f *Facts) { f.Year = nil }, []reason.Code{reason.CounterUnavailable}},
		"nobody agreed":                                 {func(f *Facts) { f.Consenting = new(int64) }, []reason.Code{reason.ConsentMissing}},
		"no policy":                                     {func(f *Facts) { f.PolicyKnown = false }, []reason.Code{reason.PolicyMissing}},
		"another legal basis":                           {func(f *Facts) { f.Request.LegalBasis = "Contract" }, []reason.Code{reason.LegalBasisUnsupported}},
		"the whole sample leads-to-zurich on day one":   {func(f *Facts) { f.Assessment = Assessment{}; f.Consenting = new(int64) }, []reason.Code{reason.PIAMissing, reason.ConsentMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			f := valid()
			c.change(&f)
			d := Decide(f)
			var got []reason.Code
			for _, r := range d.Refusals {
				got = append(got, r.Code)
				if reason.Lookup(r.Code).Says == "the reason is not in the catalogue" {
					t.Errorf("%s is not in the catalogue", r.Code)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("Decide = %v, want %v", got, c.want)
			}
		})
	}
}

// TestDecide_EmptyFactsAreRefused: knowing nothing is never enough.
func TestDecide_EmptyFactsAreRefused(t *testing.T) {
	if Decide(Facts{Now: now}).Allowed() {
		t.Error("a decision without facts was allowed")
	}
}

// TestDecide_EveryRuleCanObject pairs each rule with a case in which it alone speaks.
func TestDecide_EveryRuleCanObject(t *testing.T) {
	for _, r := range rules {
		objected := false
		for _, f := range []Facts{{Now: now}, func() Facts { f := valid(); f.Consenting = new(int64); return f }(), func() Facts { f := valid(); people(&f, 100_000); return f }(), func() Facts { f := valid(); f.Request.Fields = []string{"x"}; return f }()} {
			objected = objected || len(r.ask(f, Decide(f))) > 0
		}
		if !objected {
			t.Errorf("rule %s never objects", r.name)
		}
	}
}
