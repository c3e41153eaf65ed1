// Package debian installs the few Debian packages that the local cluster and the tests need. It installs nothing that
// is already there from another source, and never upgrades anything.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Need is one program with the package that brings it.
type Need struct {
	Program string // a name in PATH, an absolute path, or ChineseFont
	Package string
	Why     string
}

// ChineseFont stands for any font with simplified Chinese: without one, screenshots show boxes.
const ChineseFont = "a Chinese font"

// ChromiumPath is the variable that names a Chromium that is not Debian's.
const ChromiumPath = "MAODIAN_CHROMIUM"

// ForTests is what the tests need and nothing here builds.
func ForTests() []Need {
	return []Need{
		{"chromium", "chromium", "shows people's pages to the browser tests"},
		{"fc-list", "fontconfig", "tells which fonts are there"},
		{"/usr/lib/openssh/sftp-server", "openssh-sftp-server", "takes what a transfer uploads by SFTP; no daemon comes with it"},
		{ChineseFont, "fonts-wqy-microhei", "Chinese text on screenshots; the smallest that there is"},
	}
}

// ForCluster is everything that the cluster does not build itself.
func ForCluster() []Need {
	return []Need{
		{"containerd", "containerd", "runs the containers of each node"},
		{"ctr", "containerd", "loads images without a registry"},
		{"runc", "runc", "starts containers"},
		{"/usr/lib/cni/bridge", "containernetworking-plugins", "gives each pod its network"},
		{"nft", "nftables", "Services and network policies"},
		{"ip", "iproute2", "connects the nodes"},
		{"mount", "mount", "volumes of pods"},
	}
}

// System is the machine; tests replace it.
type System struct {
	Needs []Need
	Has   func(program string) bool
	Root  bool
	APT   bool // apt-get is there
	Run   func(ctx context.Context, name string, args ...string) error
}

// sbin holds programs that PATH often lacks.
const sbin = "/usr/sbin:/sbin"

// WithSbin returns a PATH that also finds the administrator's programs.
func WithSbin(path string) string {
	if path == "" {
		return sbin
	}
	return path + ":" + sbin
}

// Host is this machine, which shall have what is needed; the output of apt-get goes to out.
func Host(needs []Need, out io.Writer) System {
	return System{
		Needs: needs, Has: has, Root: os.Geteuid() == 0, APT: has("apt-get"),
		Run: func(ctx context.Context, name string, args ...string) error {
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Stdout, cmd.Stderr = out, out
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			return cmd.Run()
		},
	}
}

// has looks for a need on this machine.
func has(program string) bool {
	switch {
	case program == ChineseFont:
		out, err := exec.Command("fc-list", ":lang=zh-cn", "file").Output()
		return err == nil && len(out) > 0
	case program == "chromium" && os.Getenv(ChromiumPath) != "":
		return true // the tests say so if that is none
	}
	_, err := exec.LookPath(program)
	return err == nil
}

// Missing lists what is not there.
func (s System) Missing() []Need {
	return slices.DeleteFunc(slices.Clone(s.Needs), func(n Need) bool { return s.Has(n.Program) })
}

// Check is an error that names everything that is missing, and the command that helps.
func (s System) Check() error {
	missing := s.Missing()
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s not found; run: go run ./hack/cluster deps", strings.Join(programs(missing), ", "))
}

func programs(needs []Need) []string {
	var out []string
	for _, n := range needs {
		out = append(out, n.Program)
	}
	return out
}

// Install installs what is missing, and says what and why.
func (s System) Install(ctx context.Context, out io.Writer) error {
	missing := s.Missing()
	if len(missing) == 0 {
		_, err := fmt.Fprintln(out, "nothing to install")
		return err
	}
	var packages []string
	for _, n := range missing {
		if !slices.Contains(packages, n.Package) {
			packages = append(packages, n.Package)
			_, _ = fmt.Fprintf(out, "needed: %-28s %s\n", n.Package, n.Why)
		}
	}
	if !s.APT {
		return fmt.Errorf("%s not found and there is no apt-get: install what brings them (Debian calls it %s)",
			strings.Join(programs(missing), ", "), strings.Join(packages, " "))
	}
	if !s.Root {
		return fmt.Errorf("only root may install packages; run: sudo apt-get install --no-install-recommends %s", strings.Join(packages, " "))
	}
	if err := s.Run(ctx, "apt-get", "update", "-q"); err != nil {
		return fmt.Errorf("update package lists: %w", err)
	}
	args := append([]string{"install", "-q", "-y", "--no-install-recommends", "--no-upgrade"}, packages...)
	if err := s.Run(ctx, "apt-get", args...); err != nil {
		return fmt.Errorf("install packages: %w", err)
	}
	if left := s.Missing(); len(left) > 0 {
		return errors.New("still missing after the installation: " + strings.Join(programs(left), ", "))
	}
	return nil
}
