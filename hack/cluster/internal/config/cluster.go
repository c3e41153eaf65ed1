package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
)

// The address plan. Every cluster uses the same one, since each lives in a network namespace of its own.
const (
	GatewayIP    = "10.99.0.1" // the bridge, where the control plane listens
	APIServer    = "https://" + GatewayIP + ":6443"
	APIAddress   = GatewayIP + ":6443"
	KubernetesIP = "10.96.0.1" // the Service "kubernetes"
	DNSIP        = "10.96.0.10"
	ServiceCIDR  = "10.96.0.0/16"
	PodCIDR      = "10.244.0.0/16"
)

// Names of the images that the cluster itself runs.
const (
	PauseImage   = "localhost/pause:maodian"
	CoreDNSImage = "localhost/coredns:maodian"
)

// Cluster is a Config made concrete for one state folder. It is written there, and every process of the cluster
// reads it.
type Cluster struct {
	// Name is for people, and part of the cgroup's name.
	Name string `json:"name"`
	// State is the absolute path of the folder that holds everything the cluster writes.
	State string `json:"state"`
	// Config is what the user asked for.
	Config Config `json:"config"`
	// Programs maps the name of a built program to its path.
	Programs map[string]string `json:"programs"`
}

// ID tells whether two clusters would be the same: same nodes, same aliases, same programs.
func (c Cluster) ID() (string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode cluster: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), nil
}

// CGroup is the name of the cluster's branch of every cgroup hierarchy. It differs between two checkouts that both
// start a cluster of the same name.
func (c Cluster) CGroup() string {
	sum := sha256.Sum256([]byte(c.State))
	return c.Name + "-" + hex.EncodeToString(sum[:4])
}

// Member is one node with its place in the address plan.
type Member struct {
	Node
	// Number counts from 1.
	Number int
}

// IP is the node's own address.
func (m Member) IP() string { return fmt.Sprintf("10.99.0.%d", 10+m.Number) }

// Pods is the range of the node's pods.
func (m Member) Pods() string { return fmt.Sprintf("10.244.%d.0/24", m.Number) }

// Veth is the host-side name of the node's network cable.
func (m Member) Veth() string { return fmt.Sprintf("veth-%d", m.Number) }

// Members are the nodes in their order.
func (c Cluster) Members() []Member {
	out := make([]Member, len(c.Config.Nodes))
	for i, n := range c.Config.Nodes {
		out[i] = Member{Node: n, Number: i + 1}
	}
	return out
}

// Member finds a node by its name.
func (c Cluster) Member(name string) (Member, error) {
	all := c.Members()
	i := slices.IndexFunc(all, func(m Member) bool { return m.Name == name })
	if i < 0 {
		return Member{}, fmt.Errorf("no node %q in this cluster", name)
	}
	return all[i], nil
}

// Path is a path below the state folder.
func (c Cluster) Path(parts ...string) string {
	return filepath.Join(append([]string{c.State}, parts...)...)
}

// PKI is the path of a key, certificate or kubeconfig.
func (c Cluster) PKI(name string) string { return c.Path("pki", name) }

// Log is the path of a program's log.
func (c Cluster) Log(name string) string { return c.Path("log", name+".log") }

// NodeDir is the folder of one node.
func (c Cluster) NodeDir(name string) string { return c.Path("nodes", name) }
