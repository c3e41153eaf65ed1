package watching_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/watching"
)

func passes[T client.Object](p predicate.Predicate, before T, change func(T)) bool {
	after := before.DeepCopyObject().(T)
	change(after)
	return p.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after})
}

func TestAStoreConcernsOthersWhenItsAnswerChanges(t *testing.T) {
	ready := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue}
	for name, c := range map[string]struct {
		change func(*residencyv1.ConsentStore)
		want   bool
	}{
		"nothing changed":     {func(*residencyv1.ConsentStore) {}, false},
		"the ledger grew":     {func(s *residencyv1.ConsentStore) { n := int64(9); s.Status.Ledger.Size = &n }, false},
		"people came":         {func(s *residencyv1.ConsentStore) { s.Status.Subjects = "500" }, false},
		"it became ready":     {func(s *residencyv1.ConsentStore) { s.Status.Conditions = []metav1.Condition{ready} }, true},
		"it has another view": {func(s *residencyv1.ConsentStore) { s.Status.Bundle.Hash = "x" }, true},
		"it got its ledger":   {func(s *residencyv1.ConsentStore) { s.Status.LedgerID = "l" }, true},
		"its spec changed":    {func(s *residencyv1.ConsentStore) { s.Generation = 2 }, true},
	} {
		if got := passes(watching.StoreReady(), &residencyv1.ConsentStore{}, c.change); got != c.want {
			t.Errorf("%s: passes is %t", name, got)
		}
	}
}

func TestAPodConcernsItsOwnerWhenItsAnswerChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"nothing changed":      {func(*corev1.Pod) {}, false},
		"an annotation":        {func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }, false},
		"it got a node":        {func(p *corev1.Pod) { p.Spec.NodeName = "n" }, true},
		"it got an address":    {func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.1" }, true},
		"it became ready":      {func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}} }, true},
		"a container restarts": {func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}} }, true},
		"it ended":             {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, true},
	} {
		if got := passes(watching.PodReady(), &corev1.Pod{}, c.change); got != c.want {
			t.Errorf("%s: passes is %t", name, got)
		}
	}
}

func TestRequestsNameTheItemsOfAList(t *testing.T) {
	list := &corev1.PodList{Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}}
	if got := watching.Items(list); len(got) != 2 || got[1].GetName() != "b" {
		t.Errorf("items = %v", got)
	}
	if got := watching.Named("n", ""); got != nil {
		t.Errorf("an empty name is asked for: %v", got)
	}
	if got := watching.Named("n", "a"); len(got) != 1 || got[0].Namespace != "n" || got[0].Name != "a" {
		t.Errorf("requests = %v", got)
	}
}
