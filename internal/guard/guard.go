// Package guard compiles a ResidencyPolicy into admission policies that the API server
// evaluates by itself, so that the pin holds while the operator is down. The compiler is a
// pure function: the same policy gives the same bytes. The text carries its values as
// literals: parameters would be read from an object that can be deleted.
package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	arac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

const (
	policyLabel = metav1alpha1.PolicyLabel

	// HashAnnotation holds the hash over the text of the whole guard.
	HashAnnotation = "residency.maodian.dev/text-hash"

	// schedulerUser is who may bind pods.
	schedulerUser = "system:kube-scheduler"

	regionKey = "topology.kubernetes.io/region"
	zoneKey   = "topology.kubernetes.io/zone"
)

// Options is what the compiler must know beside the policy.
type Options struct {
	// Manager is the user name of the manager, which attests nodes.
	Manager string
}

// Guard is the compiled policy.
type Guard struct {
	// Objects are in the order to apply them in: a policy comes before its binding.
	Objects []Object
	// Hash is over their text.
	Hash string
}

// Object is one admission policy or binding.
type Object struct {
	// Kind is the kind, and Name the name, by which a stale object is told from a current one.
	Kind, Name string
	// Apply is what to apply.
	Apply runtime.ApplyConfiguration
}

// Labels are carried by every object of a policy's guard.
func Labels(policy string) map[string]string {
	return map[string]string{metav1alpha1.PolicyLabel: policy, "app.kubernetes.io/managed-by": "maodian"}
}

// Compile returns the guard of a policy. It belongs to no owner: deleting the policy, or
// the definition of its kind, must not take the guard away (leaks.md F24).
func Compile(p *residencyv1.ResidencyPolicy, o Options) (Guard, error) {
	c := newCompiler(p, o)
	topics := c.topics()
	hash, err := hashOf(topics, c.pins(), p.Spec.Enforcement)
	if err != nil {
		return Guard{}, err
	}
	g := Guard{Hash: hash}
	if p.Spec.Enforcement == residencyv1.EnforcementEnforce { // pinning a pod is more than warning of it
		for _, t := range c.pins() {
			g.Objects = append(g.Objects, c.mutating(t, hash)...)
		}
	}
	for _, t := range topics {
		g.Objects = append(g.Objects, c.validating(t, hash)...)
	}
	return g, nil
}

// topic is one validating policy before it has a name.
type topic struct {
	name       string
	resources  []rule
	conditions []named
	variables  []named
	checks     []check
	// governed limits the topic to the namespaces of the policy. Without it, it applies to
	// objects that stand in no namespace.
	governed bool
}

type rule struct {
	group      string
	operations []arv1.OperationType
	resources  []string
}

type named struct{ name, expression string }

// check refuses when its expression is false; says is an expression for what is wrong and
// what would pass.
type check struct {
	code             reason.Code
	expression, says string
}

// pin is one mutating policy: each patch is a JSONPatch expression.
type pin struct {
	name      string
	resources rule
	variables []named
	patches   []string
}

type compiler struct {
	policy       string
	enforcement  residencyv1.Enforcement
	jurisdiction string
	labelKey     string
	regions      []string
	zones        []string
	schedulers   []string
	attestors    []string
	breakGlass   []string
	classPrefix  string
	drivers      []string
	topology     map[string][]string // allowed values of each topology key
	registries   []string
	manager      string
}

func newCompiler(p *residencyv1.ResidencyPolicy, o Options) compiler {
	return compiler{
		policy:       p.Name,
		enforcement:  p.Spec.Enforcement,
		jurisdiction: p.Spec.Jurisdiction,
		labelKey:     p.Spec.Nodes.LabelKey,
		regions:      slices.Sorted(slices.Values(p.Spec.Nodes.Regions)),
		zones:        slices.Sorted(slices.Values(p.Spec.Nodes.Zones)),
		schedulers:   slices.Sorted(slices.Values(p.Spec.Identities.Schedulers)),
		attestors:    slices.Sorted(slices.Values(p.Spec.Identities.Attestors)),
		breakGlass:   slices.Sorted(slices.Values(p.Spec.Identities.BreakGlass)),
		classPrefix:  p.Spec.Storage.ClassPrefix,
		drivers:      slices.Sorted(slices.Values(p.Spec.Storage.Drivers)),
		topology:     topology(p),
		registries:   slices.Sorted(slices.Values(p.Spec.Images.Registries)),
		manager:      o.Manager,
	}
}

// topology lists what each key of a volume's place may say. A driver's own zone label takes
// zone names, as most clouds do; a key that ends in region takes region names.
func topology(p *residencyv1.ResidencyPolicy) map[string][]string {
	out := map[string][]string{}
	for _, key := range p.Spec.Storage.TopologyKeys {
		out[key] = slices.Sorted(slices.Values(p.Spec.Nodes.Zones))
		if strings.HasSuffix(key, "/region") {
			out[key] = slices.Sorted(slices.Values(p.Spec.Nodes.Regions))
		}
	}
	return out
}

func (c compiler) name(topic string) string { return "residency-" + c.policy + "-" + topic }

// quote writes s as a CEL string: CEL reads every escape that Go writes.
func quote(s string) string { return strconv.QuoteToASCII(s) }

func list(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// lists writes a map of lists as a CEL map, in a stable order.
func lists(m map[string][]string) string {
	var entries []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		entries = append(entries, quote(key)+": "+list(m[key]))
	}
	return "{" + strings.Join(entries, ", ") + "}"
}

// hashOf covers whatever decides: names, expressions and the enforcement.
func hashOf(topics []topic, pins []pin, e residencyv1.Enforcement) (string, error) {
	var text strings.Builder
	for _, t := range topics {
		fmt.Fprintf(&text, "%s %+v %+v %+v %+v %t\n", t.name, t.resources, t.conditions, t.variables, t.checks, t.governed)
	}
	for _, p := range pins {
		fmt.Fprintf(&text, "%s %+v %+v %q\n", p.name, p.resources, p.variables, p.patches)
	}
	b, err := json.Marshal([]string{text.String(), string(e)})
	if err != nil {
		return "", fmt.Errorf("hash guard: %w", err)
	}
	sum := sha256.Sum256(b)
	return "sha256-" + hex.EncodeToString(sum[:]), nil
}

func (c compiler) actions() []arv1.ValidationAction {
	switch c.enforcement {
	case residencyv1.EnforcementWarn:
		return []arv1.ValidationAction{arv1.Warn, arv1.Audit}
	case residencyv1.EnforcementAudit:
		return []arv1.ValidationAction{arv1.Audit}
	default: // whatever is not known is enforced
		return []arv1.ValidationAction{arv1.Deny, arv1.Audit}
	}
}

func (c compiler) selector() *metaac.LabelSelectorApplyConfiguration {
	return metaac.LabelSelector().WithMatchLabels(map[string]string{metav1alpha1.PolicyLabel: c.policy})
}

func (r rule) apply() *arac.NamedRuleWithOperationsApplyConfiguration {
	return arac.NamedRuleWithOperations().WithAPIGroups(r.group).WithAPIVersions("v1").WithOperations(r.operations...).WithResources(r.resources...)
}

func (c compiler) validating(t topic, hash string) []Object {
	match := arac.MatchResources()
	for _, r := range t.resources {
		match.WithResourceRules(r.apply())
	}
	spec := arac.ValidatingAdmissionPolicySpec().WithFailurePolicy(arv1.Fail).WithMatchConstraints(match)
	for _, n := range t.conditions {
		spec.WithMatchConditions(arac.MatchCondition().WithName(n.name).WithExpression(n.expression))
	}
	for _, n := range t.variables {
		spec.WithVariables(arac.Variable().WithName(n.name).WithExpression(n.expression))
	}
	for _, v := range t.checks {
		spec.WithValidations(arac.Validation().WithExpression(v.expression).WithMessageExpression(c.message(v)))
	}
	bound := arac.ValidatingAdmissionPolicyBindingSpec().WithPolicyName(c.name(t.name)).WithValidationActions(c.actions()...)
	if t.governed {
		bound.WithMatchResources(arac.MatchResources().WithNamespaceSelector(c.selector()))
	}
	name := c.name(t.name)
	annotations := map[string]string{HashAnnotation: hash}
	return []Object{
		{"ValidatingAdmissionPolicy", name, arac.ValidatingAdmissionPolicy(name).WithLabels(Labels(c.policy)).WithAnnotations(annotations).WithSpec(spec)},
		{"ValidatingAdmissionPolicyBinding", name, arac.ValidatingAdmissionPolicyBinding(name).WithLabels(Labels(c.policy)).WithAnnotations(annotations).WithSpec(bound)},
	}
}

// message begins with a stable code, and names the policy, of which there may be several.
func (c compiler) message(v check) string {
	return quote("residency: "+string(v.code)+": ") + " + " + v.says + " + " + quote(" (policy "+c.policy+")")
}

func (c compiler) mutating(p pin, hash string) []Object {
	spec := arac.MutatingAdmissionPolicySpec().WithFailurePolicy(arv1.Fail).WithReinvocationPolicy(arv1.IfNeededReinvocationPolicy).
		WithMatchConstraints(arac.MatchResources().WithResourceRules(p.resources.apply()))
	for _, n := range p.variables {
		spec.WithVariables(arac.Variable().WithName(n.name).WithExpression(n.expression))
	}
	for _, e := range p.patches {
		spec.WithMutations(arac.Mutation().WithPatchType(arv1.PatchTypeJSONPatch).WithJSONPatch(arac.JSONPatch().WithExpression(e)))
	}
	bound := arac.MutatingAdmissionPolicyBindingSpec().WithPolicyName(c.name(p.name)).
		WithMatchResources(arac.MatchResources().WithNamespaceSelector(c.selector()))
	name := c.name(p.name)
	annotations := map[string]string{HashAnnotation: hash}
	return []Object{
		{"MutatingAdmissionPolicy", name, arac.MutatingAdmissionPolicy(name).WithLabels(Labels(c.policy)).WithAnnotations(annotations).WithSpec(spec)},
		{"MutatingAdmissionPolicyBinding", name, arac.MutatingAdmissionPolicyBinding(name).WithLabels(Labels(c.policy)).WithAnnotations(annotations).WithSpec(bound)},
	}
}
