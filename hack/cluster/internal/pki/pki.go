// Package pki makes every key, certificate and kubeconfig of a local cluster. They are made anew for each start and
// never leave the state folder. Nothing of the product's own certificates is here.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
)

// Names of the identities of the cluster's own two agents; the manifests bind roles to them.
const (
	ProvisionerUser   = "maodian:local-provisioner"
	NetworkPolicyUser = "maodian:network-policy-agent"
)

// lifetime is that of a cluster which somebody forgot to stop.
const lifetime = 365 * 24 * time.Hour

// Files maps file names to contents.
type Files map[string][]byte

// Write puts the files into dir, readable by their owner only.
func (f Files) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create certificate folder: %w", err)
	}
	for name, content := range f {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write certificate file: %w", err)
		}
	}
	return nil
}

// Kubeconfigs that New makes: one for each identity, dialling the API server from inside the cluster's network, and
// this one for people outside.
const (
	AdminKubeconfig   = "admin.kubeconfig"
	OutsideKubeconfig = "outside.kubeconfig"
)

// New makes the whole set. outside is the API server's URL as seen from outside the cluster's network; its host must
// be 127.0.0.1.
func New(members []config.Member, outside string, now time.Time) (Files, error) {
	m := maker{files: Files{}, now: now}
	ca := m.authority("ca", "maodian-local-cluster")
	front := m.authority("front-ca", "maodian-local-cluster-front-proxy")
	m.issue(front, "front", subject{name: "front-proxy-client"})
	m.issue(ca, "apiserver", subject{
		name:  "kube-apiserver",
		dns:   []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		addrs: []string{"127.0.0.1", config.GatewayIP, config.KubernetesIP},
	})
	m.issue(ca, "etcd", subject{name: "etcd", dns: []string{"localhost"}, addrs: []string{"127.0.0.1"}})
	m.issue(ca, "apiserver-etcd", subject{name: "kube-apiserver-etcd-client"})
	m.issue(ca, "apiserver-kubelet", subject{name: "kube-apiserver-kubelet-client", group: "system:masters"})
	m.kubeconfig(ca, "admin", subject{name: "kubernetes-admin", group: "system:masters"}, config.APIServer, outside)
	for file, user := range map[string]string{
		"kube-controller-manager": "system:kube-controller-manager",
		"kube-scheduler":          "system:kube-scheduler",
		"kube-proxy":              "system:kube-proxy",
		"local-provisioner":       ProvisionerUser,
		"network-policy":          NetworkPolicyUser,
	} {
		m.kubeconfig(ca, file, subject{name: user}, config.APIServer, "")
	}
	for _, n := range members {
		node := subject{name: "system:node:" + n.Name, group: "system:nodes"}
		m.kubeconfig(ca, "node-"+n.Name, node, config.APIServer, "")
		node.dns, node.addrs = []string{n.Name}, []string{n.IP(), "127.0.0.1"}
		m.issue(ca, "kubelet-"+n.Name, node)
	}
	m.serviceAccounts()
	return m.files, m.err
}

// maker collects files; the first error sticks.
type maker struct {
	files Files
	now   time.Time
	err   error
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type subject struct {
	name, group string
	dns, addrs  []string
}

func (m *maker) fail(err error) bool {
	if err != nil {
		m.err = errors.Join(m.err, fmt.Errorf("make certificates: %w", err))
	}
	return m.err != nil
}

func (m *maker) template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	m.fail(err)
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: m.now.Add(-time.Hour), NotAfter: m.now.Add(lifetime),
	}
}

func (m *maker) authority(file, name string) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if m.fail(err) {
		return authority{}
	}
	t := m.template(name)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if m.fail(err) {
		return authority{}
	}
	cert, err := x509.ParseCertificate(der)
	m.fail(err)
	m.pair(file, der, key)
	return authority{cert, key}
}

func (m *maker) issue(a authority, file string, s subject) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if m.fail(err) {
		return
	}
	t := m.template(s.name)
	if s.group != "" {
		t.Subject.Organization = []string{s.group}
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	t.DNSNames = s.dns
	for _, addr := range s.addrs {
		t.IPAddresses = append(t.IPAddresses, net.ParseIP(addr))
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if !m.fail(err) {
		m.pair(file, der, key)
	}
}

func (m *maker) pair(file string, der []byte, key *ecdsa.PrivateKey) {
	k, err := x509.MarshalECPrivateKey(key)
	m.fail(err)
	m.files[file+".crt"] = block("CERTIFICATE", der)
	m.files[file+".key"] = block("EC PRIVATE KEY", k)
}

// kubeconfig issues a certificate and writes it as kubeconfig, also for people outside when that URL is given.
func (m *maker) kubeconfig(a authority, file string, s subject, inside, outside string) {
	m.issue(a, file, s)
	m.files[file+".kubeconfig"] = m.render(inside, file)
	if outside != "" {
		m.files[OutsideKubeconfig] = m.render(outside, file)
	}
}

func (m *maker) render(server, file string) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: maodian
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: maodian
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: maodian
  context: {cluster: maodian, user: maodian}
current-context: maodian
`, server, b64(m.files["ca.crt"]), b64(m.files[file+".crt"]), b64(m.files[file+".key"]))
}

// serviceAccounts makes the key pair that signs service account tokens.
func (m *maker) serviceAccounts() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if m.fail(err) {
		return
	}
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	m.fail(err)
	m.files["sa.key"] = block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	m.files["sa.pub"] = block("PUBLIC KEY", pub)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
