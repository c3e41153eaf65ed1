package guard

import (
	arv1 "k8s.io/api/admissionregistration/v1"
)

// pins write the attested label into nodeSelector, which is ANDed with everything else, and
// the region into every nodeSelectorTerm, because terms are ORed.
func (c compiler) pins() []pin {
	return []pin{c.pinPods(), c.pinDaemonSets()}
}

func (c compiler) pinPods() pin {
	return pin{
		name:      "pin-pods",
		resources: rule{"", []arv1.OperationType{arv1.Create}, []string{"pods"}},
		variables: []named{
			{"key", quote(c.labelKey)},
			{"jurisdiction", quote(c.jurisdiction)},
			{"regionKey", quote(regionKey)},
			{"regions", list(c.regions)},
			{"hasAffinity", "has(object.spec.affinity)"},
			{"hasNodeAffinity", "variables.hasAffinity && has(object.spec.affinity.nodeAffinity)"},
			{"hasRequired", "variables.hasNodeAffinity && has(object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution)"},
			{"region", `{"key": dyn(variables.regionKey), "operator": dyn("In"), "values": dyn(variables.regions)}`},
			{"required", `{"nodeSelectorTerms": [{"matchExpressions": [variables.region]}]}`},
		},
		patches: []string{patchSelector("object.spec", "/spec"), patchTerms},
	}
}

// pinDaemonSets pins the template: its controller chooses nodes by the template, and would
// make pods only for nodes abroad, where they could never run.
func (c compiler) pinDaemonSets() pin {
	return pin{
		name:      "pin-daemonsets",
		resources: rule{"apps", []arv1.OperationType{arv1.Create, arv1.Update}, []string{"daemonsets"}},
		variables: []named{{"key", quote(c.labelKey)}, {"jurisdiction", quote(c.jurisdiction)}},
		patches:   []string{patchSelector("object.spec.template.spec", "/spec/template/spec")},
	}
}

// patchSelector adds the pin, and leaves a contradicting value to the validation.
func patchSelector(spec, path string) string {
	return `!has(` + spec + `.nodeSelector) ?
  [JSONPatch{op: "add", path: "` + path + `/nodeSelector", value: {variables.key: variables.jurisdiction}}] :
(variables.key in ` + spec + `.nodeSelector) ? [] :
  [JSONPatch{op: "add", path: "` + path + `/nodeSelector/" + jsonpatch.escapeKey(variables.key), value: variables.jurisdiction}]`
}

const patchTerms = `variables.hasRequired ?
  [JSONPatch{op: "replace",
    path: "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    value: object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.map(t,
      (has(t.matchExpressions) && t.matchExpressions.exists(e, e.key == variables.regionKey && e.operator == "In" && e.values.all(v, v in variables.regions))) ? dyn(t) :
      dyn({
        "matchFields": has(t.matchFields) ? dyn(t.matchFields) : dyn([]),
        "matchExpressions": has(t.matchExpressions) ? dyn(t.matchExpressions + [dyn(variables.region)]) : dyn([variables.region])
      }))}] :
variables.hasNodeAffinity ?
  [JSONPatch{op: "add", path: "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution", value: variables.required}] :
variables.hasAffinity ?
  [JSONPatch{op: "add", path: "/spec/affinity/nodeAffinity", value: {"requiredDuringSchedulingIgnoredDuringExecution": variables.required}}] :
  [JSONPatch{op: "add", path: "/spec/affinity", value: {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": variables.required}}}]`

// podPlacement refuses what the pin cannot mend, in pods and early in their templates.
func (c compiler) podPlacement() topic {
	write := []arv1.OperationType{arv1.Create, arv1.Update}
	return topic{
		name:     "pod-placement",
		governed: true,
		resources: []rule{
			{"", write, []string{"pods", "replicationcontrollers", "podtemplates"}},
			{"apps", write, []string{"deployments", "replicasets", "statefulsets", "daemonsets"}},
			{"batch", write, []string{"jobs", "cronjobs"}},
		},
		// an object older than the policy must still lose its finalizers
		conditions: []named{{"spec-changed", "request.operation == 'CREATE' || request.kind.kind == 'PodTemplate' || object.spec != oldObject.spec"}},
		variables: []named{
			{"key", quote(c.labelKey)},
			{"jurisdiction", quote(c.jurisdiction)},
			{"regionKey", quote(regionKey)},
			{"regions", list(c.regions)},
			{"schedulers", list(c.schedulers)},
			{"spec", `request.kind.kind == 'Pod' ? object.spec :
request.kind.kind == 'CronJob' ? object.spec.jobTemplate.spec.template.spec :
request.kind.kind == 'PodTemplate' ? object.template.spec : object.spec.template.spec`},
			{"isPod", "request.kind.kind == 'Pod'"},
			{"pinned", "variables.spec.?nodeSelector[?variables.key].orValue('')"},
			{"terms", "variables.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])"},
		},
		checks: []check{
			{"request.operation != 'CREATE' || variables.spec.?nodeName.orValue('') == ''",
				"'`spec.nodeName` may not be set by hand: leave the node to the scheduler'"},
			{"variables.isPod || request.kind.kind == 'DaemonSet' ? variables.pinned == variables.jurisdiction : variables.pinned in ['', variables.jurisdiction]",
				"'`nodeSelector` ' + variables.key + ' must be ' + variables.jurisdiction + ', not \"' + variables.pinned + '\": leave it out'"},
			{`!variables.isPod || (size(variables.terms) > 0 && variables.terms.all(t, t.?matchExpressions.orValue([]).exists(e,
  e.key == variables.regionKey && e.operator == 'In' && e.values.all(v, v in variables.regions))))`,
				"'every nodeSelectorTerm must require one of the regions ' + variables.regions.join(', ') + ', because terms are ORed'"},
			{"variables.spec.?schedulerName.orValue('default-scheduler') in variables.schedulers",
				"'`schedulerName` must be one of ' + variables.schedulers.join(', ')"},
		},
	}
}

// binding closes the ways around the scheduler. The API server has written the node's own
// region into the binding before this is evaluated, except where the node is unknown or
// has no region: hence the rule on who may bind.
func (c compiler) binding() topic {
	return topic{
		name:      "binding",
		governed:  true,
		resources: []rule{{"", []arv1.OperationType{arv1.Create}, []string{"pods/binding", "bindings"}}},
		variables: []named{
			{"regions", list(c.regions)},
			{"labels", "object.?metadata.?labels.orValue({})"},
			{"region", "variables.labels[?" + quote(regionKey) + "].orValue('')"},
		},
		checks: []check{
			{"request.?subResource.orValue('') == 'binding'", "'the legacy resource bindings is closed: use pods/binding'"},
			{"request.userInfo.username == " + quote(schedulerUser), "'only the scheduler may bind pods, not ' + request.userInfo.username"},
			{"variables.region in variables.regions", "'node ' + object.target.name + ' lies in region \"' + variables.region + '\", which the policy does not list'"},
			{"variables.labels.all(k, k in " + list([]string{regionKey, zoneKey}) + ")", "'a binding may not rewrite labels of the pod'"},
		},
	}
}

// nodes keeps the attested label in the hands of the manager and the attestors. The status
// subresource writes labels too.
func (c compiler) nodes() topic {
	return topic{
		name:      "nodes",
		resources: []rule{{"", []arv1.OperationType{arv1.Create, arv1.Update}, []string{"nodes", "nodes/status"}}},
		variables: []named{
			{"key", quote(c.labelKey)},
			{"now", "object.metadata.?labels[?variables.key].orValue('')"},
			{"before", "request.operation == 'CREATE' ? '' : oldObject.metadata.?labels[?variables.key].orValue('')"},
			{"mayAttest", "request.userInfo.username == " + quote(c.manager) + " || request.userInfo.?groups.orValue([]).exists(g, g in " + list(c.attestors) + ")"},
		},
		checks: []check{
			{"variables.now == variables.before || variables.mayAttest", "'the node label ' + variables.key + ' is written by the manager and the attestors only'"},
		},
	}
}

// namespaces keeps the mark, and with the namespace its data. A selector would look at the
// new labels only and miss the request that removes the mark.
func (c compiler) namespaces() topic {
	return topic{
		name: "namespaces",
		resources: []rule{{"", []arv1.OperationType{arv1.Update, arv1.Delete},
			[]string{"namespaces", "namespaces/status", "namespaces/finalize"}}},
		conditions: []named{{"governed", "oldObject.metadata.?labels[?" + quote(policyLabel) + "].orValue('') == " + quote(c.policy)}},
		variables: []named{
			{"now", "request.operation == 'DELETE' ? '' : object.metadata.?labels[?" + quote(policyLabel) + "].orValue('')"},
			{"attestor", "request.userInfo.?groups.orValue([]).exists(g, g in " + list(c.attestors) + ")"},
		},
		checks: []check{
			{"request.operation == 'DELETE' || variables.now == " + quote(c.policy) + " || variables.attestor",
				"'the label " + policyLabel + " of a governed namespace is changed by an attestor only'"},
			{"request.operation != 'DELETE' || variables.attestor",
				"'a governed namespace is deleted by an attestor only, since its data goes with it'"},
		},
	}
}
