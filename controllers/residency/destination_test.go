package residency_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// names is the DNS of these tests.
var names = &zone{hosts: map[string][]string{"s3.eu-central-1.example": {"203.0.113.7"}}}

type zone struct {
	mu    sync.Mutex
	hosts map[string][]string
}

func (z *zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	var out []netip.Addr
	for _, a := range z.hosts[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	if len(out) == 0 {
		return nil, errors.New("no such host")
	}
	return out, nil
}

func (z *zone) set(host string, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[host] = addresses
}

// route is what a transfer's network policy and configuration say of the destination.
func route(ctx context.Context, ns, name string) (open []string, config string, err error) {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name + "-transfer"}}
	if _, err := get(ctx, np); err != nil {
		return nil, "", err
	}
	for _, rule := range np.Spec.Egress {
		for _, to := range rule.To {
			if to.IPBlock != nil {
				open = append(open, rule.Ports[0].Port.String()+" "+to.IPBlock.CIDR)
			}
		}
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name + "-transfer-config"}}
	_, err = get(ctx, cm)
	return open, cm.Data["config.yaml"], err
}

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGpKWGvJNkLZfvjzOKIBD0TTHgPfCTOT1GxAKXtSxL5A"

func secretNamed(t *testing.T, ns, name string, keys ...string) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: map[string][]byte{}}
	for _, k := range keys {
		s.Data[k] = []byte(canary)
	}
	rig.Create(t, s)
}

// TestATransferReachesItsDestinationOnly: what its pods may reach outside, and where they are told to connect.
func TestATransferReachesItsDestinationOnly(t *testing.T) {
	_, ns := transferWorld(t)
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	secretNamed(t, ns, "signing", "privateKey")
	secretNamed(t, ns, "word", "password")
	ref := func(n string) metav1alpha1.LocalObjectReference { return metav1alpha1.LocalObjectReference{Name: n} }
	names.set("crm.example", "198.51.100.9", "2001:db8::9", "198.51.100.9", "169.254.169.254", "127.0.0.1")
	names.set("sftp.example", "198.51.100.22")
	for name, c := range map[string]struct {
		change func(*residencyv1.DataTransferSpec)
		open   []string
		config []string
	}{
		"s3": {func(*residencyv1.DataTransferSpec) {}, []string{"443 203.0.113.7/32"},
			[]string{"- 203.0.113.7\n", "endpoint: https://s3.eu-central-1.example", "prefix: cn/"}},
		"networks": {func(s *residencyv1.DataTransferSpec) {
			s.Destination.CIDRs = []residencyv1.CIDR{"198.51.100.0/24", "2001:db8::/32"}
		}, []string{"443 198.51.100.0/24", "443 2001:db8::/32"}, []string{"type: S3"}},
		"https": {func(s *residencyv1.DataTransferSpec) {
			s.Destination = residencyv1.TransferDestination{Type: residencyv1.DestinationHTTPS,
				HTTPS: residencyv1.HTTPSDestination{URL: "https://crm.example:8443/in/", KeyID: "maodian-2026", CredentialsSecretRef: ref("signing")}}
			s.EncryptFor = []residencyv1.AgeRecipient{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
		}, []string{"8443 198.51.100.9/32", "8443 2001:db8::9/128"}, []string{"url: https://crm.example:8443/in/", "keyID: maodian-2026", "encryptFor:\n- age1ql3"}},
		"sftp": {func(s *residencyv1.DataTransferSpec) {
			s.Destination = residencyv1.TransferDestination{Type: residencyv1.DestinationSFTP, SFTP: residencyv1.SFTPDestination{
				Host: "sftp.example", User: "maodian", Directory: "in/", HostKeys: []residencyv1.SSHHostKey{hostKey}, CredentialsSecretRef: ref("word")}}
			s.Format, s.Limits = residencyv1.FormatParquet, residencyv1.TransferLimits{Bytes: 5000, BytesPerSecond: 2048, PeoplePerObject: 7}
		}, []string{"22 198.51.100.22/32"}, []string{"address: sftp.example:22", hostKey, "format: Parquet", "bytes: 5000", "bytesPerSecond: 2048", "people: 7"}},
		"literal": {func(s *residencyv1.DataTransferSpec) { s.Destination.S3.Endpoint = "https://203.0.113.99:9000" }, []string{"9000 203.0.113.99/32"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
			x.Name = "to-" + name
			c.change(&x.Spec)
			ask(t, x)
			waitStarted(t, x)
			open, config, err := route(t.Context(), ns, x.Name)
			if err != nil || !slices.Equal(open, c.open) {
				t.Errorf("open %v, want %v; %v", open, c.open, err)
			}
			for _, want := range c.config {
				if !strings.Contains(config, want) {
					t.Errorf("no %q in\n%s", want, config)
				}
			}
			if named := len(x.Spec.Destination.CIDRs) > 0; strings.Contains(config, "addresses:") == named || strings.Contains(config, canary) {
				t.Errorf("configuration\n%s", config)
			}
		})
	}
}

// TestAMovedDestinationIsFollowed: its new address is opened beside the one that a pod may be using.
func TestAMovedDestinationIsFollowed(t *testing.T) {
	_, ns := transferWorld(t)
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
	x.Spec.Destination.S3.Endpoint = "https://moving.example"
	ask(t, x)
	waitTransfer(t, x, "Ready", "Unknown", residencyv1.ReasonDestinationUnreachable)
	noJob(t, ns, x.Name)
	names.set("moving.example", "198.51.100.1")
	waitStarted(t, x)
	names.set("moving.example", "198.51.100.2")
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		open, config, err := route(ctx, ns, x.Name)
		if err != nil || !slices.Equal(open, []string{"443 198.51.100.1/32", "443 198.51.100.2/32"}) || !strings.Contains(config, "- 198.51.100.2\n  - 198.51.100.1\n") {
			return fmt.Errorf("open %v, %w; configuration\n%s", open, err, config)
		}
		return nil
	})
	answer(ns, x, &storev1.Transfer{State: "Complete", Persons: "40", NewlyCounted: "40", Manifest: &storev1.Manifest{Object: "cn/m.json", Sha256: fmt.Sprintf("%064d", 1), Rows: 40, Bytes: 9}})
	waitTransfer(t, x, "Complete", "True", metav1alpha1.ReasonComplete)
}

// TestADestinationOnTheNodeIsNone: a name that leads to the node or its link is no place abroad.
func TestADestinationOnTheNodeIsNone(t *testing.T) {
	_, ns := transferWorld(t)
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	names.set("metadata.example", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1", "0.0.0.0", "100.100.100.200", "fd00:ec2::254")
	for i, host := range []string{"metadata.example", "169.254.169.254", "127.0.0.1"} {
		x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
		x.Name, x.Spec.Destination.S3.Endpoint = fmt.Sprintf("inward-%d", i), "https://"+host
		ask(t, x)
		waitTransfer(t, x, "Ready", "Unknown", residencyv1.ReasonDestinationUnreachable)
		noJob(t, ns, x.Name)
	}
}

func TestADestinationNeedsItsOwnCredentials(t *testing.T) {
	_, ns := transferWorld(t)
	rig.Create(t, sample(t, "61-transfer-allowed", "TransferMechanism", ns, &residencyv1.TransferMechanism{}))
	secretNamed(t, ns, "empty")
	ref := metav1alpha1.LocalObjectReference{Name: "empty"}
	for name, c := range map[string]struct {
		destination residencyv1.TransferDestination
		want        string
	}{
		"https": {residencyv1.TransferDestination{Type: residencyv1.DestinationHTTPS, HTTPS: residencyv1.HTTPSDestination{URL: "https://crm.example/", KeyID: "k", CredentialsSecretRef: ref}},
			"Secret empty must hold `privateKey`"},
		"sftp": {residencyv1.TransferDestination{Type: residencyv1.DestinationSFTP, SFTP: residencyv1.SFTPDestination{Host: "sftp.example", User: "u", HostKeys: []residencyv1.SSHHostKey{hostKey}, CredentialsSecretRef: ref}},
			"Secret empty must hold `privateKey` or `password`"},
	} {
		x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
		x.Name, x.Spec.Destination = "by-"+name, c.destination
		ask(t, x)
		waitTransfer(t, x, "Stalled", "True", metav1alpha1.ReasonCredentialsMissing)
		if m := message(x.Status.Conditions, "Ready"); m != c.want {
			t.Errorf("%s: %q, want %q", name, m, c.want)
		}
		noJob(t, ns, x.Name)
	}
}

// message is that of a condition.
func message(conditions []metav1.Condition, kind string) string {
	i := slices.IndexFunc(conditions, func(c metav1.Condition) bool { return c.Type == kind })
	if i < 0 {
		return ""
	}
	return conditions[i].Message
}
