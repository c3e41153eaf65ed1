package cgroup

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func dirs(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && p != root {
			rel, _ := filepath.Rel(root, p)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCreate_Version1(t *testing.T) {
	root := tree(t, map[string]string{"memory/tasks": "", "cpuset/cpuset.cpus": "0-1", "cpuset/cpuset.mems": "0", "unified/cgroup.procs": ""})
	for range 2 { // a second time changes nothing
		if err := Create(root, "maodian-1", "hz1"); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"cpuset", "cpuset/maodian-1", "cpuset/maodian-1/hz1", "memory", "memory/maodian-1", "memory/maodian-1/hz1", "unified"}
	if d := cmp.Diff(want, dirs(t, root)); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
	for _, f := range []string{"cpuset/maodian-1/cpuset.cpus", "cpuset/maodian-1/hz1/cpuset.cpus"} {
		if b, err := os.ReadFile(filepath.Join(root, f)); err != nil || string(b) != "0-1" {
			t.Errorf("%s = %q, %v", f, b, err)
		}
	}
}

func TestCreate_Version2(t *testing.T) {
	root := tree(t, map[string]string{"cgroup.controllers": "cpu memory"})
	if err := Create(root, "maodian-1", "hz1"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "maodian-1/hz1/cgroup.subtree_control"))
	if err != nil || string(b) != "+memory" {
		t.Errorf("last controller = %q, %v", b, err)
	}
}

func TestRemove_TakesOnlyTheBranch(t *testing.T) {
	root := tree(t, map[string]string{"memory/other/tasks": ""})
	for _, d := range []string{"memory/maodian-1/hz1/pods", "maodian-1/hz1"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := Remove(root, "maodian-1"); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"memory", "memory/other"}, dirs(t, root)); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
	for _, name := range []string{"", "..", "a/b", "."} {
		if err := Remove(root, name); err == nil {
			t.Errorf("%q is taken as a name", name)
		}
	}
}
