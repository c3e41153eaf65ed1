package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/conformance"
	"github.com/maodian-dev/maodian/test/residency"
)

// settling is how long the operator may take to compile a new namespace in.
const settling = time.Minute

type conformanceOptions struct {
	manager string
	output  string
}

func newConformance(c *cluster) *cobra.Command {
	var o conformanceOptions
	cmd := &cobra.Command{
		Use: "conformance POLICY", Short: "Try every known attack against the guard of a ResidencyPolicy, and report",
		Long: "Try attacks and ordinary work against the cluster, as dry runs, in two namespaces made for it, of which one carries the policy's mark.\n" +
			"You need the right to impersonate. The report names each case with its row of the leak matrix; exit code 2 tells that one failed.",
		Example: "  kubectl maodian conformance cn-mainland > report.md",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.output != "text" && o.output != "json" {
				return errors.New("-o must be text or json")
			}
			config, err := c.config()
			if err != nil {
				return err
			}
			return o.run(cmd.Context(), config, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.manager, "manager", defaultManager, "user name of the operator")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "text (Markdown) or json")
	return cmd
}

func (o conformanceOptions) run(ctx context.Context, config *rest.Config, name string, out, progress io.Writer) (err error) {
	files, err := residency.Cases()
	if err != nil {
		return err
	}
	k, err := newClient(config)
	if err != nil {
		return err
	}
	p := &residencyv1.ResidencyPolicy{}
	if err := k.Get(ctx, client.ObjectKey{Name: name}, p); err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	suffix := rand.String(5)
	where := conformance.Where{
		Governed: "maodian-conformance-" + suffix, Free: "maodian-conformance-free-" + suffix, Manager: o.manager, Values: residency.Values(p),
	}
	runner, err := conformance.NewRunner(config, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tidy(config, runner, where)) }()
	_, _ = fmt.Fprintln(progress, "Making two namespaces, and waiting for the guard to know them")
	if err := makeNamespaces(ctx, k, where, name); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(progress, "Preparing what the cases need")
	if err := runner.Prepare(ctx, files); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(progress, "Trying the cases")
	report, err := runner.Run(ctx, files)
	if err != nil {
		return err
	}
	report.Cluster, report.Policy, report.GuardHash = config.Host, name, p.Status.GuardTextHash
	report.Time = time.Now().UTC().Format(time.RFC3339)
	return o.write(report, out)
}

func (o conformanceOptions) write(report conformance.Report, out io.Writer) error {
	write := report.WriteText
	if o.output == "json" {
		write = func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(report)
		}
	}
	if err := write(out); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if len(report.Failed()) > 0 {
		return errFailed
	}
	return nil
}

// makeNamespaces makes both, and waits until the guard names the governed one.
func makeNamespaces(ctx context.Context, k client.Client, where conformance.Where, policy string) error {
	governed := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: where.Governed, Labels: map[string]string{metav1alpha1.PolicyLabel: policy}}}
	free := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: where.Free}}
	if err := errors.Join(k.Create(ctx, governed), k.Create(ctx, free)); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	err := wait.PollUntilContextTimeout(ctx, time.Second, settling, true, func(ctx context.Context) (bool, error) {
		p := &residencyv1.ResidencyPolicy{}
		if err := k.Get(ctx, client.ObjectKey{Name: policy}, p); err != nil {
			return false, err
		}
		return slices.Contains(p.Status.GovernedNamespaces, where.Governed), nil
	})
	if err != nil {
		return fmt.Errorf("the operator has not taken up namespace %s: is it running? %w", where.Governed, err)
	}
	return nil
}

// tidy removes what the run has made, also after Ctrl-C: an attestor must, since the one
// namespace is governed.
func tidy(config *rest.Config, runner *conformance.Runner, where conformance.Where) error {
	ctx, cancel := context.WithTimeout(context.Background(), settling)
	defer cancel()
	err := runner.Clean(ctx)
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: "maodian-conformance", Groups: []string{where.Values["attestors"], "system:masters"}}
	k, connectErr := newClient(as)
	if connectErr != nil {
		return errors.Join(err, connectErr)
	}
	for _, name := range []string{where.Governed, where.Free} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		err = errors.Join(err, client.IgnoreNotFound(k.Delete(ctx, ns)))
	}
	return err
}

func newClient(config *rest.Config) (client.Client, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	k, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return k, nil
}
