// Package lifecycle starts, stops and inspects the local cluster. It promises that whatever happened to an earlier
// run, up ends with a whole cluster or with none, and that down leaves no process, mount, cgroup or file. All that it
// writes is the state folder, the kubeconfig and the cluster's cgroups.
package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/maodian-dev/maodian/hack/cluster/internal/boot"
	"github.com/maodian-dev/maodian/hack/cluster/internal/cgroup"
	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/filelock"
	"github.com/maodian-dev/maodian/hack/cluster/internal/kube"
	"github.com/maodian-dev/maodian/hack/cluster/internal/pki"
	"github.com/maodian-dev/maodian/hack/cluster/internal/process"
)

const (
	poll      = 50 * time.Millisecond
	killLimit = 10 * time.Second
	// marker is a file that only a state folder holds, so that nothing else is ever removed.
	marker = ".maodian-cluster"
	// recordFile names the first process.
	recordFile = "process.json"
)

// ErrDown is the answer to questions about a cluster that is not up.
var ErrDown = errors.New("no cluster is up; run: go run ./hack/cluster up")

// Manager works on the cluster of one state folder.
type Manager struct {
	State      string // absolute
	Kubeconfig string // written by up, removed by down
	Out        io.Writer
}

// record is what is known about the first process of a cluster.
type record struct {
	Process process.ID `json:"process"`
	// URL reaches the API server from outside the cluster's network.
	URL string `json:"url"`
	// Ready is set when the start is complete.
	Ready bool `json:"ready"`
	// Kubeconfig is the file that up wrote for people.
	Kubeconfig string `json:"kubeconfig,omitempty"`
}

func (m *Manager) path(name string) string { return filepath.Join(m.State, name) }

func (m *Manager) say(format string, args ...any) { _, _ = fmt.Fprintf(m.Out, format+"\n", args...) }

// read returns the record, or ErrDown if there is none that can be used.
func (m *Manager) read() (record, error) {
	var r record
	b, err := os.ReadFile(m.path(recordFile))
	if err != nil || json.Unmarshal(b, &r) != nil {
		return r, ErrDown
	}
	return r, nil
}

// write replaces the record as a whole.
func (m *Manager) write(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return replace(m.path(recordFile), b)
}

// replace writes a file whole or not at all.
func replace(file string, content []byte) error {
	tmp := file + ".new"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("put file in place: %w", err)
	}
	return nil
}

// lock keeps a second up or down out. It is taken on the folder above the state folder, and so leaves no file.
func (m *Manager) lock(ctx context.Context) (func(), error) {
	dir := filepath.Dir(m.State)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	return filelock.Lock(ctx, dir, func() { m.say("waiting for another up or down to end") })
}

// running returns the record and the client of a cluster whose start is complete and whose first process lives.
func (m *Manager) running() (record, kubernetes.Interface, error) {
	r, err := m.read()
	if err != nil || !r.Ready || !r.Process.Alive() {
		return r, nil, ErrDown
	}
	c, err := kube.Client(filepath.Join(m.State, "pki", pki.OutsideKubeconfig))
	return r, c, err
}

// healthy is nil when the API server and every node are ready.
func healthy(ctx context.Context, client kubernetes.Interface, c config.Cluster) error {
	if err := kube.APIReady(ctx, client); err != nil {
		return err
	}
	for _, n := range c.Config.Nodes {
		if err := kube.NodeReady(ctx, client, n.Name); err != nil {
			return err
		}
	}
	return nil
}

// Down ends the cluster, whatever state it is in, and removes what it left.
func (m *Manager) Down(ctx context.Context) error {
	// an up that still waits gives up its lock when its cluster has gone
	if err := m.kill(ctx); err != nil {
		return err
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return m.clean(ctx)
}

// kill ends the first process. The kernel ends all others, which takes a moment.
func (m *Manager) kill(ctx context.Context) error {
	r, err := m.read()
	if err != nil || !r.Process.Alive() {
		return nil //nolint:nilerr // no record, or its process is gone: nothing is left to end
	}
	p, err := os.FindProcess(r.Process.PID)
	if err != nil {
		return fmt.Errorf("find first process: %w", err)
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end first process: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, poll, killLimit, true, func(context.Context) (bool, error) { return !r.Process.Alive(), nil })
	if err != nil {
		return fmt.Errorf("wait for the end of process %d: %w", r.Process.PID, err)
	}
	return nil
}

// clean ends the cluster and removes its cgroups, its kubeconfig and the state folder. The caller holds the lock.
func (m *Manager) clean(ctx context.Context) error {
	if err := m.kill(ctx); err != nil {
		return err
	}
	if r, err := m.read(); err == nil && r.Kubeconfig != "" {
		if err := remove(r.Kubeconfig); err != nil {
			return err
		}
	}
	if _, err := os.Stat(m.State); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := m.own(); err != nil {
		return err
	}
	if c, err := boot.Load(m.State); err == nil {
		// dying containers leave their cgroups a moment after their end
		var last error
		err := wait.PollUntilContextTimeout(ctx, poll, killLimit, true, func(context.Context) (bool, error) {
			last = cgroup.Remove(cgroup.Root, c.CGroup())
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("remove cgroups: %w", errors.Join(err, last))
		}
	}
	if err := os.RemoveAll(m.State); err != nil {
		return fmt.Errorf("remove state folder: %w", err)
	}
	return nil
}

// own refuses a folder with contents that no cluster has made.
func (m *Manager) own() error {
	if _, err := os.Stat(m.path(marker)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(m.State)
	if err != nil {
		return fmt.Errorf("read state folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds files that no cluster has made; choose another folder by MAODIAN_STATE", m.State)
	}
	return nil
}

func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", filepath.Base(file), err)
	}
	return nil
}
