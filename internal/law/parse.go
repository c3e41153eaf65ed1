package law

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// ErrPack says that a rule pack cannot be used.
var ErrPack = errors.New("RulePackInvalid")

// pack is the file. Its fields are those of law.Pack.
type pack struct {
	Name       string               `json:"name"`
	Title      map[string]string    `json:"title"`
	From       string               `json:"from"`
	Until      string               `json:"until"`
	Count      count                `json:"count"`
	Plain      floors               `json:"plain"`
	Sensitive  floors               `json:"sensitive"`
	Processed  int64                `json:"processed"`
	Mechanisms map[string]mechanism `json:"mechanisms"`
	Exemptions map[string]exemption `json:"exemptions"`
	Bases      map[string]basis     `json:"bases"`
	Categories map[string]category  `json:"categories"`
	Terms      terms                `json:"terms"`
	Rules      []rule               `json:"rules"`
}

type count struct {
	YearsBack int  `json:"yearsBack"`
	BothKinds bool `json:"bothKinds"`
	Exempt    bool `json:"exempt"`
}

type floors struct {
	Mechanism  int64 `json:"mechanism"`
	Assessment int64 `json:"assessment"`
}

type mechanism struct {
	Assessment       bool     `json:"assessment"`
	Years            int      `json:"years"`
	FileWithin       int      `json:"fileWithin"`
	Countries        []string `json:"countries"`
	ProcessorCities  []string `json:"processorCities"`
	RenewLeadMonths  int      `json:"renewLeadMonths"`
	RenewWorkingDays int      `json:"renewWorkingDays"`
}

type exemption struct {
	Cites      []string `json:"cites"`
	Declared   bool     `json:"declared"`
	Evidence   []string `json:"evidence"`
	Covers     []string `json:"covers"`
	Impersonal bool     `json:"impersonal"`
	Unmixed    bool     `json:"unmixed"`
	Important  bool     `json:"important"`
}

type basis struct {
	Grounds []string `json:"grounds"`
}

type category struct {
	Sensitive  bool `json:"sensitive"`
	Impersonal bool `json:"impersonal"`
}

type terms struct {
	GuardianAge            int   `json:"guardianAge"`
	GuardianAgeDefault     int   `json:"guardianAgeDefault"`
	AutomatedMarketingAge  int   `json:"automatedMarketingAge"`
	SensitiveBelowAge      int   `json:"sensitiveBelowAge"`
	AssessmentReviewMonths int   `json:"assessmentReviewMonths"`
	RecordYears            int   `json:"recordYears"`
	NetworkLogMonths       int   `json:"networkLogMonths"`
	OfficerFloor           int64 `json:"officerFloor"`
	MinorsAuditYears       int   `json:"minorsAuditYears"`
	RequestWorkingDays     int   `json:"requestWorkingDays"`
	ReaskDays              int   `json:"reaskDays"`
	ExpiryWarningDays      []int `json:"expiryWarningDays"`
	ImportantDataMonths    int   `json:"importantDataMonths"`
}

type rule struct {
	Code     string   `json:"code"`
	Scope    string   `json:"scope"`
	Effect   string   `json:"effect"`
	Cites    []string `json:"cites"`
	From     string   `json:"from"`
	Until    string   `json:"until"`
	LiftedBy string   `json:"liftedBy"`
}

// Parse reads a rule pack. A field that is not known is an error: a misspelt rule must not
// be a missing one.
func Parse(body []byte) (*law.Pack, error) {
	var f pack
	if err := yaml.UnmarshalStrict(body, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPack, err)
	}
	p := &law.Pack{
		Name: f.Name, Title: f.Title, Count: law.Count(f.Count), Plain: law.Floors(f.Plain), Sensitive: law.Floors(f.Sensitive), Processed: f.Processed,
		Mechanisms: map[string]law.Mechanism{}, Exemptions: map[string]law.Exemption{}, Bases: map[string]law.Basis{},
		Categories: map[string]law.Category{}, Rules: map[reason.Code]law.Rule{}, Terms: law.Terms(f.Terms),
	}
	for k, m := range f.Mechanisms {
		p.Mechanisms[k] = law.Mechanism(m)
	}
	for k, e := range f.Exemptions {
		p.Exemptions[k] = law.Exemption(e)
	}
	for k, b := range f.Bases {
		p.Bases[k] = law.Basis(b)
	}
	for k, c := range f.Categories {
		p.Categories[k] = law.Category(c)
	}
	var err error
	if p.From, p.Until, err = span(f.From, f.Until); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrPack, f.Name, err)
	}
	for _, r := range f.Rules {
		parsed, err := r.parse()
		if err != nil {
			return nil, fmt.Errorf("%w: %s: rule %s: %w", ErrPack, f.Name, r.Code, err)
		}
		if _, twice := p.Rules[parsed.Code]; twice {
			return nil, fmt.Errorf("%w: %s: rule %s stands twice", ErrPack, f.Name, r.Code)
		}
		p.Rules[parsed.Code] = parsed
	}
	if err := validate(p); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrPack, f.Name, err)
	}
	return p, nil
}

func (r rule) parse() (law.Rule, error) {
	out := law.Rule{Code: reason.Code(r.Code), Scope: law.Scope(r.Scope), Effect: reason.Effect(r.Effect), Cites: r.Cites, LiftedBy: law.LiftedBy(r.LiftedBy)}
	var err error
	if out.From, out.Until, err = span(r.From, r.Until); err != nil {
		return out, err
	}
	switch out.Scope {
	case law.OfTransfer, law.OfPerson, law.OfCampaign, law.OfNotice, law.OfStorage:
	default:
		return out, fmt.Errorf("`scope` %q is none", r.Scope)
	}
	switch out.LiftedBy {
	case law.Nobody, law.Authority, law.Processor, law.Person:
	default:
		return out, fmt.Errorf("`liftedBy` %q is none", r.LiftedBy)
	}
	info, known := reason.Codes()[out.Code]
	switch {
	case !known:
		return out, errors.New("the catalogue does not explain this code")
	case info.Effect != out.Effect:
		return out, fmt.Errorf("`effect` is %s in the catalogue", info.Effect)
	case len(r.Cites) == 0 || slices.Contains(r.Cites, ""):
		return out, errors.New("`cites` must name an article")
	}
	return out, nil
}

// span reads the first day and the day after the last.
func span(from, until string) (a, b time.Time, err error) {
	if a, err = time.ParseInLocation(time.DateOnly, from, law.Zone); err != nil {
		return a, b, fmt.Errorf("`from` must be a day such as 2026-01-01")
	}
	if until == "" {
		return a, b, nil
	}
	if b, err = time.ParseInLocation(time.DateOnly, until, law.Zone); err != nil || !b.After(a) {
		return a, b, fmt.Errorf("`until` must be a day after `from`")
	}
	return a, b, nil
}

// validate finds what would make a decision wrong without anybody noticing.
func validate(p *law.Pack) error {
	switch {
	case p.Name == "" || p.Title["en"] == "" || p.Title["zh-CN"] == "":
		return errors.New("`name` and `title` in en and zh-CN must be set")
	case p.Count.YearsBack < 0 || p.Count.YearsBack > 1:
		return errors.New("`count.yearsBack` must be 0 or 1")
	case !rising(p.Plain) || !rising(p.Sensitive):
		return errors.New("`plain` and `sensitive` must name a mechanism floor from 1 on and an assessment floor above it")
	case p.Sensitive.Assessment > p.Plain.Assessment:
		return errors.New("`sensitive` may not be laxer than `plain`")
	case !slices.ContainsFunc(slices.Collect(maps.Values(p.Mechanisms)), func(m law.Mechanism) bool { return m.Assessment }):
		return errors.New("one of `mechanisms` must be the assessment")
	case p.Terms.GuardianAge < 14:
		return errors.New("`terms.guardianAge` must be at least 14")
	}
	return errors.Join(complete(p), knownGrounds(p), knownCategories(p), completeTerms(p.Terms))
}

// complete tells of a question that a decision asks and the pack does not know.
func complete(p *law.Pack) error {
	for _, code := range transfer.Codes() {
		if r, ok := p.Rules[code]; !ok || r.Scope != law.OfTransfer {
			return fmt.Errorf("the rule %s of transfers is missing", code)
		}
	}
	return nil
}

func rising(f law.Floors) bool { return f.Mechanism >= 1 && f.Assessment > f.Mechanism }

func knownGrounds(p *law.Pack) error {
	for name, b := range p.Bases {
		for _, g := range b.Grounds {
			if _, ok := p.Exemptions[g]; !ok {
				return fmt.Errorf("basis %s names the exemption %s, which is not there", name, g)
			}
		}
	}
	for name, e := range p.Exemptions {
		if len(e.Cites) == 0 {
			return fmt.Errorf("exemption %s must cite an article", name)
		}
		if e.Declared != (len(e.Evidence) > 0) {
			return fmt.Errorf("exemption %s must name evidence if it is declared, and none if it is computed", name)
		}
	}
	return nil
}

func knownCategories(p *law.Pack) error {
	for name, e := range p.Exemptions {
		for _, c := range e.Covers {
			if _, ok := p.Categories[c]; !ok {
				return fmt.Errorf("exemption %s covers the category %s, which is not there", name, c)
			}
		}
	}
	for name, c := range p.Categories {
		switch {
		case c.Sensitive && c.Impersonal:
			return fmt.Errorf("category %s is sensitive and about nobody", name)
		case law.Sensitive(name) && !c.Sensitive:
			return fmt.Errorf("category %s is sensitive by its kind", name)
		}
	}
	return nil
}

func completeTerms(t law.Terms) error {
	for name, n := range map[string]int{
		"guardianAgeDefault": t.GuardianAgeDefault, "automatedMarketingAge": t.AutomatedMarketingAge, "sensitiveBelowAge": t.SensitiveBelowAge,
		"assessmentReviewMonths": t.AssessmentReviewMonths, "recordYears": t.RecordYears, "networkLogMonths": t.NetworkLogMonths,
		"officerFloor": int(t.OfficerFloor), "minorsAuditYears": t.MinorsAuditYears, "requestWorkingDays": t.RequestWorkingDays,
		"reaskDays": t.ReaskDays, "expiryWarningDays": len(t.ExpiryWarningDays), "importantDataMonths": t.ImportantDataMonths,
	} {
		if n <= 0 {
			return fmt.Errorf("`terms.%s` must be set", name)
		}
	}
	// People tell a band of ages: another line could not be drawn.
	if t.SensitiveBelowAge != 14 || t.AutomatedMarketingAge != 18 {
		return errors.New("`terms.sensitiveBelowAge` must be 14 and `terms.automatedMarketingAge` 18, where the bands of ages begin")
	}
	return nil
}
