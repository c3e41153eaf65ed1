package proving

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/test/residency"
)

func passed(topic string) conformance.Result {
	return conformance.Result{Topic: topic, Verdict: conformance.Passed}
}

func failed(topic string, cause error) conformance.Result {
	return conformance.Result{Topic: topic, Verdict: conformance.Failed, Cause: fmt.Errorf("try: %w", cause)}
}

func TestOnlyWhatEveryServerRefusedIsProved(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("no right"))
	skipped := conformance.Result{Topic: "images", Verdict: conformance.Skipped}
	for name, c := range map[string]struct {
		servers [][]conformance.Result
		want    Proof
		unknown bool
	}{
		"one server refuses":                    {[][]conformance.Result{{passed("images")}}, Proof{Servers: 1, Refused: []string{"images"}}, false},
		"one of two lets it pass":               {[][]conformance.Result{{passed("images")}, {failed("images", conformance.ErrAdmitted)}}, Proof{Servers: 2, Open: []string{"images"}}, false},
		"one of two has no right to try":        {[][]conformance.Result{{passed("images")}, {failed("images", forbidden)}}, Proof{Servers: 2}, false},
		"one of two lacks the kind":             {[][]conformance.Result{{passed("images")}, {skipped}}, Proof{Servers: 2}, false},
		"one of two does not answer":            {[][]conformance.Result{{passed("images")}, {failed("images", errors.New("connection refused"))}}, Proof{}, true},
		"one of two is too busy":                {[][]conformance.Result{{passed("images")}, {failed("images", apierrors.NewTooManyRequests("later", 1))}}, Proof{}, true},
		"both let pass, which is told once":     {[][]conformance.Result{{failed("images", conformance.ErrAdmitted)}, {failed("images", conformance.ErrAdmitted)}}, Proof{Servers: 2, Open: []string{"images"}}, false},
		"topics are told apart, in their order": {[][]conformance.Result{{passed("volumes"), passed("claims"), failed("nodes", conformance.ErrAdmitted)}}, Proof{Servers: 1, Refused: []string{"claims", "volumes"}, Open: []string{"nodes"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var answers []conformance.Report
			for _, results := range c.servers {
				answers = append(answers, conformance.Report{Results: results})
			}
			got, err := prove(answers)
			if (err != nil) != c.unknown {
				t.Fatalf("error = %v", err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestProbesNeedNothingBeforehand(t *testing.T) {
	files, err := residency.Cases()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range probes(files) {
		for _, c := range f.Cases {
			if seen[c.Topic] {
				t.Errorf("%s is tried twice", c.Topic)
			}
			seen[c.Topic] = true
			if !c.Attack() || c.Verb != "create" || c.Earnest || c.As != "tenant" {
				t.Errorf("%s: %q is no attack that creates something as a dry run", c.Topic, c.Name)
			}
		}
	}
	for _, topic := range []string{"pod-placement", "images", "claims", "volumes", "storage-classes", "services", "network-policies", "personal-data"} {
		if !seen[topic] {
			t.Errorf("%s is not tried", topic)
		}
	}
}
