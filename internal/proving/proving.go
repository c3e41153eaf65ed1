// Package proving asks every API server whether a guard is in force: it sends an attack for
// each topic, as a dry run, under an identity that may do nothing else.
package proving

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/test/residency"
)

// serverName is what the certificate of every API server is for.
const serverName = "kubernetes.default.svc"

// patience bounds each request: a server that hangs must not hold up the policy.
const patience = 10 * time.Second

// Prover tries attacks against the cluster of its configuration.
type Prover struct {
	config *rest.Config
	prober string
	cases  []conformance.File
	minor  atomic.Int64 // of the server, as it was when last asked; zero means never
}

// NewProver returns a prover that acts as prober.
func NewProver(config *rest.Config, prober string) (*Prover, error) {
	files, err := residency.Cases()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.Timeout = patience
	return &Prover{config: config, prober: prober, cases: probes(files)}, nil
}

// probes picks the first attack of each topic that needs nothing to exist beforehand: it
// creates something in a governed namespace or in none.
func probes(files []conformance.File) (out []conformance.File) {
	seen := map[string]bool{}
	for _, f := range files {
		picked := f
		picked.Cases = nil
		for _, c := range f.Cases {
			if seen[c.Topic] || !c.Attack() || c.Verb != "create" || c.Sub != "" || c.Earnest || c.As != "tenant" || c.In != "governed" || slices.Contains(f.Given, c.Object) {
				continue
			}
			seen[c.Topic] = true
			c.Everywhere = true // no need to try it where nothing is governed
			picked.Cases = append(picked.Cases, c)
		}
		out = append(out, picked)
	}
	return out
}

// Proof is what the API servers answered.
type Proof struct {
	// Servers is how many were asked.
	Servers int
	// Refused lists the topics whose attack every server refused, Open those whose attack one
	// of them let pass. What is in neither could not be tried.
	Refused, Open []string
}

// Prove tries the attacks in a governed namespace; with an empty one, only what stands in
// none. A server that does not answer is an error: nothing is known then.
func (p *Prover) Prove(ctx context.Context, policy *residencyv1.ResidencyPolicy, namespace string) (Proof, error) {
	servers, err := p.servers(ctx)
	if err == nil {
		_, err = p.askMinor()
	}
	if err != nil {
		return Proof{}, err
	}
	where := conformance.Where{Governed: namespace, Manager: p.prober, Tenant: p.prober, Values: residency.Values(policy)}
	var answers []conformance.Report
	for _, config := range servers {
		runner, err := conformance.NewRunner(config, where)
		if err != nil {
			return Proof{}, err
		}
		report, err := runner.Run(ctx, p.cases)
		if err != nil {
			return Proof{}, err
		}
		answers = append(answers, report)
	}
	return prove(answers)
}

// prove sums up what the servers answered, one report each.
func prove(answers []conformance.Report) (Proof, error) {
	out := Proof{Servers: len(answers)}
	refused := map[string]int{}
	for _, report := range answers {
		for _, r := range report.Results {
			switch {
			case r.Verdict == conformance.Passed:
				refused[r.Topic]++
			case errors.Is(r.Cause, conformance.ErrAdmitted):
				out.Open = append(out.Open, r.Topic)
			case r.Cause != nil && !answered(r.Cause):
				return Proof{}, fmt.Errorf("try %s: %w", r.Topic, r.Cause)
			}
		}
	}
	slices.Sort(out.Open)
	out.Open = slices.Compact(out.Open)
	for topic, n := range refused {
		if n == out.Servers && !slices.Contains(out.Open, topic) {
			out.Refused = append(out.Refused, topic)
		}
	}
	slices.Sort(out.Refused)
	return out, nil
}

// answered tells whether an API server judged the request: it may lack a right that the
// prober does not hold, or another guard may have spoken first. Such a topic was not tried.
func answered(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
}

// servers returns a configuration for each API server: each learns of a policy by itself.
func (p *Prover) servers(ctx context.Context) ([]*rest.Config, error) {
	set, err := kubernetes.NewForConfig(p.config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	slices, err := set.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
	if err != nil {
		return nil, fmt.Errorf("list API servers: %w", err)
	}
	addresses := addressesOf(slices.Items)
	if len(addresses) < 2 {
		return []*rest.Config{p.config}, nil
	}
	var out []*rest.Config
	for _, a := range addresses {
		config := rest.CopyConfig(p.config)
		config.Host, config.ServerName = "https://"+a, serverName
		out = append(out, config)
	}
	return out, nil
}

func addressesOf(list []discoveryv1.EndpointSlice) (out []string) {
	for _, s := range list {
		port := int32(443)
		for _, p := range s.Ports {
			if p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
				port = *p.Port
			}
		}
		for _, e := range s.Endpoints {
			for _, a := range e.Addresses {
				out = append(out, net.JoinHostPort(a, strconv.Itoa(int(port))))
			}
		}
	}
	return out
}

// Minor returns the minor version of the server, as of the last proof.
func (p *Prover) Minor() (int, error) {
	if known := p.minor.Load(); known > 0 {
		return int(known), nil
	}
	return p.askMinor()
}

func (p *Prover) askMinor() (int, error) {
	minor, err := ServerMinor(p.config)
	if err == nil {
		p.minor.Store(int64(minor))
	}
	return minor, err
}

// ServerMinor returns the minor version of an API server, 37 of 1.37.
func ServerMinor(config *rest.Config) (int, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	v, err := d.ServerVersion()
	if err != nil {
		return 0, fmt.Errorf("read server version: %w", err)
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	if err != nil {
		return 0, fmt.Errorf("the server's minor version %q is not a number", v.Minor)
	}
	return minor, nil
}
