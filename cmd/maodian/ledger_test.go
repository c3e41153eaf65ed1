package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// TestMain lets a test start this very program.
func TestMain(m *testing.M) {
	if os.Getenv("MAODIAN_TEST_RUN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// site is a folder with what an auditor has: key, checkpoint and receipt, and a ledger.
type site struct {
	dir, data, key string
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{dir: t.TempDir(), data: t.TempDir()}
	clock := storetest.NewClock()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: s.data, LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{T: t, Ledger: l, Clock: clock}
	w.Push(nil)
	w.Fan("a")
	w.Choose(t.Context(), "b", consent.Adult, storetest.Purpose)
	receipt, _, _ := w.Receipt("b")
	s.key = w.Verifier().Key()
	published, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.write(t, "consent-receipt.json", receipt)
	s.write(t, "verifier.key", []byte(s.key+"\n"))
	s.write(t, "checkpoint.txt", []byte(published))
	return s
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(s.path(name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s site) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"ledger"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestLedger_VerifyTellsWhatIsWrong(t *testing.T) {
	s := newSite(t)
	if code, out, errs := s.run(t, "export", "--dir", s.data, "--out", s.path("pack"), "--bodies", "all"); code != 0 || !strings.Contains(out, "entries of maodian.dev/ledger/") {
		t.Fatal(code, out, errs)
	}
	pack, err := os.ReadFile(s.path("pack"))
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := os.ReadFile(s.path("consent-receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(pack)))
	s.write(t, "changed", bytes.Replace(pack, []byte(`"action":"Given"`), []byte(`"action":"Taken"`), 1))
	s.write(t, "dropped", []byte(strings.Join(slices.Delete(slices.Clone(lines), 3, 4), "")))
	s.write(t, "torn", pack[:len(pack)-10])
	s.write(t, "short", []byte(strings.Join(lines[:2], "")))
	s.write(t, "forged.json", bytes.Replace(receipt, []byte("ConsentRefused"), []byte("ConsentGiven"), 1))
	s.write(t, "junk", []byte("\x00\x01"))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"verify", s.path("pack"), "--key", s.key}, 0, "OK pack"},
		{[]string{"verify", "--key", s.key, s.path("pack"), "--checkpoint", s.path("checkpoint.txt")}, 0, "1 published"},
		{[]string{"verify", s.path("consent-receipt.json"), "--key", s.key}, 0, "OK receipt: 3 events of 3 consents"},
		{[]string{"verify", s.path("changed"), "--key", s.key}, 1, "EntryChanged"},
		{[]string{"verify", s.path("dropped"), "--key", s.key}, 1, "EntryMissing: line 4: entry 2 is missing"},
		{[]string{"verify", s.path("torn"), "--key", s.key}, 1, "Truncated"},
		{[]string{"verify", s.path("short"), "--key", s.key}, 1, "Truncated"},
		{[]string{"verify", s.path("forged.json"), "--key", s.key}, 1, "NotProved"},
		{[]string{"verify", s.path("junk"), "--key", s.key}, 1, "Truncated"},
		{[]string{"verify", s.path("pack"), "--key", s.key, "--checkpoint", s.path("junk")}, 1, "CheckpointForged"},
		{[]string{"verify", s.path("pack"), "--key", "x"}, 2, "KeyInvalid"},
		{[]string{"verify", s.path("pack")}, 2, "--key"},
		{[]string{"verify", s.path("nothing"), "--key", s.key}, 2, "no such file"},
		{[]string{"verify", s.path("pack"), "--key", s.key, "-o", "yaml"}, 2, "text or json"},
		{[]string{"verify", s.path("consent-receipt.json"), "--key", s.key, "--checkpoint", s.path("checkpoint.txt")}, 2, "goes with a pack"},
		{[]string{"export", "--dir", s.dir, "--out", s.path("other")}, 2, "LedgerMissing"},
		{[]string{"export", "--dir", s.data, "--out", s.path("pack")}, 2, "exists"},
		{[]string{"export", "--dir", s.data, "--out", s.path("other"), "--bodies", "some"}, 2, "BodiesInvalid"},
		{[]string{"prove"}, 2, "usage"},
		{nil, 2, "usage"},
	} {
		code, out, errs := s.run(t, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%v: %d %s%s, want %d %s", c.args, code, out, errs, c.code, c.says)
		}
		if strings.Contains(out, "\x1b") {
			t.Error("colours, and no terminal")
		}
	}
	if _, err := os.Stat(s.path("other")); err == nil {
		t.Error("a failed export leaves half a pack")
	}
}

func TestLedger_JSON(t *testing.T) {
	s := newSite(t)
	code, out, _ := s.run(t, "export", "--dir", s.data, "--out", s.path("pack"), "-o", "json")
	var exported sqlite.Exported
	if err := json.Unmarshal([]byte(out), &exported); err != nil || code != 0 || exported.VerifierKey != s.key {
		t.Error(code, out, err)
	}
	_, out, _ = s.run(t, "verify", s.path("pack"), "--key", s.key, "-o", "json")
	var good verdict
	if err := json.Unmarshal([]byte(out), &good); err != nil || !good.OK || good.Pack.Entries != exported.Entries || good.Fault != nil {
		t.Error(out, err)
	}
	pack, err := os.ReadFile(s.path("pack"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "cut", pack[:len(pack)/2])
	code, out, _ = s.run(t, "verify", s.path("cut"), "--key", s.key, "-o", "json")
	var bad verdict
	if err := json.Unmarshal([]byte(out), &bad); err != nil || code != 1 || bad.OK || bad.Fault.Word != "Truncated" || bad.Fault.Line == 0 {
		t.Error(out, err)
	}
}

// TestLedger_DocumentedExample runs the commands of docs/ledger.md as they stand there.
func TestLedger_DocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- a test runs this block -->\n```sh\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/ledger.md has no block to run")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, bin := newSite(t), t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "maodian")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-eu", "-c", string(block[1]))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "DATA="+s.data, "MAODIAN_TEST_RUN=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "OK ") != 2 || !strings.Contains(string(out), "1 published ones continued") {
		t.Errorf("%v: %s", err, out)
	}
}
