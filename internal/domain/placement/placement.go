// Package placement decides whether what belongs to governed namespaces lies inside, beside
// the nodes that package region decides about: copies of volumes and backups. It also
// counts what is outside, in space that does not grow with the number of objects. Whatever
// cannot be told counts as outside. It knows nothing of Kubernetes.
package placement

import (
	"path"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/region"
)

// Rules is what a ResidencyPolicy says about storage.
type Rules struct {
	Drivers     []string
	ClassPrefix string // begins every name of a class or backup location that is inside
}

// Class decides on the class that an object of this kind names.
func (r Rules) Class(kind Kind, class string) region.Verdict {
	switch {
	case class == "":
		return outside("the " + string(kind) + " names no class, so the cluster's default may serve it")
	case !strings.HasPrefix(class, r.ClassPrefix):
		return outside("class " + class + " does not begin with " + r.ClassPrefix)
	}
	return inside()
}

// Handle names a volume or snapshot at the storage that holds it.
type Handle struct{ Driver, ID string }

// Content is a snapshot as the storage holds it, and whose it is.
type Content struct {
	Namespace string // of the snapshot that it belongs to
	Driver    string
	Class     string
	Volume    string // handle of the volume that it was taken of; empty where somebody wrote the next by hand
	Given     string // handle of the snapshot, written by hand
	Made      string // handle of the snapshot, as the driver told it
}

// Handles are the volumes and snapshots of governed namespaces.
type Handles struct{ volumes, snapshots map[Handle]bool }

// NewHandles makes an empty set.
func NewHandles() Handles { return Handles{map[Handle]bool{}, map[Handle]bool{}} }

// AddVolume notes a governed volume.
func (h Handles) AddVolume(driver, id string) {
	if id != "" {
		h.volumes[Handle{driver, id}] = true
	}
}

// AddContent notes a snapshot that was taken of a volume for a governed namespace.
func (h Handles) AddContent(c Content) {
	if c.Volume != "" && c.Made != "" {
		h.snapshots[Handle{c.Driver, c.Made}] = true
	}
}

// Content decides on a snapshot of a governed namespace. A handle that was written by hand
// is only known where a snapshot of such a namespace has it.
func (r Rules) Content(c Content, known Handles) region.Verdict {
	switch {
	case !slices.Contains(r.Drivers, c.Driver):
		return outside("driver " + c.Driver + " is not in `spec.storage.drivers`")
	case c.Volume == "" && !known.snapshots[Handle{c.Driver, c.Given}]:
		return outside("the handle was written by hand, and no snapshot of a governed namespace has it")
	case c.Class == "" && c.Volume == "":
		return inside() // an import of a known handle needs no class
	}
	return r.Class(SnapshotContent, c.Class)
}

// Foreign decides on a snapshot of another namespace: it must not open what is governed.
func (r Rules) Foreign(c Content, known Handles) region.Verdict {
	for _, id := range []string{c.Given, c.Made} {
		if known.snapshots[Handle{c.Driver, id}] {
			return outside("it opens a snapshot of a governed namespace to namespace " + c.Namespace)
		}
	}
	if known.volumes[Handle{c.Driver, c.Volume}] {
		return outside("it copies a volume of a governed namespace for namespace " + c.Namespace)
	}
	return inside()
}

// Backup is what a backup takes, and where it goes.
type Backup struct {
	Included, Excluded []string // namespaces, with wildcards
	Location           string
}

// Backup decides on a backup: one that takes a governed namespace must go to a location
// that the policy's prefix names.
func (r Rules) Backup(b Backup, governed []string) region.Verdict {
	if b.Location != "" && strings.HasPrefix(b.Location, r.ClassPrefix) {
		return inside()
	}
	i := slices.IndexFunc(governed, b.takes)
	if i < 0 {
		return inside()
	}
	if b.Location == "" {
		return outside("it takes namespace " + governed[i] + " and names no storage location")
	}
	return outside("it takes namespace " + governed[i] + " to storage location " + b.Location + ", which does not begin with " + r.ClassPrefix)
}

// takes tells whether a backup holds a namespace. A pattern that cannot be read takes
// everything, and excludes nothing.
func (b Backup) takes(namespace string) bool {
	matches := func(broken bool) func(string) bool {
		return func(pattern string) bool {
			ok, err := path.Match(pattern, namespace)
			return ok || (err != nil && broken)
		}
	}
	included := len(b.Included) == 0 || slices.ContainsFunc(b.Included, matches(true))
	return included && !slices.ContainsFunc(b.Excluded, matches(false))
}

// Restore decides on a restore: a governed namespace may only come back as a governed one.
func (r Rules) Restore(mapping map[string]string, governed func(string) bool) region.Verdict {
	var from []string
	for source, target := range mapping {
		if governed(source) && !governed(target) {
			from = append(from, source)
		}
	}
	if len(from) == 0 {
		return inside()
	}
	first := slices.Min(from)
	return outside("it restores namespace " + first + " as " + mapping[first] + ", which the policy does not govern")
}

func inside() region.Verdict { return region.Verdict{Eligible: true, Reason: reason.AllChecksPassed} }

func outside(message string) region.Verdict {
	return region.Verdict{Reason: reason.StorageNotMainland, Message: message}
}
