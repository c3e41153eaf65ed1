// Command kubectl-maodian is the plugin `kubectl maodian`: what the operator would apply,
// whether a cluster refuses what it must, and why a transfer is refused.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// Exit codes.
const (
	exitOK     = 0
	exitError  = 1
	exitFailed = 2 // a case failed, or the policy refuses
)

// errFailed is for a command that did its work and found that something is not as it must be.
var errFailed = errors.New("not as it must be")

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
	_, _ = fmt.Fprintln(errOut, "error:", err)
	return exitError
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
	root.AddCommand(newRender(c), newConformance(c), newDecide(time.Now), newExplain(c, time.Now))
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

// namespace is that of --namespace, or of the kubeconfig.
func (c *cluster) namespace() string {
	ns, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(c.rules, c.overrides).Namespace()
	if err != nil {
		return ""
	}
	return ns
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(clientgoscheme.AddToScheme(scheme), residencyv1.AddToScheme(scheme))
	return scheme, err
}
