// Package boot is the life of the first processes of a cluster: one for the whole cluster, in namespaces of its own,
// and inside it one for each node, in namespaces of their own again. When such a process ends, the kernel ends
// everything below it and drops its mounts, interfaces and rules; that is the whole of stopping. Nothing here writes
// outside the state folder and the cluster's cgroups.
package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
)

// Hidden subcommands of this very program, by which the first processes start.
const (
	ClusterCommand       = "init"
	NodeCommand          = "node"
	ProvisionerCommand   = "provisioner"
	NetworkPolicyCommand = "network-policy"
)

// File descriptors that the starter of a cluster hands to its first process.
const (
	// ListenerFD is a listening socket outside the cluster's network: connections to it reach the API server.
	ListenerFD = 3
	// GoFD is a pipe on which one byte says that the process has been written down, and so can be found and ended.
	// If the starter dies first, the process reads the end of the file and goes too.
	GoFD = 4
)

const (
	poll  = 50 * time.Millisecond
	limit = 90 * time.Second // of one wait; a machine under load takes 20 s
)

// specFile is where the cluster is described inside its state folder.
const specFile = "cluster.json"

// Save writes the description that all processes of the cluster read.
func Save(c config.Cluster) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster: %w", err)
	}
	if err := os.WriteFile(c.Path(specFile), b, 0o600); err != nil {
		return fmt.Errorf("write cluster: %w", err)
	}
	return nil
}

// Load reads the description from a state folder.
func Load(state string) (config.Cluster, error) {
	var c config.Cluster
	b, err := os.ReadFile(filepath.Join(state, specFile))
	if err != nil {
		return c, fmt.Errorf("read cluster: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("parse cluster: %w", err)
	}
	return c, nil
}

// Isolate makes cmd the first process of new namespaces.
func Isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // Ctrl-C at the terminal is not for it
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
}

// ownMounts cuts the process off from the mounts of its parent and shows it its own processes.
func ownMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// until polls f; the error of its last try says what was missing.
func until(ctx context.Context, what string, f func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, poll, limit, true, func(ctx context.Context) (bool, error) {
		last = f(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w: %w", what, err, last)
	}
	return nil
}
