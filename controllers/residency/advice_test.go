package residency_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/envtestrig"
	"github.com/maodian-dev/maodian/internal/gather"
)

// warned keeps what the API server warns of.
type warned struct {
	mu   sync.Mutex
	list []string
}

func (w *warned) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// codes are those that stand in the warnings since the last look, sorted.
func (w *warned) codes(known []string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.list {
		for _, c := range known {
			if strings.Contains(text, ": "+c+": ") {
				out = append(out, c)
			}
		}
	}
	w.list = nil
	slices.Sort(out)
	return out
}

// advice applies the policy as an installation does, and returns the codes that it knows.
func advice(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(envtestrig.Root(), "config", "admission", "transfer-advice.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	policy, binding, _ := strings.Cut(string(raw), "\n---\n")
	p, b := &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}
	if err := errors.Join(yaml.UnmarshalStrict([]byte(policy), p), yaml.UnmarshalStrict([]byte(binding), b)); err != nil {
		t.Fatal(err)
	}
	rig.Create(t, p)
	rig.Create(t, b)
	t.Cleanup(func() {
		_ = rig.Client.Delete(context.Background(), b)
		_ = rig.Client.Delete(context.Background(), p)
	})
	var known []string
	for _, v := range p.Spec.Validations {
		code, _, _ := strings.Cut(v.Message, ":")
		info := reason.Lookup(reason.Code(code))
		if want := code + ": " + info.Says + "; " + info.Remedy; v.Message != want {
			t.Errorf("says %q, and the catalogue %q", v.Message, want)
		}
		known = append(known, code)
	}
	return known
}

// TestAdviceAgreesWithTheDecision: whoever applies a transfer is warned of the codes that the
// decision will refuse it with, of all that it knows, and of no others.
func TestAdviceAgreesWithTheDecision(t *testing.T) {
	known := advice(t)
	w := &warned{}
	cfg := rest.CopyConfig(rig.Config)
	cfg.WarningHandler = w
	c, err := client.New(cfg, client.Options{Scheme: rig.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := rig.Namespace(t, "")
	policy := sample(t, "00-policy", "ResidencyPolicy", "", &residencyv1.ResidencyPolicy{})
	outcome := func(o residencyv1.AssessmentOutcome) func(*residencyv1.DataTransferSpec) {
		return func(s *residencyv1.DataTransferSpec) { s.ImpactAssessment.Outcome = o }
	}
	status := func(d residencyv1.DataStatus) func(*residencyv1.DataTransferSpec) {
		return func(s *residencyv1.DataTransferSpec) { s.DataStatus = d }
	}
	seen := map[string]bool{}
	for name, change := range map[string]func(*residencyv1.DataTransferSpec){
		"in order":          func(*residencyv1.DataTransferSpec) {},
		"no assessment":     func(s *residencyv1.DataTransferSpec) { s.ImpactAssessment = residencyv1.ImpactAssessment{} },
		"no necessity":      func(s *residencyv1.DataTransferSpec) { s.Necessity = "" },
		"insufficient":      outcome(residencyv1.AssessmentMeasuresInsufficient),
		"unacceptable":      outcome(residencyv1.AssessmentUnacceptable),
		"core data":         status(residencyv1.DataStatusCore),
		"export control":    status(residencyv1.DataStatusExportControlled),
		"nobody knows":      status(residencyv1.DataStatusUnknown),
		"no important data": status(residencyv1.DataStatusNone),
		"a court abroad":    func(s *residencyv1.DataTransferSpec) { s.Recipient.Authority = residencyv1.AuthorityForeign },
		"a court, and allowed": func(s *residencyv1.DataTransferSpec) {
			s.Recipient.Authority, s.Recipient.Approval = residencyv1.AuthorityForeign, "MOJ-1"
		},
		"two things at once":      func(s *residencyv1.DataTransferSpec) { s.Necessity, s.DataStatus = "", residencyv1.DataStatusCore },
		"counts, without papers":  counted,
		"counts, and core data":   func(s *residencyv1.DataTransferSpec) { counted(s); s.DataStatus = residencyv1.DataStatusCore },
		"counts for nobody knows": func(s *residencyv1.DataTransferSpec) { counted(s); s.Necessity = "" },
	} {
		x := sample(t, "61-transfer-allowed", "DataTransfer", ns, &residencyv1.DataTransfer{})
		change(&x.Spec)
		want := decided(x, policy, known)
		for _, code := range want {
			seen[code] = true
		}
		s := sample(t, "62-transfer-schedule", "TransferSchedule", ns, &residencyv1.TransferSchedule{})
		s.Spec.Template.Spec = x.Spec
		for _, o := range []client.Object{x, s} {
			envtestrig.Eventually(t, envtestrig.Soon, func(ctx context.Context) error { // the API server takes a policy up after a moment
				tried := o.DeepCopyObject().(client.Object)
				if err := c.Create(ctx, tried, client.DryRunAll); err != nil {
					return err
				}
				if got := w.codes(known); !slices.Equal(got, want) {
					return fmt.Errorf("%s, %T: warned of %v, want %v", name, o, got, want)
				}
				return nil
			})
		}
	}
	for _, code := range known {
		if !seen[code] {
			t.Errorf("%s has no case", code)
		}
	}
}

// counted makes a request for numbers without papers.
func counted(s *residencyv1.DataTransferSpec) {
	s.Aggregates, s.Fields, s.MaxPersons = []residencyv1.AggregateName{"LeadsByStage"}, nil, 0
	s.Categories = []residencyv1.DataCategory{residencyv1.CategoryAnonymousAggregate}
	s.ImpactAssessment = residencyv1.ImpactAssessment{}
}

// decided are the codes of the decision that the advice knows, sorted.
func decided(x *residencyv1.DataTransfer, policy *residencyv1.ResidencyPolicy, known []string) (out []string) {
	d := transfer.Decide(gather.TransferFacts(gather.TransferInput{Now: now, Transfer: x, Policy: policy}))
	for _, r := range d.Refusals {
		if code := string(r.Code); slices.Contains(known, code) && !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	slices.Sort(out)
	return out
}
