package component

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tools is a folder with the modules that the components need, each with made-up sums.
func tools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range All() {
		m := filepath.Join(dir, c.Module)
		if err := os.MkdirAll(m, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string]string{"go.mod": "module x", "go.sum": "a h1:1", "main.go": "package main"} {
			if err := os.WriteFile(filepath.Join(m, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func key(t *testing.T, dir string, c Component, version string) string {
	t.Helper()
	k, err := Key(dir, c, version)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKey_ChangesWithEveryInput(t *testing.T) {
	dir, etcd := tools(t), Component{Name: "etcd", Module: "etcd", Package: ".", LDFlags: "-s"}
	base := key(t, dir, etcd, "go1")
	if got := key(t, dir, etcd, "go1"); got != base || !strings.HasPrefix(got, "etcd-") || len(got) != len("etcd-")+16 {
		t.Errorf("key = %q, then %q", base, got)
	}
	if key(t, dir, etcd, "go2") == base {
		t.Error("another Go release gives the same key")
	}
	other := etcd
	other.LDFlags = "-s -w"
	if key(t, dir, other, "go1") == base {
		t.Error("other flags give the same key")
	}
	for file, content := range map[string]string{"go.sum": "a h1:2", "go.mod": "module y", "main.go": "package other", "new.go": "package main"} {
		before := key(t, dir, etcd, "go1")
		if err := os.WriteFile(filepath.Join(dir, "etcd", file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if key(t, dir, etcd, "go1") == before {
			t.Errorf("a changed %s gives the same key", file)
		}
	}
	before := key(t, dir, etcd, "go1")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "etcd", "sub"), 0o755), os.WriteFile(filepath.Join(dir, "etcd", "sub", "new.go"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if key(t, dir, etcd, "go1") == before {
		t.Error("a new source in a subfolder gives the same key")
	}
	if err := os.Remove(filepath.Join(dir, "etcd", "go.mod")); err != nil {
		t.Fatal(err)
	}
	if _, err := Key(dir, etcd, "go1"); err == nil {
		t.Error("a folder without a module has a key")
	}
}

// compiler writes the programs that a go build would write, and remembers the commands.
type compiler struct {
	calls [][]string
	fail  error
}

func (c *compiler) compile(_ context.Context, dir string, args []string, out io.Writer) error {
	_, _ = io.WriteString(out, "some/package\n")
	c.calls = append(c.calls, append([]string{filepath.Base(dir)}, args[6:]...))
	if c.fail != nil {
		_, _ = io.WriteString(out, "main.go:1: undefined: x\n")
		return c.fail
	}
	target := args[5]
	if !strings.HasSuffix(target, "/") {
		return os.WriteFile(target, []byte("program"), 0o755)
	}
	for _, p := range args[6:] {
		if err := os.WriteFile(filepath.Join(target, filepath.Base(p)), []byte("program"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func builder(t *testing.T) (*Builder, *compiler, *bytes.Buffer) {
	t.Helper()
	c, report := &compiler{}, &bytes.Buffer{}
	return &Builder{Tools: tools(t), Cache: filepath.Join(t.TempDir(), "cache"), Report: report, Compile: c.compile, Version: "go1"}, c, report
}

func selected(t *testing.T, purpose string) []Component {
	t.Helper()
	s, err := Select(purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnsure_BuildsOnlyWhatIsMissing(t *testing.T) {
	b, c, report := builder(t)
	for range 2 {
		if _, err := b.Ensure(t.Context(), selected(t, "tests")); err != nil {
			t.Fatal(err)
		}
	}
	programs, err := b.Ensure(t.Context(), selected(t, "all"))
	if err != nil {
		t.Fatal(err)
	}
	const k = "k8s.io/kubernetes/cmd/"
	want := [][]string{
		{"k8s", k + "kube-apiserver", k + "kube-scheduler"},
		{"etcd", "."},
		{"s3", "github.com/versity/versitygw/cmd/versitygw"},
		{"k8s", k + "kube-controller-manager", k + "kubectl", k + "kubelet", k + "kube-proxy", "helm.sh/helm/v4/cmd/helm", "./coredns"},
		{"pause", "."},
	}
	if d := cmp.Diff(want, c.calls); d != "" {
		t.Errorf("builds (-want +got):\n%s", d)
	}
	for name, path := range programs {
		if _, err := os.Stat(path); err != nil || filepath.Base(path) != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(report.String(), "kubelet, kube-proxy, helm, coredns") {
		t.Errorf("report = %q", report)
	}
}

func TestEnsure_LeavesNothingAfterAnError(t *testing.T) {
	b, c, _ := builder(t)
	c.fail = errors.New("exit status 1")
	_, err := b.Ensure(t.Context(), selected(t, "tests"))
	if !errors.Is(err, c.fail) || !strings.Contains(err.Error(), "undefined: x") {
		t.Errorf("error = %v, want the compiler's words", err)
	}
	entries, err := os.ReadDir(b.Cache)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("cache holds %v, %v; want only the lock", entries, err)
	}
}

func TestAssets_HoldsTheProgramsTogether(t *testing.T) {
	b, _, _ := builder(t)
	programs, err := b.Ensure(t.Context(), selected(t, "tests"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := b.Assets(programs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Assets(programs)
	if err != nil || again != dir {
		t.Errorf("second folder = %q, %v; want %q", again, err, dir)
	}
	for _, name := range []string{"kube-apiserver", "kube-scheduler", "etcd", "versitygw"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "program" {
			t.Errorf("%s = %q, %v", name, b, err)
		}
	}
}

func TestSelect_RefusesUnknownPurposes(t *testing.T) {
	if _, err := Select("everything"); err == nil {
		t.Error("an unknown purpose is taken")
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("MAODIAN_CACHE", "/a/cache")
	if d, err := CacheDir(); err != nil || d != "/a/cache" {
		t.Errorf("folder = %q, %v", d, err)
	}
	t.Setenv("MAODIAN_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/b")
	if d, err := CacheDir(); err != nil || d != "/b/maodian" {
		t.Errorf("folder = %q, %v", d, err)
	}
}
