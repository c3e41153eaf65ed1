package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/config/crd"
)

// node is the part of a schema that says what a value may be. An API server also asks the
// rules in CEL; those need its library, which is larger than the rest of this program.
type node struct {
	Type          string
	Properties    map[string]*node
	Items         *node
	Additional    *node `json:"additionalProperties"`
	Required      []string
	Enum          []any
	Format        string
	Pattern       string
	Minimum       *float64
	Maximum       *float64
	MinLength     *int
	MaxLength     *int
	MinItems      *int
	MaxItems      *int
	MinProperties *int
	MaxProperties *int

	pattern *regexp.Regexp
}

type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				Root *node `json:"openAPIV3Schema"`
			}
		}
	}
}

// schemas reads the embedded definitions once; they were tested, so that it cannot fail.
var schemas = sync.OnceValue(func() map[schema.GroupVersionKind]*node {
	out, err := loadSchemas()
	if err != nil {
		panic(err)
	}
	return out
})

func loadSchemas() (map[schema.GroupVersionKind]*node, error) {
	entries, err := crd.Files.ReadDir("bases")
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}
	out := map[schema.GroupVersionKind]*node{}
	for _, e := range entries {
		raw, err := crd.Files.ReadFile("bases/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read definition: %w", err)
		}
		var d definition
		if err := yaml.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("parse %s: %w", e.Name(), err)
		}
		for _, v := range d.Spec.Versions {
			if err := v.Schema.Root.compile(); err != nil {
				return nil, fmt.Errorf("compile %s: %w", e.Name(), err)
			}
			out[schema.GroupVersionKind{Group: d.Spec.Group, Version: v.Name, Kind: d.Spec.Names.Kind}] = v.Schema.Root
		}
	}
	return out, nil
}

func (n *node) compile() (err error) {
	if n == nil {
		return nil
	}
	if n.Pattern != "" {
		if n.pattern, err = regexp.Compile(n.Pattern); err != nil {
			return err
		}
	}
	for _, below := range n.Properties {
		if err := below.compile(); err != nil {
			return err
		}
	}
	if err := n.Items.compile(); err != nil {
		return err
	}
	return n.Additional.compile()
}

// wrongValues says what of an object's spec no API server would take.
func wrongValues(gvk schema.GroupVersionKind, asJSON []byte) []string {
	root := schemas()[gvk]
	var object map[string]any
	if root == nil || json.Unmarshal(asJSON, &object) != nil {
		return nil
	}
	var out []string
	spec, given := object["spec"]
	switch {
	case given:
		root.Properties["spec"].check("spec", spec, &out)
	case slices.Contains(root.Required, "spec"):
		out = append(out, "spec is missing")
	}
	return out
}

func (n *node) check(path string, value any, out *[]string) {
	wrong := func(format string, args ...any) { *out = append(*out, path+" "+fmt.Sprintf(format, args...)) }
	switch v := value.(type) {
	case nil:
		wrong("has no value")
		return
	case map[string]any:
		n.object(path, v, out)
	case []any:
		n.list(path, v, out)
	case string:
		n.text(v, wrong)
	case float64:
		if n.Minimum != nil && v < *n.Minimum {
			wrong("must be at least %v", *n.Minimum)
		}
		if n.Maximum != nil && v > *n.Maximum {
			wrong("must be at most %.0f", *n.Maximum)
		}
	}
	if len(n.Enum) > 0 && !slices.Contains(n.Enum, value) {
		wrong("must be one of %s", strings.Trim(fmt.Sprint(n.Enum), "[]"))
	}
}

func (n *node) list(path string, v []any, out *[]string) {
	if bad := outside(len(v), n.MinItems, n.MaxItems); bad != "" {
		*out = append(*out, path+" must have "+bad+" items")
	}
	for i, x := range v {
		if n.Items != nil {
			n.Items.check(fmt.Sprintf("%s[%d]", path, i), x, out)
		}
	}
}

func (n *node) object(path string, v map[string]any, out *[]string) {
	for _, name := range n.Required {
		if _, given := v[name]; !given {
			*out = append(*out, path+"."+name+" is missing")
		}
	}
	if bad := outside(len(v), n.MinProperties, n.MaxProperties); bad != "" {
		*out = append(*out, path+" must have "+bad+" fields")
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		below := n.Properties[name]
		if below == nil {
			below = n.Additional
		}
		if below != nil { // an unknown field was found before
			below.check(path+"."+name, v[name], out)
		}
	}
}

func (n *node) text(v string, wrong func(string, ...any)) {
	if bad := outside(utf8.RuneCountInString(v), n.MinLength, n.MaxLength); bad != "" {
		wrong("must have %s characters", bad)
	}
	if n.pattern != nil && !n.pattern.MatchString(v) {
		wrong("must match %s", n.Pattern)
	}
	if n.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			wrong("must be a time as in RFC 3339")
		}
	}
}

// outside says what a number should be when it is not.
func outside(n int, least, most *int) string {
	switch {
	case least != nil && n < *least:
		return fmt.Sprintf("at least %d", *least)
	case most != nil && n > *most:
		return fmt.Sprintf("at most %d", *most)
	}
	return ""
}
