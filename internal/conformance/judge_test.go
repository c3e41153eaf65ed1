package conformance

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestWhatIsCompletedHoldsEveryFieldAndItem(t *testing.T) {
	got := &unstructured.Unstructured{Object: map[string]any{"a": map[string]any{"b": "x", "c": "y"}, "l": []any{map[string]any{"k": "1", "m": "2"}, "z"}}}
	for name, c := range map[string]struct {
		want any
		says string
	}{
		"a field of several": {map[string]any{"a": map[string]any{"b": "x"}}, ""},
		"a field of an item": {map[string]any{"l": []any{map[string]any{"k": "1"}, "z"}}, ""},
		"another value":      {map[string]any{"a": map[string]any{"b": "y"}}, "`a.b`"},
		"another item":       {map[string]any{"l": []any{map[string]any{"k": "2"}, "z"}}, "`l[0].k`"},
		"fewer items":        {map[string]any{"l": []any{map[string]any{"k": "1"}}}, "`l`"},
		"more items":         {map[string]any{"l": []any{map[string]any{}, "z", "z"}}, "`l`"},
		"no list at all":     {map[string]any{"a": []any{"x"}}, "`a`"},
	} {
		err := holds(got, c.want)
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error = %v, want %q", name, err, c.says)
		}
	}
}
