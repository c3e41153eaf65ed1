package conditions_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestOutcomesKeepTheContractWithKstatus(t *testing.T) {
	for name, c := range map[string]struct {
		outcome conditions.Outcome
		want    map[string]metav1.ConditionStatus
	}{
		"ready":     {conditions.Ready("Fine", ""), map[string]metav1.ConditionStatus{"Ready": "True"}},
		"waiting":   {conditions.Waiting("Busy", ""), map[string]metav1.ConditionStatus{"Ready": "Unknown", "Reconciling": "True"}},
		"not ready": {conditions.NotReady("Away", ""), map[string]metav1.ConditionStatus{"Ready": "False"}},
		"stalled":   {conditions.Stalled("Wrong", ""), map[string]metav1.ConditionStatus{"Ready": "False", "Stalled": "True"}},
	} {
		t.Run(name, func(t *testing.T) {
			var list []metav1.Condition
			conditions.Waiting("Before", "").Write(&list, 1, now)
			conditions.Stalled("Before", "").Write(&list, 1, now)
			c.outcome.Write(&list, 2, now)
			got := map[string]metav1.ConditionStatus{}
			for _, l := range list {
				got[l.Type] = l.Status
				if l.ObservedGeneration != 2 {
					t.Errorf("%s is of generation %d", l.Type, l.ObservedGeneration)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTheSameOutcomeTwiceChangesNothing(t *testing.T) {
	var list []metav1.Condition
	conditions.Ready("Fine", "all well").Write(&list, 1, now)
	before := list[0]
	conditions.Ready("Fine", "all well").Write(&list, 1, now.Add(time.Hour))
	if d := cmp.Diff(before, list[0]); d != "" {
		t.Error(d)
	}
}

func TestAConditionOfAnOlderSpecDoesNotCount(t *testing.T) {
	var list []metav1.Condition
	conditions.Ready("Fine", "").Write(&list, 1, now)
	if !conditions.True(list, metav1alpha1.ConditionReady, 1) || conditions.True(list, metav1alpha1.ConditionReady, 2) {
		t.Error("generation is not looked at")
	}
}

func TestTruncateKeepsCharactersWhole(t *testing.T) {
	got := conditions.Truncate(strings.Repeat("锚", 100), 50)
	if !utf8.ValidString(got) || len(got) > 50 {
		t.Errorf("got %q of %d bytes", got, len(got))
	}
	if got := conditions.Truncate("short", 50); got != "short" {
		t.Errorf("got %q", got)
	}
}
