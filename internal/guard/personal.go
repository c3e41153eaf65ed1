package guard

import (
	"maps"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// NotPersonalAnnotation says why a text that looks like personal data is none.
const NotPersonalAnnotation = "residency.maodian.dev/not-personal-data"

// Shapes of personal data, between characters that are no part of a word. A mainland mobile
// number has 11 digits from 13 on, with or without 86 before them; a resident identity number
// 18 with a date of birth and a check digit (GB 11643); an openid or unionid 28 characters
// from o on. Digits behind a decimal point are part of a number.
const (
	phoneShape = `(^|[^0-9A-Za-z.]|(^|[^0-9])[.])((00|[+])?86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}($|[^0-9A-Za-z])`
	idShape    = `^[1-9][0-9]{5}(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])[0-9]{3}[0-9Xx]$`
	mailShape  = `(://([^/@:\s]*:)?)?[A-Za-z0-9._%+-]+@([A-Za-z0-9-]+[.])+[A-Za-z]{2,}`
)

// How much is looked at: a longer text would cost more than the API server spends on a rule.
const (
	longest = "65536"
	largest = "262144" // together
)

// shapes tell each whether s, an expression for a text, holds one of them.
var shapes = []struct {
	name string
	in   func(s string) string
}{{"phones", phone}, {"identities", identity}, {"openids", openid}, {"mails", mail}}

func phone(s string) string { return s + ".matches(" + quote(phoneShape) + ")" }

// identity computes the check digit of every word of digits.
func identity(s string) string {
	const (
		weights = "[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]"
		places  = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]"
		rest    = places + ".map(i, int(d.substring(i, i + 1)) * " + weights + "[i]).sum() % 11"
	)
	return s + ".findAll('[0-9A-Za-z]{18,}').exists(d, d.matches(" + quote(idShape) + ") && '10X98765432'.substring(" + rest + ", " + rest + " + 1) == d.substring(17).upperAscii())"
}

// openid finds words with capital letters, which no name of Kubernetes has. The text of a
// certificate, in which chance writes such words, is left out.
func openid(s string) string {
	words := "(" + s + ".contains('-----BEGIN ') ? " + s + ".split('-----').filter(p, !p.matches(" + quote(`^[A-Za-z0-9+/=\\\s]*$`) + ")) : [" + s + "])"
	return words + ".exists(p, p.findAll('[A-Za-z0-9_-]{28,}').exists(m, size(m) == 28 && m.startsWith('o') && m.matches('[A-Z]') && m.matches('[a-z].*[a-z]') && m.matches('[0-9_-]')))"
}

// mail leaves out the user of a URL, of a repository and of a host of the cluster.
func mail(s string) string {
	return s + ".findAll(" + quote(mailShape) + ").exists(m, !m.matches('^(://|git@)|[.](svc|local|internal)$'))"
}

// personal tells whether s holds any of them, but an address of e-mail.
func personal(s string) string {
	return "(" + phone(s) + " || " + identity(s) + " || " + openid(s) + ")"
}

// eachShape has one variable for each shape that some text holds: the API server bounds what
// one expression costs. some wraps the test of a text.
func eachShape(some func(test string) string, text string) (out []named, anywhere string) {
	var found []string
	for _, shape := range shapes {
		out = append(out, named{shape.name, some(shape.in(text))})
		found = append(found, "variables."+shape.name)
	}
	return out, strings.Join(found, " || ")
}

// looksPersonal says so of a place, and never what stands there.
func looksPersonal(place, shapes string) string {
	return say("%s looks like %s: %s", place, shapes, notPersonal)
}

const notPersonal = "personal data may not stand in the Kubernetes API. If it is none, say why in the annotation " + NotPersonalAnnotation + ", in 20 characters or more"

const someShape = "a phone number, an identity number, an openid or an e-mail address"

func explained(metadata string) string {
	return "size(" + metadata + ".?annotations[?" + quote(NotPersonalAnnotation) + "].orValue('').trim()) >= 20"
}

// personalData looks at what every object has: its name, labels and annotations, and those of
// the pods that it makes. Messages name the place and never the text (leaks.md L46, L71).
func (c compiler) personalData() topic {
	const makesPods = "(request.kind.group in ['apps', 'batch'] || request.kind.kind in ['ReplicationController', 'PodTemplate'])"
	ofTemplate := func(path string) string { return "dyn(object)." + path + "?metadata" }
	templates := strings.Join([]string{ofTemplate("?template."), ofTemplate("?spec.?template."), ofTemplate("?spec.?jobTemplate."), ofTemplate("?spec.?jobTemplate.?spec.?template.")}, ", ")
	some := func(field string) func(string) string { // of a label or an annotation, k of m
		return func(test string) string {
			return "variables.places.exists(m, m.?" + field + ".orValue({}).exists(k, " + test + "))"
		}
	}
	// kubectl keeps a copy of the object there: of our kinds, own-kinds looks at the texts
	// themselves, and knows that contacts of companies are none of a person
	const value = "(k == 'kubectl.kubernetes.io/last-applied-configuration' && request.kind.group.endsWith('.maodian.dev') ? '' : m.annotations[k])"
	inAnnotations, found := eachShape(some("annotations"), value)
	variables := append([]named{
		{"places", "([dyn(object.metadata)] + (" + makesPods + " ? [" + templates + "].filter(m, m.hasValue()).map(m, m.value()) : [])).filter(m, !(" + explained("m") + "))"},
		{"labelled", "variables.places.exists(m, size(m.?labels.orValue({})) > 0)"}, // most objects are quickly looked through
		{"annotated", "variables.places.exists(m, size(m.?annotations.orValue({})) > 0)"},
		{"inName", "!(" + explained("object.metadata") + ") && " + personal("object.metadata.?name.orValue('')")},
		{"inLabels", some("labels")(personal("m.labels[k]") + " || " + personal("k"))},
		{"inKeys", some("annotations")(personal("k"))},
		{"long", some("annotations")("size(" + value + ") > " + longest)},
	}, inAnnotations...)
	return topic{
		name:      "personal-data",
		where:     governed,
		resources: []rule{{"*", write, []string{"*"}}},
		conditions: []named{
			{"has-metadata", "object != null && has(object.metadata) && !(request.kind.kind in ['Event', 'Lease', 'EndpointSlice', 'Endpoints', 'TokenRequest', 'Binding', 'Eviction'])"},
			{"changed", "request.operation == 'CREATE' || object.metadata.?labels != oldObject.metadata.?labels || object.metadata.?annotations != oldObject.metadata.?annotations || " +
				"(" + makesPods + " && (dyn(object).?spec != dyn(oldObject).?spec || dyn(object).?template != dyn(oldObject).?template))"},
		},
		variables: variables,
		checks: []check{
			{reason.PersonalDataInSpec, "!variables.inName", looksPersonal("its name", "a phone number, an identity number or an openid")},
			{reason.PersonalDataInSpec, "!variables.labelled || !variables.inLabels", looksPersonal("a label", "a phone number, an identity number or an openid")},
			{reason.PersonalDataInSpec, "!variables.annotated || !variables.long", say("an annotation has more than 64 KiB, which is not looked at: %s", notPersonal)},
			{reason.PersonalDataInSpec, "!variables.annotated || variables.long || !(variables.inKeys || " + found + ")", looksPersonal("an annotation", someShape)},
		},
	}
}

// configMaps are read by many. What is too long to be looked at is refused too.
func (c compiler) configMaps() topic {
	const value = "object.data[k]"
	inData, found := eachShape(func(test string) string { return "variables.keys.exists(k, " + test + ")" }, value)
	variables := append([]named{
		{"keys", "object.?data.orValue({}).map(k, k)"}, // bytes cannot be looked at
		{"long", "variables.keys.exists(k, size(" + value + ") > " + longest + ")"},
		{"large", "variables.keys.map(k, size(" + value + ")).sum() > " + largest},
		{"inKeys", "variables.keys.exists(k, " + personal("k") + ")"},
	}, inData...)
	return topic{
		name:       "config-maps",
		where:      governed,
		resources:  []rule{{"", write, []string{"configmaps"}}},
		conditions: []named{{"changed", "request.operation == 'CREATE' || object.?data != oldObject.?data || dyn(object).?binaryData != dyn(oldObject).?binaryData"}, {"not-explained", "!(" + explained("object.metadata") + ")"}},
		variables:  variables,
		checks: []check{
			{reason.PersonalDataInSpec, "size(dyn(object).?binaryData.orValue({})) == 0",
				say("`binaryData` cannot be looked at: put text into `data`; if the bytes hold nothing of a person, say what they are in the annotation %s, in 20 characters or more", NotPersonalAnnotation)},
			{reason.PersonalDataInSpec, "!variables.long && !variables.large", say("`data` has a value of more than 64 KiB, or more than 256 KiB in all, which is not looked at: %s", notPersonal)},
			{reason.PersonalDataInSpec, "variables.long || variables.large || !(variables.inKeys || " + found + ")",
				looksPersonal("`data`", someShape)},
		},
	}
}

// texts are the fields of our kinds that people write freely. Contacts of companies are no
// personal data of the people in the store, so addresses of e-mail are not looked for there.
var texts = map[string][]string{
	"PushCampaign": {
		"object.?spec.?channel.?mass.?text.orValue('')", "object.?spec.?channel.?customerService.?text.orValue('')",
		"object.?spec.?channel.?subscription.?data.orValue({}).map(k, object.spec.channel.subscription.data[k]).join(' ')",
		"object.?spec.?channel.?template.?data.orValue({}).map(k, object.spec.channel.template.data[k]).join(' ')",
		"object.?spec.?channel.?subscription.?page.orValue('')", "object.?spec.?channel.?template.?page.orValue('')",
	},
	"Audience":     {"object.?spec.?expression.orValue('')"},
	"LeadModel":    {"object.?spec.?rules.orValue([]).map(r, r.?match.orValue('')).join(' ')"},
	"SendHold":     {"object.?spec.?reason.orValue('')"},
	"DataTransfer": {"object.?spec.?necessity.orValue('')", "object.?spec.?impactAssessment.?reference.orValue('')"},
	"TransferSchedule": {
		"object.?spec.?template.?spec.?necessity.orValue('')", "object.?spec.?template.?spec.?impactAssessment.?reference.orValue('')",
	},
}

// ownKinds looks at the free text of our kinds.
func (c compiler) ownKinds() topic {
	var found []string
	for _, kind := range slices.Sorted(maps.Keys(texts)) {
		var ways []string
		for _, t := range texts[kind] {
			ways = append(ways, personal(t)+" || "+mail(t))
		}
		found = append(found, "(request.kind.kind == "+quote(kind)+" && ("+strings.Join(ways, " || ")+"))")
	}
	return topic{
		name:  "own-kinds",
		where: governed,
		resources: []rule{
			{"marketing.maodian.dev", write, []string{"pushcampaigns", "audiences", "leadmodels", "sendholds"}},
			{"residency.maodian.dev", write, []string{"datatransfers", "transferschedules"}},
		},
		conditions: []named{changed, {"not-explained", "!(" + explained("object.metadata") + ")"}},
		checks: []check{{reason.PersonalDataInSpec, "!(" + strings.Join(found, " || ") + ")",
			looksPersonal("a text in `spec`", someShape)}},
	}
}
