package law

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTables: the pages in docs/law are those of the packs.
func TestTables(t *testing.T) {
	for _, name := range Names() {
		path, want := filepath.Join("..", "..", "docs", "law", name+".md"), Tables(Named(name))
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the pack says (%v): run UPDATE_GOLDEN=1 go test ./internal/law", path, err)
		}
	}
}
