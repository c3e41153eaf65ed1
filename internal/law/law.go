// Package law holds the rule packs that Maodian knows, as data, and hands them to the
// decisions as plain structs. A pack that is wrong or incomplete does not load: the program
// does not start, rather than decide by half the law.
package law

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

//go:embed packs/*.yaml calendar.yaml
var files embed.FS

// loaded parses the packs once; what is embedded was tested, so that it cannot fail.
var loaded = sync.OnceValue(func() map[string]*law.Pack {
	packs, err := load()
	if err != nil {
		panic(err)
	}
	return packs
})

// Named returns a pack, nil when there is none of this name.
func Named(name string) *law.Pack { return loaded()[name] }

// Names lists the packs, the oldest first.
func Names() []string { return slices.Sorted(maps.Keys(loaded())) }

// Newest returns the pack that came into force last.
func Newest() *law.Pack {
	return slices.MaxFunc(slices.Collect(maps.Values(loaded())), func(a, b *law.Pack) int { return a.From.Compare(b.From) })
}

func load() (map[string]*law.Pack, error) {
	entries, err := files.ReadDir("packs")
	if err != nil {
		return nil, fmt.Errorf("list rule packs: %w", err)
	}
	body, err := files.ReadFile("calendar.yaml")
	if err != nil {
		return nil, fmt.Errorf("read calendar: %w", err)
	}
	calendar, err := ParseCalendar(body)
	if err != nil {
		return nil, err
	}
	out := map[string]*law.Pack{}
	for _, e := range entries {
		body, err := files.ReadFile("packs/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read rule pack: %w", err)
		}
		p, err := Parse(body)
		if err != nil {
			return nil, err
		}
		if p.Name+".yaml" != e.Name() {
			return nil, fmt.Errorf("%w: `name` %s stands in %s", ErrPack, p.Name, e.Name())
		}
		p.Calendar = calendar
		out[p.Name] = p
	}
	return out, nil
}
