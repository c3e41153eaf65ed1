package manifest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// Numbers is what only a running store knows, as somebody wrote it down. What is missing is
// unknown: it refuses, it is never taken to be zero.
type Numbers struct {
	// Now is the moment to decide for. Unset means that somebody else says it.
	Now metav1.Time `json:"now,omitzero"`
	// Processors are the counters by `spec.processor.name` of the policy.
	Processors map[string]ProcessorNumbers `json:"processors"`
	// Stores are the numbers by <namespace>/<name of the ConsentStore>.
	Stores map[string]StoreNumbers `json:"stores"`
}

// ProcessorNumbers are those of a legal entity.
type ProcessorNumbers struct {
	Year *Count `json:"year"`
}

// StoreNumbers are those of one store.
type StoreNumbers struct {
	Year       *Count                      `json:"year"`
	Recipients map[string]RecipientNumbers `json:"recipients"`
}

// RecipientNumbers are about the people whose records one recipient may get.
type RecipientNumbers struct {
	Consenting *int64                `json:"consenting"`
	Young      *int64                `json:"young"` // of them, under 14
	Excluded   map[reason.Code]int64 `json:"excluded"`
	Recent     *Count                `json:"recent"` // twelve months, without this transfer
}

// Count is a number of distinct people; each is needed.
type Count struct {
	NonSensitive *int64 `json:"nonSensitive"`
	Sensitive    *int64 `json:"sensitive"`
}

// known tells whether both numbers are there.
func (c *Count) known() bool { return c != nil && c.NonSensitive != nil && c.Sensitive != nil }

// ReadNumbers reads the file of numbers; an unknown field is an error, as in a manifest.
func ReadNumbers(file string, in io.Reader) (Numbers, error) {
	var n Numbers
	raw, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	switch {
	case err != nil:
		return n, &Error{Code: CodeUnreadable, File: file, Wrong: err.Error(), Right: "name a file that can be read"}
	case len(raw) > MaxSize:
		return n, &Error{Code: CodeTooLarge, File: file, Wrong: fmt.Sprintf("more than %d bytes", MaxSize), Right: "begin with --print-facts"}
	}
	if err := yaml.UnmarshalStrict(raw, &n); err != nil {
		code := CodeValue
		switch {
		case strings.Contains(err.Error(), "unknown field"):
			code = CodeField
		case strings.Contains(err.Error(), "converting YAML"):
			code = CodeYAML
		}
		return n, &Error{Code: code, File: file, Wrong: oneLine(err), Right: "--print-facts shows every field"}
	}
	if wrong := n.check(); wrong != nil {
		wrong.File = file
		return n, wrong
	}
	return n, nil
}

// check refuses what no store would tell.
func (n Numbers) check() *Error {
	for _, name := range slices.Sorted(maps.Keys(n.Processors)) {
		if wrong := n.Processors[name].Year.check("processors." + name + ".year"); wrong != nil {
			return wrong
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Stores)) {
		s, path := n.Stores[name], "stores."+name
		if namespace, store, ok := strings.Cut(name, "/"); !ok || namespace == "" || store == "" {
			return &Error{Code: CodeValue, Wrong: "`" + path + "` names no namespace", Right: "write <namespace>/<name of the ConsentStore>"}
		}
		if wrong := s.Year.check(path + ".year"); wrong != nil {
			return wrong
		}
		for _, recipient := range slices.Sorted(maps.Keys(s.Recipients)) {
			if wrong := s.Recipients[recipient].check(path + ".recipients." + recipient); wrong != nil {
				return wrong
			}
		}
	}
	return nil
}

func (r RecipientNumbers) check(path string) *Error {
	for _, x := range []struct {
		field  string
		number *int64
	}{{"consenting", r.Consenting}, {"young", r.Young}} {
		if wrong := positive(path+"."+x.field, x.number); wrong != nil {
			return wrong
		}
	}
	for _, code := range slices.Sorted(maps.Keys(r.Excluded)) {
		field, n := path+".excluded."+string(code), r.Excluded[code]
		if info, ok := reason.Codes()[code]; !ok || info.Effect != reason.Filter {
			return &Error{Code: CodeUnknownCode, Wrong: "`" + field + "` is no reason for leaving a person out", Right: "write one with the effect Filter (docs/law)"}
		}
		if wrong := positive(field, &n); wrong != nil {
			return wrong
		}
	}
	return r.Recent.check(path + ".recent")
}

func (c *Count) check(path string) *Error {
	if c == nil {
		return nil
	}
	if wrong := positive(path+".nonSensitive", c.NonSensitive); wrong != nil {
		return wrong
	}
	return positive(path+".sensitive", c.Sensitive)
}

// young is how many of those who may be included are under 14, at most.
func (r RecipientNumbers) young(most int64) int64 {
	switch {
	case r.Young != nil:
		return *r.Young
	case r.Consenting != nil:
		return *r.Consenting
	}
	return most
}

// mostPeople is more than live, and small enough to add up.
const mostPeople = 20_000_000_000

func positive(path string, n *int64) *Error {
	if n == nil || (*n >= 0 && *n <= mostPeople) {
		return nil
	}
	return &Error{Code: CodeValue, Wrong: fmt.Sprintf("`%s` is %d", path, *n), Right: "write a number of people"}
}

// told is what a store would have said, as far as it is known.
type told struct {
	answer  *storev1.GetTransferFactsResponse
	year    bool // the counters are known
	people  bool // and who may be included
	unknown []string
}

// of finds the numbers for one transfer.
func (n Numbers) of(t *residencyv1.DataTransfer, p *residencyv1.ResidencyPolicy) told {
	path := t.Namespace + "/" + t.Spec.StoreRef.Name
	s := n.Stores[path]
	r, x := s.Recipients[t.Spec.Recipient.Name], told{answer: &storev1.GetTransferFactsResponse{}}
	missing := func(field, means string) { x.unknown = append(x.unknown, "facts: "+field+": "+means) }
	path = "stores." + path
	years := []*Count{s.Year}
	if p != nil {
		years = append(years, n.Processors[p.Spec.Processor.Name].Year)
	}
	for _, c := range years { // the law counts by processor: the larger number is nearer to it
		if c.known() {
			x.year = true
			x.answer.NonSensitiveAtMost = max(x.answer.NonSensitiveAtMost, *c.NonSensitive)
			x.answer.SensitiveAtMost = max(x.answer.SensitiveAtMost, *c.Sensitive)
		}
	}
	if !x.year {
		missing(path+".year", "the counter is not known")
	}
	path += ".recipients." + t.Spec.Recipient.Name
	if r.Recent.known() {
		x.answer.RecentNonSensitiveAtMost, x.answer.RecentSensitiveAtMost = *r.Recent.NonSensitive, *r.Recent.Sensitive
	} else {
		x.year = false
		missing(path+".recent", "what this recipient got is not known, so neither is the counter")
	}
	if x.people = r.Consenting != nil; x.people {
		x.answer.AnyoneConsents = *r.Consenting > 0
		for _, code := range slices.Sorted(maps.Keys(r.Excluded)) {
			if r.Excluded[code] > 0 {
				x.answer.Excluded = append(x.answer.Excluded, string(code))
			}
		}
	} else {
		missing(path+".consenting", "nobody is taken to agree")
	}
	x.answer.YoungAtMost = r.young(t.Spec.MaxPersons)
	if r.Young == nil {
		missing(path+".young", "all may be children under 14, and everything about those is sensitive")
	}
	return x
}
