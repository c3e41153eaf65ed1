package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/guard"
	"github.com/maodian-dev/maodian/internal/proving"
)

// Identities of an installation by the chart with its own defaults.
const (
	defaultManager = "system:serviceaccount:maodian-system:maodian-manager"
	defaultProber  = "system:serviceaccount:maodian-system:maodian-prober"
)

type renderOptions struct {
	file       string
	namespaces []string
	minor      int
	manager    string
	prober     string
	static     bool
	folder     string
	exceptions []guard.Exception
}

func newRender(c *cluster) *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use: "render [NAME]", Short: "Print the guard that a ResidencyPolicy compiles to",
		Long: "Print exactly what the operator applies for a ResidencyPolicy: from the cluster, or from a file with -f.\n" +
			"With --static, print it for control planes that load policies from disk (1.37), and with it the policy that protects the guard.",
		Example: "  kubectl maodian render cn-mainland | kubectl diff -f -\n" +
			"  kubectl maodian render -f policy.yaml --namespaces brand-cn\n" +
			"  kubectl maodian render cn-mainland --static --output-dir /etc/kubernetes/residency",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := o.policy(cmd.Context(), c, cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), policy)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "filename", "f", "", "file with the ResidencyPolicy; - reads standard input")
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "namespaces that carry the policy's mark (default: those of the cluster; none with -f)")
	f.IntVar(&o.minor, "minor", 0, "minor version of the API server, 37 of 1.37 (default: the cluster's; the newest with -f)")
	f.StringVar(&o.manager, "manager", defaultManager, "user name of the operator")
	f.StringVar(&o.prober, "prober", defaultProber, "user name under which the operator tries attacks")
	f.BoolVar(&o.static, "static", false, "render manifests for the control plane's disk")
	f.StringVar(&o.folder, "output-dir", "", "with --static: write the manifests and the AdmissionConfiguration into this folder")
	return cmd
}

func (o *renderOptions) policy(ctx context.Context, c *cluster, in io.Reader, args []string) (*residencyv1.ResidencyPolicy, error) {
	switch {
	case o.folder != "" && !o.static:
		return nil, errors.New("--output-dir needs --static")
	case (o.file == "") == (len(args) == 0):
		return nil, errors.New("name a ResidencyPolicy of the cluster, or a file with -f")
	case o.file != "":
		return readPolicy(o.file, in)
	}
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return o.fetch(ctx, config, args[0])
}

func readPolicy(file string, in io.Reader) (*residencyv1.ResidencyPolicy, error) {
	raw, err := readAll(file, in)
	if err != nil {
		return nil, err
	}
	p := &residencyv1.ResidencyPolicy{}
	if err := yaml.UnmarshalStrict(raw, p); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	if p.Kind != "ResidencyPolicy" || p.Name == "" {
		return nil, errors.New("the file must hold one ResidencyPolicy with a name")
	}
	return p, nil
}

func readAll(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// fetch reads the policy, and what the compiler must know of the cluster.
func (o *renderOptions) fetch(ctx context.Context, config *rest.Config, name string) (*residencyv1.ResidencyPolicy, error) {
	k, err := newClient(config)
	if err != nil {
		return nil, err
	}
	p := &residencyv1.ResidencyPolicy{}
	if err := k.Get(ctx, client.ObjectKey{Name: name}, p); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	if o.namespaces == nil {
		var list corev1.NamespaceList
		if err := k.List(ctx, &list, client.MatchingLabels{metav1alpha1.PolicyLabel: name}); err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		for _, n := range list.Items {
			o.namespaces = append(o.namespaces, n.Name)
		}
	}
	var exceptions residencyv1.ResidencyExceptionList
	if err := k.List(ctx, &exceptions); err != nil {
		return nil, fmt.Errorf("list exceptions: %w", err)
	}
	o.exceptions, _ = guard.InForce(exceptions.Items, name, time.Now())
	if o.minor == 0 {
		o.minor, err = proving.ServerMinor(config)
	}
	return p, err
}

func (o *renderOptions) print(out io.Writer, p *residencyv1.ResidencyPolicy) error {
	options := guard.Options{Manager: o.manager, Prober: o.prober, Minor: o.minor, Governed: o.namespaces, Exceptions: o.exceptions}
	if o.static {
		options.Exceptions = nil // a file on disk does not end by itself
		manifests, err := guard.Static(p, options)
		if err != nil {
			return err
		}
		if o.folder != "" {
			return guard.WriteStatic(o.folder, p.Name, manifests)
		}
		for _, m := range manifests {
			if err := document(out, m.Object); err != nil {
				return err
			}
		}
		return nil
	}
	g, err := guard.Compile(p, options)
	if err != nil {
		return err
	}
	for _, object := range g.Objects {
		if err := document(out, object.Apply); err != nil {
			return err
		}
	}
	return nil
}

func document(out io.Writer, object any) error {
	text, err := yaml.Marshal(object)
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	_, err = fmt.Fprintf(out, "---\n%s", text)
	return err
}
