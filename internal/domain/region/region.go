// Package region decides whether a node stands in mainland China (the PRC without Hong
// Kong, Macau and Taiwan). It knows the catalogue of cloud regions and the ways in which
// a node can lie about its place; it knows nothing of Kubernetes.
//
// Three signals must agree: the region label, which a kubelet may set itself; the
// providerID, set once; and an attested label, which only the manager and the policy's
// attestors may write. Whatever cannot be told counts as outside.
package region

import (
	"regexp"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Provider is a cloud that runs nodes.
type Provider string

// Providers whose providerID is understood (law.md 5.2).
const (
	Unknown Provider = ""
	Alibaba Provider = "Alibaba"
	Tencent Provider = "Tencent"
	Huawei  Provider = "Huawei"
	AWS     Provider = "AWS"
	Azure   Provider = "Azure"
	Baidu   Provider = "Baidu"
	Volcano Provider = "Volcengine"
)

// Attestation says who vouches for nodes.
type Attestation string

// Attestations.
const (
	ByProviderID    Attestation = "ProviderID"    // region label and providerID must agree
	ByAdministrator Attestation = "Administrator" // an administrator's label, for bare metal
)

// Node holds the signals of one node.
type Node struct {
	ProviderID string
	Region     string // topology.kubernetes.io/region
	Zone       string // topology.kubernetes.io/zone
	Attested   bool   // the attested label carries the policy's jurisdiction, as somebody wrote it
}

// Rules is what a ResidencyPolicy says about nodes.
type Rules struct {
	Regions, Zones []string
	Attestation    Attestation
}

// Verdict is the decision on one node.
type Verdict struct {
	Eligible bool
	Reason   reason.Code
	Message  string // names signals, never guesses
}

// place is what a providerID tells.
type place struct {
	provider Provider
	region   string // empty: the ID does not tell
}

var (
	alibabaID = regexp.MustCompile(`^(?:alicloud://)?([a-z]+(?:-[a-z0-9]+)+)\.i-[A-Za-z0-9-]+$`)
	awsID     = regexp.MustCompile(`^aws:///([a-z]{2,3}(?:-[a-z]+)+-[0-9]+)[a-z]/(?:i-|fargate-)[A-Za-z0-9-]+$`)
	tencentID = regexp.MustCompile(`^qcloud:///([0-9]{4})[0-9]{2}/ins-[A-Za-z0-9]+$`)
)

func parse(id string) place {
	if m := alibabaID.FindStringSubmatch(id); m != nil {
		return place{Alibaba, m[1]}
	}
	if m := awsID.FindStringSubmatch(id); m != nil {
		return place{AWS, m[1]}
	}
	if m := tencentID.FindStringSubmatch(id); m != nil {
		return place{Tencent, tencentZones[m[1]]}
	}
	for prefix, p := range map[string]Provider{
		"qcloud://": Tencent, "tencentcloud://": Tencent, "huaweicloud://": Huawei, "azure://": Azure, "cce://": Baidu, "volcengine://": Volcano,
	} {
		if strings.HasPrefix(id, prefix) && len(id) > len(prefix) {
			return place{provider: p}
		}
	}
	return place{}
}

// Mainland tells whether region, as provider names it, lies in mainland China.
func Mainland(p Provider, region string) bool { return slices.Contains(mainland[p], region) }

// MainlandSomewhere tells whether any provider has a mainland region of this name. It is
// necessary, not sufficient, and serves to refuse look-alikes when a policy is written.
func MainlandSomewhere(region string) bool {
	for p := range mainland {
		if Mainland(p, region) {
			return true
		}
	}
	return false
}

// Decide says whether the node may hold governed data.
func Decide(n Node, r Rules) Verdict {
	if r.Attestation == ByAdministrator {
		return byAdministrator(n, r)
	}
	p := parse(n.ProviderID)
	switch {
	case p.provider == Unknown:
		return refuse(reason.RegionUnknown, "providerID is empty or of an unknown provider")
	case n.Region == "":
		return refuse(reason.RegionUnknown, "label topology.kubernetes.io/region is not set")
	case p.region != "" && p.region != n.Region:
		return refuse(reason.RegionSignalsDisagree, "providerID says "+p.region+", the region label says "+n.Region)
	case !Mainland(p.provider, n.Region):
		return refuse(reason.PlacementNotMainland, n.Region+" of "+string(p.provider)+" is not in mainland China")
	case p.region == "": // the region label would stand alone, and a kubelet may set it itself
		return refuse(reason.RegionUnknown, "providerID does not tell the region: use `attestation: Administrator`")
	}
	return listed(n, r)
}

// byAdministrator trusts the attested label, but not against the other signals.
func byAdministrator(n Node, r Rules) Verdict {
	p := parse(n.ProviderID)
	switch {
	case p.region != "" && n.Region != "" && p.region != n.Region:
		return refuse(reason.RegionSignalsDisagree, "providerID says "+p.region+", the region label says "+n.Region)
	case p.provider != Unknown && n.Region != "" && !Mainland(p.provider, n.Region):
		return refuse(reason.PlacementNotMainland, n.Region+" of "+string(p.provider)+" is not in mainland China")
	case !n.Attested:
		return refuse(reason.NotAttested, "no administrator has set the jurisdiction label")
	case n.Region == "":
		return refuse(reason.RegionUnknown, "label topology.kubernetes.io/region is not set")
	}
	return listed(n, r)
}

func listed(n Node, r Rules) Verdict {
	if !slices.Contains(r.Regions, n.Region) {
		return refuse(reason.RegionNotInPolicy, "region "+n.Region+" is not in `spec.nodes.regions`")
	}
	if len(r.Zones) > 0 && !slices.Contains(r.Zones, n.Zone) {
		return refuse(reason.RegionNotInPolicy, "zone "+n.Zone+" is not in `spec.nodes.zones`")
	}
	return Verdict{Eligible: true, Reason: reason.AllChecksPassed}
}

func refuse(c reason.Code, msg string) Verdict { return Verdict{Reason: c, Message: msg} }
