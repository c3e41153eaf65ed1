// Package envtestrig starts one real API server for the tests of a package, with our kinds
// installed, and holds the few things that such tests share: unique namespaces, nodes,
// other people's credentials, and waiting for a condition with a named bound.
package envtestrig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// Bounds of waiting. A test that needs longer is wrong or the machine is lost.
const (
	Soon     = 30 * time.Second // for one controller to react
	Settling = 60 * time.Second // for several to agree
	interval = 50 * time.Millisecond
)

// assets names the folder with kube-apiserver and etcd.
const assets = "KUBEBUILDER_ASSETS"

// Rig is a running API server.
type Rig struct {
	Config *rest.Config
	Scheme *apiruntime.Scheme
	Client client.Client // of an administrator
	Etcd   string        // address of the database, which anybody may ask

	names   atomic.Int64
	servers *envtest.Environment
	failed  bool // of the tests, once they have ended
}

// Setup prepares a package's tests; what it returns ends it again.
type Setup func(*Rig) (stop func() error, err error)

// Run starts the API server, stores the rig, runs what setup asks for and the tests of the
// package, and stops the server. TestMain exits with its result.
func Run(m *testing.M, rig **Rig, setup ...Setup) int {
	if os.Getenv(assets) == "" {
		fmt.Fprintln(os.Stderr, assets+" must name a folder with kube-apiserver and etcd: use `make test`, which builds them")
		return 1
	}
	started, stop, err := Start(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*rig = started
	code := runWith(m, started, setup)
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop API server:", err)
		return 1
	}
	return code
}

func runWith(m *testing.M, rig *Rig, setup []Setup) (code int) {
	for _, s := range setup {
		stop, err := s(rig)
		if err != nil {
			fmt.Fprintln(os.Stderr, "set up:", err)
			return 1
		}
		defer func() {
			if err := stop(); err != nil {
				fmt.Fprintln(os.Stderr, "tear down:", err)
				code = 1
			}
		}()
	}
	code = m.Run()
	rig.failed = code != 0
	return code
}

func newRig(config *rest.Config) (*Rig, error) {
	config.QPS, config.Burst = 1000, 1000
	scheme := apiruntime.NewScheme()
	err := errors.Join(clientgoscheme.AddToScheme(scheme), residencyv1.AddToScheme(scheme), marketingv1.AddToScheme(scheme))
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	return &Rig{Config: config, Scheme: scheme, Client: c}, err
}

// Root is the root folder of the repository.
func Root() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// As returns a client that acts as another user.
func (r *Rig) As(t testing.TB, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(r.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	c, err := client.New(config, client.Options{Scheme: r.Scheme})
	if err != nil {
		t.Fatalf("client as %s: %v", user, err)
	}
	return c
}

// Name returns a name that no other test of this run has.
func (r *Rig) Name(prefix string) string { return prefix + "-" + strconv.FormatInt(r.names.Add(1), 10) }

// Namespace makes a namespace of its own for a test; policy may be empty.
func (r *Rig) Namespace(t *testing.T, policy string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.Name("test")}}
	if policy != "" {
		ns.Labels = map[string]string{"residency.maodian.dev/policy": policy}
	}
	r.Create(t, ns)
	return ns.Name
}

// Node makes a node in a region, ready to take pods.
func (r *Rig) Node(t *testing.T, name, region, zone, providerID string) *corev1.Node {
	t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelTopologyRegion: region, corev1.LabelTopologyZone: zone,
		}},
		Spec: corev1.NodeSpec{ProviderID: providerID},
	}
	r.Create(t, n)
	t.Cleanup(func() { _ = r.Client.Delete(context.Background(), n) })
	return n
}

// Create makes objects and fails the test where that is refused.
func (r *Rig) Create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := r.Client.Create(t.Context(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// Eventually waits until condition returns nil, and fails with its last error after bound.
func Eventually(t *testing.T, bound time.Duration, condition func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil && !strings.Contains(err.Error(), "context deadline") {
			last = err // not the one that our own bound causes
		}
		select {
		case <-ctx.Done():
			_, file, line, _ := runtime.Caller(1)
			t.Fatalf("%s:%d: not within %v: %v", filepath.Base(file), line, bound, last)
		case <-tick.C:
		}
	}
}

// Refused fails the test unless err is a refusal whose text holds part.
func Refused(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted, want a refusal that says %q", part)
		return
	}
	if !strings.Contains(err.Error(), part) {
		t.Errorf("refused with %q, want it to say %q", err, part)
	}
}
