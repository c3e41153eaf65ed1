package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const templateHead = `# What only a running store knows, for kubectl maodian decide --facts. What is left out
# counts as unknown, and refuses. Numbers of distinct people; never a person.

# The moment to decide for, so that the answer is the same tomorrow; --now wins over it.
# Left out: the clock.
# now: "2026-11-23T16:00:00+08:00"

# How many people's records left this year, of everybody whom the processor
# (spec.processor.name of the ResidencyPolicy) sends from: the ResidencyPolicy's
# status.transferCounters. Write 19 for <20, and 0 only where you know it is 0.
# The larger one counts where a store has a number, too.
processors:
%s
# By <namespace>/<name of the ConsentStore>, and under it by recipient.
stores:
%s`

const templateProcessor = `  %s:
    # year: {nonSensitive: 0, sensitive: 0}
`

const templateStore = `  %s:
    # The same for this store alone.
    # year: {nonSensitive: 0, sensitive: 0}
    recipients:
`

const templateRecipient = `      %s:
        # How many agreed to this recipient and purpose, under the present notice.
        # consenting: 0
        # Of them, under 14: everything about those is sensitive.
        # young: 0
        # Why others are left out, by code (docs/law, effect Filter).
        # excluded: {ConsentMissing: 0}
        # Whose records this recipient got in the last twelve months, without this transfer.
        # recent: {nonSensitive: 0, sensitive: 0}
`

// Template is a file of numbers to begin with, for the transfers of a set; everything in it
// is still unknown.
func Template(s *Set) string {
	processors, stores := map[string]bool{}, map[string]map[string]bool{}
	for _, p := range s.Policies {
		if name := p.Spec.Processor.Name; name != "" {
			processors[name] = true
		}
	}
	for _, t := range s.Transfers {
		key := t.Namespace + "/" + t.Spec.StoreRef.Name
		if stores[key] == nil {
			stores[key] = map[string]bool{}
		}
		stores[key][t.Spec.Recipient.Name] = true
	}
	if len(processors) == 0 {
		processors["acme-china"] = true
	}
	if len(stores) == 0 {
		stores["brand-cn/brand-store"] = map[string]bool{"acme-group-crm": true}
	}
	var a, b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(processors)) {
		fmt.Fprintf(&a, templateProcessor, key(name))
	}
	for _, store := range slices.Sorted(maps.Keys(stores)) {
		fmt.Fprintf(&b, templateStore, key(store))
		for _, recipient := range slices.Sorted(maps.Keys(stores[store])) {
			fmt.Fprintf(&b, templateRecipient, key(recipient))
		}
	}
	return fmt.Sprintf(templateHead, a.String(), b.String())
}

// key writes a name as YAML reads it back: names that need no quotes stay as they are.
func key(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-/") == "" && name != "" {
		return name
	}
	return fmt.Sprintf("%q", name)
}
