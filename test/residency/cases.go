// Package residency holds the cases by which a residency guard is examined: attacks, each
// with its row of the leak matrix, and ordinary work. Tests run them against an API server
// of their own, and `kubectl maodian conformance` against yours.
package residency

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conformance"
)

//go:embed cases/*.yaml
var files embed.FS

// Cases returns all of them.
func Cases() ([]conformance.File, error) {
	folder, err := fs.Sub(files, "cases")
	if err != nil {
		return nil, fmt.Errorf("open cases: %w", err)
	}
	return conformance.Load(folder)
}

// Values returns what the placeholders of cases stand for under a policy. What the policy
// does not have is empty: cases that need it do not apply. Who runs them may add what no
// policy tells: exception with exceptedUser, a ResidencyException in force that names every
// excusable topic and this user.
func Values(p *residencyv1.ResidencyPolicy) conformance.Values {
	s := p.Spec
	return conformance.Values{
		"policy":        p.Name,
		"jurisdiction":  s.Jurisdiction,
		"labelKey":      s.Nodes.LabelKey,
		"region":        first(s.Nodes.Regions),
		"zone":          first(s.Nodes.Zones),
		"runtimeClass":  first(s.Nodes.RuntimeClasses),
		"taint":         taint(s),
		"repair":        repair(s),
		"prefix":        s.Storage.ClassPrefix,
		"driver":        first(s.Storage.Drivers),
		"longhorn":      with(s.Storage.Drivers, "driver.longhorn.io"),
		"ceph":          with(s.Storage.Drivers, ".csi.ceph.com"),
		"zoneKey":       zoneKey(s.Storage.TopologyKeys),
		"registry":      first(s.Images.Registries),
		"host":          first(s.Network.Hosts),
		"cidr":          first(s.Network.CIDRs),
		"ingressClass":  first(s.Network.IngressClasses),
		"gateways":      first(s.Network.GatewayNamespaces),
		"attestors":     first(s.Identities.Attestors),
		"breakGlass":    first(s.Identities.BreakGlass),
		"scheduler":     first(s.Identities.Schedulers),
		"tokenAudience": first(s.Identities.TokenAudiences),
	}
}

func taint(s residencyv1.ResidencyPolicySpec) string {
	if s.Nodes.Sharing != residencyv1.SharingExclusive {
		return ""
	}
	return "residency.maodian.dev/" + s.Jurisdiction
}

// repair is empty where nothing leaves a node that lost its attestation.
func repair(s residencyv1.ResidencyPolicySpec) string {
	if s.Nodes.OnLostAttestation != residencyv1.LostAttestationCordonAndEvict {
		return ""
	}
	return string(s.Nodes.OnLostAttestation)
}

func zoneKey(keys []string) string {
	for _, k := range keys {
		if k == "topology.kubernetes.io/zone" {
			return k
		}
	}
	return first(keys)
}

// with returns the first item that ends like this.
func with(items []string, end string) string {
	for _, item := range items {
		if strings.HasSuffix(item, end) {
			return item
		}
	}
	return ""
}

func first(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return items[0]
}
