package residency

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// EvidenceState says what an entry of the evidence log is about.
type EvidenceState string

// Evidence states.
const (
	// EvidenceFound tells that an object is outside.
	EvidenceFound EvidenceState = "Found"
	// EvidenceCleared tells that it is no longer.
	EvidenceCleared EvidenceState = "Cleared"
	// EvidenceCordoned tells that a node outside was closed to new pods.
	EvidenceCordoned EvidenceState = "Cordoned"
	// EvidenceEvicted tells that a pod was evicted from a node outside.
	EvidenceEvicted EvidenceState = "Evicted"
)

// Entry is one line of evidence: names and codes, nothing about a person.
type Entry struct {
	State     EvidenceState
	Policy    string
	Object    placement.Object
	Reason    reason.Code
	FirstSeen time.Time // when this manager saw it first
}

// Evidence keeps entries for an auditor. It must not lose one silently; the same entry may
// come again after the manager was started anew.
type Evidence interface {
	Record(ctx context.Context, e Entry)
}

// LogEvidence writes entries as structured log lines under the name evidence.
type LogEvidence struct{ Log logr.Logger }

// Record writes one line.
func (l LogEvidence) Record(_ context.Context, e Entry) {
	l.Log.WithName("evidence").Info("Placement", "state", e.State, "policy", e.Policy, "kind", e.Object.Kind, "namespace", e.Object.Namespace,
		"name", e.Object.Name, "reason", e.Reason, "firstSeen", e.FirstSeen.UTC().Format(time.RFC3339))
}

// book remembers what was recorded as outside, so that each finding is recorded once.
type book struct{ byPolicy[page] }

// page holds the findings of one policy, and when each was seen first.
type page map[finding]time.Time

type finding struct {
	object placement.Object
	reason reason.Code
}

// compare returns what is new and what is gone, and keeps the new page. What belongs to kinds
// that could not be read is neither.
func (b *book) compare(policy string, now page, unread map[placement.Kind]bool) (found, cleared page) {
	found, cleared = page{}, page{}
	before := b.get(policy) // one policy is looked at by one worker at a time
	for f, at := range now {
		if first, ok := before[f]; ok {
			now[f] = first
		} else {
			found[f] = at
		}
	}
	for f, at := range before {
		if _, ok := now[f]; ok {
			continue
		}
		if unread[f.object.Kind] {
			now[f] = at
		} else {
			cleared[f] = at
		}
	}
	b.put(policy, now)
	return found, cleared
}

// record writes what has changed since the last look.
func (r *PolicyReconciler) record(ctx context.Context, s *policyScope) {
	found, cleared := r.book.compare(s.policy.Name, s.page, s.unread)
	for f, at := range found {
		r.keep(ctx, Entry{EvidenceFound, s.policy.Name, f.object, f.reason, at})
	}
	for f, at := range cleared {
		r.keep(ctx, Entry{EvidenceCleared, s.policy.Name, f.object, f.reason, at})
	}
}

func (r *PolicyReconciler) keep(ctx context.Context, e Entry) {
	if r.Evidence != nil {
		r.Evidence.Record(ctx, e)
	}
}
