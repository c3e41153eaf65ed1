package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// verdict is a decision as a person or a script reads it.
type verdict struct {
	Transfer string      `json:"transfer"` // namespace/name
	Decision string      `json:"decision"` // Allowed, Refused
	Tier     string      `json:"tier,omitempty"`
	Ground   string      `json:"ground,omitempty"`
	RulePack string      `json:"rulePack,omitempty"`
	Refusals []objection `json:"refusals,omitempty"`
	Warnings []objection `json:"warnings,omitempty"`
	Status   string      `json:"status,omitempty"` // what the cluster decided, and when
}

// objection is one failing rule.
type objection struct {
	Code     string   `json:"code"`
	Effect   string   `json:"effect"`
	Articles []string `json:"articles,omitempty"`
	Field    string   `json:"field,omitempty"`
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy"`
	LiftedBy string   `json:"liftedBy,omitempty"`
}

// newVerdict decides by the same function as the manager and the store.
func newVerdict(name string, f transfer.Facts) verdict {
	d := transfer.Decide(f)
	v := verdict{
		Transfer: name, Decision: "Allowed", Tier: d.Mechanism, Ground: d.Ground,
		Refusals: objections(f.Pack, d.Refusals), Warnings: objections(f.Pack, d.Warnings),
	}
	if f.Pack != nil {
		v.RulePack = f.Pack.Name
	}
	if !d.Allowed() {
		v.Decision = "Refused"
	}
	return v
}

func objections(p *law.Pack, in []transfer.Refusal) (out []objection) {
	for _, r := range in {
		info := reason.Lookup(r.Code)
		o := objection{
			Code: string(r.Code), Effect: string(info.Effect), Articles: p.Cites(r.Code), Field: r.Field,
			Message: r.Message, Remedy: info.Remedy,
		}
		if o.Message == "" {
			o.Message = info.Says
		}
		if p != nil {
			o.LiftedBy = string(p.Rules[r.Code].LiftedBy)
		}
		out = append(out, o)
	}
	return out
}

func (v verdict) refused() bool { return v.Decision != "Allowed" }

// print writes verdicts in a format, and fails if one of them refuses.
func print(out io.Writer, format string, all []verdict) error {
	var err error
	switch format {
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(map[string]any{"transfers": all})
	case "text":
		for _, v := range all {
			if _, err = io.WriteString(out, v.text()); err != nil {
				break
			}
		}
	default:
		return fmt.Errorf("OutputInvalid: -o must be text or json")
	}
	if err != nil {
		return fmt.Errorf("write verdict: %w", err)
	}
	if slices.ContainsFunc(all, verdict.refused) {
		return errFailed
	}
	return nil
}

func (v verdict) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", v.Decision, v.Transfer)
	if v.Tier != "" {
		fmt.Fprintf(&b, "  (mechanism: %s", v.Tier)
		if v.Ground != "" {
			fmt.Fprintf(&b, ", %s", v.Ground)
		}
		fmt.Fprintf(&b, "; rules %s)", v.RulePack)
	}
	b.WriteByte('\n')
	if v.Status != "" {
		fmt.Fprintf(&b, "  in the cluster: %s\n", v.Status)
	}
	for _, list := range [][]objection{v.Refusals, v.Warnings} {
		for _, o := range list {
			fmt.Fprintf(&b, "  %s  %s [%s]\n", o.Effect, o.Code, strings.Join(o.Articles, ", "))
			if o.Field != "" {
				fmt.Fprintf(&b, "      at      %s\n", o.Field)
			}
			fmt.Fprintf(&b, "      wrong   %s\n      passes  %s\n", o.Message, o.Remedy)
		}
	}
	return b.String()
}
