package manifest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/maodian-dev/maodian/internal/crdtest"
	"github.com/maodian-dev/maodian/internal/manifest"
)

func read(t *testing.T, text string) error {
	t.Helper()
	s, err := manifest.NewSet("")
	if err != nil {
		t.Fatal(err)
	}
	return s.Read("in.yaml", strings.NewReader(text))
}

// TestRead_NothingThatWouldLookAllowed: each of these values would make a decision milder
// than the one about any object that an API server takes.
func TestRead_NothingThatWouldLookAllowed(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "61-transfer-allowed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"no categories":          {"categories: [PseudonymousID, InterestTag, LeadScore]\n  fields", "categories: []\n  fields", "spec.categories must have at least 1 items"},
		"categories left out":    {"  categories: [PseudonymousID, InterestTag, LeadScore]\n  fields", "  fields", "spec.categories is missing"},
		"nobody at all":          {"maxPersons: 5000", "maxPersons: 0", "spec.maxPersons must be at least 1"},
		"fewer than nobody":      {"maxPersons: 5000", "maxPersons: -900000", "spec.maxPersons must be at least 1"},
		"a scope without end":    {"maxPersons: 200000", "maxPersons: 0", "spec.scope.maxPersons must be at least 1"},
		"another category":       {"[PseudonymousID, InterestTag, LeadScore]\n  fields", "[Pseudonym]\n  fields", "spec.categories[0] must be one of"},
		"a country that is none": {"country: CH", "country: Switzerland", "spec.recipient.country must have at most 2 characters"},
		"no value":               {"maxPersons: 5000", "maxPersons: null", "spec.maxPersons has no value"},
		"no spec":                {"spec:\n  type", "specs:\n  type", `unknown field "specs"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(raw), c.from, c.to, 1)
			if err := read(t, text); text == string(raw) || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// TestRead_RefusesOnlyWhatAnAPIServerRefuses: the samples, changed at some place by chance.
func TestRead_RefusesOnlyWhatAnAPIServerRefuses(t *testing.T) {
	server, err := crdtest.Load(filepath.Join("..", "..", "config", "crd", "bases"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		list, err := crdtest.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			if server.Knows(o) {
				objects = append(objects, o)
			}
		}
	}
	both, more := 0, 0
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 3))
		o := objects[r.IntN(len(objects))].DeepCopy()
		what := change(r, o.Object["spec"])
		text, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := read(t, string(text)), server.Validate(t.Context(), o, nil)
		switch {
		case ours != nil && theirs == nil:
			t.Fatalf("seed %d, %s of %s: %v", seed, what, o.GetKind(), ours)
		case ours != nil:
			both++
		case theirs != nil:
			more++
		}
	}
	if both < 500 || more > both/5 {
		t.Errorf("%d refused by both, %d by the API server alone", both, more)
	}
}

// change makes one place of a value wrong, perhaps.
func change(r *rand.Rand, v any) string {
	switch x := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if len(keys) == 0 {
			return "nothing"
		}
		k := keys[r.IntN(len(keys))]
		if _, leaf := x[k].(map[string]any); leaf && r.IntN(3) > 0 {
			return k + "." + change(r, x[k])
		}
		if r.IntN(5) == 0 {
			delete(x, k)
			return k + " removed"
		}
		x[k] = other(r, x[k])
		return fmt.Sprintf("%s = %v", k, x[k])
	case []any:
		if len(x) > 0 {
			i := r.IntN(len(x))
			x[i] = other(r, x[i])
		}
	}
	return "an item"
}

func other(r *rand.Rand, v any) any {
	switch x := v.(type) {
	case string:
		return []string{"", "X!", strings.Repeat("a", 5000), x + "x", strings.ToUpper(x)}[r.IntN(5)]
	case int64:
		return []int64{-1, 0, x + 1, 1 << 50}[r.IntN(4)]
	case []any:
		if r.IntN(3) == 0 || len(x) == 0 {
			return []any{}
		}
		change(r, x)
		return x
	}
	return v
}
