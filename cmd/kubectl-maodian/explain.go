package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/explain"
	"github.com/maodian-dev/maodian/internal/gather"
	rulepacks "github.com/maodian-dev/maodian/internal/law"
)

// explanation is what `explain transfer -o json` prints: docs/decide.md.
type explanation struct {
	Version int             `json:"version"`
	Time    time.Time       `json:"time"` // the moment of `now`
	Status  recorded        `json:"status"`
	Now     explain.Verdict `json:"now"`
	// Changed is nil where there is no decision yet, or not everything may be read.
	Changed *changed `json:"changed,omitempty"`
}

// recorded is the decision that status has.
type recorded struct {
	Decision       residencyv1.Decision `json:"decision,omitempty"` // empty: none yet
	DecidedTime    metav1.Time          `json:"decidedTime,omitzero"`
	CompletionTime metav1.Time          `json:"completionTime,omitzero"`
	Reason         string               `json:"reason,omitempty"` // of the condition Ready
	Message        string               `json:"message,omitempty"`
	Refusals       []explain.Objection  `json:"refusals"`
	Warnings       []explain.Objection  `json:"warnings"`
	Mechanism      string               `json:"mechanism,omitempty"`
	Ground         string               `json:"ground,omitempty"`
}

// changed are the codes that tell the two apart.
type changed struct {
	Added []string `json:"added"` // refuse now
	Gone  []string `json:"gone"`  // no longer refuse
}

type explainOptions struct {
	now    string
	output string
}

func newExplain(c *cluster) *cobra.Command {
	parent := &cobra.Command{
		Use: "explain transfer NAME", Short: "Show a decision of the cluster, and what the rules say now", Args: wrongUse(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return exit{exitBadInput, errors.New("say what to explain: transfer NAME")}
		},
	}
	var o explainOptions
	cmd := &cobra.Command{
		Use: "transfer NAME", Aliases: []string{"datatransfer", "dtra"}, Short: "Show the decision on a DataTransfer, and what the rules say now",
		Long: "Show the decision that the status of a DataTransfer has, and beside it what the rules say now of the objects that you may\n" +
			"read, so that one sees what has changed. It only reads. What you may not read is named, and counts as unknown; what only\n" +
			"the store knows comes from status, where small numbers are rounded, and is taken at the upper bound.\n\n" +
			"Exit status, by the status: 0 allowed or complete, 1 refused or stopped, 2 it could not be found out.",
		Example: "  kubectl maodian explain transfer leads-to-zurich -n brand-cn",
		Args:    wrongUse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			namespace, err := c.namespace()
			if err != nil {
				return exit{exitBadInput, err}
			}
			reader, err := c.reader()
			if err != nil {
				return exit{exitBadInput, err}
			}
			return o.run(cmd.Context(), reader, namespace, args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.now, "now", "", "moment of the second answer, as in RFC 3339 (default: the clock)")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	for _, x := range []*cobra.Command{parent, cmd} {
		x.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit{exitBadInput, err} })
	}
	parent.AddCommand(cmd)
	return parent
}

func (c *cluster) reader() (client.Reader, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return newClient(config)
}

func (o explainOptions) run(ctx context.Context, reader client.Reader, namespace, name string, out io.Writer) error {
	x, err := o.explain(ctx, reader, namespace, name)
	if err != nil {
		return exit{exitBadInput, err}
	}
	if err := x.write(out, o.output); err != nil {
		return exit{exitBadInput, fmt.Errorf("write: %w", err)}
	}
	if x.refused() {
		return exit{code: exitRefused}
	}
	return nil
}

func (o explainOptions) explain(ctx context.Context, reader client.Reader, namespace, name string) (*explanation, error) {
	if o.output != "text" && o.output != "json" {
		return nil, errors.New("-o must be text or json")
	}
	now, err := moment(o.now, time.Time{})
	if err != nil {
		return nil, err
	}
	t, err := gather.Find[residencyv1.DataTransfer](ctx, reader, namespace, name)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, fmt.Errorf("no DataTransfer %s in namespace %s", name, namespace)
	}
	l := &live{reader: reader, now: now}
	facts, err := l.facts(ctx, t)
	if err != nil {
		return nil, err
	}
	x := &explanation{Version: 1, Time: now.UTC(), Status: recordedOf(t.Status), Now: explain.Decide(t, facts, l.unknown)}
	switch {
	case l.unruled:
		x.Now.Decision, x.Now.Refusals = "", []explain.Objection{}
	case l.blind && !x.Now.Refused():
		x.Now.Decision = "" // nothing that was seen refuses, and not everything was seen
	}
	if !l.unread && x.Status.Decision != "" {
		x.compare()
	}
	return x, nil
}

func recordedOf(st residencyv1.DataTransferStatus) recorded {
	pack := rulepacks.Newest() // tells who lifts a code; the articles are those of the decision
	r := recorded{
		Decision: st.Decision, DecidedTime: st.DecidedTime, CompletionTime: st.CompletionTime, Mechanism: st.Mechanism, Ground: st.Ground,
		Refusals: explain.Objections(pack, st.Refusals), Warnings: explain.Objections(pack, st.Warnings),
	}
	if c := meta.FindStatusCondition(st.Conditions, string(metav1alpha1.ConditionReady)); c != nil {
		r.Reason, r.Message = c.Reason, c.Message
	}
	return r
}

func (x *explanation) compare() {
	then := make([]string, len(x.Status.Refusals))
	for i, r := range x.Status.Refusals {
		then[i] = r.Code
	}
	now := x.Now.Codes()
	without := func(list, other []string) []string {
		return slices.DeleteFunc(append([]string{}, list...), func(c string) bool { return slices.Contains(other, c) })
	}
	x.Changed = &changed{Added: without(now, then), Gone: without(then, now)}
}

// refused goes by the status; where it has no decision yet, by the answer now.
func (x *explanation) refused() bool {
	switch x.Status.Decision {
	case residencyv1.DecisionRefused:
		return true
	case residencyv1.DecisionAllowed:
		return x.Status.Reason == string(residencyv1.ReasonTransferStopped) || x.Status.Reason == string(metav1alpha1.ReasonFailed)
	}
	return x.Now.Decision != residencyv1.DecisionAllowed
}

func (x *explanation) write(out io.Writer, form string) error {
	if form == "json" {
		return writeJSON(out, x)
	}
	text := explain.NewText(coloured(out))
	if x.Status.Decision == "" {
		text.Line("The decision in status: none yet")
	} else {
		text.Heading("The decision in status", x.Status.Decision)
	}
	if !x.Status.DecidedTime.IsZero() {
		text.Say(2, 2, "decided "+explain.Time(x.Status.DecidedTime.Time))
	}
	if x.Status.Reason != "" {
		text.Say(2, 2, x.Status.Reason+": "+x.Status.Message)
	}
	text.Objections(2, x.Status.Refusals)
	text.Objections(2, x.Status.Warnings)
	if x.Status.Mechanism != "" {
		text.Tier(x.Status.Mechanism, x.Status.Ground)
	}
	text.Line("")
	text.Line("What the rules say " + explain.Time(x.Time))
	text.Line("")
	text.Verdict(x.Now)
	if x.Changed != nil {
		text.Line("")
		x.difference(text)
	}
	_, err := text.WriteTo(out)
	return err
}

func (x *explanation) difference(text *explain.Text) {
	text.Line("Since the decision")
	for _, code := range x.Changed.Added {
		text.Say(2, 2, "+ "+code+" refuses")
	}
	for _, code := range x.Changed.Gone {
		text.Say(2, 2, "- "+code+" no longer refuses")
	}
	if len(x.Changed.Added)+len(x.Changed.Gone) == 0 {
		text.Say(2, 2, "no code has come or gone")
	}
	if was, is := x.Status.Mechanism, x.Now.Mechanism; was != is && was != "" {
		text.Say(2, 2, "the mechanism asked for was "+was+", and is "+cmp.Or(is, "not known"))
	}
}
