package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Verdict says how a case went.
type Verdict string

// Verdicts.
const (
	Passed  Verdict = "Passed"
	Failed  Verdict = "Failed"
	Skipped Verdict = "Skipped" // it cannot be tried on this cluster
)

// Result is what became of one case.
type Result struct {
	Topic   string  `json:"topic"`
	Leak    string  `json:"leak,omitempty"`
	Case    string  `json:"case"`
	Verdict Verdict `json:"verdict"`
	// Why says what went otherwise, or why the case was skipped.
	Why string `json:"why,omitempty"`
	// Answer is the refusal of an attack.
	Answer string `json:"answer,omitempty"`
	// Cause is the error behind a failure; ErrAdmitted is an attack that was let pass.
	Cause error `json:"-"`
}

// ErrAdmitted says that an attack was let pass.
var ErrAdmitted = errors.New("admitted")

// Run tries every case under the guard: attacks are refused where the policy governs and, if
// not Everywhere, pass where it does not; ordinary work passes in both.
func (r *Runner) Run(ctx context.Context, files []File) (Report, error) {
	return r.each(ctx, files, r.guarded)
}

// RunUnguarded tries the attacks where no guard is installed: each must pass, or a refusal
// would prove nothing.
func (r *Runner) RunUnguarded(ctx context.Context, files []File) (Report, error) {
	return r.each(ctx, files, func(ctx context.Context, f File, c Case) (string, error) {
		if !c.Attack() {
			return "", notApplicable("ordinary work")
		}
		return "", r.passes(ctx, f, c, r.in(c))
	})
}

func (r *Runner) each(ctx context.Context, files []File, try func(context.Context, File, Case) (string, error)) (Report, error) {
	var out Report
	for _, f := range files {
		for _, c := range f.Cases {
			answer, err := try(ctx, f, c)
			result := Result{Topic: c.Topic, Leak: c.Leak, Case: c.Name, Verdict: Passed, Answer: answer}
			var skip notApplicable
			if errors.As(err, &skip) {
				result.Verdict, result.Why = Skipped, string(skip)
			} else if err != nil {
				result.Verdict, result.Why, result.Cause = Failed, err.Error(), err
			}
			out.Results = append(out.Results, result)
			if ctx.Err() != nil {
				return out, fmt.Errorf("stopped: %w", ctx.Err())
			}
		}
	}
	return out, nil
}

func (r *Runner) in(c Case) string {
	if c.In == "free" {
		return r.where.Free
	}
	return r.where.Governed
}

func (r *Runner) guarded(ctx context.Context, f File, c Case) (answer string, err error) {
	if !c.Attack() {
		return "", r.passes(ctx, f, c, r.in(c))
	}
	answer, err = r.refuses(ctx, f, c)
	if err != nil || c.Everywhere || c.In == "free" {
		return answer, err
	}
	if err := r.passes(ctx, f, c, r.where.Free); err != nil {
		return answer, fmt.Errorf("where nothing is governed: %w", err)
	}
	return answer, nil
}

func (r *Runner) refuses(ctx context.Context, f File, c Case) (answer string, err error) {
	q, err := r.concrete(f, c, r.in(c))
	if err != nil {
		return "", err
	}
	_, err = r.send(ctx, q)
	if err == nil {
		return "", fmt.Errorf("%w, want a refusal with %s", ErrAdmitted, c.Refused)
	}
	_, answer, found := strings.Cut(err.Error(), Refusal)
	want, _ := r.values("").text(Refusal + c.Refused + ": ")
	if !found || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.Says) {
		return "", fmt.Errorf("refused by %w, want %q that says %q", err, want, c.Says)
	}
	if !r.spoke(c.Topic, err.Error()) {
		return "", fmt.Errorf("refused by %w, want the policy of %s", err, c.Topic)
	}
	return Refusal + answer, nil
}

// spoke tells whether the admission policy of a topic is the one that refused: another one
// would hide that it is missing. A static manifest has a suffix behind a dot.
func (r *Runner) spoke(topic, refusal string) bool {
	name := "'residency-" + r.where.Values["policy"] + "-" + topic
	return strings.Contains(refusal, name+"'") || strings.Contains(refusal, name+".")
}

func (r *Runner) passes(ctx context.Context, f File, c Case, namespace string) error {
	q, err := r.concrete(f, c, namespace)
	if err != nil {
		return err
	}
	got, err := r.send(ctx, q)
	if err != nil {
		return fmt.Errorf("must pass, but: %w", err)
	}
	if c.Becomes == nil {
		return nil
	}
	want, missing := r.values(namespace).fill(c.Becomes)
	if missing != "" {
		return notApplicable("the policy has no " + missing)
	}
	return holds(got, want)
}

// holds tells whether got has every field of want.
func holds(got *unstructured.Unstructured, want any) error {
	if where, ok := contains(got.Object, want, ""); !ok {
		return fmt.Errorf("admitted, but not completed: `%s` is not as it must be", strings.TrimPrefix(where, "."))
	}
	return nil
}

func contains(got, want any, at string) (where string, ok bool) {
	if items, isList := want.([]any); isList {
		have, _ := got.([]any)
		for i := range items {
			if i >= len(have) {
				return at, false
			}
			if where, ok := contains(have[i], items[i], fmt.Sprintf("%s[%d]", at, i)); !ok {
				return where, false
			}
		}
		return at, len(have) == len(items)
	}
	fields, isMap := want.(map[string]any)
	if !isMap {
		return at, reflect.DeepEqual(got, want)
	}
	have, _ := got.(map[string]any)
	for k, v := range fields {
		if where, ok := contains(have[k], v, at+"."+k); !ok {
			return where, false
		}
	}
	return "", true
}
