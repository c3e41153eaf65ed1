// Command kubectl-maodian is the plugin `kubectl maodian`: what the operator would apply,
// whether a cluster refuses what it must, and what the rules say of a transfer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/explain"
)

// Exit codes. Commands about transfers have their own two, by which CI tells a refusal from
// a mistake.
const (
	exitOK     = 0
	exitError  = 1
	exitFailed = 2 // a case failed, or the policy refuses

	exitRefused  = 1
	exitBadInput = 2
)

// errFailed is for a command that did its work and found that something is not as it must be.
var errFailed = errors.New("not as it must be")

// exit ends the process with a code of its own. Without an error everything was said.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return "refused"
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	}
	code := exitError
	if own := (exit{}); errors.As(err, &own) {
		if code = own.code; own.err == nil {
			return code
		}
	}
	_, _ = fmt.Fprintln(errOut, "error:", explain.Clean(err.Error()))
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "maodian", Short: "Look at residency policies and at what they enforce",
		Annotations:  map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl maodian"},
		SilenceUsage: true, SilenceErrors: true,
	}
	c := &cluster{rules: clientcmd.NewDefaultClientConfigLoadingRules(), overrides: &clientcmd.ConfigOverrides{}}
	flags := root.PersistentFlags()
	flags.StringVar(&c.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "path of the kubeconfig file")
	clientcmd.BindOverrideFlags(c.overrides, flags, clientcmd.RecommendedConfigOverrideFlags(""))
	root.AddCommand(newRender(c), newConformance(c), newDecide(c), newExplain(c))
	return root
}

// cluster is the API server that the kubeconfig names.
type cluster struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides *clientcmd.ConfigOverrides
}

func (c *cluster) config() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(c.rules, c.overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return config, nil
}

// namespace is what -n says, or the kubeconfig.
func (c *cluster) namespace() (string, error) {
	name, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(c.rules, c.overrides).Namespace()
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	return name, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(clientgoscheme.AddToScheme(scheme), residencyv1.AddToScheme(scheme))
	return scheme, err
}
