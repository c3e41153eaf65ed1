package region

import (
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

func TestDecide_PlacementCases(t *testing.T) {
	all := []string{"cn-hangzhou", "cn-north-1", "cn-northwest-1", "gz", "cn-hongkong", "hk", "ap-southeast-1", "chinanorth3", "bj"}
	byID := Rules{Regions: all, Attestation: ByProviderID}
	admin := Rules{Regions: all, Attestation: ByAdministrator}
	for name, c := range map[string]struct {
		node  Node
		rules Rules
		want  reason.Code
	}{
		"P1 Hangzhou, both signals agree":                       {Node{ProviderID: "cn-hangzhou.i-1", Region: "cn-hangzhou"}, byID, reason.AllChecksPassed},
		"P1 with the longer form of the ID":                     {Node{ProviderID: "alicloud://cn-hangzhou.i-1", Region: "cn-hangzhou"}, byID, reason.AllChecksPassed},
		"P2 Hong Kong looks alike, even if the policy lists it": {Node{ProviderID: "cn-hongkong.i-1", Region: "cn-hongkong"}, byID, reason.PlacementNotMainland},
		"P3 Hong Kong with a forged region label":               {Node{ProviderID: "cn-hongkong.i-1", Region: "cn-hangzhou"}, byID, reason.RegionSignalsDisagree},
		"P4 Tencent Guangzhou":                                  {Node{ProviderID: "qcloud:///100003/ins-1", Region: "gz"}, byID, reason.AllChecksPassed},
		"P4 Tencent labelled Hong Kong":                         {Node{ProviderID: "qcloud:///100003/ins-1", Region: "hk"}, byID, reason.RegionSignalsDisagree},
		"a Tencent zone number outside the map":                 {Node{ProviderID: "qcloud:///777703/ins-1", Region: "gz"}, byID, reason.RegionUnknown},
		"P5 Huawei's ap-southeast-1 is Hong Kong":               {Node{ProviderID: "huaweicloud://uuid", Region: "ap-southeast-1"}, byID, reason.PlacementNotMainland},
		"an ID that names no region leaves the label alone":     {Node{ProviderID: "azure:///subscriptions/x", Region: "chinanorth3"}, byID, reason.RegionUnknown},
		"the same, vouched for by an administrator":             {Node{ProviderID: "azure:///subscriptions/x", Region: "chinanorth3", Attested: true}, admin, reason.AllChecksPassed},
		"P6 AWS Singapore":                                      {Node{ProviderID: "aws:///ap-southeast-1a/i-1", Region: "ap-southeast-1"}, byID, reason.PlacementNotMainland},
		"P6 AWS Ningxia":                                        {Node{ProviderID: "aws:///cn-northwest-1b/i-1", Region: "cn-northwest-1"}, byID, reason.AllChecksPassed},
		"P7 no providerID":                                      {Node{Region: "cn-north-1"}, byID, reason.RegionUnknown},
		"a hybrid node may stand anywhere":                      {Node{ProviderID: "ack-hybrid://cn-hangzhou.i-1", Region: "cn-hangzhou"}, byID, reason.RegionUnknown},
		"no region label":                                       {Node{ProviderID: "cn-hangzhou.i-1"}, byID, reason.RegionUnknown},
		"a zone is not a region":                                {Node{ProviderID: "cn-hangzhou-h.i-1", Region: "cn-hangzhou-h"}, byID, reason.PlacementNotMainland},
		"the attested label alone proves nothing":               {Node{Region: "cn-hangzhou", Attested: true}, byID, reason.RegionUnknown},
		"mainland, but the policy does not list it":             {Node{ProviderID: "cn-shanghai.i-1", Region: "cn-shanghai"}, byID, reason.RegionNotInPolicy},
		"bare metal with an administrator's label":              {Node{Region: "cn-hangzhou", Attested: true}, admin, reason.AllChecksPassed},
		"bare metal without one":                                {Node{Region: "cn-hangzhou"}, admin, reason.NotAttested},
		"an administrator cannot overrule the providerID":       {Node{ProviderID: "cn-hongkong.i-1", Region: "cn-hongkong", Attested: true}, admin, reason.PlacementNotMainland},
		"nor a forged label":                                    {Node{ProviderID: "cn-hongkong.i-1", Region: "cn-hangzhou", Attested: true}, admin, reason.RegionSignalsDisagree},
	} {
		t.Run(name, func(t *testing.T) {
			got := Decide(c.node, c.rules)
			if got.Reason != c.want || got.Eligible != (c.want == reason.AllChecksPassed) {
				t.Errorf("Decide = %+v, want %s", got, c.want)
			}
		})
	}
}

func TestDecide_ZoneMustBeListed(t *testing.T) {
	n := Node{ProviderID: "cn-hangzhou.i-1", Region: "cn-hangzhou", Zone: "cn-hangzhou-x"}
	r := Rules{Regions: []string{"cn-hangzhou"}, Zones: []string{"cn-hangzhou-h"}, Attestation: ByProviderID}
	if got := Decide(n, r); got.Reason != reason.RegionNotInPolicy {
		t.Errorf("Decide = %+v", got)
	}
}

func FuzzDecide_NothingButTheCatalogueIsMainland(f *testing.F) {
	f.Add("cn-hongkong.i-1", "cn-hongkong")
	f.Add("qcloud:///100003/ins-1", "ap-hongkong")
	f.Fuzz(func(t *testing.T, id, label string) {
		v := Decide(Node{ProviderID: id, Region: label}, Rules{Regions: []string{label}, Attestation: ByProviderID})
		if v.Eligible && !MainlandSomewhere(label) {
			t.Errorf("eligible with label %q", label)
		}
	})
}
