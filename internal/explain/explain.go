// Package explain says what a decision on a transfer means: which rule objects, by which
// article, what would pass, and who can lift it. Controller and command line share it, so
// that status and terminal never differ.
package explain

import (
	"slices"
	"strings"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conditions"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

// maxText bounds what a refusal says, as the schema does.
const maxText = 512

// Refusals turns objections into refusals: one a code, with the articles and the remedy.
func Refusals(p *law.Pack, in []transfer.Refusal) []residencyv1.Refusal {
	var out []residencyv1.Refusal
	for _, r := range in {
		i := slices.IndexFunc(out, func(o residencyv1.Refusal) bool { return o.Code == string(r.Code) })
		if i >= 0 {
			if r.Message != "" && !strings.Contains(out[i].Message, r.Message) {
				out[i].Message = conditions.Truncate(out[i].Message+"; "+r.Message, maxText)
			}
			continue
		}
		info := reason.Lookup(r.Code)
		message := r.Message
		if message == "" {
			message = info.Says
		}
		out = append(out, residencyv1.Refusal{
			Code: string(r.Code), Cites: p.Cites(r.Code), Field: r.Field, Message: conditions.Truncate(message, maxText), Remedy: conditions.Truncate(info.Remedy, maxText),
		})
	}
	return out
}

// Codes lists the codes of refusals, in their order.
func Codes(in []residencyv1.Refusal) []string {
	out := make([]string, len(in))
	for i, r := range in {
		out[i] = r.Code
	}
	return out
}
