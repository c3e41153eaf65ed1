package residency

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
)

// Resolver looks up the addresses of a name; a *net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	lookupTimeout = 5 * time.Second
	// maxAddresses bounds how many addresses of a destination's name are kept open.
	maxAddresses = 64
	portHTTPS    = 443
	portSFTP     = 22
)

// target is a destination with what the manager needs to know of it.
type target struct {
	desired.Destination
	host   string
	secret string
	keys   [][]string // one of these sets must be in the Secret
}

// targetOf reads a destination. The API server has checked its form.
func targetOf(d residencyv1.TransferDestination) (target, error) {
	p := target{Destination: desired.Destination{Type: string(d.Type)}}
	for _, c := range d.CIDRs {
		p.CIDRs = append(p.CIDRs, string(c))
	}
	switch d.Type {
	case residencyv1.DestinationS3:
		p.S3 = &desired.S3Bucket{Endpoint: d.S3.Endpoint, Region: d.S3.Region, Bucket: d.S3.Bucket, Prefix: d.S3.Prefix}
		p.secret, p.keys = d.S3.CredentialsSecretRef.Name, [][]string{{"accessKeyID", "secretAccessKey"}}
		return p, p.at(d.S3.Endpoint)
	case residencyv1.DestinationHTTPS:
		p.HTTPS = &desired.HTTPSEndpoint{URL: d.HTTPS.URL, KeyID: d.HTTPS.KeyID}
		p.secret, p.keys = d.HTTPS.CredentialsSecretRef.Name, [][]string{{"privateKey"}}
		return p, p.at(d.HTTPS.URL)
	case residencyv1.DestinationSFTP:
		p.host, p.Port = d.SFTP.Host, d.SFTP.Port
		if p.Port == 0 {
			p.Port = portSFTP
		}
		p.SFTP = &desired.SFTPServer{Address: net.JoinHostPort(p.host, strconv.Itoa(int(p.Port))), User: d.SFTP.User, Directory: d.SFTP.Directory}
		for _, k := range d.SFTP.HostKeys {
			p.SFTP.HostKeys = append(p.SFTP.HostKeys, string(k))
		}
		p.secret, p.keys = d.SFTP.CredentialsSecretRef.Name, [][]string{{"privateKey"}, {"password"}}
		return p, nil
	}
	return p, fmt.Errorf("read destination: there is no type %s", d.Type)
}

// at takes host and port from an https address.
func (p *target) at(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("read destination: the address cannot be read")
	}
	p.host, p.Port = u.Hostname(), portHTTPS
	if u.Port() == "" {
		return nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("read destination: the address has no valid port")
	}
	p.Port = int32(n)
	return nil
}

// credentials looks whether the Secret holds what the destination asks for.
func (r *TransferReconciler) credentials(ctx context.Context, namespace string, p target) (*conditions.Outcome, error) {
	secret, err := gather.Find[corev1.Secret](ctx, r.Client, namespace, p.secret)
	if err != nil {
		return nil, err
	}
	var ways []string
	for _, keys := range p.keys {
		missing := func(k string) bool { return secret == nil || len(secret.Data[k]) == 0 }
		if !slices.ContainsFunc(keys, missing) {
			return nil, nil
		}
		ways = append(ways, "`"+strings.Join(keys, "` and `")+"`")
	}
	return conditions.Stall(metav1alpha1.ReasonCredentialsMissing, "Secret %s must hold %s", p.secret, strings.Join(ways, " or ")), nil
}

// locate finds the addresses of a destination that names no networks: those of its name now,
// and before them nothing else than those it had earlier in this transfer.
func (r *TransferReconciler) locate(ctx context.Context, p *target, earlier []netip.Prefix) error {
	if len(p.CIDRs) > 0 {
		return nil
	}
	found, err := r.lookup(ctx, p.host)
	if err != nil {
		return err
	}
	for _, e := range earlier {
		if a := e.Addr(); e.IsSingleIP() && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	for _, a := range found[:min(len(found), maxAddresses)] {
		p.Addresses = append(p.Addresses, a.String())
		p.CIDRs = append(p.CIDRs, netip.PrefixFrom(a, a.BitLen()).String())
	}
	return nil
}

// lookup returns the addresses of a host that a transfer may go to, in order.
func (r *TransferReconciler) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return outsideOnly([]netip.Addr{a})
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	list, err := r.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up destination: %w", err)
	}
	return outsideOnly(list)
}

// metadata are services of clouds that answer elsewhere than on the node's link.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254")}

// outsideOnly drops addresses that are the node itself or its link, and those where a cloud
// tells a node its credentials: a name that leads there is no destination.
func outsideOnly(list []netip.Addr) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range list {
		a = a.Unmap().WithZone("")
		if !slices.Contains(metadata, a) && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsUnspecified() {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("look up destination: no address that is outside")
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}

// opened lists the networks that a transfer's policy opens now.
func (r *TransferReconciler) opened(ctx context.Context, t *residencyv1.DataTransfer) ([]netip.Prefix, error) {
	np, err := gather.Find[networkingv1.NetworkPolicy](ctx, r.Client, t.Namespace, desired.TransferName(t.Name))
	if np == nil || err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, rule := range np.Spec.Egress {
		for _, to := range rule.To {
			if to.IPBlock == nil {
				continue
			}
			if p, err := netip.ParsePrefix(to.IPBlock.CIDR); err == nil {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// reroute follows a destination whose name has other addresses than when the transfer
// started: they are opened beside those that a running pod may be using.
func (r *TransferReconciler) reroute(ctx context.Context, s *transferScope, in desired.TransferInput, p target) error {
	if len(p.CIDRs) > 0 {
		return nil // networks were named
	}
	earlier, err := r.opened(ctx, s.transfer)
	if err != nil {
		return err
	}
	if err := r.locate(ctx, &p, earlier); err != nil {
		return nil //nolint:nilerr // the name has no answer for the moment; what is open stays
	}
	if !slices.ContainsFunc(p.CIDRs, func(c string) bool { return !slices.Contains(earlier, netip.MustParsePrefix(c)) }) {
		return nil
	}
	in.Destination = p.Destination
	route, err := desired.TransferRoute(in)
	if err != nil {
		return err
	}
	return applying.Children(ctx, r.Client, route...)
}
