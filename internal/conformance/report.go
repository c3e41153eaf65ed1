package conformance

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is the result of a run, to be kept.
type Report struct {
	// Cluster, Policy and Time say what was examined and when.
	Cluster string `json:"cluster,omitempty"`
	Policy  string `json:"policy,omitempty"`
	Time    string `json:"time,omitempty"`
	// GuardHash is over the text of the guard that answered.
	GuardHash string   `json:"guardHash,omitempty"`
	Results   []Result `json:"results"`
}

// Count returns how many results have a verdict.
func (r Report) Count(v Verdict) (n int) {
	for _, result := range r.Results {
		if result.Verdict == v {
			n++
		}
	}
	return n
}

// Failed returns what did not go as it must.
func (r Report) Failed() []Result {
	return slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool { return x.Verdict != Failed })
}

// leaks counts the rows of the leak matrix that were tried.
func (r Report) leaks() int {
	seen := map[string]bool{}
	for _, x := range r.Results {
		if x.Leak != "" && x.Verdict != Skipped {
			seen[x.Leak] = true
		}
	}
	return len(seen)
}

// WriteText writes the report as Markdown: the summary first, then what failed, then all.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Residency conformance\n\n")
	for _, line := range [][2]string{{"Cluster", r.Cluster}, {"Policy", r.Policy}, {"Time", r.Time}, {"Guard", r.GuardHash}} {
		if line[1] != "" {
			fmt.Fprintf(&b, "- %s: %s\n", line[0], line[1])
		}
	}
	fmt.Fprintf(&b, "- %d of %d cases as they must be, %d failed, %d not applicable here; %d leaks tried\n",
		r.Count(Passed), len(r.Results)-r.Count(Skipped), r.Count(Failed), r.Count(Skipped), r.leaks())
	if failed := r.Failed(); len(failed) > 0 {
		fmt.Fprintf(&b, "\n## Failed\n\n")
		for _, x := range failed {
			fmt.Fprintf(&b, "- %s %s: %s: %s\n", x.Topic, x.Leak, x.Case, cell(x.Why))
		}
	}
	fmt.Fprintf(&b, "\n## Cases\n\n| Topic | Leak | Case | Result | Answer |\n| --- | --- | --- | --- | --- |\n")
	results := slices.Clone(r.Results)
	slices.SortStableFunc(results, func(a, b Result) int { return cmp.Compare(a.Topic, b.Topic) })
	for _, x := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", x.Topic, x.Leak, cell(x.Case), x.Verdict, cell(cmp.Or(x.Answer, x.Why)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes a text fit for one cell of a table.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|").Replace(s)
}
