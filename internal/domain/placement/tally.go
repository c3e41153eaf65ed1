package placement

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// Kind is the kind of an object that is judged.
type Kind string

// Kinds, the gravest first: what rests outside stays outside, what runs there can be
// stopped, and a label is only a promise.
const (
	Volume          Kind = "PersistentVolume"
	SnapshotContent Kind = "VolumeSnapshotContent"
	BackupObject    Kind = "Backup"
	ScheduleObject  Kind = "Schedule"
	RestoreObject   Kind = "Restore"
	Claim           Kind = "PersistentVolumeClaim"
	Snapshot        Kind = "VolumeSnapshot"
	Pod             Kind = "Pod"
	Node            Kind = "Node"
)

// Kinds lists them in this order.
func Kinds() []Kind {
	return []Kind{Volume, SnapshotContent, BackupObject, ScheduleObject, RestoreObject, Claim, Snapshot, Pod, Node}
}

// Object names one object.
type Object struct {
	Kind            Kind
	Namespace, Name string
}

// Outside is an object that is outside, and why.
type Outside struct {
	Object

	Reason  reason.Code
	Message string
}

// Count is a number of objects outside.
type Count struct {
	Kind   Kind
	Reason reason.Code // empty: of every reason
	N      int
}

// Tally counts what is outside and keeps the worst of it.
type Tally struct {
	keep   int
	counts map[Kind]map[reason.Code]int
	worst  []Outside // at most keep, the gravest first
	ranks  map[Kind]int
}

// NewTally makes an empty tally that keeps the worst few.
func NewTally(keep int) *Tally {
	t := &Tally{keep: keep, counts: map[Kind]map[reason.Code]int{}, ranks: map[Kind]int{}}
	for i, k := range Kinds() {
		t.ranks[k] = i
	}
	return t
}

// Add counts one object.
func (t *Tally) Add(o Outside) {
	t.count(o.Kind, o.Reason, 1)
	if len(t.worst) == t.keep && t.compare(o, t.worst[t.keep-1]) >= 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(t.worst, o, t.compare)
	t.worst = slices.Insert(t.worst, i, o)
	t.worst = t.worst[:min(len(t.worst), t.keep)]
}

// Carry takes over what was known of a kind that cannot be read now: n objects, of which a
// few are known by name.
func (t *Tally) Carry(kind Kind, n int, known []Outside) {
	why := reason.RegionUnknown
	for _, o := range known {
		t.Add(o)
		why, n = o.Reason, n-1
	}
	if n > 0 {
		t.count(kind, why, n)
	}
}

func (t *Tally) count(kind Kind, why reason.Code, n int) {
	if t.counts[kind] == nil {
		t.counts[kind] = map[reason.Code]int{}
	}
	t.counts[kind][why] += n
}

func (t *Tally) compare(a, b Outside) int {
	return cmp.Or(cmp.Compare(t.ranks[a.Kind], t.ranks[b.Kind]), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// Worst returns the gravest, sorted.
func (t *Tally) Worst() []Outside { return t.worst }

// Total is the number of all.
func (t *Tally) Total() (n int) {
	for _, c := range t.ByKind() {
		n += c.N
	}
	return n
}

// ByKind counts by kind, the gravest first. Kinds without any are left out.
func (t *Tally) ByKind() (out []Count) {
	for _, c := range t.ByReason() {
		if last := len(out) - 1; last >= 0 && out[last].Kind == c.Kind {
			out[last].N += c.N
			continue
		}
		out = append(out, Count{Kind: c.Kind, N: c.N})
	}
	return out
}

// ByReason counts by kind and reason, sorted.
func (t *Tally) ByReason() (out []Count) {
	for kind, reasons := range t.counts {
		for why, n := range reasons {
			out = append(out, Count{kind, why, n})
		}
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(t.ranks[a.Kind], t.ranks[b.Kind]), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	return out
}
