package residency

import (
	"slices"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/applying"
	"github.com/maodian-dev/maodian/internal/conditions"
)

// policyEvents tells when something is outside for the first time, when a kind joins it, and
// when nothing is any more. That there is more or less of a kind is no news.
func policyEvents(before, after *residencyv1.ResidencyPolicy) []applying.Event {
	was, is := before.Status.Violations, after.Status.Violations
	message := conditions.Get(after.Status.Conditions, residencyv1.ConditionCompliant).Message
	joined := slices.ContainsFunc(is.ByKind, func(k residencyv1.KindCount) bool {
		return !slices.ContainsFunc(was.ByKind, func(o residencyv1.KindCount) bool { return o.Kind == k.Kind })
	})
	switch {
	case joined:
		return []applying.Event{applying.Warning(residencyv1.ReasonViolationsFound, "Judge", "%s", message)}
	case len(was.ByKind) > 0 && len(is.ByKind) == 0:
		return []applying.Event{applying.Normal(residencyv1.ReasonNoViolations, "Judge", "%s", message)}
	}
	return nil
}
