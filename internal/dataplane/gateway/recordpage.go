package gateway

import (
	"cmp"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// recordView is what the page of a person's record shows, in words.
type recordView struct {
	CSRF         string // empty: a copy to keep, without forms
	Facts        []factView
	Tags         []string
	Ages         []ageView
	Consents     []entryView
	Shown        []entryView
	Messages     []entryView
	Guardians    []entryView
	Passed       []entryView
	Interactions []entryView
	Requests     []entryView
	More         string // how many acts the page leaves out
}

type factView struct{ Name, Value string }

// entryView is one entry of a list: a title, and facts about it.
type entryView struct {
	Title string
	Facts []factView
}

// confirmView asks whether the person is sure.
type confirmView struct{ CSRF, Hint string }

// shownInteractions is how many acts the page shows; the copies have them all.
const shownInteractions = 20

func (p *pages) confirm(lang, csrf, hint string) page {
	out := p.page(lang)
	out.Confirm = &confirmView{CSRF: csrf, Hint: out.T[hint]}
	return out
}

func (p *pages) record(lang string, r *storev1.Record, csrf string) page {
	out := p.page(lang)
	t := p.texts[lang]
	v := &recordView{CSRF: csrf, Tags: r.GetTags(), Facts: t.about(r)}
	for _, a := range ages {
		if a.band != "" {
			v.Ages = append(v.Ages, ageView{string(a.answer), t.Text["age."+string(a.answer)], string(a.band) == r.GetAgeBand()})
		}
	}
	for _, c := range r.GetConsents() {
		v.Consents = append(v.Consents, t.consent(c))
	}
	v.Shown = t.shown(r.GetShown())
	for _, m := range r.GetMessages() {
		v.Messages = append(v.Messages, entryView{m.GetCampaign(), t.facts(
			"record.when", when(m.GetAt()), "record.purpose", named(t.Purposes, m.GetPurpose()), "record.outcome", t.word("message.", m.GetOutcome()))})
	}
	for _, x := range r.GetGuardians() {
		v.Guardians = append(v.Guardians, entryView{t.word("said.", x.GetState()), t.facts(
			"record.when", when(x.GetAt()), "record.revision", fmt.Sprint(x.GetNoticeRevision()), "guardian.relation", t.word("relation.", x.GetRelation()),
			"record.method", t.word("method.", x.GetMethod()))})
	}
	for _, x := range r.GetPassedOn() {
		v.Passed = append(v.Passed, t.passed(x))
	}
	acts := r.GetInteractions()
	if left := len(acts) - shownInteractions; left > 0 && csrf != "" {
		v.More, acts = fmt.Sprintf(t.Text["record.more"], left), acts[left:]
	}
	for _, x := range acts {
		v.Interactions = append(v.Interactions, entryView{t.word("act.", x.GetKind()), t.facts("record.when", when(x.GetAt()), "record.key", x.GetKey())})
	}
	for _, x := range r.GetRequests() {
		v.Requests = append(v.Requests, entryView{t.word("request.", x.GetKind()), t.facts("record.when", when(x.GetReceived()),
			"record.state", t.word("outcome.", cmp.Or(x.GetOutcome(), "Open")), "record.due", due(x))})
	}
	out.Record = v
	return out
}

// due is until when an open request is answered.
func due(x *storev1.RequestEntry) string {
	if x.GetDone() != nil {
		return ""
	}
	return when(x.GetDue())
}

// about are the facts that are no list.
func (t texts) about(r *storev1.Record) []factView {
	age := t.Text["age.unknown"]
	for _, a := range ages {
		if string(a.band) == r.GetAgeBand() {
			age = t.Text["age."+string(a.answer)]
		}
	}
	union := ""
	if r.GetUnionId() {
		union = t.Text["record.union.held"]
	}
	out := t.facts("record.identifier", t.Text["record.identifier.held"], "record.union", union, "record.since", when(r.GetSince()), "record.seen", when(r.GetSeen()),
		"record.age", age, "record.guardian", t.word("said.", r.GetGuardian()))
	for _, x := range r.GetRelations() {
		word := "relation.left"
		switch {
		case x.GetFollowing() && !x.GetOptedOut():
			word = "relation.following"
		case x.GetFollowing():
			word = "relation.optedOut"
		}
		out = append(out, t.facts("record.relation", x.GetAccount()+": "+t.Text[word])...)
	}
	for _, x := range r.GetLeads() {
		out = append(out, t.facts("record.stage", fmt.Sprintf("%s: %s (%.0f)", x.GetModel(), cmp.Or(x.GetStage(), t.Text["stage.none"]), x.GetPoints()))...)
	}
	for _, x := range r.GetGrants() {
		out = append(out, t.facts("record.grant", fmt.Sprintf("%s: %d", x.GetTemplateId(), x.GetRemaining()))...)
	}
	return out
}

// facts pairs names of texts with values; what has no value is left out.
func (t texts) facts(pairs ...string) []factView {
	var out []factView
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, factView{t.Text[pairs[i]], pairs[i+1]})
		}
	}
	return out
}

// word translates a word of a closed set; one that we do not know is shown as it is.
func (t texts) word(set, word string) string { return cmp.Or(t.Text[set+word], word) }

func (t texts) consent(c *storev1.ConsentEntry) entryView {
	return entryView{t.word("action.", c.GetAction()) + " · " + named(t.Purposes, c.GetPurpose()), t.facts(
		"record.when", when(c.GetAt()), "record.recipient", c.GetRecipient(), "record.revision", fmt.Sprint(c.GetNoticeRevision()),
		"record.language", c.GetLanguage(), "record.control", t.word("control.", c.GetControl()), "record.ends", when(c.GetEnds()),
		"record.notUsed", t.word("notUsed.", c.GetNotUsed()))}
}

func (t texts) shown(all []*storev1.ShownEntry) (out []entryView) {
	for _, x := range all {
		out = append(out, entryView{when(x.GetAt()), t.facts("record.revision", fmt.Sprint(x.GetNoticeRevision()),
			"record.language", x.GetLanguage(), "record.on", t.word("on.", x.GetControl()))})
	}
	return out
}

func (t texts) passed(x *storev1.PassedOn) entryView {
	fields := ""
	for _, f := range x.GetFields() {
		if fields != "" {
			fields += " · "
		}
		fields += t.word("field.", f)
	}
	return entryView{cmp.Or(x.GetDisplayName(), x.GetRecipient()), t.facts(
		"country", named(t.Countries, x.GetCountry()), "record.when", when(x.GetAt()), "record.purpose", named(t.Purposes, x.GetPurpose()),
		"record.fields", fields, "record.state", t.word("transfer.", x.GetState()),
		"record.rests", fmt.Sprintf(t.Text["record.restsOn"], when(x.GetConsentAt()), x.GetNoticeRevision()),
		"record.duty", t.duty(x))}
}

// duty tells whether the recipient knows by now what has changed.
func (t texts) duty(x *storev1.PassedOn) string {
	if x.GetDuty() == "" {
		return ""
	}
	about := t.word("duty.", x.GetDuty())
	switch {
	case x.GetAcknowledged() != nil:
		return fmt.Sprintf(t.Text["duty.acknowledged"], about, when(x.GetAcknowledged()))
	case x.GetTold() != nil:
		return fmt.Sprintf(t.Text["duty.told"], about, when(x.GetTold()))
	}
	return fmt.Sprintf(t.Text["duty.open"], about)
}

// beijing is the time of every place in the mainland.
var beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().In(beijing).Format("2006-01-02 15:04")
}
