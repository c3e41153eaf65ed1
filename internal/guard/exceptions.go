package guard

import (
	"cmp"
	"slices"
	"strings"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// ExceptionAnnotation names the ResidencyException by which an object passes: it is put on
// the object by whom the exception names, and passed on from templates by the cluster's
// controllers, so that whoever reads the object sees why it was let pass.
const ExceptionAnnotation = "residency.maodian.dev/exception"

// Exception lets named people do in named namespaces, for a time, what a topic refuses.
type Exception struct {
	Name       string
	Users      []string
	Namespaces []string
	Topics     []string
	NotAfter   time.Time
}

// LongestException is what an exception may last. The guard asks the same of who grants one;
// an object older than the guard is held to it by InForce.
const LongestException = 24 * time.Hour

// TooLong tells whether an exception lasts longer than any may.
func TooLong(e *residencyv1.ResidencyException) bool {
	return e.Spec.NotAfterTime.Sub(e.CreationTimestamp.Time) > LongestException
}

// InForce returns the exceptions of a policy that its guard honours now, and when the first of
// them ends; a zero time where there is none.
func InForce(list []residencyv1.ResidencyException, policy string, now time.Time) (out []Exception, end time.Time) {
	for i := range list {
		e := &list[i]
		until := e.Spec.NotAfterTime.Time
		if e.Spec.PolicyName != policy || !e.DeletionTimestamp.IsZero() || TooLong(e) || !now.Before(until) {
			continue
		}
		topics := make([]string, len(e.Spec.Topics))
		for i, t := range e.Spec.Topics {
			topics[i] = string(t)
		}
		out = append(out, Exception{Name: e.Name, Users: e.Spec.Users, Namespaces: e.Spec.Namespaces, Topics: topics, NotAfter: until})
		if end.IsZero() || until.Before(end) {
			end = until
		}
	}
	return out, end
}

// Excusable are the topics from which an exception can be made. Where data rest, run and are
// copied to is not among them: no exception moves data outside.
var Excusable = []string{
	"config-maps", "copies", "images", "interactive", "network-policies", "own-kinds", "personal-data", "pod-endpoints", "pod-host", "roles", "services", "tokens",
}

func sorted(exceptions []Exception) []Exception {
	out := slices.Clone(exceptions)
	slices.SortFunc(out, func(a, b Exception) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// excepted is true for whom an exception lets pass. A request with an object needs the
// annotation on it. What is created is dated by the API server, so that an exception ends in
// time even while the manager is down; a request without an object ends with the text. It is
// empty where nothing is excepted.
func (c compiler) excepted(topic string) string {
	var ways []string
	for _, e := range c.exceptions {
		if !slices.Contains(e.Topics, topic) {
			continue
		}
		user := "request.userInfo.username in " + list(e.Users)
		until := "timestamp(" + quote(e.NotAfter.UTC().Format(time.RFC3339)) + ")"
		who := "(" + quote(e.Name) + " in " + carried(topic) + " && (" + user + " || " + clusterControllers +
			") && (request.operation != 'CREATE' || object == null || timestamp(dyn(object.metadata).?creationTimestamp.orValue('9999-01-01T00:00:00Z')) < " + until + "))"
		if topic == "interactive" || topic == "tokens" { // requests about an object, not with one
			who = "(" + user + " && " + c.breaksGlass() + ")"
		}
		ways = append(ways, "(request.namespace in "+list(slices.Sorted(slices.Values(e.Namespaces)))+" && "+who+")")
	}
	return strings.Join(ways, " ||\n")
}

// carried reads the annotation; of what makes pods, in the template too, since that is what
// the pods will carry.
func carried(topic string) string {
	of := func(path string) string {
		return "dyn(object)." + path + "?metadata.?annotations[?" + quote(ExceptionAnnotation) + "].orValue('')"
	}
	if !slices.Contains([]string{"images", "pod-endpoints", "pod-host"}, topic) {
		return "[" + of("") + "]"
	}
	return "[" + of("") + ", " + of("?template.") + ", " + of("?spec.?template.") + ", " + of("?spec.?jobTemplate.?spec.?template.") + "]"
}

// exceptionMarks keeps the annotation in the hands of those whom the exception names.
func (c compiler) exceptionMarks() topic {
	const key = `"` + ExceptionAnnotation + `"`
	var granted []string
	for _, e := range c.exceptions {
		granted = append(granted, "(variables.now[i] == "+quote(e.Name)+" && request.userInfo.username in "+list(e.Users)+")")
	}
	granted = append(granted, clusterControllers)
	in := func(object string) string {
		var at []string
		for _, path := range []string{"", "?template.", "?spec.?template.", "?spec.?jobTemplate.", "?spec.?jobTemplate.?spec.?template."} {
			at = append(at, "dyn("+object+")."+path+"?metadata.?annotations[?"+key+"].orValue('')")
		}
		return "[" + strings.Join(at, ", ") + "]"
	}
	return topic{
		name:  "exceptions",
		where: governed,
		resources: []rule{
			{"", write, []string{"pods", "services", "secrets", "configmaps", "replicationcontrollers", "podtemplates"}},
			{"apps", write, []string{"deployments", "replicasets", "statefulsets", "daemonsets"}},
			{"batch", write, []string{"jobs", "cronjobs"}},
			{"networking.k8s.io", write, []string{"networkpolicies"}},
			{"rbac.authorization.k8s.io", write, []string{"rolebindings"}},
		},
		conditions: []named{{"annotated", "has(object.metadata.annotations) || " +
			"['template', 'spec'].exists(f, dyn(object)[?f].hasValue() && request.kind.kind != 'Pod')"}},
		variables: []named{
			{"now", in("object")},
			{"before", "request.operation == 'CREATE' ? ['', '', '', '', ''] : " + in("oldObject")},
		},
		checks: []check{{
			reason.ExceptionNotGranted, "[0, 1, 2, 3, 4].all(i, variables.now[i] in ['', variables.before[i]] || " + strings.Join(granted, " || ") + ")",
			"'the annotation " + ExceptionAnnotation + " names no exception in force for you: ask an attestor for a ResidencyException'",
		}},
	}
}

// exceptionObjects are granted by attestors, to others, and for a day at most.
func (c compiler) exceptionObjects() topic {
	return topic{
		name:       "exception-objects",
		resources:  []rule{{"residency.maodian.dev", []arv1.OperationType{arv1.Create, arv1.Update}, []string{"residencyexceptions"}}},
		conditions: []named{{"of-this-policy", "object.?spec.?policyName.orValue('') == " + quote(c.policy)}, changed},
		variables: []named{
			{"end", "timestamp(object.?spec.?notAfterTime.orValue('1970-01-01T00:00:00Z'))"},
			{"begin", "timestamp(object.metadata.creationTimestamp)"},
		},
		checks: []check{
			{reason.ExceptionNotGranted, c.attests(), "'an exception is granted by an attestor'"},
			{reason.ExceptionNotGranted, "!(request.userInfo.username in object.spec.?users.orValue([]))", "'an exception is granted to somebody else than who grants it'"},
			{reason.ExceptionNotGranted, "variables.end > variables.begin && variables.end - variables.begin <= duration('24h')",
				"'`notAfterTime` must be within 24 hours of the object\\'s creation'"},
		},
	}
}

// attests is true for members of an attestor group.
func (c compiler) attests() string {
	return "request.userInfo.?groups.orValue([]).exists(g, g in " + list(c.attestors) + ")"
}
