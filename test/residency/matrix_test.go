package residency_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/test/residency"
)

// How a row of the leak matrix is met.
type how string

const (
	refused  how = "refused"  // by admission: an attack of the row, or of the rows it follows from, is among the cases
	repaired how = "repaired" // the guard completes the object: a case says what it becomes
	detected how = "detected" // it is judged and reported: tests say so
	held     how = "held"     // nothing is there that could fail: tests say so
	neither  how = "neither"  // docs/guard.md says why, in the same words
)

// leak is one way out.
type leak struct {
	how how
	// by names rows from whose attacks this one follows, a case, or tests; empty where the row
	// has attacks of its own.
	by []string
	// open is what the guard does not meet of it, as docs/guard.md says under "What is neither".
	open string
}

// Sentences of docs/guard.md.
const (
	impersonation = "Impersonation by whoever holds that right already"
	ofNodes       = "What an attested node does, or its root: static pods, false signals, a hostile kubelet"
	ofConnections = "What an allowed connection carries: tunnels through names that are resolved, parameters of calls that are allowed"
	placeOfAPI    = "Where the control plane stands, with etcd, its backups and audit log, and who reads from it, and from where"
	cloudSide     = "What the cloud behind the cluster copies, and what becomes of its disks"
	plugin        = "Whether the network plugin enforces NetworkPolicies"
	unknownKinds  = "Kinds nobody has written a rule for"
	reading       = "Reading through the API (get, list, watch, logs)"
)

// matrix has every row: L01 to L90, of which L68, L88 and L89 are not used.
var matrix = map[string]leak{
	"L01": {how: refused}, "L02": {how: refused}, "L03": {how: refused}, "L04": {how: refused}, "L05": {how: refused},
	"L06":  {how: repaired, by: []string{"a second term that would allow nodes abroad is completed"}},
	"L07":  {how: refused},
	"L08":  {how: refused},
	"L09":  {how: refused},
	"L10":  {how: refused},
	"L11":  {how: refused},
	"L11a": {how: neither, open: "Taints of other nodes that a governed pod tolerates: the pin decides where it runs"},
	"L12":  {how: refused}, "L13": {how: refused}, "L14": {how: refused}, "L15": {how: refused}, "L16": {how: refused}, "L17": {how: refused}, "L18": {how: refused}, "L19": {how: refused},
	"L20": {how: refused, open: ofNodes},
	"L21": {how: refused},
	"L22": {how: detected, by: []string{"TestDecide_PlacementCases", "TestALabelWithoutADecisionIsReported"}},
	"L23": {how: refused}, "L24": {how: refused}, "L25": {how: refused}, "L26": {how: refused}, "L27": {how: refused}, "L28": {how: refused},
	"L29": {how: refused, open: "A second volume object with the same handle under another class, made by an administrator"},
	"L30": {how: refused}, "L31": {how: refused}, "L32": {how: refused}, "L33": {how: refused}, "L34": {how: refused}, "L35": {how: refused},
	"L36": {how: refused}, "L37": {how: refused}, "L38": {how: refused}, "L39": {how: refused}, "L40": {how: refused}, "L41": {how: refused}, "L42": {how: refused},
	"L43": {how: refused, open: plugin},
	"L44": {how: refused}, "L45": {how: refused}, "L46": {how: refused}, "L47": {how: refused}, "L48": {how: refused}, "L49": {how: refused}, "L50": {how: refused},
	"L51": {how: refused}, "L52": {how: refused}, "L53": {how: refused}, "L54": {how: refused}, "L55": {how: refused}, "L56": {how: refused}, "L57": {how: refused},
	"L58": {how: refused, by: []string{"L01", "L02", "L07"}}, // a pod is pinned and looked at before it is stored, so a gate would hold nothing back
	"L59": {how: refused, open: ofNodes},
	"L60": {how: refused}, "L61": {how: refused},
	"L62": {how: refused, open: impersonation},
	"L63": {how: refused}, "L64": {how: refused}, "L65": {how: refused},
	"L66":  {how: neither, open: reading},
	"L66a": {how: refused, by: []string{"L01", "L10", "L23"}}, // what a pod writes on its node stays where the pod is
	"L67":  {how: refused, by: []string{"L01", "L07"}},        // Secrets are open to the node that a pod is bound to
	"L69":  {how: neither, open: placeOfAPI},
	"L70":  {how: neither, open: placeOfAPI},
	"L71":  {how: neither, open: "Events, status and metrics of controllers that are not ours"},
	"L72":  {how: refused},
	"L73":  {how: refused, by: []string{"L01", "L02"}}, // what replaces a pod is a pod
	"L74":  {how: neither, open: "Preferences of Services (trafficDistribution, topology hints): they fall back to any endpoint and are no barrier"},
	"L75":  {how: refused, open: ofConnections},
	"L76":  {how: neither, open: ofConnections},
	"L77":  {how: neither, open: cloudSide},
	"L78":  {how: refused, open: "The guard itself"},
	"L79":  {how: held, by: []string{"TestTheGuardAgainstEveryCase"}},                                     // there is no webhook of ours, and others may be dead
	"L80":  {how: held, by: []string{"TestCompileIsThisText", "TestEveryFieldThatDecidesChangesTheHash"}}, // values are part of the text
	"L81":  {how: refused, open: impersonation},
	"L82":  {how: refused, by: []string{"L01", "L47", "L78"}}, // whoever attacks in a case is in system:masters
	"L83":  {how: refused}, "L84": {how: refused},
	"L85": {how: refused},
	"L86": {how: detected, by: []string{"TestOnlyWhatEveryServerRefusedIsProved"}},
	"L87": {how: neither, open: cloudSide},
	"L90": {how: refused, open: unknownKinds},
}

func TestEveryRowOfTheMatrixIsMet(t *testing.T) {
	files, err := residency.Cases()
	if err != nil {
		t.Fatal(err)
	}
	attacks, completed := told(files)
	tests := testsOfTheTree(t)
	if len(matrix) != 89 {
		t.Errorf("the table has %d rows, want 89", len(matrix))
	}
	for id := range attacks {
		if r, ok := matrix[id]; !ok || (r.how != refused && len(r.by) == 0) {
			t.Errorf("%s has attacks, and is %q in the table", id, r.how)
		}
	}
	for id, r := range matrix {
		if err := met(id, r, attacks, completed, tests); err != nil {
			t.Errorf("%s (%s): %v", id, r.how, err)
		}
	}
}

// met tells what a row lacks.
func met(id string, r leak, attacks, completed, tests map[string]bool) error {
	known := map[how]map[string]bool{refused: attacks, repaired: completed, detected: tests, held: tests}[r.how]
	by := r.by
	if r.how == refused && len(by) == 0 {
		by = []string{id}
	}
	switch {
	case r.how == neither && r.open == "":
		return fmt.Errorf("it is not said why")
	case r.how != neither && len(by) == 0:
		return fmt.Errorf("nothing is named that meets it")
	}
	for _, name := range by {
		if !known[name] {
			return fmt.Errorf("there is no %q", name)
		}
	}
	return nil
}

// told returns the rows that an attack names, and the cases in which the guard completes.
func told(files []conformance.File) (attacks, completed map[string]bool) {
	attacks, completed = map[string]bool{}, map[string]bool{}
	for _, f := range files {
		for _, c := range f.Cases {
			attacks[c.Leak] = c.Attack() || attacks[c.Leak]
			completed[c.Name] = c.Becomes != nil
		}
	}
	delete(attacks, "")
	return attacks, completed
}

var declared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOfTheTree names every test of this project.
func testsOfTheTree(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, root := range []string{"../../internal", "../../controllers", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range declared.FindAllSubmatch(raw, -1) {
				out[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var rowNames = regexp.MustCompile(`\bL\d\da?\b`)

func TestTheDocumentSaysWhatIsNotRefused(t *testing.T) {
	raw, err := os.ReadFile("../../docs/guard.md")
	if err != nil {
		t.Fatal(err)
	}
	var open, judged []string
	said := section(string(raw), "What is neither")
	for id, r := range matrix {
		if r.how == detected {
			judged = append(judged, id)
		}
		if r.open == "" {
			continue
		}
		open = append(open, id)
		if !strings.Contains(said, r.open) {
			t.Errorf("%s: %q is not said", id, r.open)
		}
	}
	for title, want := range map[string][]string{"What is neither": open, "What is only detected": judged} {
		slices.Sort(want)
		got := slices.Compact(slices.Sorted(slices.Values(rowNames.FindAllString(section(string(raw), title), -1))))
		if !slices.Equal(got, want) {
			t.Errorf("%s names %v, want %v", title, got, want)
		}
	}
}

// section returns the text under a heading, without emphasis, in one line.
func section(document, title string) string {
	_, rest, _ := strings.Cut(document, "\n## "+title+"\n")
	text, _, _ := strings.Cut(rest, "\n## ")
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "**", "")), " ")
}
