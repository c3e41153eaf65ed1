package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/maodian-dev/maodian/internal/envtestrig"
)

var rig *envtestrig.Rig

func TestMain(m *testing.M) { os.Exit(envtestrig.Run(m, &rig)) }

func TestACommandLineThatCannotWorkIsRefused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.crt")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok := []string{"--data-plane-image=x", "--system-namespace=y"}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no image":                     {[]string{"--system-namespace=y"}, exitUsage, "--data-plane-image is required"},
		"no namespace":                 {[]string{"--data-plane-image=x"}, exitUsage, "--system-namespace is required"},
		"an unknown flag":              {append(ok, "--nonsense"), exitUsage, "nonsense"},
		"an argument":                  {append(ok, "extra"), exitUsage, `unexpected argument "extra"`},
		"help":                         {[]string{"-h"}, exitOK, "data-plane-image"},
		"a file that is missing":       {append(ok, "--extra-ca-file="+filepath.Join(dir, "none")), exitError, "read additional authorities"},
		"a file without a certificate": {append(ok, "--extra-ca-file="+empty), exitError, "no certificate in the file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAMESPACE", "")
			var stderr bytes.Buffer
			code := run(t.Context(), c.args, &stderr, func() (*rest.Config, error) { return &rest.Config{}, nil })
			if code != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("code %d, %q; want %d, %q", code, stderr.String(), c.code, c.says)
			}
		})
	}
	t.Run("no cluster", func(t *testing.T) {
		var stderr bytes.Buffer
		if code := run(t.Context(), ok, &stderr, func() (*rest.Config, error) { return nil, errors.New("nowhere") }); code != exitError {
			t.Errorf("code %d", code)
		}
	})
}

// TestTheManagerBringsTheSamplesUp runs the whole manager with the rights of config/rbac,
// applies the samples as they are, and applies them again.
func TestTheManagerBringsTheSamplesUp(t *testing.T) {
	rig.Node(t, "hz1", "cn-hangzhou", "cn-hangzhou-h", "alicloud://cn-hangzhou.i-hz1")
	health := start(t)
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return ready(ctx, health) })
	objects := applySamples(t)
	envtestrig.Eventually(t, envtestrig.Settling, func(ctx context.Context) error { return observed(ctx, objects) })
	for _, o := range objects {
		envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return applyChangesNothing(ctx, o) })
	}
	checkCanary(t, objects)
}

// start runs the manager until the test ends, and returns the address of its health checks.
func start(t *testing.T) string {
	t.Helper()
	config, err := rig.AsManager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	health := freeAddress(t)
	var stderr bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{
			"--data-plane-image=registry.maodian.test/maodian:dev", "--system-namespace=" + envtestrig.SystemNamespace, "--health-probe-bind-address=" + health, "--leader-elect",
		}, &stderr, func() (*rest.Config, error) { return config, nil })
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitOK {
			t.Errorf("the manager ended with %d: %s", code, stderr.String())
		}
		if strings.Contains(stderr.String(), canary) {
			t.Error("the log holds a credential")
		}
		if strings.Contains(stderr.String(), "is forbidden") {
			t.Errorf("the roles are too narrow: %s", stderr.String())
		}
	})
	return health
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func ready(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// canary is the credential of the sample account: it must appear nowhere else.
const canary = "0123456789abcdef0123456789abcdef"

func applySamples(t *testing.T) (all []*unstructured.Unstructured) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(envtestrig.Root(), "config", "samples", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, f := range files {
		if err := rig.ApplyFile(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		objects, err := envtestrig.Objects(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects...)
	}
	return all
}

// observed tells whether the manager has answered every object.
func observed(ctx context.Context, objects []*unstructured.Unstructured) error {
	var errs []error
	for _, o := range objects {
		live := o.DeepCopy()
		if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
			return err
		}
		seen, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
		if strings.HasSuffix(o.GroupVersionKind().Group, "maodian.dev") && seen != live.GetGeneration() {
			errs = append(errs, fmt.Errorf("%s %s is not observed", o.GetKind(), o.GetName()))
		}
	}
	return errors.Join(errs...)
}

// applyChangesNothing applies o again, as a sync from Git would. The manager may write the
// status between the two looks; then the caller looks again.
func applyChangesNothing(ctx context.Context, o *unstructured.Unstructured) error {
	live := o.DeepCopy()
	if err := rig.Client.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
		return err
	}
	again := o.DeepCopy()
	if err := rig.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(again), client.FieldOwner("git")); err != nil {
		return err
	}
	if again.GetResourceVersion() != live.GetResourceVersion() {
		return fmt.Errorf("applying %s %s again changed it", o.GetKind(), o.GetName())
	}
	return nil
}

// checkCanary looks for the credential in every object but the Secret that holds it, in
// events, and in what the manager made.
func checkCanary(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	var events eventsv1.EventList
	var maps corev1.ConfigMapList
	for _, l := range []client.ObjectList{&events, &maps} {
		if err := rig.Client.List(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	look := []any{events, maps}
	for _, o := range objects {
		if o.GetKind() == "Secret" {
			continue
		}
		live := o.DeepCopy()
		if err := rig.Client.Get(t.Context(), client.ObjectKeyFromObject(o), live); err != nil {
			t.Fatal(err)
		}
		look = append(look, live.Object)
	}
	for _, o := range look {
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(canary)) {
			t.Errorf("a credential is in %.200s", raw)
		}
	}
}
