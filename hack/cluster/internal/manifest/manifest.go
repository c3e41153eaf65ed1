// Package manifest renders the configuration files of the cluster's programs and the objects that every cluster
// starts with. It is pure: the same cluster gives the same bytes.
package manifest

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/pki"
)

//go:embed templates
var templates embed.FS

// StorageProvisioner is the name under which StorageClasses ask for the cluster's own volumes.
const StorageProvisioner = "local.maodian.dev"

// node is what the templates of one node see.
type node struct {
	config.Member
	Cluster    config.Cluster
	Dir        string
	PauseImage string
	DNSIP      string
	PodCIDR    string
}

func nodeData(c config.Cluster, m config.Member) node {
	return node{
		Member: m, Cluster: c, Dir: c.NodeDir(m.Name),
		PauseImage: config.PauseImage, DNSIP: config.DNSIP, PodCIDR: config.PodCIDR,
	}
}

// Kubelet is the kubelet's configuration file.
func Kubelet(c config.Cluster, m config.Member) ([]byte, error) {
	return render("kubelet.yaml", nodeData(c, m))
}

// KubeProxy is kube-proxy's configuration file.
func KubeProxy(c config.Cluster, m config.Member) ([]byte, error) {
	return render("kube-proxy.yaml", nodeData(c, m))
}

// CNI is the network configuration that containerd gives to each pod of a node.
func CNI(c config.Cluster, m config.Member) ([]byte, error) {
	return render("cni.conflist", nodeData(c, m))
}

// Containerd is containerd's configuration file; the format changed with version 2.
func Containerd(c config.Cluster, m config.Member, major int) ([]byte, error) {
	if major >= 2 {
		return render("containerd-2.toml", nodeData(c, m))
	}
	return render("containerd-1.toml", nodeData(c, m))
}

// Objects are the objects that every cluster starts with: DNS, the storage class, the roles of the two agents.
func Objects(c config.Config) ([]byte, error) {
	return render("objects.yaml", struct {
		config.Config
		DNSIP, CoreDNSImage, Provisioner   string
		ProvisionerUser, NetworkPolicyUser string
	}{c, config.DNSIP, config.CoreDNSImage, StorageProvisioner, pki.ProvisionerUser, pki.NetworkPolicyUser})
}

func render(name string, data any) ([]byte, error) {
	t, err := template.New(name+".tmpl").Option("missingkey=error").ParseFS(templates, "templates/"+name+".tmpl")
	if err != nil {
		return nil, fmt.Errorf("parse template %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}
