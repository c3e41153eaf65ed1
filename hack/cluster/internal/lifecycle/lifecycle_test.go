package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/process"
)

func manager(t *testing.T) *Manager {
	t.Helper()
	dir := t.TempDir()
	return &Manager{State: filepath.Join(dir, "state"), Kubeconfig: filepath.Join(dir, "kubeconfig"), Out: &bytes.Buffer{}}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestDown_IsIdempotent(t *testing.T) {
	m := manager(t)
	for range 2 {
		if err := m.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := files(t, filepath.Dir(m.State)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDown_EndsTheRecordedProcess(t *testing.T) {
	m := manager(t)
	if err := m.prepare(config.Cluster{Name: "a", State: m.State}, "https://127.0.0.1:1", nil, time.Now()); err == nil {
		t.Fatal("a cluster without programs is prepared")
	}
	cmd := exec.Command("cat") // waits for its input
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	id, err := process.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{m.path(marker): "", m.Kubeconfig: "secret"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(m.path("cluster.json")); err != nil { // no cgroups are to be removed
		t.Fatal(err)
	}
	if err := m.write(record{Process: id, Kubeconfig: m.Kubeconfig}); err != nil {
		t.Fatal(err)
	}
	if err := m.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	if left := files(t, filepath.Dir(m.State)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDown_LeavesStrangeFoldersAlone(t *testing.T) {
	m := manager(t)
	if err := os.MkdirAll(m.State, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path("thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Down(t.Context()); err == nil || !strings.Contains(err.Error(), "MAODIAN_STATE") {
		t.Errorf("error = %v, want a refusal", err)
	}
	if left := files(t, m.State); len(left) != 1 {
		t.Errorf("files = %v", left)
	}
}

func TestQuestions_WithoutACluster(t *testing.T) {
	m := manager(t)
	for name, ask := range map[string]func() error{
		"status": func() error { return m.Status(t.Context()) },
		"load":   func() error { return m.Load(t.Context(), []string{"a.tar"}) },
		"exec":   func() error { return m.Exec(t.Context(), []string{"true"}) },
	} {
		if err := ask(); !errors.Is(err, ErrDown) {
			t.Errorf("%s: %v, want %v", name, err, ErrDown)
		}
	}
	if err := os.MkdirAll(m.State, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"", "{", `{"process":{"pid":1},"ready":true}`} {
		if err := os.WriteFile(m.path(recordFile), []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Status(t.Context()); !errors.Is(err, ErrDown) {
			t.Errorf("record %q: %v, want %v", torn, err, ErrDown)
		}
	}
}

func TestUntil_NamesWhatWasMissing(t *testing.T) {
	missing := errors.New("node hz1 is not ready")
	err := until(t.Context(), time.Millisecond, "node hz1 ready", func(context.Context) error { return missing })
	if !errors.Is(err, missing) || !strings.Contains(err.Error(), `"node hz1 ready": not within 1ms`) {
		t.Errorf("error = %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the cluster's first process ended")
	cancel(gone)
	if err := until(ctx, time.Minute, "x", func(context.Context) error { return missing }); !errors.Is(err, gone) {
		t.Errorf("error = %v, want %v", err, gone)
	}
}

func TestTails(t *testing.T) {
	m := manager(t)
	if err := os.MkdirAll(m.path("log"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"etcd.log": "1\n2\n3\n4\n5\n6\n", "empty.log": ""} {
		if err := os.WriteFile(m.path("log/"+file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := m.tails(), "\n--- end of etcd.log\n2\n3\n4\n5\n6"; got != want {
		t.Errorf("tails = %q, want %q", got, want)
	}
}
