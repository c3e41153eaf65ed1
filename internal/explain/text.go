package explain

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// width is what a terminal has at least.
const width = 80

// Text writes verdicts for people, in 80 columns. A sentence breaks between words only, so
// that names can be searched for.
type Text struct {
	out     strings.Builder
	colours bool
}

// NewText returns an empty text.
func NewText(colours bool) *Text { return &Text{colours: colours} }

// WriteTo writes the text.
func (x *Text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, x.out.String())
	return int64(n), err
}

// Colours of words.
const (
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
	bold   = "1"
)

func (x *Text) paint(colour, word string) string {
	if !x.colours {
		return word
	}
	return "\x1b[" + colour + "m" + word + "\x1b[0m"
}

// Line writes one line as it is.
func (x *Text) Line(s string) { x.out.WriteString(s + "\n") }

// Clean takes out what a terminal could obey: texts come from files that anybody wrote.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Say writes a paragraph; lines after the first are indented by so much more.
func (x *Text) Say(indent, hang int, s string) {
	column := 0
	for i, word := range strings.Fields(Clean(s)) {
		switch {
		case i == 0:
			x.out.WriteString(strings.Repeat(" ", indent))
			column = indent
		case column+1+utf8.RuneCountInString(word) > width:
			x.out.WriteString("\n" + strings.Repeat(" ", indent+hang))
			column = indent + hang
		default:
			x.out.WriteByte(' ')
			column++
		}
		x.out.WriteString(word)
		column += utf8.RuneCountInString(word)
	}
	x.out.WriteByte('\n')
}

// Verdict writes one verdict.
func (x *Text) Verdict(v Verdict) {
	x.Heading(v.Namespace+"/"+v.Name, v.Decision)
	by := "no policy"
	if v.Policy != "" {
		by = "policy " + v.Policy
	}
	if v.RulePack != "" {
		by += ", rule pack " + v.RulePack
	}
	x.Say(2, 2, fmt.Sprintf("to %s in %s; %s", v.Recipient, v.Country, by))
	x.Objections(2, v.Refusals)
	x.Objections(2, v.Warnings)
	x.numbers(v)
	if len(v.Unknown) > 0 {
		x.Say(2, 2, "Not known:")
		for _, u := range v.Unknown {
			x.Say(4, 2, "- "+u)
		}
	}
}

// Heading writes a name and the answer.
func (x *Text) Heading(name string, answer residencyv1.Decision) {
	word := x.paint(yellow, "not known")
	switch answer {
	case residencyv1.DecisionRefused:
		word = x.paint(red, "REFUSED")
	case residencyv1.DecisionAllowed:
		word = x.paint(green, "allowed")
	}
	x.Line(x.paint(bold, Clean(name)) + ": " + word)
}

// Objections writes what refuses or warns, each with what would pass.
func (x *Text) Objections(indent int, list []Objection) {
	for _, o := range list {
		colour := red
		if o.Effect == reason.Warn {
			colour = yellow
		}
		head := strings.Repeat(" ", indent) + x.paint(colour, Clean(o.Code)) + " (" + string(o.Effect) + ")"
		if o.Field != "" {
			head += " at " + Clean(o.Field)
		}
		x.Line(head)
		x.Say(indent+2, 2, "Wrong: "+o.Message)
		x.Say(indent+2, 2, "Remedy: "+o.Remedy)
		x.Say(indent+2, 2, "Lifted by: "+string(o.LiftedBy))
		if len(o.Articles) > 0 {
			x.Say(indent+2, 2, "Articles: "+strings.Join(o.Articles, "; "))
		}
	}
}

// Tier writes what mechanism is asked for, and why none is.
func (x *Text) Tier(mechanism, ground string) {
	tier := cmp.Or(mechanism, "not known")
	if ground != "" {
		tier += ", on the ground of " + ground
	}
	x.Say(2, 2, "Mechanism asked for: "+tier)
}

func (x *Text) numbers(v Verdict) {
	x.Tier(v.Mechanism, v.Ground)
	if v.Projected == nil {
		x.Say(2, 2, "The year with this transfer: not known")
		return
	}
	x.Say(2, 2, fmt.Sprintf("The year with this transfer, at most: %s people without and %s with sensitive data",
		Number(v.Projected.NonSensitive), Number(v.Projected.Sensitive)))
	if n := v.Next; n != nil {
		x.Say(2, 2, fmt.Sprintf("Next tier: %s, from %s people without (%s left) or %s with sensitive data (%s left)",
			n.Mechanism, Number(n.From.NonSensitive), Number(n.Left.NonSensitive), Number(n.From.Sensitive), Number(n.Left.Sensitive)))
	}
}

// Time is a moment for people, in the zone by which the law counts.
func Time(at time.Time) string { return at.In(law.Zone).Format("2006-01-02 15:04 -0700") }

// Number writes 1000000 as 1,000,000.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
