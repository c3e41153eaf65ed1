package law

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Tables renders a pack for people, as Markdown.
func Tables(p *law.Pack) string {
	var b strings.Builder
	until := "no end is known"
	if !p.Until.IsZero() {
		until = "until the end of " + p.Until.In(law.Zone).AddDate(0, 0, -1).Format(time.DateOnly)
	}
	fmt.Fprintf(&b, "# %s\n\nRule pack `%s`, %s. In force from %s; %s.\nGenerated from `internal/law/packs/%s.yaml`: change it there.\n",
		p.Title["en"], p.Name, p.Title["zh-CN"], p.From.Format(time.DateOnly), until, p.Name)
	constants(&b, p)
	mechanisms(&b, p)
	exemptions(&b, p)
	categories(&b, p)
	for _, s := range []struct {
		scope law.Scope
		title string
	}{
		{law.OfTransfer, "Rules of transfers"}, {law.OfPerson, "Rules about each person"}, {law.OfCampaign, "Rules of campaigns"},
		{law.OfNotice, "Rules of notices"}, {law.OfStorage, "Rules of storage"},
	} {
		rules(&b, p, s.scope, s.title)
	}
	return b.String()
}

func table(b *strings.Builder, title string, head []string, rows [][]string) {
	fmt.Fprintf(b, "\n## %s\n\n| %s |\n|%s\n", title, strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
}

func constants(b *strings.Builder, p *law.Pack) {
	window := "the current calendar year"
	if p.Count.YearsBack == 1 {
		window = "the previous and the current calendar year"
	}
	rows := [][]string{
		{"people are counted over", window + ", Asia/Shanghai"},
		{"people without sensitive data: a mechanism from", number(p.Plain.Mechanism)},
		{"people without sensitive data: a security assessment from", number(p.Plain.Assessment)},
		{"people with sensitive data: a mechanism from", number(p.Sensitive.Mechanism)},
		{"people with sensitive data: a security assessment from", number(p.Sensitive.Assessment)},
		{"somebody with both kinds counts", map[bool]string{true: "in both", false: "as sensitive"}[p.Count.BothKinds]},
	}
	if p.Processed > 0 {
		rows = append(rows, []string{"people processed at all: a security assessment from", number(p.Processed)})
	}
	t := p.Terms
	for _, x := range []struct {
		says  string
		value any
	}{
		{"a guardian must agree below the age of", t.GuardianAge},
		{"the same, where a policy does not say otherwise", t.GuardianAgeDefault},
		{"no automated marketing below the age of", t.AutomatedMarketingAge},
		{"everything is sensitive below the age of", t.SensitiveBelowAge},
		{"months until an impact assessment is reviewed", t.AssessmentReviewMonths},
		{"years that records are kept", t.RecordYears},
		{"months that network logs are kept", t.NetworkLogMonths},
		{"a protection officer from so many people processed", number(t.OfficerFloor)},
		{"years between audits about minors", t.MinorsAuditYears},
		{"working days to answer a person's request", t.RequestWorkingDays},
		{"days before somebody who refused is asked again", t.ReaskDays},
		{"days before a mechanism's end at which to warn", strings.Trim(fmt.Sprint(t.ExpiryWarningDays), "[]")},
		{"months to declare an assessment after data became important", t.ImportantDataMonths},
	} {
		rows = append(rows, []string{x.says, fmt.Sprint(x.value)})
	}
	table(b, "Numbers", []string{"What", "Value"}, rows)
}

func mechanisms(b *strings.Builder, p *law.Pack) {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(p.Mechanisms)) {
		m := p.Mechanisms[name]
		good, valid, file, where := "contract", "as long as its parties say", "-", "anywhere"
		if m.Assessment {
			good = "contract, assessment"
		}
		if m.Years > 0 {
			valid = fmt.Sprintf("%d years", m.Years)
		}
		if m.FileWithin > 0 {
			file = fmt.Sprintf("%d working days", m.FileWithin)
		}
		if len(m.Countries) > 0 {
			where = strings.Join(m.Countries, ", ") + "; processor in " + strings.Join(m.ProcessorCities, ", ")
		}
		rows = append(rows, []string{"`" + name + "`", good, valid, file, where})
	}
	table(b, "Mechanisms", []string{"Mechanism", "Good for", "Valid", "To be filed within", "Recipients in"}, rows)
}

func exemptions(b *strings.Builder, p *law.Pack) {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(p.Exemptions)) {
		e := p.Exemptions[name]
		how, covers := "computed", "everything"
		if e.Declared {
			how = strings.Join(e.Evidence, ", ")
		}
		if len(e.Covers) > 0 {
			covers = strings.Join(e.Covers, ", ")
		}
		if e.Impersonal {
			covers = "what is about nobody"
		}
		if e.Unmixed {
			covers += ", with nothing collected in the mainland mixed in"
		}
		rows = append(rows, []string{"`" + name + "`", how, covers, strings.Join(e.Cites, "; ")})
	}
	table(b, "Grounds on which no mechanism is needed", []string{"Ground", "Evidence", "Covers", "Article"}, rows)
}

func categories(b *strings.Builder, p *law.Pack) {
	kinds := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Categories)) {
		kind := "personal"
		switch c := p.Categories[name]; {
		case c.Sensitive:
			kind = "sensitive"
		case c.Impersonal:
			kind = "about nobody"
		}
		kinds[kind] = append(kinds[kind], "`"+name+"`")
	}
	var rows [][]string
	for _, kind := range []string{"personal", "sensitive", "about nobody"} {
		rows = append(rows, []string{kind, strings.Join(kinds[kind], ", ")})
	}
	table(b, "Kinds of data", []string{"Kind", "Categories"}, rows)
}

func rules(b *strings.Builder, p *law.Pack, scope law.Scope, title string) {
	list := slices.SortedFunc(maps.Values(p.Rules), func(x, y law.Rule) int { return cmp.Compare(x.Code, y.Code) })
	var rows [][]string
	for _, r := range list {
		if r.Scope != scope {
			continue
		}
		info, since := reason.Lookup(r.Code), r.From.Format(time.DateOnly)
		if !r.Until.IsZero() {
			since += " until " + r.Until.Format(time.DateOnly)
		}
		rows = append(rows, []string{"`" + string(r.Code) + "`", string(r.Effect), info.Says, info.Remedy, string(r.LiftedBy), strings.Join(r.Cites, "; "), since})
	}
	table(b, title, []string{"Code", "Effect", "What is wrong", "What would pass", "Lifted by", "Articles", "Since"}, rows)
}

// number writes 1000000 as 1,000,000.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
