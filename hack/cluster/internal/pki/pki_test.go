package pki

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
)

var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func set(t *testing.T) Files {
	t.Helper()
	c := config.Cluster{Config: config.Config{Nodes: []config.Node{{Name: "hz1"}, {Name: "hk1"}}}}
	f, err := New(c.Members(), "https://127.0.0.1:40001", now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func parse(t *testing.T, b []byte) *x509.Certificate {
	t.Helper()
	p, _ := pem.Decode(b)
	if p == nil {
		t.Fatal("no PEM block")
	}
	c, err := x509.ParseCertificate(p.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func verify(t *testing.T, f Files, ca, name, host string) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, f[ca]))
	_, err := parse(t, f[name]).Verify(x509.VerifyOptions{
		Roots: roots, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

func TestNew_IssuesEveryIdentity(t *testing.T) {
	f := set(t)
	got := map[string]string{}
	for name, b := range f {
		if strings.HasSuffix(name, ".crt") {
			c := parse(t, b)
			got[name] = strings.TrimSpace(c.Subject.CommonName + " " + strings.Join(c.Subject.Organization, ","))
		}
	}
	want := map[string]string{
		"ca.crt": "maodian-local-cluster", "front-ca.crt": "maodian-local-cluster-front-proxy", "front.crt": "front-proxy-client",
		"apiserver.crt": "kube-apiserver", "etcd.crt": "etcd", "apiserver-etcd.crt": "kube-apiserver-etcd-client",
		"apiserver-kubelet.crt": "kube-apiserver-kubelet-client system:masters", "admin.crt": "kubernetes-admin system:masters",
		"kube-controller-manager.crt": "system:kube-controller-manager", "kube-scheduler.crt": "system:kube-scheduler",
		"kube-proxy.crt": "system:kube-proxy", "local-provisioner.crt": ProvisionerUser, "network-policy.crt": NetworkPolicyUser,
		"node-hz1.crt": "system:node:hz1 system:nodes", "kubelet-hz1.crt": "system:node:hz1 system:nodes",
		"node-hk1.crt": "system:node:hk1 system:nodes", "kubelet-hk1.crt": "system:node:hk1 system:nodes",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("certificates (-want +got):\n%s", d)
	}
}

func TestNew_ChainsAndNames(t *testing.T) {
	f := set(t)
	for name, c := range map[string]struct{ ca, cert, host string }{
		"the API server from outside":        {"ca.crt", "apiserver.crt", "127.0.0.1"},
		"the API server on the bridge":       {"ca.crt", "apiserver.crt", config.GatewayIP},
		"the API server as a Service":        {"ca.crt", "apiserver.crt", "kubernetes.default.svc"},
		"the API server's ClusterIP":         {"ca.crt", "apiserver.crt", config.KubernetesIP},
		"a kubelet by its address":           {"ca.crt", "kubelet-hk1.crt", "10.99.0.12"},
		"the front proxy under its own root": {"front-ca.crt", "front.crt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(t, f, c.ca, c.cert, c.host); err != nil {
				t.Error(err)
			}
		})
	}
	if err := verify(t, f, "ca.crt", "front.crt", ""); err == nil {
		t.Error("the front proxy's certificate is also good for the cluster's root")
	}
	if err := verify(t, f, "ca.crt", "kubelet-hk1.crt", "10.99.0.11"); err == nil {
		t.Error("a kubelet may speak for another node")
	}
}

func TestNew_Kubeconfigs(t *testing.T) {
	f := set(t)
	for file, server := range map[string]string{
		AdminKubeconfig: config.APIServer, OutsideKubeconfig: "https://127.0.0.1:40001", "node-hz1.kubeconfig": config.APIServer,
	} {
		c, err := clientcmd.RESTConfigFromKubeConfig(f[file])
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if c.Host != server || len(c.CertData) == 0 || len(c.KeyData) == 0 || len(c.CAData) == 0 {
			t.Errorf("%s: server %q, want %q, with certificate, key and root", file, c.Host, server)
		}
	}
}

func TestWrite_KeepsKeysPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := set(t).Write(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	open := slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		i, err := e.Info()
		return err == nil && i.Mode().Perm() == 0o600
	})
	if len(open) > 0 {
		t.Errorf("readable by others: %v", open)
	}
}
