package residency_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
)

func exceptionSays(t *testing.T, e *residencyv1.ResidencyException, status string, reason any) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if _, err := get(ctx, e); err != nil {
			return err
		}
		return envtestrig.Says(e.Status.Conditions, "Ready", status, fmt.Sprint(reason))
	})
}

func TestAnExceptionIsCompiledInAndOutAgain(t *testing.T) {
	p := ownPolicy(t, nil)
	e := sample(t, "80-exception", "ResidencyException", "", &residencyv1.ResidencyException{})
	e.Name, e.Spec.PolicyName, e.Spec.NotAfterTime = rig.Name("incident"), p.Name, metav1.NewTime(time.Now().Add(time.Hour))
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { return attestor(t).Create(ctx, e.DeepCopy()) })
	rule := &arv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "residency-" + p.Name + "-interactive"}}
	honoured := func(ctx context.Context) (bool, error) {
		if _, err := get(ctx, rule); err != nil {
			return false, err
		}
		for _, v := range rule.Spec.Variables {
			if v.Name == "excepted" && strings.Contains(v.Expression, e.Spec.Users[0]) {
				return true, nil
			}
		}
		return false, nil
	}
	exceptionSays(t, e, "True", residencyv1.ReasonInForce)
	rig.Told(t, e, "InForce")
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if ok, err := honoured(ctx); err != nil || !ok {
			return errors.Join(err, errors.New("the guard does not honour it"))
		}
		return nil
	})
	if err := rig.Client.Delete(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error {
		if ok, err := honoured(ctx); err != nil || ok {
			return errors.Join(err, errors.New("the guard still honours it"))
		}
		return nil
	})
}

func TestAnExceptionSaysWhyItIsNotHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		end  time.Time
		want any
	}{
		"it is over":              {now.Add(-time.Hour), residencyv1.ReasonEnded},
		"it lasts too long":       {now.Add(10 * 365 * 24 * time.Hour), residencyv1.ReasonTooLong},
		"there is no such policy": {time.Now().Add(time.Hour), residencyv1.ReasonPolicyNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			e := sample(t, "80-exception", "ResidencyException", "", &residencyv1.ResidencyException{})
			e.Name, e.Spec.PolicyName, e.Spec.NotAfterTime = rig.Name("exception"), "nobody", metav1.NewTime(c.end)
			rig.Create(t, e) // older than any guard that would refuse it
			t.Cleanup(func() { _ = client.IgnoreNotFound(rig.Client.Delete(context.Background(), e)) })
			exceptionSays(t, e, "False", c.want)
		})
	}
}
