package placement

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/domain/reason"
)

var rules = Rules{Drivers: []string{"d"}, ClassPrefix: "cn-"}

func TestClassesBeginWithThePrefix(t *testing.T) {
	for class, want := range map[string]bool{"cn-fast": true, "": false, "fast": false, "xcn-fast": false, "cn": false} {
		if got := rules.Class(Claim, class); got.Eligible != want || (!want && got.Reason != reason.StorageNotMainland) {
			t.Errorf("class %q: %+v", class, got)
		}
	}
}

func TestASnapshotsContentIsInsideWhenItsOriginIsKnown(t *testing.T) {
	known := NewHandles()
	known.AddVolume("d", "vol")
	known.AddContent(Content{Driver: "d", Volume: "vol", Made: "snap"})
	known.AddContent(Content{Driver: "d", Given: "import", Made: "import"}) // by hand: proves nothing
	for name, c := range map[string]struct {
		content Content
		want    bool
	}{
		"taken of a volume, of a class with the prefix": {Content{Driver: "d", Class: "cn-s", Volume: "vol", Made: "snap"}, true},
		"another driver":                        {Content{Driver: "e", Class: "cn-s", Volume: "vol"}, false},
		"a class without the prefix":            {Content{Driver: "d", Class: "copies", Volume: "vol"}, false},
		"no class":                              {Content{Driver: "d", Volume: "vol"}, false},
		"a handle that a governed snapshot has": {Content{Driver: "d", Given: "snap"}, true},
		"the same, but with a foreign class":    {Content{Driver: "d", Given: "snap", Class: "copies"}, false},
		"a handle that nobody knows":            {Content{Driver: "d", Given: "import", Class: "cn-s"}, false},
		"no handle at all":                      {Content{Driver: "d", Class: "cn-s"}, false},
	} {
		if got := rules.Content(c.content, known); got.Eligible != c.want || (got.Message == "") != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestASnapshotOfAnotherNamespaceMustNotOpenWhatIsGoverned(t *testing.T) {
	known := NewHandles()
	known.AddVolume("d", "vol")
	known.AddVolume("d", "")
	known.AddContent(Content{Driver: "d", Volume: "vol", Made: "snap"})
	for name, c := range map[string]struct {
		content Content
		want    bool
	}{
		"of its own volume":                      {Content{Namespace: "n", Driver: "d", Volume: "theirs", Made: "their-snap"}, true},
		"an import of its own":                   {Content{Namespace: "n", Driver: "d", Given: "their-snap"}, true},
		"not ready yet":                          {Content{Namespace: "n", Driver: "d"}, true},
		"an import of a governed snapshot":       {Content{Namespace: "n", Driver: "d", Given: "snap"}, false},
		"the driver told a governed snapshot":    {Content{Namespace: "n", Driver: "d", Volume: "theirs", Made: "snap"}, false},
		"of a governed volume":                   {Content{Namespace: "n", Driver: "d", Volume: "vol"}, false},
		"the same handle at another driver":      {Content{Namespace: "n", Driver: "e", Volume: "vol", Given: "snap"}, true},
		"a snapshot whose handle is as a volume": {Content{Namespace: "n", Driver: "d", Given: "vol"}, true},
	} {
		if got := rules.Foreign(c.content, known); got.Eligible != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestABackupThatTakesAGovernedNamespaceGoesToALocationOfThePolicy(t *testing.T) {
	for name, c := range map[string]struct {
		backup Backup
		want   bool
	}{
		"of another namespace":                    {Backup{Included: []string{"other"}, Location: "abroad"}, true},
		"to a location of the policy":             {Backup{Included: []string{"brand"}, Location: "cn-bj"}, true},
		"to another location":                     {Backup{Included: []string{"other", "brand"}, Location: "abroad"}, false},
		"to no location":                          {Backup{Included: []string{"brand"}}, false},
		"of everything, by saying nothing":        {Backup{Location: "abroad"}, false},
		"of everything, by a star":                {Backup{Included: []string{"*"}, Location: "abroad"}, false},
		"by a wildcard":                           {Backup{Included: []string{"br*"}, Location: "abroad"}, false},
		"by a pattern that nobody can read":       {Backup{Included: []string{"[br"}, Location: "abroad"}, false},
		"of everything but what is governed":      {Backup{Excluded: []string{"brand"}, Location: "abroad"}, true},
		"of everything but another":               {Backup{Excluded: []string{"other", "[br"}, Location: "abroad"}, false},
		"a location that only looks like one":     {Backup{Included: []string{"brand"}, Location: "not-cn-bj"}, false},
		"included and excluded: nothing is taken": {Backup{Included: []string{"brand"}, Excluded: []string{"br*"}, Location: "abroad"}, true},
	} {
		if got := rules.Backup(c.backup, []string{"brand"}); got.Eligible != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := rules.Backup(Backup{Location: "abroad"}, nil); !got.Eligible {
		t.Errorf("nothing is governed: %+v", got)
	}
}

func TestARestoreKeepsWhatIsGovernedGoverned(t *testing.T) {
	governed := func(ns string) bool { return ns == "brand" || ns == "brand-2" }
	for name, c := range map[string]struct {
		mapping map[string]string
		want    bool
	}{
		"as itself":                    {nil, true},
		"as another governed one":      {map[string]string{"brand": "brand-2"}, true},
		"as one that is not":           {map[string]string{"other": "x", "brand": "copy"}, false},
		"of what was never governed":   {map[string]string{"other": "copy"}, true},
		"into what is governed, is in": {map[string]string{"other": "brand"}, true},
	} {
		if got := rules.Restore(c.mapping, governed); got.Eligible != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestATallyKeepsTheWorstInOrder(t *testing.T) {
	tally := NewTally(3)
	for _, i := range []int{7, 3, 9, 1, 5} {
		tally.Add(Outside{Object{Pod, "n", fmt.Sprint("p", i)}, reason.RegionUnknown, ""})
	}
	tally.Add(Outside{Object{Node, "", "n1"}, reason.NotAttested, ""})
	tally.Add(Outside{Object{Volume, "", "v1"}, reason.StorageNotMainland, "m"})
	tally.Carry(BackupObject, 4, nil)
	tally.Carry(Snapshot, 2, []Outside{{Object{Snapshot, "n", "s"}, reason.StorageNotMainland, ""}})
	var worst []string
	for _, o := range tally.Worst() {
		worst = append(worst, o.Name)
	}
	if d := cmp.Diff([]string{"v1", "s", "p1"}, worst); d != "" {
		t.Error(d)
	}
	want := []Count{
		{Volume, reason.StorageNotMainland, 1}, {BackupObject, reason.RegionUnknown, 4}, {Snapshot, reason.StorageNotMainland, 2},
		{Pod, reason.RegionUnknown, 5}, {Node, reason.NotAttested, 1},
	}
	if d := cmp.Diff(want, tally.ByReason()); d != "" {
		t.Error(d)
	}
	if n := tally.Total(); n != 13 {
		t.Errorf("total = %d", n)
	}
}

func TestATallyDoesNotGrowWithWhatItCounts(t *testing.T) {
	tally := NewTally(20)
	o := Outside{Object{Pod, "n", "p"}, reason.RegionUnknown, ""}
	tally.Add(o)
	if n := testing.AllocsPerRun(1000, func() { tally.Add(o) }); n > 1 {
		t.Errorf("%v allocations for one object", n)
	}
	if len(tally.Worst()) != 20 {
		t.Errorf("%d kept", len(tally.Worst()))
	}
}
