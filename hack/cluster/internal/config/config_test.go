package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const one = "nodes: [{name: hz1, region: cn-hangzhou, zone: cn-hangzhou-h, providerID: alicloud://cn-hangzhou.i-hz1}]\n"

func TestParse_DefaultFile(t *testing.T) {
	c, err := Load("../../nodes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range c.Nodes {
		names = append(names, n.Name)
	}
	if d := cmp.Diff([]string{"hz1", "bj1", "hk1", "odd1"}, names); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
	if got, want := c.Aliases[3].Target(), "s3.zurich.svc.cluster.local"; got != want {
		t.Errorf("target = %q, want %q", got, want)
	}
}

func TestParse_RefusesBadConfigs(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"an empty file":                     {"", "at least one node"},
		"no node":                           {"nodes: []", "at least one node"},
		"text that is not YAML":             {"nodes: [", "parse cluster config"},
		"an unknown key of a node":          {"nodes: [{name: a, region: r, zone: z, colour: red}]", `unknown field "colour"`},
		"an unknown key of the file":        {one + "version: 2", `unknown field "version"`},
		"a key given twice":                 {"nodes: [{name: a, name: b, region: r, zone: z}]", "already set"},
		"two nodes of one name":             {"nodes: [{name: a, region: r, zone: z}, {name: a, region: r, zone: z}]", `nodes[1].name: "a" is used twice`},
		"a node without a name":             {"nodes: [{region: r, zone: z}]", "nodes[0].name"},
		"a name with capitals":              {"nodes: [{name: HZ1, region: r, zone: z}]", `nodes[0].name: "HZ1"`},
		"a name that climbs out":            {"nodes: [{name: ../x, region: r, zone: z}]", `nodes[0].name: "../x"`},
		"a node without a region":           {"nodes: [{name: a, zone: z}]", "nodes[0].region: must be set"},
		"a node without a zone":             {"nodes: [{name: a, region: r}]", "nodes[0].zone: must be set"},
		"a region that is no label value":   {"nodes: [{name: a, region: 'x y', zone: z}]", `nodes[0].region: "x y"`},
		"a providerID without a provider":   {"nodes: [{name: a, region: r, zone: z, providerID: i-1}]", "nodes[0].providerID"},
		"an alias to half a Service":        {one + "aliases: [{host: a.b, service: twin}]", "aliases[0].service"},
		"an alias whose host is no name":    {one + "aliases: [{host: 'a b', service: a.b}]", "aliases[0].host"},
		"an alias that smuggles in a line":  {one + "aliases: [{host: \"a\\n b\", service: a.b}]", "aliases[0].host"},
		"one host with two Services":        {one + "aliases: [{host: a.b, service: a.b}, {host: a.b, service: c.d}]", "used twice"},
		"more nodes than the address plan":  {"nodes: [" + strings.Repeat("{name: a, region: r, zone: z},", maxNodes+1) + "]", "at most 200"},
		"several mistakes, all of them":     {"nodes: [{name: A, region: r, zone: z}, {name: b, zone: z}]", "nodes[1].region"},
		"a list where a node is wanted":     {"nodes: [[]]", "parse cluster config"},
		"a service with a third name in it": {one + "aliases: [{host: a.b, service: a.b.c}]", "aliases[0].service"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestCluster_AddressPlan(t *testing.T) {
	c := Cluster{Name: "maodian", State: "/a/.dev/cluster", Config: Config{Nodes: []Node{{Name: "a"}, {Name: "b"}}}}
	m, err := c.Member("b")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{m.IP(), m.Pods(), m.Veth(), c.PKI("ca.crt"), c.Log("etcd"), c.NodeDir("b")}
	want := []string{"10.99.0.12", "10.244.2.0/24", "veth-2", "/a/.dev/cluster/pki/ca.crt", "/a/.dev/cluster/log/etcd.log", "/a/.dev/cluster/nodes/b"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
	if _, err := c.Member("c"); err == nil {
		t.Error("an unknown node is found")
	}
}

func TestCluster_Identity(t *testing.T) {
	a := Cluster{Name: "maodian", State: "/a", Programs: map[string]string{"etcd": "/c/etcd-1/etcd"}}
	b := Cluster{Name: "maodian", State: "/b", Programs: map[string]string{"etcd": "/c/etcd-2/etcd"}}
	if a.CGroup() == b.CGroup() {
		t.Error("two checkouts share a cgroup")
	}
	b.State = a.State
	x, errA := a.ID()
	y, errB := b.ID()
	if errA != nil || errB != nil || x == y {
		t.Errorf("clusters of different programs have ids %q and %q (%v, %v)", x, y, errA, errB)
	}
}
