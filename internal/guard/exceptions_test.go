package guard_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
)

func TestTheKindOffersWhatTheCompilerExcuses(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(envtestrig.Root(), "config", "crd", "bases", "residency.maodian.dev_residencyexceptions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	var offered []string
	for _, e := range crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["topics"].Items.Schema.Enum {
		var topic string
		if err := yaml.Unmarshal(e.Raw, &topic); err != nil {
			t.Fatal(err)
		}
		offered = append(offered, topic)
	}
	slices.Sort(offered)
	if d := cmp.Diff(guard.Excusable, offered); d != "" {
		t.Error(d)
	}
}

func TestWhichExceptionsAreInForce(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	exception := func(policy string, created, end time.Duration) residencyv1.ResidencyException {
		e := residencyv1.ResidencyException{ObjectMeta: metav1.ObjectMeta{Name: "e", CreationTimestamp: metav1.NewTime(now.Add(created))}}
		e.Spec = residencyv1.ResidencyExceptionSpec{PolicyName: policy, NotAfterTime: metav1.NewTime(now.Add(end))}
		return e
	}
	going := exception("p", -time.Hour, time.Hour)
	going.DeletionTimestamp = &metav1.Time{Time: now}
	for name, c := range map[string]struct {
		exception residencyv1.ResidencyException
		want      bool
	}{
		"in its time":             {exception("p", -time.Hour, time.Hour), true},
		"a second before its end": {exception("p", -time.Hour, time.Second), true},
		"at its end":              {exception("p", -time.Hour, 0), false},
		"after its end":           {exception("p", -2*time.Hour, -time.Hour), false},
		"for 24 hours":            {exception("p", 0, 24*time.Hour), true},
		"for more, never":         {exception("p", 0, 24*time.Hour+time.Second), false},
		"of another policy":       {exception("q", -time.Hour, time.Hour), false},
		"being deleted":           {going, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, end := guard.InForce([]residencyv1.ResidencyException{c.exception}, "p", now)
			if (len(got) == 1) != c.want || end.IsZero() == c.want {
				t.Errorf("in force: %v until %v, want %t", got, end, c.want)
			}
		})
	}
	_, end := guard.InForce([]residencyv1.ResidencyException{exception("p", 0, 2*time.Hour), exception("p", 0, time.Hour)}, "p", now)
	if !end.Equal(now.Add(time.Hour)) {
		t.Errorf("the first ends at %v", end)
	}
}
