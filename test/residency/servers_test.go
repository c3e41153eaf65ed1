package residency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/internal/proving"
)

// join starts a second API server of the cluster, which ends when its test does.
func join(t *testing.T, flags envtestrig.Flags) {
	t.Helper()
	stop, err := rig.Join(flags)
	if errors.Is(err, envtestrig.ErrOneLoopback) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop the second API server: %v", err)
		}
	})
}

// inCluster returns what the manager has in a pod: its own rights, and addresses of the
// cluster's network.
func inCluster(t *testing.T) *rest.Config {
	t.Helper()
	config, err := rig.AsManager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config.Dial = envtestrig.Dial
	return config
}

// TestEveryAPIServerIsAsked has two of them: the second learns of a guard by itself, and may
// be the one that does not enforce it.
func TestEveryAPIServerIsAsked(t *testing.T) {
	p := policy()
	p.Name = rig.Name("ha")
	p.Spec.Storage.ClassPrefix = p.Name + "-"
	governed := rig.Namespace(t, p.Name)
	defer removeAll(t, install(t, p, governed))
	prover, err := proving.NewProver(inCluster(t), prober)
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	t.Run("both enforce", func(t *testing.T) {
		join(t, nil)
		refused = proved(t, prover, p, governed, func(proof proving.Proof) error {
			if len(proof.Refused) == 0 || len(proof.Open) > 0 {
				return errors.New("not enforced yet")
			}
			return nil
		}).Refused
	})
	t.Run("one does not", func(t *testing.T) {
		join(t, envtestrig.Flags{"disable-admission-plugins": "ValidatingAdmissionPolicy"})
		proof := proved(t, prover, p, governed, func(proof proving.Proof) error {
			if len(proof.Open) == 0 {
				return errors.New("the second server refuses")
			}
			return nil
		})
		if len(proof.Refused) > 0 || !slices.Equal(proof.Open, refused) {
			t.Errorf("refused %v, open %v, want all of %v open", proof.Refused, proof.Open, refused)
		}
	})
}

// install applies the guard of a policy.
func install(t *testing.T, p *residencyv1.ResidencyPolicy, governed string) guard.Guard {
	t.Helper()
	options := guard.Options{Manager: manager, Prober: prober, Governed: []string{governed}}
	g, err := guard.Compile(p, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range g.Objects {
		if err := rig.Client.Apply(t.Context(), o.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// proved tries until two servers answer as wanted.
func proved(t *testing.T, prover *proving.Prover, p *residencyv1.ResidencyPolicy, governed string, want func(proving.Proof) error) (proof proving.Proof) {
	t.Helper()
	envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) (err error) {
		if proof, err = prover.Prove(ctx, p, governed); err != nil {
			return err
		}
		if proof.Servers != 2 {
			return fmt.Errorf("%d servers were asked", proof.Servers)
		}
		if err := want(proof); err != nil {
			return fmt.Errorf("%w: %+v", err, proof)
		}
		return nil
	})
	return proof
}
