package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// aggregates is the contract of the way out for counts.
var aggregates = []contractCase{
	{"leads are counted by stage, while their consent stands", countsLeads},
	{"followers are counted by tag, and a tag of few is not named", countsTags},
	{"answers are counted by purpose, and an erased person's no more", countsAnswers},
	{"the newest run of a campaign is counted by outcome", countsOutcomes},
	{"a campaign's total is told by other tables, too, and so the sent hide beside the few", countsSamePeople},
	{"a release told again tells the same, whatever happened meanwhile", toldAgain},
	{"within a day everybody is told the same", toldOnceADay},
	{"a number moves when twenty people have moved it", movesByTwenty},
	{"counts are decided on by the store's own view", countsDecided},
	{"a hold between two calls stops a transfer of counts", countsHeld},
	{"a transfer of counts gives no row, and one of records no count", twoWays},
	{"what is told is finished once, with its manifest", countsFinished},
}

// Counts is a request for tables, which needs no papers.
func (w *World) Counts(id string, names ...aggregate.Name) store.TransferSpec {
	s := store.TransferSpec{ID: id, Name: "counts", LeadModel: "brand-leads", Request: transfer.Request{
		Recipient: Recipient, Country: "CH", Purpose: Reporting, Categories: []string{"AnonymousAggregate"}, Necessity: "report", HasDestination: true,
	}}
	for _, n := range names {
		s.Aggregates = append(s.Aggregates, string(n))
	}
	return s
}

// Tell declares and releases, and writes the one table down: keys and people, hidden ones as
// a dash.
func (w *World) Tell(id string, name aggregate.Name) string {
	w.Helper()
	_, err := w.Ledger.DeclareTransfer(w.Context(), w.Counts(id, name))
	w.ok(err)
	return w.told(id)
}

func (w *World) told(id string) string {
	w.Helper()
	r, err := w.Ledger.ReleaseAggregates(w.Context(), id)
	w.ok(err)
	if len(r.Refusals) > 0 || len(r.Tables) != 1 {
		w.Fatalf("refused by %v, %d tables", r.Refusals, len(r.Tables))
	}
	return cells(r.Tables[0])
}

func cells(t store.ReleasedTable) string {
	var out []string
	for _, c := range t.Cells {
		value := "-"
		if c.People > 0 {
			value = fmt.Sprint(c.People)
		}
		out = append(out, strings.Join(append([]string{}, c.Keys...), "/")+"="+value)
	}
	return strings.Join(out, " ")
}

// crowd makes n people by a name of their own, who did so much.
func (w *World) crowd(name string, n int, does func(string)) {
	w.Helper()
	for i := range n {
		does(fmt.Sprintf("%s%d", name, i))
	}
}

// lead is an adult with points of so many kinds of events.
func (w *World) lead(granted string, keys ...string) func(string) {
	return func(name string) {
		w.Event(name, "subscribe", "")
		for _, k := range keys {
			w.Event(name, "SCAN", k)
		}
		w.Choose(w.Context(), name, consent.Adult, granted)
	}
}

func countsLeads(w *World) {
	w.crowd("lead", 21, w.lead(Purpose))
	w.crowd("engaged", 24, w.lead("DirectMarketing", "booth-2026"))
	w.crowd("qualified", 50, w.lead(Purpose, "booth-2026", "booth-2026"))
	w.crowd("refuser", 5, w.lead("", "booth-2026"))
	w.crowd("minor", 5, func(name string) {
		w.lead(Purpose, "booth-2026")(name)
		w.Choose(w.Context(), name, consent.From14, Purpose)
	})
	w.crowd("leaver", 5, func(name string) {
		w.lead(Purpose, "booth-2026")(name)
		w.Event(name, "unsubscribe", "")
	})
	w.crowd("group", 5, w.lead(Reporting, "booth-2026")) // agreed to something else
	want(w, "told", w.Tell("t", aggregate.LeadsByStage), "=100 (none)=- Engaged=20 Lead=- Qualified=50")
	w.Clock.Move(30 * 24 * time.Hour) // half of the points
	w.Push(nil)
	want(w, "told a month later", w.Tell("u", aggregate.LeadsByStage), "=100 (none)=- Engaged=50 Lead=- Qualified=-")
	w.Clock.Move(24 * time.Hour)
	other := func(v *store.View) {
		v.Notice.Revision, v.Notice.Purposes = 4, append(v.Notice.Purposes, store.Purpose{Name: "CustomerService"})
		v.Notice.Hash = v.Notice.Text().Hash()
	}
	w.Push(other)
	w.crowd("engaged", 24, func(name string) {
		_, err := w.Ledger.RecordChoices(w.Context(), store.Choices{
			Account: Account, Who: OpenID(name), Revision: 4, Age: consent.Adult, Items: []store.Choice{{Purpose: "CustomerService", Granted: true}},
		})
		w.ok(err)
	})
	want(w, "told under another notice", w.Tell("v", aggregate.LeadsByStage), "=- (none)=- Engaged=- Lead=- Qualified=-")
	w.Clock.Move(24 * time.Hour)
	w.Push(func(v *store.View) { other(v); v.LeadModels = nil })
	want(w, "told without a model", w.Tell("w", aggregate.LeadsByStage), "")
}

func countsTags(w *World) {
	tag := func(tag string) func(string) {
		return func(name string) {
			w.Event(name, "subscribe", "")
			w.Event(name, "CLICK", "tag:"+tag)
		}
	}
	w.crowd("a", 22, tag("tea"))
	w.crowd("a", 19, tag("jade"))
	w.crowd("left", 5, func(name string) {
		tag("tea")(name)
		w.Event(name, "unsubscribe", "", func(e *store.Event) { e.At = e.At.Add(time.Second) })
	})
	want(w, "told", w.Tell("t", aggregate.FollowersByTag), "tea=20")
	want(w, "suppressed", w.transfer("t").Released[0].Suppressed, 1)
}

func countsAnswers(w *World) {
	w.crowd("yes", 40, w.lead(Purpose))
	w.crowd("direct", 30, w.lead("DirectMarketing"))
	w.crowd("no", 21, w.lead(""))
	w.crowd("erased", 4, func(name string) {
		w.lead(Purpose)(name)
		_, err := w.Ledger.Erase(w.Context(), Account, OpenID(name), consent.Page)
		w.ok(err)
	})
	want(w, "told", w.Tell("t", aggregate.ConsentsByPurpose), strings.Join([]string{
		"DirectMarketing=90", "DirectMarketing/Given=-", "DirectMarketing/Refused=60", "DirectMarketing/Withdrawn=-",
		"GroupReporting/acme-group-crm=90", "GroupReporting/acme-group-crm/Given=-", "GroupReporting/acme-group-crm/Refused=-", "GroupReporting/acme-group-crm/Withdrawn=-",
		"PersonalizedMarketing=90", "PersonalizedMarketing/Given=-", "PersonalizedMarketing/Refused=-", "PersonalizedMarketing/Withdrawn=-",
	}, " "))
}

func countsOutcomes(w *World) {
	w.crowd("fan", 45, w.Fan)
	w.Plan("old")
	w.Plan("run")
	w.Report("run", store.Sent, w.Lease("run", 45).Permits...)
	for i := range 4 { // a delivery outlives its person
		_, err := w.Ledger.Erase(w.Context(), Account, OpenID(fmt.Sprint("fan", i)), consent.Page)
		w.ok(err)
	}
	want(w, "told", w.Tell("t", aggregate.SendsByOutcome), "spring-tea=40 spring-tea/Failed=- spring-tea/Refused=- spring-tea/Sent=- spring-tea/Unknown=-")
}

// countsSamePeople: everybody who agreed is a lead, and the campaign was sent to all of them.
func countsSamePeople(w *World) {
	w.crowd("fan", 42, w.Fan)
	w.Plan("run")
	permits := w.Lease("run", 42).Permits
	w.Report("run", store.Sent, permits[:39]...)
	w.Report("run", store.Failed, permits[39:]...)
	_, err := w.Ledger.DeclareTransfer(w.Context(), w.Counts("t", aggregate.LeadsByStage, aggregate.ConsentsByPurpose, aggregate.SendsByOutcome))
	w.ok(err)
	r, err := w.Ledger.ReleaseAggregates(w.Context(), "t")
	w.ok(err)
	want(w, "leads", cells(r.Tables[0]), "=40 (none)=- Engaged=- Lead=- Qualified=-")
	want(w, "answers", strings.Contains(cells(r.Tables[1]), " PersonalizedMarketing=40 "), true)
	want(w, "sends", cells(r.Tables[2]), "spring-tea=40 spring-tea/Failed=- spring-tea/Refused=- spring-tea/Sent=- spring-tea/Unknown=-")
}

func toldAgain(w *World) {
	w.crowd("lead", 21, w.lead(Purpose))
	want(w, "told", w.Tell("t", aggregate.LeadsByStage), "=20 (none)=- Engaged=- Lead=- Qualified=-")
	w.crowd("engaged", 60, w.lead(Purpose, "booth-2026"))
	w.Clock.Move(48 * time.Hour)
	w.Push(nil)
	want(w, "told again", w.told("t"), "=20 (none)=- Engaged=- Lead=- Qualified=-")
	want(w, "told to another", w.Tell("u", aggregate.LeadsByStage), "=80 (none)=- Engaged=60 Lead=- Qualified=-")
}

func toldOnceADay(w *World) {
	w.crowd("a", 25, w.Fan)
	want(w, "told", w.Tell("t", aggregate.FollowersByTag), "tea=30")
	first := w.transfer("t").Released[0].CountedAt
	w.crowd("b", 30, w.Fan)
	w.Clock.Move(24*time.Hour - time.Minute)
	w.Push(nil)
	want(w, "told within the day", w.Tell("u", aggregate.FollowersByTag), "tea=30")
	want(w, "counted", w.transfer("u").Released[0].CountedAt, first)
	w.Clock.Move(time.Minute)
	want(w, "told after a day", w.Tell("v", aggregate.FollowersByTag), "tea=60")
}

func movesByTwenty(w *World) {
	w.crowd("a", 25, w.Fan)
	want(w, "told", w.Tell("t", aggregate.FollowersByTag), "tea=30")
	for i, x := range []struct {
		more int
		want string
	}{{10, "tea=30"}, {9, "tea=30"}, {1, "tea=50"}} { // 35, 44, 45
		w.crowd(fmt.Sprint("more", i, "-"), x.more, w.Fan)
		w.Clock.Move(25 * time.Hour)
		w.Push(nil)
		want(w, fmt.Sprint("told on day ", i), w.Tell(fmt.Sprint("u", i), aggregate.FollowersByTag), x.want)
	}
}

func countsDecided(w *World) {
	s := w.Counts("t", aggregate.FollowersByTag)
	s.Necessity = ""
	_, err := w.Ledger.DeclareTransfer(w.Context(), s)
	w.ok(err)
	r, err := w.Ledger.ReleaseAggregates(w.Context(), "t")
	w.ok(err)
	if len(r.Refusals) != 1 || r.Refusals[0].Code != reason.NecessityNotShown || len(r.Tables) != 0 {
		w.Errorf("released %+v", r)
	}
	want(w, "state", w.transfer("t").State, store.TransferRefused)
	_, err = w.Ledger.DeclareTransfer(w.Context(), w.Counts("stale", aggregate.FollowersByTag))
	w.ok(err)
	w.Clock.Move(time.Hour)
	if _, err := w.Ledger.ReleaseAggregates(w.Context(), "stale"); !errors.Is(err, store.ErrPolicyStale) {
		w.Errorf("ReleaseAggregates: %v", err)
	}
	for name, change := range map[string]func(*store.TransferSpec){
		"an unknown table":   func(s *store.TransferSpec) { s.Aggregates = []string{"Everybody"} },
		"the same one twice": func(s *store.TransferSpec) { s.Aggregates = append(s.Aggregates, s.Aggregates[0]) },
	} {
		s := w.Counts("x", aggregate.FollowersByTag)
		change(&s)
		if _, err := w.Ledger.DeclareTransfer(w.Context(), s); !errors.Is(err, store.ErrInvalid) {
			w.Errorf("%s: %v", name, err)
		}
	}
}

func countsHeld(w *World) {
	w.crowd("a", 20, w.Fan)
	w.Tell("t", aggregate.FollowersByTag)
	w.Clock.Move(time.Second)
	w.Push(func(v *store.View) { v.Holds = []transfer.Hold{{Reference: "PSB-1", From: w.Clock.Now()}} })
	r, err := w.Ledger.ReleaseAggregates(w.Context(), "t")
	w.ok(err)
	if len(r.Refusals) != 1 || r.Refusals[0].Code != reason.PublicSecurityHold || len(r.Tables) != 0 {
		w.Errorf("released %+v", r)
	}
	want(w, "state", w.transfer("t").State, store.TransferStopped)
}

func twoWays(w *World) {
	w.crowd("a", 20, w.Fan)
	w.Tell("counts", aggregate.FollowersByTag)
	w.start("rows")
	both := w.Export("both")
	both.Aggregates = []string{string(aggregate.FollowersByTag)}
	_, err := w.Ledger.DeclareTransfer(w.Context(), both)
	w.ok(err)
	whole := func(id string) map[string]error {
		_, start := w.Ledger.StartTransfer(w.Context(), id)
		_, part := w.Ledger.LeasePart(w.Context(), id, 1)
		return map[string]error{"start": start, "part": part, "finish": w.Ledger.FinishTransfer(w.Context(), id, store.Manifest{})}
	}
	counts := func(id string) map[string]error {
		_, release := w.Ledger.ReleaseAggregates(w.Context(), id)
		m := store.Manifest{Object: "o", SHA256: strings.Repeat("0", 64)}
		return map[string]error{"release": release, "finish counts": w.Ledger.FinishAggregates(w.Context(), id, m)}
	}
	for _, refused := range []map[string]error{whole("counts"), counts("rows"), whole("both"), counts("both")} {
		for what, err := range refused {
			if !errors.Is(err, store.ErrTransferKind) {
				w.Errorf("%s: %v", what, err)
			}
		}
	}
	if _, err := w.Ledger.ReleaseAggregates(w.Context(), "none"); !errors.Is(err, store.ErrTransferUnknown) {
		w.Errorf("ReleaseAggregates: %v", err)
	}
}

func countsFinished(w *World) {
	w.crowd("a", 20, w.Fan)
	_, err := w.Ledger.DeclareTransfer(w.Context(), w.Counts("t", aggregate.FollowersByTag, aggregate.LeadsByStage))
	w.ok(err)
	m := store.Manifest{Object: "manifest.json", SHA256: strings.Repeat("0", 64), Rows: 99, Bytes: 99}
	if err := w.Ledger.FinishAggregates(w.Context(), "t", m); !errors.Is(err, store.ErrTransferState) {
		w.Errorf("FinishAggregates before anything was told: %v", err)
	}
	r, err := w.Ledger.ReleaseAggregates(w.Context(), "t")
	w.ok(err)
	want(w, "decision", r.Decision, w.transfer("t").Decision)
	want(w, "rules", r.Decision.Rules, "cn-2026-01")
	if err := w.Ledger.FinishAggregates(w.Context(), "t", store.Manifest{Object: "o"}); !errors.Is(err, store.ErrInvalid) {
		w.Errorf("FinishAggregates without a digest: %v", err)
	}
	w.ok(w.Ledger.FinishAggregates(w.Context(), "t", m))
	w.ok(w.Ledger.FinishAggregates(w.Context(), "t", m))
	x := w.transfer("t")
	want(w, "state", x.State, store.TransferComplete)
	want(w, "persons", x.Persons, 0)
	want(w, "manifest", *x.Manifest, store.Manifest{Object: m.Object, SHA256: m.SHA256})
	want(w, "tables", len(x.Released), 2)
	want(w, "tags told", x.Released[0].Cells, 1)
	want(w, "the year's counter", w.moved(), 0)
	if _, err := w.Ledger.ReleaseAggregates(w.Context(), "t"); !errors.Is(err, store.ErrTransferState) {
		w.Errorf("ReleaseAggregates after the end: %v", err)
	}
}
