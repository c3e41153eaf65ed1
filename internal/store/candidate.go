package store

import (
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Candidate is what is known of one person when a run considers them.
type Candidate struct {
	InAudience bool
	State      consent.State
	Person     consent.Person
	Following  bool
	Grants     int // unused subscription grants for the run's template
	Recent     int // messages within the cap's days
}

// Admit decides whether a run may send to a person at this moment. It is asked twice: when
// the run is planned, and again in the transaction that hands out the permit.
func (s RunSpec) Admit(c Candidate, r consent.Rules, at time.Time) reason.Code {
	if !c.InAudience {
		return reason.NotInAudience
	}
	if r.Marketing && (strings.Contains(s.Expression, "lead.") || strings.Contains(s.Expression, "profile.")) {
		r.Automated, r.NeedsSeparate = true, true // selected by what people did, whatever the purpose is called
	}
	if code := consent.Decide(consent.Facts{State: c.State, Person: c.Person, Rules: r, At: at}); code != reason.AllChecksPassed {
		return code
	}
	switch {
	case s.Channel == "Subscription" && c.Grants < 1:
		return reason.NoSubscriptionGrant
	case s.Channel == "Mass" && !c.Following:
		return reason.NotFollowing
	case s.CapMessages > 0 && c.Recent >= s.CapMessages:
		return reason.FrequencyCapReached
	}
	return reason.AllChecksPassed
}
