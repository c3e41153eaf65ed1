package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/maodian-dev/maodian/internal/explain"
	"github.com/maodian-dev/maodian/internal/manifest"
)

type decideOptions struct {
	files      []string
	facts      string
	now        string
	output     string
	printFacts bool
}

// decisions is what `decide -o json` prints: docs/decide.md.
type decisions struct {
	Version   int               `json:"version"`
	Time      time.Time         `json:"time"` // the moment decided for
	Transfers []explain.Verdict `json:"transfers"`
}

func newDecide(c *cluster) *cobra.Command {
	var o decideOptions
	cmd := &cobra.Command{
		Use: "decide -f FILE... [--facts FILE]", Short: "Decide on the DataTransfers of a Git repository, without a cluster",
		Long: "Decide on every DataTransfer among the manifests, by the rules that the manager uses, and say what would pass. Nothing is\n" +
			"sent anywhere. What only a running store knows stands in a file of facts: begin one with --print-facts. What is\n" +
			"missing counts as unknown, and refuses.\n\n" +
			"Exit status: 0 all are allowed, 1 one is refused, 2 the input is wrong.",
		Example: "  kubectl maodian decide --print-facts -f manifests/ > facts.yaml\n" +
			"  kubectl maodian decide -f manifests/ --facts facts.yaml\n" +
			"  kubectl maodian decide -f transfer.yaml -f policy.yaml --facts facts.yaml --now 2027-01-01T00:00:00+08:00 -o json",
		Args: wrongUse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(c.overrides.Context.Namespace, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "filename", "f", nil, "file or folder with manifests; - reads standard input; may be repeated")
	f.StringVar(&o.facts, "facts", "", "file with what only a running store knows")
	f.StringVar(&o.now, "now", "", "moment to decide for, as in RFC 3339 (default: `now` of the facts, or the clock)")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.BoolVar(&o.printFacts, "print-facts", false, "print a file of facts to begin with, for the manifests if some are given")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit{exitBadInput, err} })
	return cmd
}

// wrongUse gives wrong arguments the exit code of bad input.
func wrongUse(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit{exitBadInput, err}
		}
		return nil
	}
}

func (o *decideOptions) run(namespace string, in io.Reader, out io.Writer) error {
	d, err := o.decide(namespace, in, out)
	switch {
	case err != nil:
		return exit{exitBadInput, err}
	case d == nil: // the facts were printed
		return nil
	}
	if err := d.write(out, o.output); err != nil {
		return exit{exitBadInput, fmt.Errorf("write: %w", err)}
	}
	if d.refused() > 0 {
		return exit{code: exitRefused}
	}
	return nil
}

func (o *decideOptions) decide(namespace string, in io.Reader, out io.Writer) (*decisions, error) {
	switch {
	case o.output != "text" && o.output != "json":
		return nil, errors.New("-o must be text or json")
	case len(o.files) == 0 && !o.printFacts:
		return nil, errors.New("name files or folders with -f")
	}
	set, err := readSet(o.files, o.facts, namespace, in)
	if err != nil {
		return nil, err
	}
	if o.printFacts {
		_, err := io.WriteString(out, manifest.Template(set))
		return nil, err
	}
	numbers, err := readNumbers(o.facts)
	if err != nil {
		return nil, err
	}
	now, err := moment(o.now, numbers.Now.Time)
	if err != nil {
		return nil, err
	}
	if len(set.Transfers) == 0 {
		return nil, &manifest.Error{Code: manifest.CodeNoTransfer, Wrong: "no DataTransfer in " + strings.Join(o.files, ", "), Right: "name the file that holds it"}
	}
	d := &decisions{Version: 1, Time: now.UTC()}
	for i := range set.Transfers {
		facts, unknown, err := set.Facts(&set.Transfers[i], numbers, now)
		if err != nil {
			return nil, err
		}
		d.Transfers = append(d.Transfers, explain.Decide(&set.Transfers[i], facts, unknown))
	}
	return d, nil
}

// moment is what the flag says, then the file, then the clock.
func moment(flag string, file time.Time) (time.Time, error) {
	if flag == "" {
		return cmp.Or(file, time.Now()), nil
	}
	at, err := time.Parse(time.RFC3339, flag)
	if err != nil {
		return at, &manifest.Error{Code: manifest.CodeValue, Wrong: "--now " + flag + " is no time", Right: "write it as 2026-11-23T16:00:00+08:00"}
	}
	return at, nil
}

func readNumbers(file string) (manifest.Numbers, error) {
	if file == "" {
		return manifest.Numbers{}, nil
	}
	f, err := open(file)
	if err != nil {
		return manifest.Numbers{}, err
	}
	defer f.Close()
	return manifest.ReadNumbers(file, f)
}

func open(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &manifest.Error{Code: manifest.CodeUnreadable, File: file, Wrong: cause(err), Right: "name a file that can be read"}
	}
	return f, nil
}

// cause leaves out the path, which stands beside it.
func cause(err error) string {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// readSet reads files, and the manifests right inside folders. The facts may lie beside them.
func readSet(files []string, facts, namespace string, in io.Reader) (*manifest.Set, error) {
	set, err := manifest.NewSet(namespace)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if file == "-" {
			if err := set.Read("standard input", in); err != nil {
				return nil, err
			}
			continue
		}
		list, err := expand(file, facts)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			if err := readFile(set, one); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

func readFile(set *manifest.Set, file string) error {
	f, err := open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return set.Read(file, f)
}

// expand lists the manifests of a folder, sorted; a file is itself.
func expand(file, facts string) ([]string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, &manifest.Error{Code: manifest.CodeUnreadable, File: file, Wrong: cause(err), Right: "name a file or a folder"}
	}
	if !info.IsDir() {
		return []string{file}, nil
	}
	entries, err := os.ReadDir(file)
	if err != nil {
		return nil, &manifest.Error{Code: manifest.CodeUnreadable, File: file, Wrong: cause(err), Right: "name a folder that can be read"}
	}
	beside, factsErr := os.Stat(facts)
	var out []string
	for _, e := range entries {
		path := filepath.Join(file, e.Name())
		info, err := os.Stat(path)
		switch {
		case err != nil || info.IsDir() || strings.HasPrefix(e.Name(), "kustomization."):
		case factsErr == nil && os.SameFile(info, beside):
		case slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			out = append(out, path)
		}
	}
	return out, nil
}

func (d *decisions) refused() (n int) {
	for _, v := range d.Transfers {
		if v.Refused() {
			n++
		}
	}
	return n
}

func (d *decisions) write(out io.Writer, form string) error {
	if form == "json" {
		return writeJSON(out, d)
	}
	x := explain.NewText(coloured(out))
	x.Line("Decided for " + explain.Time(d.Time))
	for _, v := range d.Transfers {
		x.Line("")
		x.Verdict(v)
	}
	x.Line("")
	x.Line(fmt.Sprintf("%d allowed, %d refused", len(d.Transfers)-d.refused(), d.refused()))
	_, err := x.WriteTo(out)
	return err
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// coloured tells whether somebody who wants colours reads what is written.
func coloured(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && cmp.Or(os.Getenv("TERM"), "dumb") != "dumb"
}
