package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// Waits have names, so that a slow machine is told from a broken one.
const (
	podTimeout   = 90 * time.Second
	storyTimeout = 4 * time.Minute
	pollEvery    = 250 * time.Millisecond
	sayEvery     = 10 * time.Second
)

// kube reads the cluster as its users do: kubectl for YAML, a typed client for figures.
type kube struct {
	client.Client
	set        *kubernetes.Clientset
	config     *rest.Config
	kubeconfig string
	kubectl    string
	report     *report
}

func newKube(kubeconfig, kubectl string, r *report) (*kube, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS, cfg.Burst = 100, 200
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), residencyv1.AddToScheme(scheme), marketingv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make scheme: %w", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	set, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &kube{Client: c, set: set, config: cfg, kubeconfig: kubeconfig, kubectl: kubectl, report: r}, nil
}

// run runs kubectl and returns what it printed, errors of the server included.
func (k *kube) run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.kubectl, append([]string{"--kubeconfig", k.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(out.String()))
	}
	return out.String(), err
}

// apply applies a file as a user would.
func (k *kube) apply(ctx context.Context, file string) error {
	_, err := k.run(ctx, "", "apply", "-f", file)
	return err
}

func (k *kube) applyText(ctx context.Context, text string) error {
	_, err := k.run(ctx, text, "apply", "-f", "-")
	return err
}

// until waits for a condition; cond returns what it sees, for the progress line.
func (k *kube) until(ctx context.Context, what string, limit time.Duration, cond func(context.Context) (done bool, sees string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began, said := time.Now(), time.Now()
	last := ""
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		done, sees, err := cond(ctx)
		if err == nil && done {
			k.report.clear()
			return nil
		}
		if err != nil {
			sees = err.Error()
		}
		if k.report.live || (sees != last && time.Since(said) > time.Second) || time.Since(said) > sayEvery {
			k.report.progress(began, what+": "+sees)
			said, last = time.Now(), sees
		}
		select {
		case <-ctx.Done():
			k.report.clear()
			return fmt.Errorf("waiting for %s: gave up after %s; last seen: %s", what, limit, sees)
		case <-tick.C:
		}
	}
}

// condition describes a condition as "Type=Status Reason: message".
func condition(list []metav1.Condition, kind string) (status, text string) {
	for _, c := range list {
		if c.Type == kind {
			return string(c.Status), fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	return "", kind + " is not reported yet"
}

// readyReason is the reason of the condition Ready.
func readyReason(list []metav1.Condition) string {
	return conditions.Get(list, metav1alpha1.ConditionReady).Reason
}

// ready waits until an object is.
func (k *kube) ready(ctx context.Context, obj client.Object, list func() []metav1.Condition, limit time.Duration) error {
	what := fmt.Sprintf("%T %s", obj, obj.GetName())
	what = what[strings.LastIndex(what, ".")+1:]
	return k.until(ctx, what, limit, func(ctx context.Context) (bool, string, error) {
		if err := k.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return false, "", err
		}
		status, text := condition(list(), "Ready")
		return status == "True", text, nil
	})
}

// proxy calls a Service through the API server; only figures without people go this way.
func (k *kube) proxy(ctx context.Context, method, namespace, service, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req := k.set.CoreV1().RESTClient().Verb(method).Namespace(namespace).Resource("services").Name(service).SubResource("proxy").Suffix(path)
	if body != nil {
		req = req.Body(body).SetHeader("Content-Type", "application/json")
	}
	raw, err := req.DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// logs returns the log of the newest pod that a selector matches.
func (k *kube) logs(ctx context.Context, namespace, selector string) (string, error) {
	pods, err := k.set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil || len(pods.Items) == 0 {
		return "", fmt.Errorf("find pods %s: %w", selector, err)
	}
	newest := pods.Items[0]
	for _, p := range pods.Items {
		if p.CreationTimestamp.After(newest.CreationTimestamp.Time) {
			newest = p
		}
	}
	raw, err := k.set.CoreV1().Pods(namespace).GetLogs(newest.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	return string(raw), err
}
