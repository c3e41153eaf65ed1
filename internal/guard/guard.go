// Package guard compiles a ResidencyPolicy into admission policies that the API server
// evaluates by itself, so that the pin holds while the operator is down. The compiler is a
// pure function: the same policy gives the same bytes. The text carries its values as
// literals: parameters would be read from an object that can be deleted.
package guard

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	arac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

const (
	policyLabel = metav1alpha1.PolicyLabel

	// HashAnnotation holds the hash over the text of the object.
	HashAnnotation = "residency.maodian.dev/text-hash"

	// schedulerUser is who may bind pods.
	schedulerUser = "system:kube-scheduler"

	regionKey = "topology.kubernetes.io/region"
	zoneKey   = "topology.kubernetes.io/zone"
)

// Options is what the compiler must know of the cluster beside the policy.
type Options struct {
	// Manager is the user name of the manager, which attests nodes.
	Manager string
	// Prober is the user name under which the manager tries attacks, as dry runs.
	Prober string
	// Minor is the server's version, 37 of 1.37. Zero means the newest.
	Minor int
	// Governed lists the namespaces that carry the policy's mark: backups and deliveries name
	// namespaces, and a policy cannot look up their labels.
	Governed []string
	// Exceptions are those in force.
	Exceptions []Exception
}

// Oldest is the oldest server that a guard can be compiled for.
const Oldest = 33

// What newer servers add (leaks.md 8).
const (
	regionInBindings = 35 // PodTopologyLabels copies the node's region into a Binding
	mutatingPolicies = 36 // MutatingAdmissionPolicy v1
)

// Guard is the compiled policy.
type Guard struct {
	// Objects are in the order to apply them in: a policy comes before its binding.
	Objects []Object
	// Hash is over their text.
	Hash string
}

// Object is one admission policy, binding or network policy.
type Object struct {
	// Kind, Namespace and Name tell a stale object from a current one.
	Kind, Namespace, Name string
	// Hash is over the text of the object.
	Hash string
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
	var g Guard
	if p.Spec.Enforcement == residencyv1.EnforcementEnforce { // pinning a pod is more than warning of it
		for _, t := range c.pins() { // none before they exist: what is not pinned is refused
			g.Objects = append(g.Objects, c.mutating(t)...)
		}
		g.Objects = append(g.Objects, c.defaultDeny()...)
	}
	for _, t := range c.topics() {
		g.Objects = append(g.Objects, c.validating(t)...)
	}
	return g, g.seal()
}

// seal writes the hash of each object's text on it, so that only what has changed is written
// again, and takes the guard's from them.
func (g *Guard) seal() error {
	whole := sha256.New()
	for i := range g.Objects {
		o := &g.Objects[i]
		text, err := json.Marshal(o.Apply)
		if err != nil {
			return fmt.Errorf("hash guard: %w", err)
		}
		sum := sha256.Sum256(text)
		o.Hash = "sha256-" + hex.EncodeToString(sum[:])
		whole.Write(sum[:])
		annotate(o.Apply, map[string]string{HashAnnotation: o.Hash})
	}
	g.Hash = "sha256-" + hex.EncodeToString(whole.Sum(nil))
	return nil
}

func annotate(o runtime.ApplyConfiguration, annotations map[string]string) {
	switch o := o.(type) {
	case *arac.ValidatingAdmissionPolicyApplyConfiguration:
		o.WithAnnotations(annotations)
	case *arac.ValidatingAdmissionPolicyBindingApplyConfiguration:
		o.WithAnnotations(annotations)
	case *arac.MutatingAdmissionPolicyApplyConfiguration:
		o.WithAnnotations(annotations)
	case *arac.MutatingAdmissionPolicyBindingApplyConfiguration:
		o.WithAnnotations(annotations)
	case *networkingac.NetworkPolicyApplyConfiguration:
		o.WithAnnotations(annotations)
	}
}

// topic is one validating policy before it has a name.
type topic struct {
	name       string
	resources  []rule
	conditions []named
	variables  []named
	checks     []check
	where      scope
}

// scope tells in which namespaces a topic applies.
type scope int

const (
	cluster   scope = iota // everywhere, and to objects that stand in no namespace
	governed               // in the namespaces of the policy
	others                 // in all namespaces but those
	strangers              // in the others that are not approved for node agents
)

// rule selects requests. Kinds of the cluster itself have one version that counts; those of
// others are matched in every version.
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

// pin is one mutating policy. Each patch is an expression for a list of JSONPatch, and none
// touches what another one does: all are one mutation, since the API server writes and reads
// the whole object anew for each.
type pin struct {
	name      string
	resources rule
	unpinned  []string // by any of these, expressions, there is something to do
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
	hosts        []string
	cidrs        []string
	ingresses    []string // classes
	gateways     []string // namespaces of gateways
	audiences    []string
	runtimes     []string // runtime classes
	exclusive    bool
	manager      string
	prober       string
	marked       []string // namespaces that carry the mark
	minor        int
	exceptions   []Exception
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
		hosts:        slices.Sorted(slices.Values(p.Spec.Network.Hosts)),
		cidrs:        slices.Sorted(slices.Values(p.Spec.Network.CIDRs)),
		ingresses:    slices.Sorted(slices.Values(p.Spec.Network.IngressClasses)),
		gateways:     slices.Sorted(slices.Values(p.Spec.Network.GatewayNamespaces)),
		audiences:    slices.Sorted(slices.Values(p.Spec.Identities.TokenAudiences)),
		runtimes:     slices.Sorted(slices.Values(p.Spec.Nodes.RuntimeClasses)),
		exclusive:    p.Spec.Nodes.Sharing == residencyv1.SharingExclusive,
		manager:      o.Manager,
		prober:       o.Prober,
		marked:       slices.Sorted(slices.Values(o.Governed)),
		minor:        cmp.Or(o.Minor, mutatingPolicies),
		exceptions:   sorted(o.Exceptions),
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

// elsewhere selects every namespace that the policy does not govern, but the cluster's own.
func (c compiler) elsewhere() *metaac.LabelSelectorApplyConfiguration {
	return metaac.LabelSelector().WithMatchExpressions(
		metaac.LabelSelectorRequirement().WithKey(metav1alpha1.PolicyLabel).WithOperator(metav1.LabelSelectorOpNotIn).WithValues(c.policy),
		metaac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpNotIn).WithValues(metav1.NamespaceSystem))
}

func (r rule) apply(where scope) *arac.NamedRuleWithOperationsApplyConfiguration {
	version := "*"
	if r.group == "" || slices.Contains([]string{"apps", "batch", "storage.k8s.io", "rbac.authorization.k8s.io", "discovery.k8s.io", "networking.k8s.io"}, r.group) {
		version = "v1"
	}
	out := arac.NamedRuleWithOperations().WithAPIGroups(r.group).WithAPIVersions(version).WithOperations(r.operations...).WithResources(r.resources...)
	if where != cluster { // a namespace selector lets every object pass that stands in no namespace
		out.WithScope(arv1.NamespacedScope)
	}
	return out
}

func (c compiler) validating(t topic) []Object {
	match := arac.MatchResources()
	for _, r := range t.resources {
		match.WithResourceRules(r.apply(t.where))
	}
	spec := arac.ValidatingAdmissionPolicySpec().WithFailurePolicy(arv1.Fail).WithMatchConstraints(match)
	for _, n := range t.conditions {
		spec.WithMatchConditions(arac.MatchCondition().WithName(n.name).WithExpression(n.expression))
	}
	for _, n := range t.variables {
		spec.WithVariables(arac.Variable().WithName(n.name).WithExpression(n.expression))
	}
	excepted := ""
	if slices.Contains(Excusable, t.name) {
		excepted = c.excepted(t.name)
	}
	if excepted != "" {
		spec.WithVariables(arac.Variable().WithName("excepted").WithExpression(excepted))
		spec.WithAuditAnnotations(arac.AuditAnnotation().WithKey("exception").WithValueExpression("variables.excepted ? request.userInfo.username + ' passed by an exception' : ''"))
	}
	for _, v := range t.checks {
		if excepted != "" {
			v.expression = "variables.excepted || (" + v.expression + ")"
		}
		spec.WithValidations(c.validation(v))
	}
	bound := arac.ValidatingAdmissionPolicyBindingSpec().WithPolicyName(c.name(t.name)).WithValidationActions(c.actions()...)
	switch t.where {
	case cluster: // no selector
	case governed:
		bound.WithMatchResources(arac.MatchResources().WithNamespaceSelector(c.selector()))
	case others:
		bound.WithMatchResources(arac.MatchResources().WithNamespaceSelector(c.elsewhere()))
	case strangers:
		bound.WithMatchResources(arac.MatchResources().WithNamespaceSelector(c.elsewhere().WithMatchExpressions(
			metaac.LabelSelectorRequirement().WithKey(AgentsLabel).WithOperator(metav1.LabelSelectorOpNotIn).WithValues("approved"))))
	}
	name := c.name(t.name)
	return []Object{
		{Kind: "ValidatingAdmissionPolicy", Name: name, Apply: arac.ValidatingAdmissionPolicy(name).WithLabels(Labels(c.policy)).WithSpec(spec)},
		{Kind: "ValidatingAdmissionPolicyBinding", Name: name, Apply: arac.ValidatingAdmissionPolicyBinding(name).WithLabels(Labels(c.policy)).WithSpec(bound)},
	}
}

// validation is a check with its message, which begins with a stable code and names the policy,
// of which there may be several. A message that always says the same is written as text: API
// servers evaluate the expressions of messages for every request, also when nothing is refused.
func (c compiler) validation(v check) *arac.ValidationApplyConfiguration {
	begin, end := "residency: "+string(v.code)+": ", " (policy "+c.policy+")"
	out := arac.Validation().WithExpression(v.expression)
	if text, ok := literal(v.says); ok {
		return out.WithMessage(begin + text + end)
	}
	return out.WithMessageExpression(quote(begin) + " + " + v.says + " + " + quote(end))
}

// quoted is one CEL string between single quotes, and nothing else.
var quoted = regexp.MustCompile(`^'((?:[^'\\]|\\')*)'$`)

// literal returns the text of an expression that is one string.
func literal(expression string) (string, bool) {
	if text, err := strconv.Unquote(expression); err == nil && expression[0] == '"' {
		return text, true
	}
	m := quoted.FindStringSubmatch(expression)
	if m == nil {
		return "", false
	}
	return strings.ReplaceAll(m[1], `\'`, `'`), true
}

// say writes a text that the compiler knows as a CEL string.
func say(format string, args ...any) string { return quote(fmt.Sprintf(format, args...)) }

// anyOf lists what may stand somewhere, for a message.
func anyOf(items []string) string { return strings.Join(items, ", ") }

func (c compiler) mutating(p pin) []Object {
	spec := arac.MutatingAdmissionPolicySpec().WithFailurePolicy(arv1.Fail).WithReinvocationPolicy(arv1.IfNeededReinvocationPolicy).
		WithMatchConstraints(arac.MatchResources().WithResourceRules(p.resources.apply(governed)))
	spec.WithMatchConditions(arac.MatchCondition().WithName("not-pinned-yet").WithExpression(strings.Join(p.unpinned, " ||\n")))
	for _, n := range p.variables {
		spec.WithVariables(arac.Variable().WithName(n.name).WithExpression(n.expression))
	}
	patches := "(" + strings.Join(p.patches, ") +\n(") + ")"
	spec.WithMutations(arac.Mutation().WithPatchType(arv1.PatchTypeJSONPatch).WithJSONPatch(arac.JSONPatch().WithExpression(patches)))
	bound := arac.MutatingAdmissionPolicyBindingSpec().WithPolicyName(c.name(p.name)).
		WithMatchResources(arac.MatchResources().WithNamespaceSelector(c.selector()))
	name := c.name(p.name)
	return []Object{
		{Kind: "MutatingAdmissionPolicy", Name: name, Apply: arac.MutatingAdmissionPolicy(name).WithLabels(Labels(c.policy)).WithSpec(spec)},
		{Kind: "MutatingAdmissionPolicyBinding", Name: name, Apply: arac.MutatingAdmissionPolicyBinding(name).WithLabels(Labels(c.policy)).WithSpec(bound)},
	}
}
