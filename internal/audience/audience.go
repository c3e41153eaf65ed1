// Package audience compiles an Audience's CEL expression to a SQL condition, so that a
// million people are one query. Expressions see profile.tags, lead.score and lead.stage;
// anything else is an error that names it. The condition holds no text of the user's: all
// values are parameters.
package audience

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/maodian-dev/maodian/internal/domain/lead"
)

// ErrExpression says what is wrong with an expression.
var ErrExpression = errors.New("expression cannot be used")

// MaxLength of an expression, in bytes.
const MaxLength = 2048

// maxDepth bounds nesting, so that no expression can exhaust the stack.
const maxDepth = 64

// Condition is SQL over `s` (subjects) and `l` (lead_state of the model), with its arguments.
type Condition struct {
	SQL  string
	Args []any
}

// Compile checks and translates the expression. Scores decay until now.
func Compile(expression string, m lead.Model, now time.Time) (Condition, error) {
	if len(expression) > MaxLength {
		return Condition{}, fmt.Errorf("%w: longer than %d bytes", ErrExpression, MaxLength)
	}
	env, err := cel.NewEnv(
		cel.Variable("profile.tags", cel.ListType(cel.StringType)),
		cel.Variable("lead.score", cel.DoubleType),
		cel.Variable("lead.stage", cel.StringType),
		cel.CrossTypeNumericComparisons(true),
	)
	if err != nil {
		return Condition{}, fmt.Errorf("make environment: %w", err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return Condition{}, fmt.Errorf("%w: %s", ErrExpression, strings.Join(strings.Fields(issues.String()), " "))
	}
	if !checked.OutputType().IsExactType(types.BoolType) {
		return Condition{}, fmt.Errorf("%w: it must be true or false", ErrExpression)
	}
	c := compiler{model: m, now: now}
	if err := c.expr(checked.NativeRep().Expr(), 0); err != nil {
		return Condition{}, err
	}
	return Condition{SQL: c.sql.String(), Args: c.args}, nil
}

type compiler struct {
	sql   strings.Builder
	args  []any
	model lead.Model
	now   time.Time
}

func (c *compiler) write(s string, args ...any) {
	c.sql.WriteString(s)
	c.args = append(c.args, args...)
}

func unsupported(what string) error {
	return fmt.Errorf("%w: %s is not supported; profile.tags, lead.score and lead.stage may be used with in, ==, !=, <, <=, >, >=, &&, || and not", ErrExpression, what)
}

// expr translates an expression of type bool.
func (c *compiler) expr(e ast.Expr, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested too deeply", ErrExpression)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().Value().(bool); ok {
			c.write(map[bool]string{true: "1", false: "0"}[b])
			return nil
		}
	case ast.CallKind:
		return c.call(e.AsCall(), depth)
	default:
	}
	return unsupported("this form")
}

var comparison = map[string]string{
	operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">", operators.GreaterEquals: ">=",
	operators.Equals: "=", operators.NotEquals: "<>",
}

func (c *compiler) call(call ast.CallExpr, depth int) error {
	args := call.Args()
	switch fn := call.FunctionName(); fn {
	case operators.LogicalAnd, operators.LogicalOr:
		return c.join(args, map[string]string{operators.LogicalAnd: " AND ", operators.LogicalOr: " OR "}[fn], depth)
	case operators.LogicalNot:
		c.write("NOT (")
		if err := c.expr(args[0], depth+1); err != nil {
			return err
		}
		c.write(")")
		return nil
	case operators.In:
		return c.in(args[0], args[1])
	default:
		if op, ok := comparison[fn]; ok {
			return c.compare(args[0], op, args[1])
		}
		return unsupported(fn)
	}
}

func (c *compiler) join(args []ast.Expr, word string, depth int) error {
	c.write("(")
	for i, a := range args {
		if i > 0 {
			c.write(word)
		}
		if err := c.expr(a, depth+1); err != nil {
			return err
		}
	}
	c.write(")")
	return nil
}

// variable names what an identifier or selection stands for.
func variable(e ast.Expr) string {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent()
	case ast.SelectKind:
		return variable(e.AsSelect().Operand()) + "." + e.AsSelect().FieldName()
	default:
		return ""
	}
}

// in translates `'x' in profile.tags` and `lead.stage in ['A', 'B']`.
func (c *compiler) in(left, right ast.Expr) error {
	if variable(right) == "profile.tags" {
		tag, ok := text(left)
		if !ok {
			return unsupported("in profile.tags of anything but a text")
		}
		c.write("EXISTS (SELECT 1 FROM tags t WHERE t.subject_id = s.id AND t.tag = ?)", tag)
		return nil
	}
	if variable(left) != "lead.stage" || right.Kind() != ast.ListKind {
		return unsupported("this use of in")
	}
	c.write("(0")
	for _, e := range right.AsList().Elements() {
		name, ok := text(e)
		if !ok {
			return unsupported("a stage that is not a text")
		}
		c.write(" OR ")
		if err := c.stage(name); err != nil {
			return err
		}
	}
	c.write(")")
	return nil
}

func (c *compiler) compare(left ast.Expr, op string, right ast.Expr) error {
	switch variable(left) {
	case "lead.score":
		if n, ok := number(right); ok {
			c.score()
			c.write(" "+op+" ?", n)
			return nil
		}
	case "lead.stage":
		if name, ok := text(right); ok && (op == "=" || op == "<>") {
			c.write(map[string]string{"=": "", "<>": "NOT "}[op])
			return c.stage(name)
		}
	}
	return unsupported("this comparison")
}

// stage is a range of scores.
func (c *compiler) stage(name string) error {
	for i, s := range c.model.Stages {
		if s.Name != name {
			continue
		}
		c.write("(")
		c.score()
		c.write(" >= ?", s.MinPoints)
		if i+1 < len(c.model.Stages) {
			c.write(" AND ")
			c.score()
			c.write(" < ?", c.model.Stages[i+1].MinPoints)
		}
		c.write(")")
		return nil
	}
	return fmt.Errorf("%w: the lead model has no stage %q", ErrExpression, name)
}

// score decays the points to now: halved every half-life, never grown.
func (c *compiler) score() {
	halfLife := float64(c.model.HalfLifeDays) * 24 * float64(time.Hour/time.Millisecond)
	c.write("COALESCE(l.points * pow(0.5, max(0, ? - l.at_ms) / ?), 0)", c.now.UnixMilli(), halfLife)
}

func text(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().Value().(string)
	return s, ok
}

func number(e ast.Expr) (float64, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	switch v := e.AsLiteral().Value().(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}
