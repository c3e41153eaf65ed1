// Package config reads the description of a local cluster and derives every address, path and name from it. It
// promises that a Config which Parse returned can be started as it stands. It starts nothing and touches no system.
package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// maxNodes is what the fixed address plan holds: one /24 for the nodes, one /24 of pods for each.
const maxNodes = 200

// Config is what a person writes: the nodes and the names that DNS shall answer.
type Config struct {
	// Nodes are started in this order.
	Nodes []Node `json:"nodes"`
	// Aliases are names outside the cluster which its DNS answers with a Service inside.
	Aliases []Alias `json:"aliases,omitempty"`
}

// Node is one node with the facts that a cloud provider would report about it.
type Node struct {
	// Name is the node's host name, a DNS label.
	Name string `json:"name"`
	// Region becomes the label topology.kubernetes.io/region.
	Region string `json:"region"`
	// Zone becomes the label topology.kubernetes.io/zone.
	Zone string `json:"zone"`
	// ProviderID becomes spec.providerID; empty leaves it unset.
	ProviderID string `json:"providerID,omitempty"`
}

// Alias lets a Service answer for a name outside the cluster.
type Alias struct {
	// Host is the full name that programs ask for.
	Host string `json:"host"`
	// Service is the Service that answers, as name.namespace.
	Service string `json:"service"`
}

// Target is the full DNS name of the Service.
func (a Alias) Target() string { return a.Service + ".svc.cluster.local" }

// Load reads and checks a file.
func Load(file string) (Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read cluster config: %w", err)
	}
	c, err := Parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Parse reads a config and reports everything that is wrong with it at once.
func Parse(b []byte) (Config, error) {
	var c Config
	if err := yaml.UnmarshalStrict(b, &c); err != nil {
		return Config{}, fmt.Errorf("parse cluster config: %w", err)
	}
	if len(c.Nodes) == 0 {
		return Config{}, errors.New("nodes: at least one node is needed")
	}
	if len(c.Nodes) > maxNodes {
		return Config{}, fmt.Errorf("nodes: %d nodes, at most %d fit the address plan", len(c.Nodes), maxNodes)
	}
	var problems []error
	seen := map[string]bool{}
	for i, n := range c.Nodes {
		if seen[n.Name] {
			problems = append(problems, fmt.Errorf("nodes[%d].name: %q is used twice", i, n.Name))
		}
		seen[n.Name] = true
		for _, p := range n.problems() {
			problems = append(problems, fmt.Errorf("nodes[%d].%s", i, p))
		}
	}
	hosts := map[string]bool{}
	for i, a := range c.Aliases {
		if hosts[a.Host] {
			problems = append(problems, fmt.Errorf("aliases[%d].host: %q is used twice", i, a.Host))
		}
		hosts[a.Host] = true
		for _, p := range a.problems() {
			problems = append(problems, fmt.Errorf("aliases[%d].%s", i, p))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (n Node) problems() []string {
	var out []string
	if m := validation.IsDNS1123Label(n.Name); len(m) > 0 {
		out = append(out, fmt.Sprintf("name: %q: %s", n.Name, m[0]))
	}
	for _, l := range []struct{ field, value string }{{"region", n.Region}, {"zone", n.Zone}} {
		if l.value == "" {
			out = append(out, l.field+": must be set")
		} else if m := validation.IsValidLabelValue(l.value); len(m) > 0 {
			out = append(out, fmt.Sprintf("%s: %q: %s", l.field, l.value, m[0]))
		}
	}
	if n.ProviderID != "" {
		if u, err := url.Parse(n.ProviderID); err != nil || u.Scheme == "" || strings.ContainsAny(n.ProviderID, " \n\"") {
			out = append(out, fmt.Sprintf("providerID: %q is not provider://id", n.ProviderID))
		}
	}
	return out
}

func (a Alias) problems() []string {
	var out []string
	if m := validation.IsDNS1123Subdomain(a.Host); len(m) > 0 {
		out = append(out, fmt.Sprintf("host: %q: %s", a.Host, m[0]))
	}
	name, namespace, ok := strings.Cut(a.Service, ".")
	if !ok || len(validation.IsDNS1035Label(name)) > 0 || len(validation.IsDNS1123Label(namespace)) > 0 {
		out = append(out, fmt.Sprintf("service: %q is not name.namespace", a.Service))
	}
	return out
}
