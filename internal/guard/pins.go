package guard

import (
	arv1 "k8s.io/api/admissionregistration/v1"
)

// pins write the attested label into nodeSelector, which is ANDed with everything else, and
// the region into every nodeSelectorTerm, because terms are ORed.
func (c compiler) pins() []pin {
	if c.minor < mutatingPolicies {
		return nil
	}
	return []pin{c.pinPods(), c.pinDaemonSets()}
}

func (c compiler) pinPods() pin {
	return pin{
		name:      "pin-pods",
		resources: rule{"", []arv1.OperationType{arv1.Create}, []string{"pods"}},
		unpinned:  append(c.unpinned("object.spec"), c.unpinnedTerms()),
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
		patches: append([]string{patchSelector("object.spec", "/spec"), patchTerms}, c.patchTolerations("object.spec", "/spec")...),
	}
}

// pinDaemonSets pins the template: its controller chooses nodes by the template, and would
// make pods only for nodes abroad, where they could never run.
func (c compiler) pinDaemonSets() pin {
	return pin{
		name:      "pin-daemonsets",
		resources: rule{"apps", []arv1.OperationType{arv1.Create, arv1.Update}, []string{"daemonsets"}},
		unpinned:  c.unpinned("object.spec.template.spec"),
		variables: []named{{"key", quote(c.labelKey)}, {"jurisdiction", quote(c.jurisdiction)}},
		patches:   append([]string{patchSelector("object.spec.template.spec", "/spec/template/spec")}, c.patchTolerations("object.spec.template.spec", "/spec/template/spec")...),
	}
}

// unpinned tells that a spec lacks the pin. The API server calls again what has changed a pod,
// and reads and writes the whole pod each time: the second time there is nothing to do.
func (c compiler) unpinned(spec string) []string {
	out := []string{"!(" + quote(c.labelKey) + " in " + spec + ".?nodeSelector.orValue({}))"}
	if c.exclusive {
		out = append(out, "!"+spec+".?tolerations.orValue([]).exists(t, t.?key.orValue('') == "+quote(TaintKey(c.jurisdiction))+")")
	}
	return out
}

// unpinnedTerms tells that a nodeSelectorTerm of a pod lacks the region, or that there is none.
func (c compiler) unpinnedTerms() string {
	const terms = "object.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])"
	return "size(" + terms + ") == 0 || !" + terms + ".all(t, t.?matchExpressions.orValue([]).exists(e, e.key == " + quote(regionKey) +
		" && e.operator == 'In' && e.values.all(v, v in " + list(c.regions) + ")))"
}

// patchSelector adds the pin, and leaves a contradicting value to the validation.
func patchSelector(spec, path string) string {
	return `!has(` + spec + `.nodeSelector) ?
  [JSONPatch{op: "add", path: "` + path + `/nodeSelector", value: {variables.key: variables.jurisdiction}}] :
(variables.key in ` + spec + `.nodeSelector) ? [] :
  [JSONPatch{op: "add", path: "` + path + `/nodeSelector/" + jsonpatch.escapeKey(variables.key), value: variables.jurisdiction}]`
}

// patchTolerations lets onto the nodes that the policy keeps for itself: a DaemonSet without
// it would make no pod there at all (leaks.md F3).
func (c compiler) patchTolerations(spec, path string) []string {
	if !c.exclusive {
		return nil
	}
	toleration := `{"key": ` + quote(TaintKey(c.jurisdiction)) + `, "operator": "Exists", "effect": "NoSchedule"}`
	return []string{`!has(` + spec + `.tolerations) ?
  [JSONPatch{op: "add", path: "` + path + `/tolerations", value: [` + toleration + `]}] :
` + spec + `.tolerations.exists(t, t.?key.orValue("") == ` + quote(TaintKey(c.jurisdiction)) + `) ? [] :
  [JSONPatch{op: "add", path: "` + path + `/tolerations/-", value: ` + toleration + `}]`}
}

// copied writes out requirements of a term: once a match condition has looked at the object, the
// API server (1.37) cannot write what it read from it into a patch.
func copied(requirements string) string {
	return "has(" + requirements + ") ? " + requirements + `.map(e, dyn({"key": dyn(string(e.key)), "operator": dyn(string(e.operator)), "values": dyn(has(e.values) ? e.values.map(v, string(v)) : [])})) : []`
}

// patchTerms adds the region to every term that does not require one already.
var patchTerms = `variables.hasRequired ?
  [JSONPatch{op: "replace",
    path: "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    value: object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.map(t, dyn({
      "matchFields": dyn(` + copied("t.matchFields") + `),
      "matchExpressions": dyn((` + copied("t.matchExpressions") + `) +
        (has(t.matchExpressions) && t.matchExpressions.exists(e, e.key == variables.regionKey && e.operator == "In" && e.values.all(v, v in variables.regions)) ? [] : [dyn(variables.region)]))
    }))}] :
variables.hasNodeAffinity ?
  [JSONPatch{op: "add", path: "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution", value: variables.required}] :
variables.hasAffinity ?
  [JSONPatch{op: "add", path: "/spec/affinity/nodeAffinity", value: {"requiredDuringSchedulingIgnoredDuringExecution": variables.required}}] :
  [JSONPatch{op: "add", path: "/spec/affinity", value: {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": variables.required}}}]`
