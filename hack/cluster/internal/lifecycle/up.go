package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/maodian-dev/maodian/hack/cluster/internal/boot"
	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/debian"
	"github.com/maodian-dev/maodian/hack/cluster/internal/kube"
	"github.com/maodian-dev/maodian/hack/cluster/internal/manifest"
	"github.com/maodian-dev/maodian/hack/cluster/internal/pki"
	"github.com/maodian-dev/maodian/hack/cluster/internal/process"
	"github.com/maodian-dev/maodian/hack/internal/ociimage"
)

// Waits. A machine under load takes 20 s for all of them together.
const (
	apiLimit  = 90 * time.Second
	nodeLimit = 90 * time.Second
	dnsLimit  = 90 * time.Second
)

// Up starts the cluster c and loads images into it. A healthy cluster of the same description is left alone; one of
// another description is an error; whatever else is found is removed first. If the start fails or ctx ends, nothing
// is left.
func (m *Manager) Up(ctx context.Context, c config.Cluster, images []string) error {
	if os.Geteuid() != 0 {
		return errors.New("only root may start a cluster: it needs namespaces, mounts and cgroups")
	}
	if err := debian.Host(debian.ForCluster(), m.Out).Check(); err != nil {
		return err
	}
	if err := bridgeFilter(ctx); err != nil {
		return err
	}
	for _, f := range images {
		if _, err := os.Stat(f); err != nil {
			return fmt.Errorf("find image: %w", err)
		}
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	done, err := m.adopt(ctx, c, images)
	if done || err != nil {
		return err
	}
	if err := m.clean(ctx); err != nil {
		return err
	}
	if err := m.start(ctx, c, images); err != nil {
		logs := m.tails()
		if ctx.Err() != nil {
			err, logs = fmt.Errorf("interrupted: %w", ctx.Err()), ""
		}
		// the caller's context may be the very thing that ended the start
		return errors.Join(fmt.Errorf("%w%s", err, logs), m.clean(context.WithoutCancel(ctx)))
	}
	return nil
}

// bridgeFilter loads the one kernel module that does not load itself on use. Without it, rules do not see the traffic
// between pods of one node. It is the only thing that stays on the machine.
func bridgeFilter(ctx context.Context) error {
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err == nil {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "modprobe", "br_netfilter").CombinedOutput(); err != nil {
		return fmt.Errorf("load kernel module br_netfilter: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// adopt tells whether the wanted cluster is already up.
func (m *Manager) adopt(ctx context.Context, c config.Cluster, images []string) (bool, error) {
	r, client, err := m.running()
	if err != nil {
		return false, nil //nolint:nilerr // none runs: one is to be started
	}
	old, err := boot.Load(m.State)
	if err != nil || healthy(ctx, client, old) != nil {
		m.say("the cluster that runs is not healthy; starting anew")
		return false, nil //nolint:nilerr // an unhealthy cluster is replaced, whatever ails it
	}
	oldID, errOld := old.ID()
	newID, errNew := c.ID()
	if err := errors.Join(errOld, errNew); err != nil {
		return false, err
	}
	if oldID != newID {
		return false, errors.New("a cluster with other nodes, aliases or programs is up; run first: go run ./hack/cluster down")
	}
	if err := m.publish(r); err != nil {
		return false, err
	}
	m.say("already up")
	if len(images) == 0 {
		return true, nil
	}
	return true, m.Load(ctx, images)
}

// start runs from an empty state folder to a ready cluster.
func (m *Manager) start(ctx context.Context, c config.Cluster, images []string) error {
	began := time.Now()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open port for the API server: %w", err)
	}
	defer func() { _ = listener.Close() }()
	r := record{URL: "https://" + listener.Addr().String()}
	if err := m.prepare(c, r.URL, images, began); err != nil {
		return err
	}
	ended, err := m.launch(c, &r, listener.(*net.TCPListener))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ended:
			cancel(errors.New("the cluster's first process ended"))
		case <-ctx.Done():
		}
	}()
	if err := m.await(ctx, c, began); err != nil {
		return err
	}
	r.Ready = true
	if err := m.publish(r); err != nil {
		return err
	}
	m.say("%5.1f s  up; export KUBECONFIG=%s", time.Since(began).Seconds(), m.Kubeconfig)
	return nil
}

// prepare fills the state folder: certificates, images, and a copy of this program, which outlives "go run".
func (m *Manager) prepare(c config.Cluster, url string, images []string, now time.Time) error {
	for _, d := range []string{"", "log", "bin", "nodes", boot.ImageDir} {
		if err := os.MkdirAll(m.path(d), 0o755); err != nil {
			return fmt.Errorf("create state folder: %w", err)
		}
	}
	if err := os.WriteFile(m.path(marker), nil, 0o600); err != nil {
		return fmt.Errorf("mark state folder: %w", err)
	}
	if err := boot.Save(c); err != nil {
		return err
	}
	files, err := pki.New(c.Members(), url, now)
	if err != nil {
		return err
	}
	if err := files.Write(m.path("pki")); err != nil {
		return err
	}
	for program, ref := range map[string]string{"pause": config.PauseImage, "coredns": config.CoreDNSImage} {
		img, err := ociimage.Build(ociimage.Spec{
			Files:      []ociimage.File{{Source: c.Programs[program], Path: "/" + program}},
			Entrypoint: []string{"/" + program}, Architecture: runtime.GOARCH,
		})
		if err != nil {
			return err
		}
		if err := ociimage.WriteFile(c.Path(boot.ImageDir, "0-"+program+".tar"), ref, img); err != nil {
			return err
		}
	}
	for i, f := range images {
		if err := link(f, c.Path(boot.ImageDir, fmt.Sprintf("1-%d.tar", i))); err != nil {
			return err
		}
	}
	return copySelf(c.Path("bin", "cluster"))
}

// link shares a file without a copy of its contents; a symbolic link would break when the original is replaced.
func link(from, to string) error {
	abs, err := filepath.Abs(from)
	if err != nil {
		return fmt.Errorf("resolve image: %w", err)
	}
	if os.Link(abs, to) == nil {
		return nil
	}
	return copyFile(abs, to, 0o644)
}

func copySelf(to string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	return copyFile(self, to, 0o755)
}

func copyFile(from, to string, mode os.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("copy file: %w", err)
	}
	return nil
}

// launch starts the first process. It goes on only after it has been written down, so no cluster is ever lost sight
// of. The channel is closed at its end.
func (m *Manager) launch(c config.Cluster, r *record, l *net.TCPListener) (<-chan struct{}, error) {
	socket, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("hand over listener: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create pipe: %w", err), socket.Close())
	}
	defer func() { _, _, _ = socket.Close(), read.Close(), write.Close() }()
	log, err := os.Create(c.Log("cluster"))
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.Path("bin", "cluster"), boot.ClusterCommand, c.State)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.ExtraFiles = []*os.File{socket, read}
	boot.Isolate(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start first process: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // why it ended is in its log
		close(ended)
	}()
	if r.Process, err = process.Identify(cmd.Process.Pid); err != nil {
		return nil, err
	}
	if err := m.write(*r); err != nil {
		return nil, err
	}
	if _, err := write.Write([]byte{1}); err != nil {
		return nil, fmt.Errorf("let first process go on: %w", err)
	}
	return ended, nil
}

// await waits for the API server, adds the first objects, and waits for nodes and DNS.
func (m *Manager) await(ctx context.Context, c config.Cluster, began time.Time) error {
	client, err := kube.Client(c.PKI(pki.OutsideKubeconfig))
	if err != nil {
		return err
	}
	say := func(what string) { m.say("%5.1f s  %s", time.Since(began).Seconds(), what) }
	for _, s := range m.steps(client, c) {
		if err := until(ctx, s.limit, s.what, s.done); err != nil {
			return err
		}
		say(s.what)
	}
	return nil
}

// step is one thing to wait for.
type step struct {
	what  string
	limit time.Duration
	done  func(context.Context) error
}

func (m *Manager) steps(client kubernetes.Interface, c config.Cluster) []step {
	out := []step{
		{"API server ready", apiLimit, func(ctx context.Context) error { return kube.APIReady(ctx, client) }},
		{"first objects applied", apiLimit, func(ctx context.Context) error { return m.apply(ctx, c) }},
		{"controllers running", apiLimit, func(ctx context.Context) error { return kube.AccountsReady(ctx, client) }},
	}
	for _, n := range c.Config.Nodes {
		out = append(out, step{"node " + n.Name + " ready", nodeLimit, func(ctx context.Context) error { return kube.NodeReady(ctx, client, n.Name) }})
	}
	return append(out, step{"DNS ready", dnsLimit, func(ctx context.Context) error { return kube.DNSReady(ctx, client) }})
}

func (m *Manager) apply(ctx context.Context, c config.Cluster) error {
	objects, err := manifest.Objects(c.Config)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, c.Programs["kubectl"], "--kubeconfig", c.PKI(pki.OutsideKubeconfig), "apply", "--server-side", "-f", "-")
	cmd.Stdin = strings.NewReader(string(objects))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apply first objects: %w: %s", err, out)
	}
	return nil
}

// publish writes the kubeconfig for people, and the record that the start is complete.
func (m *Manager) publish(r record) error {
	b, err := os.ReadFile(filepath.Join(m.State, "pki", pki.OutsideKubeconfig))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.Kubeconfig), 0o755); err != nil {
		return fmt.Errorf("create folder of the kubeconfig: %w", err)
	}
	r.Kubeconfig = m.Kubeconfig
	// the record first: a kubeconfig that nobody knows of would outlive the cluster
	if err := m.write(r); err != nil {
		return err
	}
	return replace(m.Kubeconfig, b)
}

// until polls; its error tells what was missing at the last try.
func until(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 2*poll, limit, true, func(ctx context.Context) (bool, error) {
		last = f(ctx)
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("wait for %q: %w", what, cause)
	}
	return fmt.Errorf("wait for %q: not within %s: %w", what, limit, last)
}

const tailLines = 5

// tails returns the last lines of every log, which die with the state folder.
func (m *Manager) tails() string {
	files, err := filepath.Glob(m.path("log/*.log"))
	if err != nil {
		return ""
	}
	var out strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || len(b) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		fmt.Fprintf(&out, "\n--- end of %s\n%s", filepath.Base(f), strings.Join(lines[max(0, len(lines)-tailLines):], "\n"))
	}
	return out.String()
}
