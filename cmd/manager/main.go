// Command manager is the operator: it runs outside the region's trust, holds no personal
// data, and brings cluster and stores in line with what is declared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx := ctrl.SetupSignalHandler()
	os.Exit(run(ctx, os.Args[1:], os.Stderr, ctrl.GetConfig))
}

// options are the command line.
type options struct {
	metricsAddress  string
	healthAddress   string
	leaderElect     bool
	image           string
	extraCAFile     string
	systemNamespace string
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stderr io.Writer, config func() (*rest.Config, error)) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "manager:", err)
		return exitUsage
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(stderr, nil)))
	cfg, err := config()
	if err == nil {
		err = serve(ctx, cfg, o)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "manager:", err)
		return exitError
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("manager", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.metricsAddress, "metrics-bind-address", "0", "address of the metrics endpoint; 0 serves none")
	f.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of the health endpoints")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "let one of several managers act at a time")
	f.StringVar(&o.image, "data-plane-image", "", "image of the pods that hold data (required)")
	f.StringVar(&o.extraCAFile, "extra-ca-file", "", "PEM file of authorities that data-plane pods trust beside the well-known ones")
	f.StringVar(&o.systemNamespace, "system-namespace", os.Getenv("POD_NAMESPACE"), "namespace of the manager, where it keeps authorities (default $POD_NAMESPACE)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.image == "":
		return o, errors.New("--data-plane-image is required")
	case o.systemNamespace == "":
		return o, errors.New("--system-namespace is required")
	}
	return o, nil
}
