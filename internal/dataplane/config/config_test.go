package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type sample struct {
	Name string `json:"name"`
}

func (s *sample) Validate() error { return Require("name", s.Name) }

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"as it should be": {"name: x\n", true},
		"an unknown key":  {"name: x\ntitle: y\n", false},
		"a doubled key":   {"name: x\nname: y\n", false},
		"a missing field": {"{}\n", false},
		"no YAML":         {"\x00{", false},
		"too large":       {"name: " + strings.Repeat("x", maxFile), false},
	} {
		f := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(f, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var s sample
		if err := Load(f, &s); (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrConfig)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Load(filepath.Join(t.TempDir(), "none"), &sample{}); !errors.Is(err, ErrConfig) {
		t.Errorf("no file: %v", err)
	}
}

func TestSecret_ErrorsHoldNoContent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty"), []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"empty", "none"} {
		if _, err := Secret(dir, n); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := Roots(filepath.Join(dir, "empty")); !errors.Is(err, ErrConfig) {
		t.Errorf("Roots: %v", err)
	}
}
