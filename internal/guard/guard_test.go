package guard_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/guard"
)

const (
	manager  = "system:serviceaccount:maodian-system:maodian-manager"
	labelKey = "maodian.node-restriction.kubernetes.io/jurisdiction"
)

func policy(name string) *residencyv1.ResidencyPolicy {
	return &residencyv1.ResidencyPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: residencyv1.ResidencyPolicySpec{
			Jurisdiction: "cn-mainland",
			Enforcement:  residencyv1.EnforcementEnforce,
			Nodes:        residencyv1.PolicyNodes{Regions: []string{"cn-north-1", "cn-hangzhou"}, Zones: []string{"cn-north-1a", "cn-hangzhou-h"}, LabelKey: labelKey},
			Storage: residencyv1.PolicyStorage{
				ClassPrefix: name + "-", Drivers: []string{"local.maodian.dev"},
				TopologyKeys: []string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone"},
			},
			Images:     residencyv1.PolicyImages{Registries: []string{"registry.maodian.test/"}},
			Identities: residencyv1.PolicyIdentities{Attestors: []string{"residency:attestors"}, BreakGlass: []string{"residency:break-glass"}, Schedulers: []string{"default-scheduler"}},
		},
	}
}

func compile(t *testing.T, p *residencyv1.ResidencyPolicy) guard.Guard {
	t.Helper()
	g, err := guard.Compile(p, guard.Options{Manager: manager})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func render(t *testing.T, g guard.Guard) string {
	t.Helper()
	var out bytes.Buffer
	for _, o := range g.Objects {
		y, err := yaml.Marshal(o.Apply)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(y)
	}
	return out.String()
}

// everything has every field that the compiler reads.
func everything() (*residencyv1.ResidencyPolicy, guard.Options) {
	p := policy("cn-mainland")
	p.Spec.Nodes.Sharing, p.Spec.Nodes.RuntimeClasses = residencyv1.SharingExclusive, []string{"gvisor"}
	p.Spec.Network = residencyv1.PolicyNetwork{
		Hosts: []string{"sh.api.weixin.qq.com", ".cn-hangzhou.example.com"}, CIDRs: []string{"10.0.0.0/8"}, IngressClasses: []string{"cn-nginx"}, GatewayNamespaces: []string{"gateways"},
	}
	p.Spec.Identities.TokenAudiences = []string{"vault.cn"}
	p.Spec.Storage.Drivers = append(p.Spec.Storage.Drivers, "driver.longhorn.io", "rook-ceph.rbd.csi.ceph.com")
	return p, guard.Options{
		Manager: manager, Prober: "system:serviceaccount:maodian-system:maodian-prober", Governed: []string{"brand-cn"},
		Exceptions: []guard.Exception{{
			Name: "incident", Users: []string{"bob"}, Namespaces: []string{"brand-cn"}, Topics: guard.Excusable, NotAfter: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		}},
	}
}

func compileWith(t *testing.T, p *residencyv1.ResidencyPolicy, o guard.Options) guard.Guard {
	t.Helper()
	g, err := guard.Compile(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCompileIsThisText(t *testing.T) {
	p, o := everything()
	got := render(t, compileWith(t, p, o))
	file := filepath.Join("testdata", "guard.yaml")
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it):\n%s", file, d)
	}
}

// text is what the tests below read of a policy.
type text struct {
	Spec struct {
		Variables   []struct{ Name string }
		Validations []struct{ MessageExpression string }
	}
}

func texts(t *testing.T) (raw [][]byte, read []text) {
	t.Helper()
	p, o := everything()
	for _, object := range compileWith(t, p, o).Objects {
		b, err := json.Marshal(object.Apply)
		if err != nil {
			t.Fatal(err)
		}
		var x text
		if err := json.Unmarshal(b, &x); err != nil {
			t.Fatal(err)
		}
		raw, read = append(raw, b), append(read, x)
	}
	return raw, read
}

func TestEveryVariableIsUsed(t *testing.T) {
	raw, read := texts(t)
	for i, x := range read {
		for _, v := range x.Spec.Variables {
			if !regexp.MustCompile(`variables\.` + v.Name + `\b`).Match(raw[i]) {
				t.Errorf("variable %s is not used in %s", v.Name, raw[i])
			}
		}
	}
}

// API servers evaluate the expressions of messages for every request, refused or not.
func TestAMessageThatNeverChangesIsText(t *testing.T) {
	inQuotes, changes := regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'`), regexp.MustCompile(`variables|object|request`)
	_, read := texts(t)
	for _, x := range read {
		for _, v := range x.Spec.Validations {
			if v.MessageExpression != "" && !changes.MatchString(inQuotes.ReplaceAllString(v.MessageExpression, "")) {
				t.Errorf("always the same: %s", v.MessageExpression)
			}
		}
	}
}

func TestWarnAndAuditRefuseNothingAndPinNothing(t *testing.T) {
	for mode, actions := range map[residencyv1.Enforcement]string{
		residencyv1.EnforcementWarn: "  - Warn\n  - Audit\n", residencyv1.EnforcementAudit: "validationActions:\n  - Audit\n",
	} {
		p, o := everything()
		p.Spec.Enforcement = mode
		text := render(t, compileWith(t, p, o))
		if strings.Contains(text, "- Deny") || strings.Contains(text, "MutatingAdmissionPolicy") || strings.Contains(text, "kind: NetworkPolicy\n") || !strings.Contains(text, actions) {
			t.Errorf("%s does more than it says", mode)
		}
	}
}

// What newer servers add is chosen by the version (leaks.md 8).
func TestTheVersionChoosesWhatTheServerKnows(t *testing.T) {
	p, o := everything()
	for minor, want := range map[int]struct{ pins, regions bool }{33: {false, false}, 34: {false, false}, 35: {false, true}, 36: {true, true}, 37: {true, true}, 0: {true, true}} {
		o.Minor = minor
		text := strings.Join(strings.Fields(render(t, compileWith(t, p, o))), " ") // long lines are folded
		if got := strings.Contains(text, "kind: MutatingAdmissionPolicy "); got != want.pins {
			t.Errorf("1.%d: pins = %t", minor, got)
		}
		if got := strings.Contains(text, "which the policy does not list"); got != want.regions {
			t.Errorf("1.%d: region in Bindings = %t", minor, got)
		}
		if strings.Contains(text, "flatten()") {
			t.Errorf("1.%d: flatten() is not known before 1.34", minor)
		}
	}
}

func TestOnlyWhatChangedIsWrittenAnew(t *testing.T) {
	p, o := everything()
	before := map[string]string{}
	for _, object := range compileWith(t, p, o).Objects {
		before[object.Kind+object.Namespace+object.Name] = object.Hash
	}
	o.Governed = append(o.Governed, "second-cn")
	changed, added := 0, 0
	for _, object := range compileWith(t, p, o).Objects {
		switch hash, ok := before[object.Kind+object.Namespace+object.Name]; {
		case !ok:
			added++
		case hash != object.Hash:
			changed++
		}
	}
	if added != 1 || changed > 8 {
		t.Errorf("another namespace adds %d objects and changes %d, want its network policy and the few that name namespaces", added, changed)
	}
}

func TestNoExceptionMovesDataOutside(t *testing.T) {
	p, o := everything()
	for i := range o.Exceptions {
		o.Exceptions[i].Topics = nil
		for _, object := range compileWith(t, p, guard.Options{Manager: manager}).Objects {
			o.Exceptions[i].Topics = append(o.Exceptions[i].Topics, strings.TrimPrefix(object.Name, "residency-cn-mainland-"))
		}
	}
	for _, object := range compileWith(t, p, o).Objects {
		topic := strings.TrimPrefix(object.Name, "residency-cn-mainland-")
		text, err := yaml.Marshal(object.Apply)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "variables.excepted") && !slices.Contains(guard.Excusable, topic) {
			t.Errorf("%s knows exceptions", topic)
		}
	}
}

func TestCompileDoesNotDependOnTheOrderOfLists(t *testing.T) {
	a, b := policy("p"), policy("p")
	slices.Reverse(b.Spec.Nodes.Regions)
	if d := cmp.Diff(render(t, compile(t, a)), render(t, compile(t, b))); d != "" {
		t.Error(d)
	}
}

func TestEveryFieldThatDecidesChangesTheHash(t *testing.T) {
	base := compile(t, policy("p")).Hash
	for name, change := range map[string]func(*residencyv1.ResidencyPolicy){
		"jurisdiction": func(p *residencyv1.ResidencyPolicy) { p.Spec.Jurisdiction = "other" },
		"enforcement":  func(p *residencyv1.ResidencyPolicy) { p.Spec.Enforcement = residencyv1.EnforcementWarn },
		"regions":      func(p *residencyv1.ResidencyPolicy) { p.Spec.Nodes.Regions = []string{"cn-hangzhou"} },
		"labelKey":     func(p *residencyv1.ResidencyPolicy) { p.Spec.Nodes.LabelKey = "x.node-restriction.kubernetes.io/y" },
		"attestors":    func(p *residencyv1.ResidencyPolicy) { p.Spec.Identities.Attestors = []string{"others"} },
		"zones":        func(p *residencyv1.ResidencyPolicy) { p.Spec.Nodes.Zones = []string{"cn-hangzhou-h"} },
		"classPrefix":  func(p *residencyv1.ResidencyPolicy) { p.Spec.Storage.ClassPrefix = "other-" },
		"drivers":      func(p *residencyv1.ResidencyPolicy) { p.Spec.Storage.Drivers = []string{"disk.example"} },
		"topologyKeys": func(p *residencyv1.ResidencyPolicy) { p.Spec.Storage.TopologyKeys = []string{"disk.example/zone"} },
		"registries":   func(p *residencyv1.ResidencyPolicy) { p.Spec.Images.Registries = []string{"other.example/"} },
		"breakGlass":   func(p *residencyv1.ResidencyPolicy) { p.Spec.Identities.BreakGlass = []string{"others"} },
		"schedulers":   func(p *residencyv1.ResidencyPolicy) { p.Spec.Identities.Schedulers = []string{"mine"} },
		"sharing":      func(p *residencyv1.ResidencyPolicy) { p.Spec.Nodes.Sharing = residencyv1.SharingExclusive },
		"runtimes":     func(p *residencyv1.ResidencyPolicy) { p.Spec.Nodes.RuntimeClasses = []string{"gvisor"} },
		"hosts":        func(p *residencyv1.ResidencyPolicy) { p.Spec.Network.Hosts = []string{"a.example"} },
		"cidrs":        func(p *residencyv1.ResidencyPolicy) { p.Spec.Network.CIDRs = []string{"192.0.2.0/24"} },
		"ingresses":    func(p *residencyv1.ResidencyPolicy) { p.Spec.Network.IngressClasses = []string{"cn-nginx"} },
		"gateways":     func(p *residencyv1.ResidencyPolicy) { p.Spec.Network.GatewayNamespaces = []string{"gateways"} },
		"audiences":    func(p *residencyv1.ResidencyPolicy) { p.Spec.Identities.TokenAudiences = []string{"vault.cn"} },
		"name":         func(p *residencyv1.ResidencyPolicy) { p.Name = "q" },
	} {
		p := policy("p")
		change(p)
		if compile(t, p).Hash == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
}

func TestTheGuardHasNoOwner(t *testing.T) {
	for _, o := range compile(t, policy("p")).Objects {
		b, err := json.Marshal(o.Apply)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"ownerReferences", "resourceVersion"} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s %s holds %s", o.Kind, o.Name, word)
			}
		}
		if !strings.HasPrefix(o.Name, "residency-p-") {
			t.Errorf("name %s is not stable", o.Name)
		}
	}
}
