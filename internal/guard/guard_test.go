package guard_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

func TestCompileIsThisText(t *testing.T) {
	for _, mode := range []residencyv1.Enforcement{residencyv1.EnforcementEnforce, residencyv1.EnforcementWarn, residencyv1.EnforcementAudit} {
		t.Run(string(mode), func(t *testing.T) {
			p := policy("cn-mainland")
			p.Spec.Enforcement = mode
			got := render(t, compile(t, p))
			file := filepath.Join("testdata", "guard-"+strings.ToLower(string(mode))+".yaml")
			if os.Getenv("UPDATE_GOLDEN") == "1" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
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
		})
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
		"breakGlass":   func(p *residencyv1.ResidencyPolicy) { p.Spec.Identities.BreakGlass = nil },
		"schedulers":   func(p *residencyv1.ResidencyPolicy) { p.Spec.Identities.Schedulers = []string{"mine"} },
		"name":         func(p *residencyv1.ResidencyPolicy) { p.Name = "q" },
	} {
		p := policy("p")
		change(p)
		if compile(t, p).Hash == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
}

func TestTheGuardHasNoOwnerAndNoTime(t *testing.T) {
	for _, o := range compile(t, policy("p")).Objects {
		b, err := json.Marshal(o.Apply)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"ownerReferences", "Timestamp"} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s %s holds %s", o.Kind, o.Name, word)
			}
		}
		if !strings.HasPrefix(o.Name, "residency-p-") {
			t.Errorf("name %s is not stable", o.Name)
		}
	}
}
