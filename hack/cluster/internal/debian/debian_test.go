package debian

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machine has some programs, and gets the others by an installation unless that is broken.
type machine struct {
	has    map[string]bool
	calls  []string
	broken bool
}

func (m *machine) system(needs []Need, root, apt bool) System {
	return System{
		Needs: needs, Has: func(p string) bool { return m.has[p] }, Root: root, APT: apt,
		Run: func(_ context.Context, name string, args ...string) error {
			m.calls = append(m.calls, name+" "+strings.Join(args, " "))
			if args[0] == "install" && !m.broken {
				for _, n := range needs {
					m.has[n.Program] = true
				}
			}
			return nil
		},
	}
}

func TestInstall(t *testing.T) {
	m := &machine{has: map[string]bool{"runc": true, "ip": true, "mount": true, "nft": true}}
	var out bytes.Buffer
	for range 2 {
		if err := m.system(ForCluster(), true, true).Install(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"apt-get update -q",
		"apt-get install -q -y --no-install-recommends --no-upgrade containerd containernetworking-plugins",
	}
	if d := cmp.Diff(want, m.calls); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
	for _, w := range []string{"needed: containerd", "gives each pod its network", "nothing to install"} {
		if !strings.Contains(out.String(), w) {
			t.Errorf("output lacks %q:\n%s", w, out.String())
		}
	}
}

func TestInstall_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		root, apt, broken bool
		want              string
	}{
		"a user who is not root":             {false, true, false, "only root may install packages; run: sudo apt-get install"},
		"a machine without apt":              {true, false, false, "there is no apt-get"},
		"a package that brings no such file": {true, true, true, "still missing after the installation: containerd"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{has: map[string]bool{}, broken: c.broken}
			err := m.system(ForCluster(), c.root, c.apt).Install(t.Context(), &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	m := &machine{has: map[string]bool{}}
	if err := m.system(ForCluster(), true, true).Check(); err == nil || !strings.Contains(err.Error(), "go run ./hack/cluster deps") {
		t.Errorf("error = %v, want the command that helps", err)
	}
}

// TestForTests: a machine without a browser gets one, and a font to read Chinese with; one that has them is left alone.
func TestForTests(t *testing.T) {
	m := &machine{has: map[string]bool{"fc-list": true}}
	for range 2 {
		if err := m.system(ForTests(), true, true).Install(t.Context(), &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"apt-get update -q", "apt-get install -q -y --no-install-recommends --no-upgrade chromium openssh-sftp-server fonts-wqy-microhei"}
	if d := cmp.Diff(want, m.calls); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
}

func TestHas_ChromiumOfOnesOwn(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if has("chromium") {
		t.Fatal("found a chromium in an empty folder")
	}
	t.Setenv(ChromiumPath, "/opt/chrome")
	if !has("chromium") || has(ChineseFont) {
		t.Errorf("chromium %v, font %v; want the one that was named, and no font", has("chromium"), has(ChineseFont))
	}
}
