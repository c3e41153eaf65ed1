// Command cluster runs a real Kubernetes cluster on one Linux machine, without Docker, a registry or any change to
// the machine: real etcd, control plane, kubelets and containers in namespaces of their own, one more set of
// namespaces for each node. It is a development tool and no part of the product. See README.md beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/maodian-dev/maodian/hack/cluster/internal/boot"
	"github.com/maodian-dev/maodian/hack/cluster/internal/component"
	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/debian"
	"github.com/maodian-dev/maodian/hack/cluster/internal/kube"
	"github.com/maodian-dev/maodian/hack/cluster/internal/lifecycle"
	"github.com/maodian-dev/maodian/hack/cluster/internal/netpolicy"
	"github.com/maodian-dev/maodian/hack/cluster/internal/provisioner"
)

const usage = `usage: go run ./hack/cluster COMMAND

  deps   [--for tests|cluster]  install the Debian packages that are missing (default: for the cluster)
  build  [--for tests|cluster]  build Kubernetes, etcd, CoreDNS and an S3 server into the cache
  assets [--for tests|cluster]  the same; prints the folder with the programs
  up     [--config FILE] [--images A.tar,B.tar] [--kubeconfig FILE] [--name NAME]
                                start the cluster; nothing happens if it is up
  load   IMAGE.tar...           load images on every node
  status                        show the nodes
  exec   -- COMMAND...          run a command in the cluster's network, with the administrator's kubeconfig
  down                          end the cluster and remove everything

Built programs:  $MAODIAN_CACHE (default: maodian in the user's cache folder)
State:           $MAODIAN_STATE (default: .dev/cluster in the repository)
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	interrupted := ctx.Err() != nil
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit) && exit.ExitCode() > 0 && len(os.Args) > 1 && os.Args[1] == "exec":
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		if interrupted {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

// command is one subcommand with its own arguments.
type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	commands := map[string]command{
		"deps": deps, "build": build, "assets": assets, "up": up, "down": down, "load": load, "status": status, "exec": execute,
		boot.ClusterCommand: first, boot.NodeCommand: node, boot.ProvisionerCommand: provision, boot.NetworkPolicyCommand: guard,
	}
	if len(args) == 0 {
		return errors.New("no command given; " + strings.TrimSpace(usage))
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(stdout, usage)
		return err
	}
	c, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("unknown command %q\n\n%s", args[0], usage)
	}
	// the administrator's programs are needed here and by everything that is started
	if err := os.Setenv("PATH", debian.WithSbin(os.Getenv("PATH"))); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	return c(ctx, args[1:], stdout, stderr)
}

// flags parses args; positional tells whether anything but flags may be there.
func flags(name string, args []string, stderr io.Writer, positional bool, define func(*flag.FlagSet)) ([]string, error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	define(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if !positional && fs.NArg() > 0 {
		return nil, fmt.Errorf("%s takes no %q", name, fs.Arg(0))
	}
	return fs.Args(), nil
}

func deps(ctx context.Context, args []string, _, stderr io.Writer) error {
	var purpose string
	if _, err := flags("deps", args, stderr, false, func(fs *flag.FlagSet) {
		fs.StringVar(&purpose, "for", "cluster", "what to install for: tests or cluster")
	}); err != nil {
		return err
	}
	switch purpose {
	case "cluster":
		return debian.Host(debian.ForCluster(), stderr).Install(ctx, stderr)
	case "tests":
		return debian.Host(debian.ForTests(), stderr).Install(ctx, stderr)
	}
	return fmt.Errorf("--for: %q is none of tests, cluster", purpose)
}

// ensure builds what a purpose needs.
func ensure(ctx context.Context, purpose string, stderr io.Writer) (*component.Builder, map[string]string, error) {
	root, err := repository()
	if err != nil {
		return nil, nil, err
	}
	cache, err := component.CacheDir()
	if err != nil {
		return nil, nil, err
	}
	components, err := component.Select(purpose)
	if err != nil {
		return nil, nil, err
	}
	b := &component.Builder{Tools: filepath.Join(root, "hack", "cluster", "tools"), Cache: cache, Report: stderr}
	programs, err := b.Ensure(ctx, components)
	return b, programs, err
}

func build(ctx context.Context, args []string, _, stderr io.Writer) error {
	purpose, err := purposeOf("build", args, stderr)
	if err != nil {
		return err
	}
	_, _, err = ensure(ctx, purpose, stderr)
	return err
}

func purposeOf(command string, args []string, stderr io.Writer) (purpose string, err error) {
	_, err = flags(command, args, stderr, false, func(fs *flag.FlagSet) {
		fs.StringVar(&purpose, "for", "all", "what to build for: tests, cluster or all")
	})
	return purpose, err
}

func assets(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	purpose, err := purposeOf("assets", args, stderr)
	if err != nil {
		return err
	}
	b, programs, err := ensure(ctx, purpose, stderr)
	if err != nil {
		return err
	}
	dir, err := b.Assets(programs)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, dir)
	return err
}

// repository is the folder of the main module, above the working folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working folder: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack", "cluster", "tools", "k8s", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside the repository: no folder above holds hack/cluster/tools")
		}
	}
}

// newManager works on the state folder of this repository.
func newManager(kubeconfig string, stderr io.Writer) (*lifecycle.Manager, string, error) {
	root, err := repository()
	if err != nil {
		return nil, "", err
	}
	state := os.Getenv("MAODIAN_STATE")
	if state == "" {
		state = filepath.Join(root, ".dev", "cluster")
	}
	if state, err = filepath.Abs(state); err != nil {
		return nil, "", fmt.Errorf("resolve state folder: %w", err)
	}
	if kubeconfig == "" {
		kubeconfig = filepath.Join(root, ".dev", "kubeconfig")
	}
	if kubeconfig, err = filepath.Abs(kubeconfig); err != nil {
		return nil, "", fmt.Errorf("resolve kubeconfig: %w", err)
	}
	return &lifecycle.Manager{State: state, Kubeconfig: kubeconfig, Out: stderr}, root, nil
}

func up(ctx context.Context, args []string, _, stderr io.Writer) error {
	var name, file, images, kubeconfig string
	if _, err := flags("up", args, stderr, false, func(fs *flag.FlagSet) {
		fs.StringVar(&name, "name", "maodian", "name of the cluster")
		fs.StringVar(&file, "config", "", "nodes and aliases (default hack/cluster/nodes.yaml)")
		fs.StringVar(&images, "images", "", "image archives to load, separated by commas")
		fs.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig to write (default .dev/kubeconfig)")
	}); err != nil {
		return err
	}
	if m := validation.IsDNS1123Label(name); len(m) > 0 {
		return fmt.Errorf("--name: %q: %s", name, m[0])
	}
	m, root, err := newManager(kubeconfig, stderr)
	if err != nil {
		return err
	}
	if file == "" {
		file = filepath.Join(root, "hack", "cluster", "nodes.yaml")
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	_, programs, err := ensure(ctx, "cluster", stderr)
	if err != nil {
		return err
	}
	var archives []string
	if images != "" {
		archives = strings.Split(images, ",")
	}
	return m.Up(ctx, config.Cluster{Name: name, State: m.State, Config: cfg, Programs: programs}, archives)
}

func down(ctx context.Context, args []string, _, stderr io.Writer) error {
	if _, err := flags("down", args, stderr, false, func(*flag.FlagSet) {}); err != nil {
		return err
	}
	m, _, err := newManager("", stderr)
	if err != nil {
		return err
	}
	return m.Down(ctx)
}

func load(ctx context.Context, args []string, _, stderr io.Writer) error {
	images, err := flags("load", args, stderr, true, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(images) == 0 {
		return errors.New("load: no image archive given")
	}
	m, _, err := newManager("", stderr)
	if err != nil {
		return err
	}
	return m.Load(ctx, images)
}

func status(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if _, err := flags("status", args, stderr, false, func(*flag.FlagSet) {}); err != nil {
		return err
	}
	m, _, err := newManager("", stdout)
	if err != nil {
		return err
	}
	return m.Status(ctx)
}

func execute(ctx context.Context, args []string, _, stderr io.Writer) error {
	words, err := flags("exec", args, stderr, true, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return errors.New("exec: no command given")
	}
	m, _, err := newManager("", stderr)
	if err != nil {
		return err
	}
	return m.Exec(ctx, words)
}

// The commands below are started by the cluster itself, with the state folder as first argument.

func first(ctx context.Context, args []string, _, _ io.Writer) error {
	if len(args) != 1 {
		return errors.New("want STATE")
	}
	c, err := boot.Load(args[0])
	if err != nil {
		return err
	}
	return boot.Cluster(ctx, c)
}

func node(ctx context.Context, args []string, _, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("want STATE NAME")
	}
	c, err := boot.Load(args[0])
	if err != nil {
		return err
	}
	return boot.Node(ctx, c, args[1])
}

func provision(ctx context.Context, args []string, _, _ io.Writer) error {
	if len(args) != 1 {
		return errors.New("want STATE")
	}
	c, err := boot.Load(args[0])
	if err != nil {
		return err
	}
	client, err := kube.Client(c.PKI("local-provisioner.kubeconfig"))
	if err != nil {
		return err
	}
	provisioner.New(client, c.Path("nodes")).Run(ctx)
	return nil
}

func guard(ctx context.Context, args []string, _, stderr io.Writer) error {
	if len(args) != 2 {
		return errors.New("want STATE NODE")
	}
	c, err := boot.Load(args[0])
	if err != nil {
		return err
	}
	client, err := kube.Client(c.PKI("network-policy.kubeconfig"))
	if err != nil {
		return err
	}
	log.SetOutput(stderr)
	return netpolicy.Run(ctx, client, args[1])
}
