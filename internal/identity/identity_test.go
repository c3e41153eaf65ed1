package identity_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/maodian-dev/maodian/internal/identity"
)

func TestRole_RoundTrip(t *testing.T) {
	for _, r := range []identity.Role{
		{Kind: identity.Store, Namespace: "brand-cn", Store: "brand-store"},
		{Kind: identity.Manager, Namespace: "brand-cn", Store: "brand-store"},
		{Kind: identity.Officer, Namespace: "brand-cn", Store: "brand-store"},
		{Kind: identity.Gateway, Namespace: "brand-cn", Store: "brand-store", Name: "brand"},
		{Kind: identity.Dispatch, Namespace: "brand-cn", Store: "brand-store", Name: "spring-tea", Run: "r-1"},
		{Kind: identity.Transfer, Namespace: "brand-cn", Store: "brand-store", Name: "leads", Run: "t-1"},
		{Kind: identity.Aggregate, Namespace: "brand-cn", Store: "brand-store", Name: "counts", Run: "t-2"},
	} {
		got, err := identity.Parse(r.URI())
		if err != nil || got != r {
			t.Errorf("Parse(%s) = %+v, %v", r.URI(), got, err)
		}
	}
}

func TestParse_Refuses(t *testing.T) {
	for name, raw := range map[string]string{
		"another scheme":              "https://maodian/ns/s/store",
		"another domain":              "spiffe://other/ns/s/store",
		"an unknown kind":             "spiffe://maodian/ns/s/admin",
		"a dispatch without a run":    "spiffe://maodian/ns/s/dispatch/spring",
		"an aggregate without a run":  "spiffe://maodian/ns/s/aggregate/counts",
		"a store with a name":         "spiffe://maodian/ns/s/store/x",
		"an empty part":               "spiffe://maodian//s/store",
		"a part with a slash encoded": "spiffe://maodian/ns/s/dispatch/a%2Fb/c/d",
		"upper case":                  "spiffe://maodian/NS/s/store",
		"a query":                     "spiffe://maodian/ns/s/store?x=1",
		"dots only":                   "spiffe://maodian/../s/store",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Parse(u); !errors.Is(err, identity.ErrIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
