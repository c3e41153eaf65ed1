package manifest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
)

// golden compares got with testdata/name; UPDATE_GOLDEN=1 rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func fake(t *testing.T) (config.Cluster, config.Member) {
	t.Helper()
	c := config.Cluster{Name: "maodian", State: "/srv/.dev/cluster", Config: config.Config{
		Nodes: []config.Node{
			{Name: "hz1", Region: "cn-hangzhou", Zone: "cn-hangzhou-h"},
			{Name: "hk1", Region: "cn-hongkong", Zone: "cn-hongkong-b", ProviderID: "alicloud://cn-hongkong.i-hk1"},
		},
		Aliases: []config.Alias{{Host: "sh.api.weixin.qq.com", Service: "wechat-twin.wechat-twin"}},
	}}
	m, err := c.Member("hk1")
	if err != nil {
		t.Fatal(err)
	}
	return c, m
}

func TestNodeFiles(t *testing.T) {
	c, m := fake(t)
	for file, f := range map[string]func() ([]byte, error){
		"kubelet.yaml":      func() ([]byte, error) { return Kubelet(c, m) },
		"kube-proxy.yaml":   func() ([]byte, error) { return KubeProxy(c, m) },
		"cni.conflist":      func() ([]byte, error) { return CNI(c, m) },
		"containerd-1.toml": func() ([]byte, error) { return Containerd(c, m, 1) },
		"containerd-2.toml": func() ([]byte, error) { return Containerd(c, m, 2) },
	} {
		t.Run(file, func(t *testing.T) {
			b, err := f()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, file, b)
			switch {
			case strings.HasSuffix(file, ".yaml"):
				var v map[string]any
				if err := yaml.UnmarshalStrict(b, &v); err != nil {
					t.Error(err)
				}
			case strings.HasSuffix(file, ".conflist"):
				if !json.Valid(b) {
					t.Error("not JSON")
				}
			}
		})
	}
}

func TestKubelet_WithoutProviderID(t *testing.T) {
	c, _ := fake(t)
	m, err := c.Member("hz1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Kubelet(c, m)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("providerID")) {
		t.Error("a node without a provider gets a providerID")
	}
}

func TestObjects(t *testing.T) {
	c, _ := fake(t)
	b, err := Objects(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "objects.yaml", b)
	for i, doc := range bytes.Split(b, []byte("\n---\n")) {
		var v map[string]any
		if err := yaml.UnmarshalStrict(doc, &v); err != nil || v["kind"] == nil {
			t.Errorf("document %d: %v, kind %v", i, err, v["kind"])
		}
	}
}
