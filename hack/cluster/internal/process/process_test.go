package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTable runs real programs: this test binary has no other children meanwhile.
func TestTable(t *testing.T) {
	table := New(t.Context())
	if err := table.Run("true"); err != nil {
		t.Error(err)
	}
	err := table.Run("sh", "-c", "echo what went wrong; exit 3")
	if err == nil || !strings.Contains(err.Error(), "exit status 3: what went wrong") {
		t.Errorf("error = %v, want its status and output", err)
	}
	if err := table.Run("no-such-program"); err == nil {
		t.Error("a missing program is no error")
	}
	end, err := table.Start(exec.Command("sh", "-c", "kill -9 $$"))
	if err != nil {
		t.Fatal(err)
	}
	if s := <-end; !s.Signaled() || s.Signal() != syscall.SIGKILL {
		t.Errorf("end = %s, want SIGKILL", describe(s))
	}
}

func TestKeep_StartsAgain(t *testing.T) {
	table := New(t.Context())
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := table.Keep(t.Context(), filepath.Join(dir, "log"), "sh", "-c", "echo started; echo x >"+fifo); err != nil {
		t.Fatal(err)
	}
	for range 2 { // opening blocks until the program writes, and it writes once in each life
		if b, err := os.ReadFile(fifo); err != nil || string(b) != "x\n" {
			t.Fatalf("read %q, %v", b, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !strings.HasPrefix(string(b), "started\nstarted\n") {
		t.Errorf("log = %q, %v", b, err)
	}
}

func fakeProc(t *testing.T, files map[string]string) string {
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

func TestIdentify(t *testing.T) {
	tail := " 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n"
	proc := fakeProc(t, map[string]string{
		"sys/kernel/random/boot_id": "b00t\n",
		"7/stat":                    "7 (a (strange) name) S" + tail,
		"8/stat":                    "8 (dead) Z" + tail,
		"9/stat":                    "9 (torn) S 1",
	})
	got, err := identify(proc, 7)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ID{PID: 7, Start: 4711, Boot: "b00t"}, got); d != "" {
		t.Errorf("id (-want +got):\n%s", d)
	}
	for _, pid := range []int{8, 9, 10} {
		if _, err := identify(proc, pid); err == nil {
			t.Errorf("process %d is alive", pid)
		}
	}
}

func TestAlive_TellsReusedNumbersApart(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !id.Alive() {
		t.Error("this process is not alive")
	}
	id.Start++
	if id.Alive() {
		t.Error("another process of the same number counts as this one")
	}
}

func TestChildren(t *testing.T) {
	proc := fakeProc(t, map[string]string{
		"7/task/7/children": "11 ", "7/task/8/children": "12 13 ",
		"11/cmdline": "cluster\x00node\x00hz1\x00", "12/cmdline": "etcd\x00",
	})
	got, err := children(proc, 7)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[int][]string{11: {"cluster", "node", "hz1"}, 12: {"etcd"}}, got); d != "" {
		t.Errorf("children (-want +got):\n%s", d)
	}
}
