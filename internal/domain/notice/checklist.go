package notice

import (
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

// Articles: PIPL is the Personal Information Protection Law, NDSMR the Network Data Security
// Management Regulations, CHILD the Provisions on Cyber Protection of Children's Personal
// Information.
const (
	general  = "PIPL 17"
	provided = "PIPL 23"
	spi      = "PIPL 30"
	overseas = "PIPL 39"
	child    = "CHILD 10"
)

// checklist is law.md 3.4, row by row. An article stands where the table has an X, or says
// "advised". Rows that say something else about a recipient than about the processor have a
// line for each.
var checklist = []requirement{
	{"processor name", on{General: general, Under14: child}, "name the legal entity",
		once("processor.name", func(n Notice) bool { return words(n.Processor) })},
	{"processor contact", on{General: general, Under14: child}, "say how people reach it",
		once("processor.contact", func(n Notice) bool { return words(n.Contact) })},
	{"purpose", on{General: general, Spi: spi, Under14: child}, "explain the purpose in plain words",
		eachPurpose("description", func(p Purpose) bool { return p.Description.told() })},
	{"purpose of the recipient", on{Provided: provided, Overseas: overseas}, "list what the recipient uses the data for",
		eachRecipient("purposes", func(_ Facts, r Recipient) bool { return len(r.Purposes) > 0 })},
	{"method", on{General: general, Spi: spi, Under14: child}, "say how the data are processed",
		replaceable("method", func(n Notice) Text { return n.Method }, Notice.sensitive)},
	{"method of the recipient", on{Provided: provided, Overseas: overseas}, "say how the recipient processes the data", recipientMethod},
	{"categories", on{General: general, Spi: spi, Under14: child}, "list the data that the purpose needs",
		eachPurpose("categories", func(p Purpose) bool { return len(p.Categories) > 0 })},
	{"categories for the recipient", on{Provided: provided, Overseas: overseas}, "list the data that the recipient receives",
		eachRecipient("categories", func(_ Facts, r Recipient) bool { return len(r.Categories) > 0 })},
	{"retention", on{General: general, Overseas: overseas, Under14: child}, "say how long the data are kept",
		once("retentionDays", func(n Notice) bool { return n.RetentionDays > 0 })},
	{"rights", on{General: general + "; NDSMR 21", Under14: child}, "say which rights people have and how they use them",
		once("rights", func(n Notice) bool { return n.Rights.told() })},
	{"rights against the recipient", on{Overseas: overseas}, "say where people use their rights against the recipient",
		eachRecipient("rightsChannel", func(_ Facts, r Recipient) bool { return words(r.RightsChannel) })},
	{"recipient name", on{General: "NDSMR 21", Provided: provided, Overseas: overseas, Under14: child}, "name the legal entity",
		eachRecipient("displayName", func(_ Facts, r Recipient) bool { return words(r.DisplayName) })},
	{"recipient contact", on{General: "NDSMR 21", Provided: provided, Overseas: overseas, Under14: child}, "say how people reach it",
		eachRecipient("contact", func(_ Facts, r Recipient) bool { return words(r.Contact) })},
	{"necessity", on{Spi: spi}, "say why the purpose cannot do without sensitive data",
		eachPurpose("sensitive.necessity", func(p Purpose) bool { return p.Necessity.told() })},
	{"impact", on{Spi: spi}, "say what the use of sensitive data means for the person",
		eachPurpose("sensitive.impact", func(p Purpose) bool { return p.Impact.told() })},
	{"necessity and impact for the recipient", on{Spi: spi}, "list the sensitive data under a purpose with `sensitive`, or do not hand them over",
		eachRecipient("categories", explained)},
	{"storage place", on{Overseas: overseas, Under14: child}, "say where the data rest",
		once("storagePlace", func(n Notice) bool { return words(n.StoragePlace) })},
	{"safeguards", on{Overseas: overseas, Under14: child}, "say how the data are protected",
		replaceable("safeguards", func(n Notice) Text { return n.Safeguards }, Notice.children)},
	{"refusal", on{General: "PIPL 16", Under14: child}, "say what follows when somebody refuses",
		once("refusal", func(n Notice) bool { return n.Refusal.told() })},
	{"complaints", on{General: "NDSMR 20", Under14: child}, "say where people can complain",
		replaceable("complaints", func(n Notice) Text { return n.Complaints }, Notice.children)},
	{"automated decision", on{General: "PIPL 24"}, "say by which principle people are selected, and how to object", automatedDecision},
}

type on = map[Column]string

// recipientMethod: the standard text tells how data are handed over; what a recipient does
// with sensitive data only its own words can tell.
func recipientMethod(f Facts) []place {
	out := eachRecipient("method", func(_ Facts, r Recipient) bool { return r.Method.told() })(f)
	for i, r := range f.Recipients {
		out[i].standard = !sensitive(r.Categories)
	}
	return out
}

// automatedDecision is asked for only where people are selected by a score.
func automatedDecision(f Facts) []place {
	if !f.automated() {
		return nil
	}
	return replaceable("automatedDecision", func(n Notice) Text { return n.AutomatedDecision }, func(Notice) bool { return false })(f)
}

// explained tells whether every sensitive category that a recipient gets stands under a
// purpose, where necessity and impact are told.
func explained(f Facts, r Recipient) bool {
	return !slices.ContainsFunc(r.Categories, func(c string) bool {
		return law.Sensitive(c) && !slices.ContainsFunc(f.Purposes, func(p Purpose) bool { return slices.Contains(p.Categories, c) })
	})
}
