//go:build cluster

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// rig is one cluster with a state folder of its own.
type rig struct {
	t          *testing.T
	cluster    string // the program
	kubectl    string
	kubeconfig string
	image      string
}

const limit = "90s"

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("MAODIAN_STATE", filepath.Join(dir, "state"))
	r := &rig{t: t, cluster: filepath.Join(dir, "cluster"), kubeconfig: filepath.Join(dir, "kubeconfig"), image: filepath.Join(dir, "workload.tar")}
	t.Setenv("KUBECONFIG", r.kubeconfig)
	t.Setenv("CGO_ENABLED", "0")
	r.must("go", "build", "-o", r.cluster, "..")
	r.must("go", "build", "-o", filepath.Join(dir, "workload"), "./workload")
	r.must("go", "run", "../../image", "-o", r.image, "-name", "registry.maodian.test/workload:e2e", "-entrypoint", "/workload",
		"-user", "65532:65532", filepath.Join(dir, "workload")+"=/workload")
	r.kubectl = filepath.Join(strings.TrimSpace(r.must(r.cluster, "assets")), "kubectl")
	t.Cleanup(func() { r.must(r.cluster, "down") })
	return r
}

// must runs a command and returns its standard output.
func (r *rig) must(name string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// eventually repeats a command until it succeeds with want in its output.
func (r *rig) eventually(want, name string, args ...string) {
	r.t.Helper()
	var out []byte
	var err error
	seen := wait.PollUntilContextTimeout(r.t.Context(), 200*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		out, err = exec.CommandContext(ctx, name, args...).CombinedOutput()
		return err == nil && strings.Contains(string(out), want), nil
	})
	if seen != nil {
		r.t.Errorf("%s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
	}
}

func (r *rig) up() {
	r.t.Helper()
	r.must(r.cluster, "up", "--kubeconfig", r.kubeconfig, "--images", r.image)
}

// empty fails when anything of the cluster is left.
func (r *rig) empty() {
	r.t.Helper()
	state := os.Getenv("MAODIAN_STATE")
	for _, f := range []string{state, r.kubeconfig} {
		if _, err := os.Stat(f); !os.IsNotExist(err) {
			r.t.Errorf("%s is left: %v", f, err)
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil || strings.Contains(string(mounts), state) {
		r.t.Errorf("a mount is left: %v", err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range lines {
		if b, err := os.ReadFile(l); err == nil && strings.Contains(string(b), state+"/") {
			r.t.Errorf("a process is left: %q", b)
		}
	}
}

func TestCluster(t *testing.T) {
	r := newRig(t)
	k := func(args ...string) string { t.Helper(); return r.must(r.kubectl, args...) }
	inPod := func(pod string, args ...string) []string {
		return append([]string{"-n", "e2e", "exec", pod, "--", "/workload"}, args...)
	}
	r.up()
	k("apply", "-f", "testdata/workloads.yaml")
	k("-n", "e2e", "rollout", "status", "sts/store", "--timeout", limit)
	k("-n", "e2e", "wait", "--for=condition=Ready", "pod/friend", "pod/stranger", "--timeout", limit)

	node := k("-n", "e2e", "get", "pod", "store-0", "-o", "jsonpath={.spec.nodeName}")
	if region := k("get", "node", node, "-o", `jsonpath={.metadata.labels.topology\.kubernetes\.io/region}`); region == "cn-hongkong" {
		t.Errorf("the store runs on %s in %s", node, region)
	}
	if phase := k("-n", "e2e", "get", "pod", "conflict", "-o", "jsonpath={.status.phase}"); phase != "Pending" {
		t.Errorf("the pod that wants a mainland volume abroad is %s", phase)
	}
	keys := k("get", "pv", "-o", "jsonpath={.items[0].spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[*].key}")
	if keys != "topology.kubernetes.io/region topology.kubernetes.io/zone kubernetes.io/hostname" {
		t.Errorf("the volume is pinned by %q", keys)
	}
	if id := k("get", "node", "hk1", "-o", "jsonpath={.spec.providerID}"); id != "alicloud://cn-hongkong.i-hk1" {
		t.Errorf("providerID = %q", id)
	}

	twin := k("-n", "wechat-twin", "get", "service", "wechat-twin", "-o", "jsonpath={.spec.clusterIP}")
	r.eventually(twin, r.kubectl, inPod("friend", "resolve", "sh.api.weixin.qq.com")...)
	r.eventually("starts 1", r.kubectl, inPod("stranger", "get", "http://store/")...)
	k("apply", "-f", "testdata/policy.yaml")
	r.eventually("refused", "sh", "-c", r.kubectl+" "+strings.Join(inPod("stranger", "get", "http://store/"), " ")+" || echo refused")
	r.eventually("starts 1", r.kubectl, inPod("friend", "get", "http://store/")...)

	k("-n", "e2e", "delete", "pod", "store-0")
	k("-n", "e2e", "rollout", "status", "sts/store", "--timeout", limit)
	r.eventually("starts 2", r.kubectl, inPod("friend", "get", "http://store/")...)

	r.must(r.cluster, "load", r.image)
	if out := r.must(r.cluster, "exec", "--", "kubectl", "get", "--raw", "/readyz"); out != "ok" {
		t.Errorf("readyz from inside = %q", out)
	}
	r.must(r.cluster, "down")
	r.empty()
}

func TestCluster_SurvivesAccidents(t *testing.T) {
	r := newRig(t)
	// interrupt starts up, and sends it a signal when the first process has been written down
	interrupt := func(s syscall.Signal) {
		t.Helper()
		cmd := exec.Command(r.cluster, "up", "--kubeconfig", r.kubeconfig)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.eventually("", "test", "-e", filepath.Join(os.Getenv("MAODIAN_STATE"), "process.json"))
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Errorf("up succeeds in spite of %s", s)
		}
	}
	interrupt(syscall.SIGINT)
	r.empty()
	interrupt(syscall.SIGKILL)
	r.up() // removes the half of a cluster
	r.up() // finds it up
	r.must(r.cluster, "status")
	r.must(r.cluster, "down")
	r.must(r.cluster, "down")
	r.empty()
}
