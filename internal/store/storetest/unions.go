package storetest

import (
	"fmt"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
)

// unions is the part of the contract about people's unionids.
var unions = []contractCase{
	{"a unionid is kept while an adult agrees to a purpose that names it", unionKept},
	{"a withdrawal in the chat and an erasure drop the unionid", unionDropped},
}

// UnionID makes one up.
func UnionID(name string) subject.UnionID {
	id, err := subject.NewUnionID(fmt.Sprintf("oUNION%022s", name))
	if err != nil {
		panic(err)
	}
	return id
}

// NamesUnionID has the notice name unionids for the purpose of the export.
func NamesUnionID(v *store.View) {
	v.Notice.Purposes = append(v.Notice.Purposes, store.Purpose{Name: Reporting, Categories: []string{"WeChatUnionID"}})
	v.Notice.Hash = v.Notice.Text().Hash()
}

// Bound records the answers of somebody whose unionid the platform tells.
func (w *World) Bound(name, union string, age consent.AgeBand, granted ...string) {
	w.Helper()
	c := store.Choices{Account: Account, Who: OpenID(name), Revision: w.Ledger.View().Notice.Revision, Age: age, Language: "zh-CN"}
	if union != "" {
		c.Union = UnionID(union)
	}
	for _, item := range [][2]string{{"DirectMarketing", ""}, {Purpose, ""}, {Reporting, Recipient}} {
		c.Items = append(c.Items, store.Choice{Purpose: item[0], Recipient: item[1], Granted: contains(granted, item[0])})
	}
	_, err := w.Ledger.RecordChoices(w.Context(), c)
	w.ok(err)
}

func unionKept(w *World) {
	w.Bound("early", "u", consent.Adult, Reporting)
	want(w, "kept where the notice does not name it", w.All("early").UnionID, false)
	w.Push(func(v *store.View) {
		v.Notice.Revision = 4
		NamesUnionID(v)
	})
	for _, c := range []struct {
		what    string
		union   string
		age     consent.AgeBand
		granted []string
		kept    bool
	}{
		{"of who agrees to another purpose", "u", consent.Adult, []string{Purpose}, false},
		{"of a minor", "u", consent.From14, []string{Reporting}, false},
		{"of an unknown age", "u", consent.AgeUnknown, []string{Reporting}, false},
		{"of an adult who agrees", "u", consent.Adult, []string{Reporting}, true},
		{"when the platform does not tell it again", "", consent.Adult, []string{Reporting}, true},
		{"after the answer is taken back", "u", consent.Adult, nil, false},
	} {
		name := "person"
		if c.age != consent.Adult { // an age once told stays
			name += "-" + string(c.age)
		}
		w.Bound(name, c.union, c.age, c.granted...)
		want(w, "kept "+c.what, w.All(name).UnionID, c.kept)
	}
}

func unionDropped(w *World) {
	w.Push(func(v *store.View) {
		v.Notice.Revision = 4
		NamesUnionID(v)
	})
	w.Bound("a", "u", consent.Adult, Reporting)
	want(w, "kept", w.All("a").UnionID, true)
	w.Event("a", "text", "", func(e *store.Event) { e.Withdraw = true })
	want(w, "kept after a withdrawal", w.All("a").UnionID, false)
	w.Bound("a", "u", consent.Adult, Reporting)
	w.Erase("a")
	want(w, "kept after an erasure", w.All("a").UnionID, false)
}
