package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// sampleFacts is what --print-facts writes.
const sampleFacts = `# What the files of a repository cannot know. Whatever is left out is unknown, and what is
# unknown is refused.
now: "2026-11-26T08:00:00Z"        # left out: the clock of this machine
stores:
- name: brand-cn/brand-store       # namespace/name
  year: {nonSensitive: 1200, sensitive: 0}     # people counted so far, of the whole processor
  recent: {nonSensitive: 1200, sensitive: 0}   # people whose records the recipient got in twelve months
  consenting: 800                  # people who agreed to this recipient; left out: not asked
  children: 0                      # of them, below 14
  excluded: {ConsentWithdrawn: 12} # others, by reason code
`

// knownFacts is the file of --facts.
type knownFacts struct {
	Now    time.Time    `json:"now"`
	Stores []storeFacts `json:"stores"`
}

type storeFacts struct {
	Name       string                `json:"name"`
	Year       *counter              `json:"year"`
	Recent     counter               `json:"recent"`
	Consenting *int64                `json:"consenting"`
	Children   int64                 `json:"children"`
	Excluded   map[reason.Code]int64 `json:"excluded"`
}

type counter struct {
	NonSensitive int64 `json:"nonSensitive"`
	Sensitive    int64 `json:"sensitive"`
}

type decideOptions struct {
	files  []string
	facts  string
	format string
	sample bool
	clock  func() time.Time
}

func newDecide(clock func() time.Time) *cobra.Command {
	o := decideOptions{clock: clock}
	cmd := &cobra.Command{
		Use: "decide -f FILE [--facts FILE]", Short: "Decide on DataTransfers offline, as the manager and the store would",
		Long: "Decide on the DataTransfers in files or folders, with the policies, notices, mechanisms and holds that stand beside them.\n" +
			"No cluster is asked: it is for the tests of a Git repository. Exits with 0 if all are allowed, with 2 if one is refused.",
		Example: "  kubectl maodian decide -f clusters/cn/ --facts facts.yaml\n" +
			"  kubectl maodian decide -f transfer.yaml -f policy.yaml -o json\n" +
			"  kubectl maodian decide --print-facts > facts.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.sample {
				_, err := io.WriteString(cmd.OutOrStdout(), sampleFacts)
				return err
			}
			all, err := o.decide(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), o.format, all)
		},
	}
	f := cmd.Flags()
	f.StringSliceVarP(&o.files, "filename", "f", nil, "file or folder with manifests; - reads standard input")
	f.StringVar(&o.facts, "facts", "", "file with the numbers that only a store knows")
	f.StringVarP(&o.format, "output", "o", "text", "text or json")
	f.BoolVar(&o.sample, "print-facts", false, "print a facts file to begin with")
	return cmd
}

func (o *decideOptions) decide(in io.Reader) ([]verdict, error) {
	if len(o.files) == 0 {
		return nil, errors.New("FilesMissing: name files or folders with -f")
	}
	m, err := readManifests(o.files, in)
	if err != nil {
		return nil, err
	}
	if len(m.transfers) == 0 {
		return nil, errors.New("NoTransfer: the files hold no DataTransfer")
	}
	known := knownFacts{Now: o.clock()}
	if o.facts != "" {
		body, err := bodyOf(o.facts, in)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(body, &known); err != nil {
			return nil, fmt.Errorf("FactsInvalid: %s: %w; --print-facts shows the form", o.facts, err)
		}
	}
	var out []verdict
	for _, t := range m.transfers {
		out = append(out, newVerdict(t.Namespace+"/"+t.Name, m.facts(t, known)))
	}
	return out, nil
}

// facts is what the files and the facts say about one transfer.
func (m *manifests) facts(t *residencyv1.DataTransfer, known knownFacts) transfer.Facts {
	in := gather.TransferInput{Now: known.Now, Transfer: t, Policy: m.policyOf(t.Namespace), Holds: m.holds}
	store := found(m.stores, func(s *residencyv1.ConsentStore) bool {
		return s.Namespace == t.Namespace && s.Name == t.Spec.StoreRef.Name
	})
	if store != nil {
		in.Notice = found(m.notices, func(n *residencyv1.PrivacyNotice) bool {
			return n.Namespace == t.Namespace && n.Name == store.Spec.NoticeRef.Name
		})
	}
	in.Mechanism = found(m.mechanisms, func(x *residencyv1.TransferMechanism) bool {
		return x.Namespace == t.Namespace && x.Name == t.Spec.MechanismRef.Name
	})
	s := found(pointers(known.Stores), func(s *storeFacts) bool { return s.Name == t.Namespace+"/"+t.Spec.StoreRef.Name })
	if s == nil || s.Year == nil {
		return gather.TransferFacts(in)
	}
	in.Store = &storev1.GetTransferFactsResponse{
		NonSensitiveAtMost: s.Year.NonSensitive, SensitiveAtMost: s.Year.Sensitive,
		RecentNonSensitiveAtMost: s.Recent.NonSensitive, RecentSensitiveAtMost: s.Recent.Sensitive,
		YoungAtMost: s.Children,
	}
	f := gather.TransferFacts(in)
	f.People = nil // unless it was told
	if s.Consenting != nil {
		f.People = &transfer.People{Included: *s.Consenting, Young: s.Children, Excluded: s.Excluded}
	}
	return f
}

func pointers[T any](in []T) []*T {
	out := make([]*T, len(in))
	for i := range in {
		out[i] = &in[i]
	}
	return out
}
