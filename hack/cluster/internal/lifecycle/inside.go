package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/maodian-dev/maodian/hack/cluster/internal/boot"
	"github.com/maodian-dev/maodian/hack/cluster/internal/kube"
	"github.com/maodian-dev/maodian/hack/cluster/internal/pki"
	"github.com/maodian-dev/maodian/hack/cluster/internal/process"
)

// loaders is how many nodes load an image at once.
const loaders = 2

// Load imports image archives on every node of the running cluster.
func (m *Manager) Load(ctx context.Context, images []string) error {
	r, _, err := m.running()
	if err != nil {
		return err
	}
	nodes, err := nodeProcesses(r.Process.PID)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loaders)
	for name, pid := range nodes {
		g.Go(func() error {
			// the node's containerd, seen through its first process; ctr sends the file over the socket
			socket := fmt.Sprintf("/proc/%d/root%s", pid, boot.ContainerdSocket)
			for _, f := range images {
				cmd := exec.CommandContext(ctx, "ctr", boot.ImportArgs(socket, f)...)
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("load %s on node %s: %w: %s", filepath.Base(f), name, err, strings.TrimSpace(string(out)))
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	m.say("loaded %d image(s) on %d node(s)", len(images), len(nodes))
	return nil
}

// nodeProcesses maps the nodes to their first processes, which are children of the cluster's.
func nodeProcesses(cluster int) (map[string]int, error) {
	children, err := process.Children(cluster)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for pid, args := range children {
		if len(args) == 4 && args[1] == boot.NodeCommand {
			out[args[3]] = pid
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no node runs")
	}
	return out, nil
}

// Status prints the nodes, and is an error when the cluster is not healthy.
func (m *Manager) Status(ctx context.Context) error {
	r, client, err := m.running()
	if err != nil {
		return err
	}
	c, err := boot.Load(m.State)
	if err != nil {
		return err
	}
	m.say("cluster %s: process %d, %s\nstate %s\nkubeconfig %s", c.Name, r.Process.PID, r.URL, m.State, r.Kubeconfig)
	if err := kube.APIReady(ctx, client); err != nil {
		return err
	}
	var problems []error
	for _, n := range c.Config.Nodes {
		state := "Ready"
		if err := kube.NodeReady(ctx, client, n.Name); err != nil {
			state = "NotReady"
			problems = append(problems, err)
		}
		m.say("%-12s %-9s region %s, zone %s", n.Name, state, n.Region, n.Zone)
	}
	return errors.Join(problems...)
}

// Exec runs a command inside the cluster's network, where ClusterIPs are not routed but nodes and pods are. It sees
// the files and processes of this machine.
func (m *Manager) Exec(ctx context.Context, args []string) error {
	r, _, err := m.running()
	if err != nil {
		return err
	}
	c, err := boot.Load(m.State)
	if err != nil {
		return err
	}
	dirs := []string{}
	for _, p := range c.Programs {
		dirs = append(dirs, filepath.Dir(p))
	}
	path := strings.Join(dirs, ":") + ":" + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.PKI(pki.AdminKubeconfig))
	ended := make(chan error, 1)
	go func() {
		// the thread stays in the other network, so it must not be used again: it ends with this goroutine
		runtime.LockOSThread()
		ended <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", r.Process.PID))
			if err != nil {
				return fmt.Errorf("open network namespace: %w", err)
			}
			defer func() { _ = ns.Close() }()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace: %w", err)
			}
			return cmd.Run()
		}()
	}()
	return <-ended
}
