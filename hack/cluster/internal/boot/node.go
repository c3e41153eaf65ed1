package boot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/maodian-dev/maodian/hack/cluster/internal/cgroup"
	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/manifest"
	"github.com/maodian-dev/maodian/hack/cluster/internal/process"
)

// ContainerdSocket is where each node's containerd listens, in the node's own mount namespace.
const ContainerdSocket = "/run/containerd/containerd.sock"

// ImageDir is where images wait that every node loads when it starts.
const ImageDir = "images"

// Node is the first process of one node: its network, its files, containerd, kubelet, kube-proxy and the agent for
// network policies. It returns only on failure.
func Node(ctx context.Context, c config.Cluster, name string) error {
	m, err := c.Member(name)
	if err != nil {
		return err
	}
	if err := ownMounts(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	g := guest{Cluster: c, Member: m, table: process.New(ctx)}
	for _, step := range []func(context.Context) error{g.network, g.mounts, g.group, g.runtime, g.images, g.agents} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// group makes the node's cgroups.
func (g guest) group(context.Context) error {
	return cgroup.Create(cgroup.Root, g.CGroup(), g.Member.Name)
}

// guest is one node.
type guest struct {
	config.Cluster
	config.Member
	table *process.Table
}

func (g guest) dir(parts ...string) string {
	return filepath.Join(append([]string{g.NodeDir(g.Member.Name)}, parts...)...)
}

// network waits for the cable that the cluster plugs in, and takes its place in the address plan.
func (g guest) network(ctx context.Context) error {
	if err := until(ctx, "the network cable", func(context.Context) error {
		_, err := net.InterfaceByName("eth0")
		return err
	}); err != nil {
		return err
	}
	commands := [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", g.IP() + "/24", "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", config.GatewayIP},
	}
	for _, peer := range g.Members() {
		if peer.Number != g.Number {
			commands = append(commands, []string{"route", "add", peer.Pods(), "via", peer.IP()})
		}
	}
	for _, args := range commands {
		if err := g.table.Run("ip", args...); err != nil {
			return fmt.Errorf("set up network: %w", err)
		}
	}
	// the second one shows traffic between pods of one node to the rules
	for _, s := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := os.WriteFile("/proc/sys/"+s, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
	}
	return nil
}

// kubeletSysctls are settings of the whole machine that kubelet wants to change.
func kubeletSysctls() map[string]string {
	return map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	}
}

// mounts gives the node its own view of the paths that its programs use, so that nothing is written outside the state
// folder, and shows kubelet the sysctls it wants instead of letting it set them.
func (g guest) mounts(context.Context) error {
	for _, d := range []string{"varlib", "varlib.work", "kubelet", "containerd", "cni", "pv"} {
		if err := os.MkdirAll(g.dir(d), 0o755); err != nil {
			return fmt.Errorf("create folder: %w", err)
		}
	}
	for _, m := range []struct{ source, target, kind, data string }{
		{"tmpfs", "/run", "tmpfs", "mode=755"},
		{"tmpfs", "/var/log", "tmpfs", "mode=755"},
		{"overlay", "/var/lib", "overlay", fmt.Sprintf("lowerdir=/var/lib,upperdir=%s,workdir=%s", g.dir("varlib"), g.dir("varlib.work"))},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, 0, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	binds := map[string]string{g.dir("kubelet"): "/var/lib/kubelet", g.dir("containerd"): "/var/lib/containerd"}
	for _, target := range binds {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("create folder: %w", err)
		}
	}
	for name, value := range kubeletSysctls() {
		source := g.dir("sysctl." + strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(source, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("write sysctl: %w", err)
		}
		binds[source] = "/proc/sys/" + name
	}
	for source, target := range binds {
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with pods: %w", err)
	}
	return nil
}

// runtime starts containerd.
func (g guest) runtime(ctx context.Context) error {
	version, err := g.containerdMajor()
	if err != nil {
		return err
	}
	for file, render := range map[string]func() ([]byte, error){
		"cni/10-bridge.conflist": func() ([]byte, error) { return manifest.CNI(g.Cluster, g.Member) },
		"containerd.toml":        func() ([]byte, error) { return manifest.Containerd(g.Cluster, g.Member, version) },
		"kubelet.yaml":           func() ([]byte, error) { return manifest.Kubelet(g.Cluster, g.Member) },
		"kube-proxy.yaml":        func() ([]byte, error) { return manifest.KubeProxy(g.Cluster, g.Member) },
		"resolv.conf":            func() ([]byte, error) { return fmt.Append(nil, "nameserver ", config.DNSIP, "\n"), nil }, //nolint:unparam // the others can fail
	} {
		b, err := render()
		if err != nil {
			return err
		}
		if err := os.WriteFile(g.dir(file), b, 0o644); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
	}
	if err := g.table.Keep(ctx, g.Log("containerd-"+g.Member.Name), "containerd", "-c", g.dir("containerd.toml")); err != nil {
		return err
	}
	return until(ctx, "containerd", func(context.Context) error { return g.table.Run("ctr", "version") })
}

// images loads what was put there before the start, pause and DNS among them.
func (g guest) images(context.Context) error {
	files, err := filepath.Glob(g.Path(ImageDir, "*.tar"))
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, f := range files {
		if err := g.table.Run("ctr", ImportArgs(ContainerdSocket, f)...); err != nil {
			return fmt.Errorf("load image: %w", err)
		}
	}
	return nil
}

// ImportArgs are ctr's arguments for loading an image where kubelet looks for it.
func ImportArgs(socket, file string) []string {
	return []string{"-a", socket, "-n", "k8s.io", "images", "import", file}
}

// agents starts what talks to the API server, once that answers at all.
func (g guest) agents(ctx context.Context) error {
	if err := until(ctx, "the API server", func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", config.APIAddress)
		if err != nil {
			return err
		}
		return c.Close()
	}); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	name := g.Member.Name
	return errors.Join(
		g.table.Keep(ctx, g.Log("kubelet-"+name), g.Programs["kubelet"],
			"--config", g.dir("kubelet.yaml"), "--kubeconfig", g.PKI("node-"+name+".kubeconfig"),
			"--hostname-override", name, "--node-ip", g.IP(),
			"--node-labels", "topology.kubernetes.io/region="+g.Region+",topology.kubernetes.io/zone="+g.Zone, "--v=1"),
		g.table.Keep(ctx, g.Log("kube-proxy-"+name), g.Programs["kube-proxy"], "--config", g.dir("kube-proxy.yaml")),
		g.table.Keep(ctx, g.Log("network-policy-"+name), self, NetworkPolicyCommand, g.State, name),
	)
}

// containerdMajor asks containerd for its major version, which decides the format of its configuration.
func (g guest) containerdMajor() (int, error) {
	out, err := g.table.Output("containerd", "--version")
	if err != nil {
		return 0, err
	}
	return parseMajor(out)
}

// parseMajor reads the answer of "containerd --version", such as "containerd github.com/containerd/containerd 1.6.20~ds1 ...".
func parseMajor(s string) (int, error) {
	f := strings.Fields(s)
	if len(f) < 3 {
		return 0, fmt.Errorf("containerd's version %q is not understood", s)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(f[2], "v"), ".")
	major, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("containerd's version %q is not understood", f[2])
	}
	return major, nil
}
