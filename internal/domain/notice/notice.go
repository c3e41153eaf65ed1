// Package notice knows what people must be told before they are asked (law.md 3.4), which
// of it a notice lacks, and which text a consent was given to. It is pure: the manager asks
// it before it publishes a revision, and the store before it lets one take another's place.
package notice

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

// Languages of a text.
const (
	Chinese = "zh-CN" // the one that binds
	English = "en"
)

// Text is one text by language.
type Text map[string]string

// told tells whether there are words in the language that binds.
func (t Text) told() bool { return words(t[Chinese]) }

func words(s string) bool { return strings.TrimSpace(s) != "" }

// Notice is everything that one revision tells people.
type Notice struct {
	Processor, Contact                                string
	Purposes                                          []Purpose
	Recipients                                        []Recipient
	RetentionDays                                     int64
	StoragePlace                                      string
	StoragePlaceText                                  Text // empty: StoragePlace for everyone
	Rights, Refusal                                   Text
	Method, Safeguards, AutomatedDecision, Complaints Text
}

// Purpose is one purpose, which people agree to or refuse on its own.
type Purpose struct {
	Name              string
	Description       Text
	Categories        []string
	Necessity, Impact Text // of sensitive data
}

// Recipient is somebody else who receives data.
type Recipient struct {
	Name, DisplayName, Contact, Country string
	Purposes, Categories                []string
	Method                              Text
	RightsChannel                       string
}

// anyUnder14 is the category of data about children (law.md 8.2).
const anyUnder14 = "AnyUnder14"

func sensitive(categories []string) bool { return slices.ContainsFunc(categories, law.Sensitive) }

// abroad tells whether the recipient is outside the mainland; Hong Kong, Macau and Taiwan are.
func (r Recipient) abroad() bool { return r.Country != "CN" }

// automated tells whether people are selected by a score (PIPL 24): a purpose says so, or
// somebody works with the score.
func (n Notice) automated() bool {
	scored := func(categories []string) bool { return slices.Contains(categories, "LeadScore") }
	return slices.ContainsFunc(n.Purposes, func(p Purpose) bool {
		return p.Name == "PersonalizedMarketing" || p.Name == "LeadScoring" || scored(p.Categories)
	}) || slices.ContainsFunc(n.Recipients, func(r Recipient) bool { return scored(r.Categories) })
}

// sensitive tells whether any purpose needs sensitive data.
func (n Notice) sensitive() bool {
	return slices.ContainsFunc(n.Purposes, func(p Purpose) bool { return sensitive(p.Categories) })
}

// children tells whether the notice asks for data of children under 14 by name.
func (n Notice) children() bool {
	return slices.ContainsFunc(n.Purposes, func(p Purpose) bool { return slices.Contains(p.Categories, anyUnder14) }) ||
		slices.ContainsFunc(n.Recipients, func(r Recipient) bool { return slices.Contains(r.Categories, anyUnder14) })
}

// Version is what tells one text from another: people agree to a revision with this hash.
type Version struct {
	Revision int64
	Hash     string
}

// Follows tells whether v may stand after last: as a newer revision, or as the same text.
// To go back, or to put another text under a number that people agreed to, would let their
// consents stand for what they never read (PIPL 14). A text from before there were hashes
// is known by its number alone.
func (v Version) Follows(last Version) bool {
	return v.Revision > last.Revision || v.Revision == last.Revision && (v.Hash == last.Hash || last.Hash == "")
}

// Hash names the text: every word that people read, in all languages. The order of lists
// does not matter. What is empty is left out, so that a field which a later version adds
// changes no hash of today.
func (n Notice) Hash() string {
	h := sha256.New()
	put(h, "processor", n.Processor, n.Contact)
	for _, p := range slices.SortedFunc(slices.Values(n.Purposes), func(a, b Purpose) int { return strings.Compare(a.Name, b.Name) }) {
		put(h, "purpose", p.Name)
		put(h, "categories", slices.Sorted(slices.Values(p.Categories))...)
		putText(h, "description", p.Description)
		putText(h, "necessity", p.Necessity)
		putText(h, "impact", p.Impact)
	}
	for _, r := range slices.SortedFunc(slices.Values(n.Recipients), func(a, b Recipient) int { return strings.Compare(a.Name, b.Name) }) {
		put(h, "recipient", r.Name, r.DisplayName, r.Contact, r.Country, r.RightsChannel)
		put(h, "purposes", slices.Sorted(slices.Values(r.Purposes))...)
		put(h, "categories", slices.Sorted(slices.Values(r.Categories))...)
		putText(h, "method", r.Method)
	}
	put(h, "retention", fmt.Sprint(n.RetentionDays))
	put(h, "storage", n.StoragePlace)
	putText(h, "storagePlaceText", n.StoragePlaceText)
	putText(h, "rights", n.Rights)
	putText(h, "refusal", n.Refusal)
	putText(h, "method", n.Method)
	putText(h, "safeguards", n.Safeguards)
	putText(h, "automatedDecision", n.AutomatedDecision)
	putText(h, "complaints", n.Complaints)
	return hex.EncodeToString(h.Sum(nil))
}

// put writes one line; the lengths keep two values from being read as one.
func put(h io.Writer, name string, values ...string) {
	_, _ = fmt.Fprint(h, name)
	for _, v := range values {
		_, _ = fmt.Fprintf(h, " %d:%s", len(v), v)
	}
	_, _ = fmt.Fprintln(h)
}

func putText(h io.Writer, name string, t Text) {
	for _, lang := range slices.Sorted(maps.Keys(t)) {
		if t[lang] != "" {
			put(h, name+"."+lang, t[lang])
		}
	}
}
