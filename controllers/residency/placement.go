package residency

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/region"
	"github.com/maodian-dev/maodian/internal/watching"
)

// decideNode asks the rules about one node under one policy.
func decideNode(n *corev1.Node, p *residencyv1.ResidencyPolicy) region.Verdict {
	v := region.Decide(region.Node{
		ProviderID: n.Spec.ProviderID,
		Region:     n.Labels[corev1.LabelTopologyRegion],
		Zone:       n.Labels[corev1.LabelTopologyZone],
		Attested:   n.Labels[p.Spec.Nodes.LabelKey] == p.Spec.Jurisdiction,
	}, region.Rules{Regions: p.Spec.Nodes.Regions, Zones: p.Spec.Nodes.Zones, Attestation: region.Attestation(p.Spec.Nodes.Attestation)})
	if other := n.Labels[p.Spec.Nodes.LabelKey]; v.Eligible && other != "" && other != p.Spec.Jurisdiction {
		return region.Verdict{Reason: reason.NotAttested, Message: "the node is attested for another jurisdiction, " + other}
	}
	return v
}

// inside tells whether a node counts now: the rules agree and the label is written.
func inside(n *corev1.Node, p *residencyv1.ResidencyPolicy) region.Verdict {
	v := decideNode(n, p)
	if v.Eligible && n.Labels[p.Spec.Nodes.LabelKey] != p.Spec.Jurisdiction {
		return region.Verdict{Reason: reason.NotAttested, Message: "the attested label is not written yet"}
	}
	return v
}

// label is what the attested label of a node should be.
type label struct {
	key, value string // empty value: the label is taken away
}

// attest tells which labels of a node to change. Policies that share a label agree on it:
// the node has it while one of them finds the node inside. A value that no policy gives
// belongs to an attestor and is left alone.
func attest(n *corev1.Node, policies []residencyv1.ResidencyPolicy) []label {
	wanted := map[label]bool{}
	for i := range policies {
		p := &policies[i]
		if p.Spec.Nodes.Attestation != residencyv1.AttestationProviderID {
			continue
		}
		m := label{p.Spec.Nodes.LabelKey, p.Spec.Jurisdiction}
		wanted[m] = wanted[m] || (p.DeletionTimestamp.IsZero() && decideNode(n, p).Eligible)
	}
	for i := range policies { // an administrator's word about the same label wins
		if p := &policies[i]; p.Spec.Nodes.Attestation != residencyv1.AttestationProviderID {
			delete(wanted, label{p.Spec.Nodes.LabelKey, p.Spec.Jurisdiction})
		}
	}
	var out []label
	for m, want := range wanted {
		switch have := n.Labels[m.key]; {
		case want && have == "":
			out = append(out, label{m.key, m.value})
		case !want && have == m.value:
			out = append(out, label{m.key, ""})
		}
	}
	slices.SortFunc(out, func(a, b label) int { return strings.Compare(a.key+a.value, b.key+b.value) })
	return slices.CompactFunc(out, func(a, b label) bool { return a.key == b.key })
}

// vouched tells whether the attested label of a node is right by a policy that shares it.
func vouched(n *corev1.Node, like *residencyv1.ResidencyPolicy, policies []residencyv1.ResidencyPolicy) bool {
	return slices.ContainsFunc(policies, func(p residencyv1.ResidencyPolicy) bool {
		return p.Spec.Nodes.LabelKey == like.Spec.Nodes.LabelKey && p.Spec.Jurisdiction == like.Spec.Jurisdiction && decideNode(n, &p).Eligible
	})
}

// volumeVerdict decides on a volume, and tells the terms that pin it.
func volumeVerdict(v *corev1.PersistentVolume, p *residencyv1.ResidencyPolicy) (verdict region.Verdict, terms []string) {
	if wrong := volumeSource(v, p); wrong != "" {
		return region.Verdict{Reason: storageOutside, Message: wrong}, nil
	}
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil || len(v.Spec.NodeAffinity.Required.NodeSelectorTerms) == 0 {
		return region.Verdict{Reason: reason.RegionUnknown, Message: "the volume has no node affinity"}, nil
	}
	outside := 0
	for _, t := range v.Spec.NodeAffinity.Required.NodeSelectorTerms {
		pinned := false
		for _, e := range t.MatchExpressions {
			terms = append(terms, e.Key+" "+strings.ToLower(string(e.Operator))+" ["+strings.Join(e.Values, ", ")+"]")
			pinned = pinned || pins(e, p)
		}
		if !pinned {
			outside++
		}
	}
	if outside > 0 { // terms are ORed: each must lie inside
		return region.Verdict{Reason: reason.PlacementNotMainland, Message: "the volume's node affinity does not keep it in the policy's regions"}, terms
	}
	return region.Verdict{Eligible: true, Reason: reason.AllChecksPassed}, terms
}

// volumeSource tells what is wrong with where the bytes of a volume lie. Node affinity only
// says who may mount it: a server may stand anywhere (leaks.md L31).
func volumeSource(v *corev1.PersistentVolume, p *residencyv1.ResidencyPolicy) string {
	driver := driverOf(v)
	switch {
	case v.Spec.CSI == nil && v.Spec.Local == nil:
		return "the volume is neither of a CSI driver nor local"
	case !slices.Contains(p.Spec.Storage.Drivers, driver):
		return fmt.Sprintf("driver %q is not in `spec.storage.drivers`", driver)
	case !strings.HasPrefix(v.Spec.StorageClassName, p.Spec.Storage.ClassPrefix):
		return fmt.Sprintf("class %q does not begin with %s", v.Spec.StorageClassName, p.Spec.Storage.ClassPrefix)
	case v.Spec.CSI == nil:
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(v.Spec.CSI.VolumeAttributes)) {
		for _, part := range []string{"server", "endpoint", "url"} {
			if strings.Contains(strings.ToLower(key), part) {
				return fmt.Sprintf("attribute %q of the volume names a server", key)
			}
		}
	}
	return ""
}

// storageOutside is the code of a volume that the policy does not allow.
const storageOutside = reason.Code(residencyv1.ReasonStorageNotMainland)

// pinned tells whether a pod may only run where the policy's label is.
func pinned(pod *corev1.Pod, p *residencyv1.ResidencyPolicy) bool {
	return pod.Spec.NodeSelector[p.Spec.Nodes.LabelKey] == p.Spec.Jurisdiction
}

// pins tells whether a requirement keeps a volume in the places that the policy lists.
func pins(e corev1.NodeSelectorRequirement, p *residencyv1.ResidencyPolicy) bool {
	if e.Operator != corev1.NodeSelectorOpIn || len(e.Values) == 0 || !slices.Contains(p.Spec.Storage.TopologyKeys, e.Key) {
		return false
	}
	return !slices.ContainsFunc(e.Values, func(v string) bool {
		return !slices.Contains(p.Spec.Nodes.Regions, v) && !slices.Contains(p.Spec.Nodes.Zones, v)
	})
}

func driverOf(v *corev1.PersistentVolume) string {
	if v.Spec.CSI != nil {
		return v.Spec.CSI.Driver
	}
	return v.Annotations[watching.ProvisionedBy]
}
