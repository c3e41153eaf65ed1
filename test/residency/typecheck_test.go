package residency_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
)

// newChecker returns what kube-controller-manager runs to fill `status.typeChecking`: no
// controller manager runs here.
func newChecker(t *testing.T) *validating.TypeChecker {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(rig.Config)
	if err != nil {
		t.Fatal(err)
	}
	cached := memory.NewMemCacheClient(d)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cached)
	envtestrig.Eventually(t, envtestrig.Soon, func(context.Context) error { // discovery learns of a kind after it is served
		_, err := mapper.KindFor(schema.GroupVersionResource{Group: "residency.maodian.dev", Resource: "residencypolicies"})
		if err != nil {
			mapper.Reset()
		}
		return err
	})
	return &validating.TypeChecker{SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: cached}, RestMapper: mapper}
}

// exactly returns a policy that is about one kind of Kubernetes or of ours with the version
// of it that is served: the controller passes over kinds in every version. An expression that
// tells several kinds apart would fit none of them.
func exactly(t *testing.T, c *validating.TypeChecker, p *arv1.ValidatingAdmissionPolicy) *arv1.ValidatingAdmissionPolicy {
	t.Helper()
	rules := p.Spec.MatchConstraints.ResourceRules
	group, resource := rules[0].APIGroups[0], rules[0].Resources[0]
	if group == "*" || len(rules) > 1 || slices.ContainsFunc(rules[0].Resources, func(r string) bool { return strings.Split(r, "/")[0] != resource }) {
		return p
	}
	for _, k := range kinds { // a stand-in, if it is installed, has an open schema, which says nothing
		if k.group == group {
			return p
		}
	}
	found, err := c.RestMapper.KindFor(schema.GroupVersionResource{Group: group, Resource: resource})
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	p = p.DeepCopy()
	p.Spec.MatchConstraints.ResourceRules[0].APIVersions = []string{found.Version}
	return p
}

// validatingPolicy reads an object of a guard; none is one of another kind.
func validatingPolicy(t *testing.T, o guard.Object) *arv1.ValidatingAdmissionPolicy {
	t.Helper()
	if o.Kind != "ValidatingAdmissionPolicy" {
		return nil
	}
	text, err := json.Marshal(o.Apply)
	p := &arv1.ValidatingAdmissionPolicy{}
	if err == nil {
		err = json.Unmarshal(text, p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// least is a policy with nothing but what its kind demands.
func least() *residencyv1.ResidencyPolicy {
	p := policy()
	p.Spec.Network, p.Spec.Nodes.RuntimeClasses, p.Spec.Nodes.Sharing = residencyv1.PolicyNetwork{}, nil, residencyv1.SharingShared
	p.Spec.Identities.BreakGlass, p.Spec.Identities.TokenAudiences = nil, nil
	return p
}

func TestTheTypesOfEveryExpressionFit(t *testing.T) {
	checker := newChecker(t)
	everything := guardOptions("governed")
	old := everything
	old.Minor = guard.Oldest
	checked := map[string]bool{} // by the hash of the text
	for name, v := range map[string]struct {
		policy  *residencyv1.ResidencyPolicy
		options guard.Options
	}{
		"with every option":         {policy(), everything},
		"with no option":            {least(), guard.Options{Manager: manager}},
		"for the oldest API server": {policy(), old},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := guard.Compile(v.policy, v.options)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range g.Objects {
				p := validatingPolicy(t, o)
				if p == nil || checked[o.Hash] {
					continue
				}
				checked[o.Hash] = true
				for _, w := range checker.Check(exactly(t, checker, p)) {
					t.Errorf("%s: %s: %s", p.Name, w.FieldRef, w.Warning)
				}
			}
		})
	}
	t.Run("a wrong field and a wrong type are noticed", func(t *testing.T) {
		p := &arv1.ValidatingAdmissionPolicy{Spec: arv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &arv1.MatchResources{ResourceRules: []arv1.NamedRuleWithOperations{{RuleWithOperations: arv1.RuleWithOperations{
				Rule: arv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}}}},
			Validations: []arv1.Validation{{Expression: "object.spec.nodename == ''"}, {Expression: "object.spec.nodeName == 1"}},
		}}
		got := checker.Check(p)
		if len(got) != 2 || !strings.Contains(got[0].Warning, "undefined field 'nodename'") || !strings.Contains(got[1].Warning, "no matching overload for '_==_'") {
			t.Errorf("warnings = %+v, want one of a field, one of a type", got)
		}
	})
}
