package audience

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
)

// Matcher tells whether an event satisfies a lead rule's `match`.
type Matcher func(scene, key string) bool

// CompileMatch checks a rule's expression over event.scene and event.key. An empty
// expression matches every event.
func CompileMatch(expression string) (Matcher, error) {
	if expression == "" {
		return func(string, string) bool { return true }, nil
	}
	if len(expression) > MaxLength {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrExpression, MaxLength)
	}
	env, err := cel.NewEnv(cel.Variable("event.scene", cel.StringType), cel.Variable("event.key", cel.StringType))
	if err != nil {
		return nil, fmt.Errorf("make environment: %w", err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%w: %s", ErrExpression, strings.Join(strings.Fields(issues.String()), " "))
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("%w: it must be true or false", ErrExpression)
	}
	prg, err := env.Program(checked, cel.CostLimit(10_000))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExpression, err)
	}
	return func(scene, key string) bool {
		out, _, err := prg.Eval(map[string]any{"event.scene": scene, "event.key": key})
		if err != nil {
			return false
		}
		b, ok := out.Value().(bool)
		return ok && b
	}, nil
}
