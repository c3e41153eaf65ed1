package notice

import (
	"fmt"
	"slices"
	"strings"
)

// Column is a column of law.md 3.4: what makes the law ask for an item.
type Column string

// Columns.
const (
	General  Column = "General"           // every notice
	Provided Column = "Another processor" // a recipient in mainland China
	Spi      Column = "Sensitive"         // sensitive personal information
	Overseas Column = "Overseas"          // a recipient abroad
	Under14  Column = "Children under 14" // by category, or because the policy has a guardian flow
)

// Facts is what the check looks at.
type Facts struct {
	Notice
	// Guardian: the policy asks for a guardian's consent, so children may read the notice.
	Guardian bool
}

// Item is something that people must be told and the notice does not tell in its own words.
type Item struct {
	Path     string   // the field, in `spec`
	Articles []string // that ask for it
	Remedy   string   // what to add
	// Standard: the standard text stands in on the page, so nothing is refused.
	Standard bool
}

// String names the field, the articles and the remedy.
func (i Item) String() string {
	return fmt.Sprintf("%s is missing (%s): %s", i.Path, strings.Join(i.Articles, "; "), i.Remedy)
}

// Missing returns what the notice lacks, in the order of law.md 3.4. A notice with an item
// that is not Standard may not be published.
func Missing(f Facts) []Item {
	var out []Item
	for _, r := range checklist {
		for _, p := range r.places(f) {
			if articles := r.asked(p.scope); !p.told && len(articles) > 0 {
				out = append(out, Item{p.path, articles, r.remedy, p.standard})
			}
		}
	}
	return out
}

// Refusals returns the items without which nothing may be published.
func Refusals(items []Item) []Item {
	return slices.DeleteFunc(slices.Clone(items), func(i Item) bool { return i.Standard })
}

// requirement is one row of law.md 3.4.
type requirement struct {
	item     string            // the row
	articles map[Column]string // the columns with an X
	remedy   string
	places   func(Facts) []place
}

// order of the columns in messages.
var order = []Column{General, Provided, Spi, Overseas, Under14}

func (r requirement) asked(s scope) (articles []string) {
	for _, c := range order {
		if a := r.articles[c]; a != "" && s[c] && !slices.Contains(articles, a) {
			articles = append(articles, a)
		}
	}
	return articles
}

// scope is the columns that apply at a place.
type scope map[Column]bool

// place is where a notice tells an item.
type place struct {
	path     string
	told     bool
	standard bool // the standard text would do
	scope    scope
}

// whole is the scope of what stands in the notice once.
func (f Facts) whole() scope {
	return scope{
		General: true, Spi: f.sensitive(), Under14: f.Guardian || f.children(),
		Overseas: slices.ContainsFunc(f.Recipients, Recipient.abroad),
	}
}

// once makes places of a field that stands in the notice once.
func once(path string, told func(Notice) bool) func(Facts) []place {
	return func(f Facts) []place { return []place{{path: path, told: told(f.Notice), scope: f.whole()}} }
}

// replaceable makes places of a field that a standard text can stand in for, unless the
// notice is about what that text does not speak of.
func replaceable(path string, own func(Notice) Text, beyond func(Notice) bool) func(Facts) []place {
	return func(f Facts) []place {
		return []place{{path: path, told: own(f.Notice).told(), standard: !beyond(f.Notice), scope: f.whole()}}
	}
}

// eachPurpose makes places of a field of every purpose.
func eachPurpose(field string, told func(Purpose) bool) func(Facts) []place {
	return func(f Facts) (out []place) {
		for i, p := range f.Purposes {
			s := f.whole()
			s[Spi] = sensitive(p.Categories)
			out = append(out, place{path: fmt.Sprintf("purposes[%d].%s", i, field), told: told(p), scope: s})
		}
		return out
	}
}

// eachRecipient makes places of a field of every recipient.
func eachRecipient(field string, told func(Facts, Recipient) bool) func(Facts) []place {
	return func(f Facts) (out []place) {
		for i, r := range f.Recipients {
			s := f.whole()
			s[Spi], s[Overseas], s[Provided] = sensitive(r.Categories), r.abroad(), !r.abroad()
			out = append(out, place{path: fmt.Sprintf("recipients[%d].%s", i, field), told: told(f, r), scope: s})
		}
		return out
	}
}
