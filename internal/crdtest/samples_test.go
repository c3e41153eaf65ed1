package crdtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSamplesAreAccepted(t *testing.T) {
	v := load(t)
	files, err := filepath.Glob(filepath.Join(samples, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		objs, err := Read(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objs {
			if !v.Knows(o) {
				continue // a Secret or a Namespace
			}
			seen[o.GetKind()] = true
			if err := v.Validate(t.Context(), o, nil); err != nil {
				t.Errorf("%s: create %s: %v", filepath.Base(f), o.GetName(), err)
			}
			// Applying the same file twice must pass every transition rule.
			if err := v.Validate(t.Context(), o, o); err != nil {
				t.Errorf("%s: apply %s again: %v", filepath.Base(f), o.GetName(), err)
			}
		}
	}
	for _, k := range v.Kinds() {
		if !seen[k] {
			t.Errorf("no sample of %s", k)
		}
	}
}

// Each file of config/samples/invalid begins with "# want: " and a part of the message.
func TestInvalidSamplesAreRefused(t *testing.T) {
	v := load(t)
	files, err := filepath.Glob(filepath.Join(samples, "invalid", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("invalid samples: %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatal("the first line must begin with `# want: `")
			}
			objs, err := Read(f)
			if err != nil || len(objs) != 1 {
				t.Fatalf("%d objects, %v; want one", len(objs), err)
			}
			if err := v.Validate(t.Context(), objs[0], nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		})
	}
}
