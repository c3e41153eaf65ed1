package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun_WritesTheSameArchiveTwice(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	var archives [2][]byte
	for i := range archives {
		out := filepath.Join(dir, "new", "out.tar")
		err := run([]string{"-o", out, "-name", "registry.maodian.test/maodian:dev", "-entrypoint", "/maodian",
			"-user", "65532:65532", "-label", "a=b", program + "=/maodian"}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the two archives differ")
	}
}

func TestRun_RefusesBadCommandLines(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.tar")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":                 {nil, "must be set"},
		"a file without a target": {[]string{"-o", out, "-name", "localhost/a:b", "-entrypoint", "/a", "file"}, "SRC=/DST"},
		"a label without a value": {[]string{"-label", "x"}, "key=value"},
		"a malformed image name":  {[]string{"-o", out, "-name", "A B", "-entrypoint", "/a"}, "parse image name"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(c.args, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}
