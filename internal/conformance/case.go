// Package conformance runs cases against a real API server: attacks that a residency guard
// must refuse, and ordinary work that it must let pass. Cases are data, so that whoever
// answers for the guard can read them; the result is a report for an auditor.
package conformance

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// File is one file of cases: what they have in common, and the cases.
type File struct {
	// Topic is the concern of the guard that refuses the attacks.
	Topic string `json:"topic"`
	// About says in a sentence what is tried.
	About string `json:"about"`
	// Objects are manifests, by the name under which cases refer to them. One that names a namespace
	// stands there, and not where the case is tried.
	Objects map[string]map[string]any `json:"objects"`
	// Given are the objects that exist before, in the order to make them in.
	Given []string `json:"given,omitempty"`
	// Needs are placeholders without whose value no case of the file applies.
	Needs []string `json:"needs,omitempty"`
	Cases []Case   `json:"cases"`
}

// Case is one request, and what must become of it.
type Case struct {
	// Name says what is tried, as a reader would.
	Name string `json:"name"`
	// Leak is the row of the leak matrix, such as L01. Ordinary work has none.
	Leak string `json:"leak,omitempty"`
	// As is who asks: tenant (cluster-admin, the default), attestor, break-glass, manager, a user
	// name that begins with "system:", or user:NAME, with a group behind a plus sign, as in
	// user:bob+break-glass or user:bob+system:nodes.
	As string `json:"as,omitempty"`
	// Verb is create (the default), update (a merge patch of a given object), replace (the given
	// object with the change, sent whole: for subresources that take no patch), delete or connect.
	Verb string `json:"verb,omitempty"`
	// Sub is the subresource.
	Sub string `json:"sub,omitempty"`
	// Object names the object that is sent, or that is updated or deleted.
	Object string `json:"object"`
	// Change is merged into the object: it is what makes the case.
	Change map[string]any `json:"change,omitempty"`
	// Earnest tells that the request is no dry run. If it makes an object, that is removed.
	Earnest bool `json:"earnest,omitempty"`
	// In is governed (the default) or free: the namespace in which it is tried.
	In string `json:"in,omitempty"`
	// Everywhere tells that the rule holds in every namespace: otherwise an attack must pass
	// where nothing is governed.
	Everywhere bool `json:"everywhere,omitempty"`
	// Needs are placeholders that the case does not hold, and without whose value it does not
	// apply.
	Needs []string `json:"needs,omitempty"`
	// Topic is the concern, where it is another than the file's.
	Topic string `json:"topic,omitempty"`
	// Refused is the code of the refusal. Empty: the request passes.
	Refused string `json:"refused,omitempty"`
	// Says is a part of the refusal, where the code alone would not tell which rule spoke.
	Says string `json:"says,omitempty"`
	// Becomes is what the admitted object must hold, where the guard completes it.
	Becomes map[string]any `json:"becomes,omitempty"`
}

// Attack tells whether the case must be refused.
func (c Case) Attack() bool { return c.Refused != "" }

// verbs are what a case may do.
var verbs = []string{"create", "update", "replace", "delete", "connect"}

// Load reads every file of a folder, sorted by name, and refuses what no runner could run.
func Load(folder fs.FS) ([]File, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	var out []File
	for _, name := range names {
		f, err := load(folder, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(name), err)
		}
		out = append(out, f)
	}
	return out, nil
}

func load(folder fs.FS, name string) (f File, err error) {
	raw, err := fs.ReadFile(folder, name)
	if err != nil {
		return f, err
	}
	if err := yaml.UnmarshalStrict(raw, &f); err != nil {
		return f, err
	}
	for _, g := range f.Given {
		if f.Objects[g] == nil {
			return f, fmt.Errorf("given %q is not among `objects`", g)
		}
	}
	seen := map[string]bool{}
	for i := range f.Cases {
		c := &f.Cases[i]
		c.complete(f)
		if err := c.check(f); err != nil {
			return f, fmt.Errorf("case %q: %w", c.Name, err)
		}
		if seen[c.Name] {
			return f, fmt.Errorf("case %q stands twice", c.Name)
		}
		seen[c.Name] = true
	}
	return f, nil
}

func (c *Case) complete(f File) {
	c.Needs = append(slices.Clone(f.Needs), c.Needs...)
	c.Topic, c.Verb, c.As, c.In = or(c.Topic, f.Topic), or(c.Verb, "create"), or(c.As, "tenant"), or(c.In, "governed")
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func (c *Case) check(f File) error {
	switch {
	case f.Objects[c.Object] == nil:
		return fmt.Errorf("`object` %q is not among `objects`", c.Object)
	case c.Attack() != (c.Leak != ""):
		return fmt.Errorf("an attack names its `leak` and is `refused`, ordinary work has neither")
	case !slices.Contains(verbs, c.Verb):
		return fmt.Errorf("`verb` must be one of %s", strings.Join(verbs, ", "))
	case c.In != "governed" && c.In != "free":
		return fmt.Errorf("`in` must be governed or free")
	case c.Earnest && c.Verb != "create":
		return fmt.Errorf("only what is created can be tried in `earnest`")
	case (c.Verb == "update" || c.Verb == "replace" || c.Verb == "delete") && !slices.Contains(f.Given, c.Object):
		return fmt.Errorf("`object` %q must be among `given` to be changed", c.Object)
	}
	return nil
}

// merge returns base with change merged into it, as a JSON merge patch does: null removes.
func merge(base, change map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range change {
		if v == nil {
			delete(out, k)
			continue
		}
		if inner, ok := v.(map[string]any); ok {
			below, _ := out[k].(map[string]any)
			out[k] = merge(below, inner)
			continue
		}
		out[k] = v
	}
	return out
}

// Values are what the placeholders of cases stand for, such as ${region}.
type Values map[string]string

// fill replaces placeholders in every string and key of v. missing is one without a value.
func (values Values) fill(v any) (out any, missing string) {
	switch v := v.(type) {
	case string:
		return values.text(v)
	case []any:
		filled := make([]any, len(v))
		for i := range v {
			if filled[i], missing = values.fill(v[i]); missing != "" {
				return nil, missing
			}
		}
		return filled, ""
	case map[string]any:
		filled := make(map[string]any, len(v))
		for k, item := range v {
			key, gone := values.text(k)
			if gone == "" {
				filled[key], gone = values.fill(item)
			}
			if gone != "" {
				return nil, gone
			}
		}
		return filled, ""
	}
	return v, ""
}

func (values Values) text(s string) (out, missing string) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), ""
		}
		name, after, _ := strings.Cut(rest, "}")
		value, known := values[name]
		if !known || value == "" {
			return "", name
		}
		b.WriteString(value)
		s = after
	}
}
