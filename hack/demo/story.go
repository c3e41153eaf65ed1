package main

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
)

//go:embed stage/*.yaml
var stage embed.FS

const (
	namespace   = "brand-cn"
	seed        = 20261124
	appID       = "wx0123456789abcdef"
	policyLabel = "residency.maodian.dev/policy"
	attested    = "maodian.node-restriction.kubernetes.io/jurisdiction"
)

// story holds what later chapters compare with.
type story struct {
	*kube
	o        options
	ca       *authority
	scenario twin.Scenario
	expected twin.Expectation
	secrets  []string // values that must not be found outside Secrets
}

func newStory(k *kube, o options) (*story, error) {
	ca, err := ensureAuthority(o.dev)
	if err != nil {
		return nil, err
	}
	s := &story{kube: k, o: o, ca: ca, scenario: twin.DefaultScenario(seed, appID, o.followers)}
	s.expected, err = twin.Expected(s.scenario)
	return s, err
}

func (s *story) sample(name string) string { return filepath.Join(s.o.samples, name) }

func staged(name string) string {
	b, err := stage.ReadFile("stage/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(b)
}

// hint shows what a person would look at first when a chapter breaks off.
func (s *story) hint(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	pods, _ := s.run(ctx, "", "get", "pods", "-A", "-o", "wide")
	objects, _ := s.run(ctx, "", "get", "maodian", "-A")
	return fmt.Errorf("the cluster as it stands:\n%s\n%s", pods, objects)
}

// clean removes what an earlier run left, so that the story begins at its beginning. It
// removes the demo's own data on purpose: the product never would.
func (s *story) clean(ctx context.Context) error {
	had := false
	for _, ns := range []string{namespace, "wechat-twin", "zurich"} {
		if _, err := s.set.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); err != nil {
			continue
		}
		had = true
		// The guard lets attestors only take a governed namespace away.
		if _, err := s.run(ctx, "", "delete", "namespace", ns, "--wait=false", "--as=demo", "--as-group=residency:attestors", "--as-group=system:masters"); err != nil {
			return err
		}
	}
	_, _ = s.run(ctx, "", "delete", "regulatoryholds", "--all", "--ignore-not-found", "--wait=false")
	if had {
		s.report.say("An earlier story is cleared away first.")
	}
	err := s.until(ctx, "namespaces to be gone", storyTimeout, func(ctx context.Context) (bool, string, error) {
		list, err := s.set.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		left := 0
		for _, n := range list.Items {
			if n.Name == namespace || n.Name == "wechat-twin" || n.Name == "zurich" {
				left++
			}
		}
		return left == 0, fmt.Sprintf("%d left", left), nil
	})
	if err != nil {
		return err
	}
	if !had {
		return nil
	}
	_, err = s.run(ctx, "", "delete", "pv", "--all", "--ignore-not-found", "--wait=false")
	return err
}

// policy is chapter 1.
func (s *story) policy(ctx context.Context) error {
	if err := s.apply(ctx, s.sample("00-policy.yaml")); err != nil {
		return err
	}
	p := &residencyv1.ResidencyPolicy{}
	p.Name = "cn-mainland"
	if err := s.ready(ctx, p, func() []metav1.Condition { return p.Status.Conditions }, podTimeout); err != nil {
		return err
	}
	nodes, err := s.set.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, n := range nodes.Items {
		s.report.say("%-5s region %-12s providerID %-32s attested %q", n.Name, n.Labels[corev1.LabelTopologyRegion], n.Spec.ProviderID, n.Labels[attested])
	}
	s.report.check("nodes that may hold personal data", strings.Join(p.Status.EligibleNodes, " "), "bj1 hz1")
	refused := map[string]string{}
	for _, n := range p.Status.RefusedNodes {
		refused[n.Name] = n.Reason
		s.report.say("%s: %s", n.Name, n.Message)
	}
	s.report.check("hk1 is refused, although its region begins with cn-", refused["hk1"], "PlacementNotMainland")
	s.report.check("odd1 is refused, although its label says cn-hangzhou", refused["odd1"], "RegionSignalsDisagree")
	return s.intruders(ctx)
}

// intruders tries to place pods abroad.
func (s *story) intruders(ctx context.Context) error {
	titles := []string{"a pod that names node hk1 itself is refused", "a pod that selects another jurisdiction is refused"}
	for i, doc := range strings.Split(staged("intruders.yaml"), "\n---\n") {
		err := s.until(ctx, "the guard to stand", podTimeout, func(ctx context.Context) (bool, string, error) {
			out, err := s.run(ctx, doc, "create", "--dry-run=server", "-f", "-")
			return err != nil && strings.Contains(out, "residency: PlacementNotMainland"), "a pod abroad is still let in", nil
		})
		out, _ := s.run(ctx, doc, "create", "--dry-run=server", "-f", "-")
		_, text, _ := strings.Cut(out, "denied request: ")
		s.report.hold(titles[i], err == nil, strings.TrimSpace(text))
	}
	binding := `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"nobody","namespace":"` + namespace + `"},"target":{"apiVersion":"v1","kind":"Node","name":"hk1"}}`
	out, err := s.run(ctx, binding, "create", "--raw", "/api/v1/namespaces/"+namespace+"/bindings", "-f", "-")
	_, text, _ := strings.Cut(out, "denied request: ")
	s.report.hold("a pod bound to node hk1 past the scheduler is refused", err != nil && strings.Contains(out, "residency: PlacementNotMainland"), strings.TrimSpace(text))
	return nil
}

// store is chapter 2.
func (s *story) store(ctx context.Context) error {
	if err := s.cordon(ctx, true); err != nil {
		return err
	}
	for _, f := range []string{"10-notice.yaml", "20-store.yaml"} {
		if err := s.apply(ctx, s.sample(f)); err != nil {
			return err
		}
	}
	st := &residencyv1.ConsentStore{}
	st.Name, st.Namespace = "brand-store", namespace
	err := s.until(ctx, "the store with every mainland node cordoned", podTimeout, func(ctx context.Context) (bool, string, error) {
		if err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "brand-store"}, st); err != nil {
			return false, "", err
		}
		_, text := condition(st.Status.Conditions, "Ready")
		return readyReason(st.Status.Conditions) == "NoEligibleNode", text, nil
	})
	if err != nil {
		return err
	}
	_, text := condition(st.Status.Conditions, "Ready")
	s.report.check("with every mainland node cordoned, the store waits", readyReason(st.Status.Conditions), "NoEligibleNode")
	s.report.say("%s", text)
	abroad, err := s.abroad(ctx)
	if err != nil {
		return err
	}
	s.report.check("pods that went to the nodes outside instead", len(abroad), 0)
	if err := s.cordon(ctx, false); err != nil {
		return err
	}
	if err := s.ready(ctx, st, func() []metav1.Condition { return st.Status.Conditions }, storyTimeout); err != nil {
		return err
	}
	if err := s.proof(ctx, st); err != nil {
		return err
	}
	return s.secondStore(ctx)
}

// proof follows the proof of placement with its own eyes.
func (s *story) proof(ctx context.Context, st *residencyv1.ConsentStore) error {
	p := st.Status.ProofOfPlacement
	pod, err := s.set.CoreV1().Pods(namespace).Get(ctx, p.Pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read pod: %w", err)
	}
	s.report.say("The nodes are open again. The store's status claims where it runs; each claim is compared with the cluster:")
	s.report.check("the pod runs on the node that the proof names", p.Node, pod.Spec.NodeName)
	claim, err := s.set.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, p.PersistentVolumeClaim, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read claim: %w", err)
	}
	s.report.check("it uses the volume that the proof names", p.PersistentVolume, claim.Spec.VolumeName)
	node, err := s.set.CoreV1().Nodes().Get(ctx, p.Node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node: %w", err)
	}
	s.report.check("that node is attested to be in", node.Labels[attested], "cn-mainland")
	s.report.say("proof: pod %s → node %s → volume %s → %s → %s=%s", p.Pod, p.Node, p.PersistentVolume, strings.Join(p.VolumeNodeAffinity, " ∧ "), attested, node.Labels[attested])
	s.report.hold("the volume can be mounted in that node's region only", strings.Contains(strings.Join(p.VolumeNodeAffinity, " "), node.Labels[corev1.LabelTopologyRegion]), p.NodeRegion)
	s.report.say("ledger %s; the hash over its whole log is %s", st.Status.LedgerID, st.Status.Ledger.RootHash)
	return nil
}

// cordon closes or opens the mainland nodes.
func (s *story) cordon(ctx context.Context, close bool) error {
	verb := map[bool]string{true: "cordon", false: "uncordon"}[close]
	_, err := s.run(ctx, "", verb, "hz1", "bj1")
	return err
}

// abroad lists pods of the governed namespace that run on nodes that are not attested.
func (s *story) abroad(ctx context.Context) ([]string, error) {
	nodes, err := s.set.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: attested + "=cn-mainland"})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	inside := map[string]bool{"": true}
	for _, n := range nodes.Items {
		inside[n.Name] = true
	}
	pods, err := s.set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var out []string
	for _, p := range pods.Items {
		if !inside[p.Spec.NodeName] {
			out = append(out, p.Name)
		}
	}
	sort.Strings(out)
	return out, nil
}

// secret applies a Secret of the demo's stage, and remembers its values for the canary.
func (s *story) secret(ctx context.Context, ns, name string, data map[string][]byte) error {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\ndata:\n", name, ns)
	for key, v := range data {
		fmt.Fprintf(&b, "  %s: %s\n", key, base64.StdEncoding.EncodeToString(v))
	}
	_, err := s.run(ctx, b.String(), "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// available waits for a Deployment of the stage.
func (s *story) available(ctx context.Context, ns, name string) error {
	return s.until(ctx, name, podTimeout, func(ctx context.Context) (bool, string, error) {
		d, err := s.set.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return d.Status.AvailableReplicas > 0, fmt.Sprintf("%d available", d.Status.AvailableReplicas), nil
	})
}

var errStory = errors.New("the story cannot go on")
