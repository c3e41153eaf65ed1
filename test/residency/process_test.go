package residency_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/maodian-dev/maodian/internal/envtestrig"
)

// process is the manager as a cluster runs it: its own binary, rights and settings.
type process struct {
	cmd *exec.Cmd
	log string // file
}

// startManager builds the manager and starts it; the end of the benchmark ends it.
func startManager(b *testing.B) *process {
	b.Helper()
	dir := b.TempDir()
	binary := filepath.Join(dir, "manager")
	build := exec.CommandContext(b.Context(), "go", "build", "-ldflags", "-s -w", "-o", binary, "./cmd/manager")
	build.Dir = envtestrig.Root()
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the manager: %v\n%s", err, out)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(managerCredentials(b), kubeconfig); err != nil {
		b.Fatal(err)
	}
	args, env := installed(b)
	p := &process{cmd: exec.CommandContext(b.Context(), binary, append(args, "--health-probe-bind-address=127.0.0.1:0")...), log: filepath.Join(dir, "log")}
	log, err := os.Create(p.log)
	if err != nil {
		b.Fatal(err)
	}
	env = append(env, "KUBECONFIG="+kubeconfig)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, log, log
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.stop(b) })
	return p
}

// installed reads what config/manager gives the manager: its arguments and environment.
func installed(b *testing.B) (args, env []string) {
	b.Helper()
	var d appsv1.Deployment
	objects, err := envtestrig.Objects(filepath.Join(envtestrig.Root(), "config", "manager", "manager.yaml"))
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, &d)
	}
	if err != nil {
		b.Fatal(err)
	}
	c := d.Spec.Template.Spec.Containers[0]
	for _, e := range c.Env {
		if e.ValueFrom != nil { // there is one: the namespace
			e.Value = d.Namespace
		}
		env = append(env, e.Name+"="+e.Value)
	}
	for _, a := range c.Args {
		args = append(args, strings.ReplaceAll(a, "$(POD_NAMESPACE)", d.Namespace))
	}
	return args, env
}

// managerCredentials asks for a token of the manager's service account, which has the rights
// of config/rbac and no others.
func managerCredentials(b *testing.B) clientcmdapi.Config {
	b.Helper()
	_, err := rig.AsManager(b.Context())
	if err == nil {
		err = rig.ApplyFile(b.Context(), filepath.Join(envtestrig.Root(), "config", "rbac", "service_account.yaml"))
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: envtestrig.SystemNamespace, Name: "maodian-manager"}}
	token := &authenticationv1.TokenRequest{}
	if err == nil {
		err = rig.Client.SubResource("token").Create(b.Context(), account, token)
	}
	if err != nil {
		b.Fatalf("credentials of the manager: %v", err)
	}
	const name = "rig"
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: rig.Config.Host, CertificateAuthorityData: rig.Config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
}

// stop ends the manager and looks into its log.
func (p *process) stop(b *testing.B) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Errorf("stop the manager: %v", err)
	}
	_ = p.cmd.Wait() // the context of the benchmark may have ended it
	log, err := os.ReadFile(p.log)
	if err != nil {
		b.Error(err)
	}
	if bytes.Contains(log, []byte("is forbidden")) {
		b.Error("the roles are too narrow")
	}
	if b.Failed() {
		b.Logf("the manager's log ends with:\n%s", log[max(0, len(log)-4<<10):])
	}
}

// memory tells the most resident memory that the process has had, and what it has now.
func (p *process) memory() (peak, now int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	found := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[2] == "kB" {
			if found[f[0]], err = strconv.ParseInt(f[1], 10, 64); err != nil {
				return 0, 0, err
			}
		}
	}
	if found["VmHWM:"] == 0 {
		return 0, 0, fmt.Errorf("the manager is gone")
	}
	return found["VmHWM:"] << 10, found["VmRSS:"] << 10, nil
}
