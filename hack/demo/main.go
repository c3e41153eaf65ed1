// Command demo tells Maodian's story on a running cluster, and checks every figure of it:
// a wrong one makes it exit non-zero. It reads the cluster as its users do; what stands
// for WeChat and for head office, it puts there first.
//
//	demo certs            makes the demo's certificate authority (.dev/demo-ca.crt)
//	demo story            tells the story
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// options of a run.
type options struct {
	dev        string // folder of what the demo keeps: authority, kubeconfig
	kubeconfig string
	kubectl    string
	samples    string
	state      string // folder of the cluster's state: etcd's files and logs
	followers  int
	from       int
}

func main() {
	klog.SetLogger(logr.Discard()) // a closed port of the stage is no news for the audience
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout *os.File, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: demo certs|story [flags]")
		return 2
	}
	var o options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.dev, "dev", ".dev", "folder of the demo's own files")
	fs.StringVar(&o.kubeconfig, "kubeconfig", filepath.Join(".dev", "kubeconfig"), "of the cluster")
	fs.StringVar(&o.kubectl, "kubectl", "kubectl", "program")
	fs.StringVar(&o.samples, "samples", filepath.Join("config", "samples"), "folder of the samples")
	fs.StringVar(&o.state, "state", filepath.Join(".dev", "cluster"), "folder of the local cluster's state; empty: another cluster")
	fs.IntVar(&o.from, "from", 1, "chapter to begin with, where an earlier run broke off")
	fs.IntVar(&o.followers, "followers", 2000, "size of the population")
	if err := fs.Parse(args[1:]); err != nil {
		return 2
	}
	switch args[0] {
	case "certs":
		if _, err := ensureAuthority(o.dev); err != nil {
			fmt.Fprintln(stderr, "demo:", err)
			return 1
		}
		return 0
	case "story":
		r := newReport(stdout)
		return r.end(tell(ctx, o, r))
	}
	fmt.Fprintf(stderr, "demo: unknown command %q\n", args[0])
	return 2
}

// tell runs the chapters in order; an error ends the story, a wrong figure does not.
func tell(ctx context.Context, o options, r *report) error {
	k, err := newKube(o.kubeconfig, o.kubectl, r)
	if err != nil {
		return err
	}
	s, err := newStory(k, o)
	if err != nil {
		return err
	}
	if o.from <= 1 {
		if err := s.clean(ctx); err != nil {
			return fmt.Errorf("clear an earlier run away: %w", err)
		}
	}
	chapters := []struct {
		title, proves string
		tell          func(context.Context) error
	}{
		{"The policy attests nodes", "Personal data may rest only on nodes whose region label, provider ID and attestation agree; nobody can place a pod elsewhere.", s.policy},
		{"The store comes up in the mainland, or not at all", "Without a place inside, nothing starts; with one, every step from the pod to its disk can be checked.", s.store},
		{"Head office asks before anybody was asked", "A transfer is refused with every reason at once, each with its article and what would pass.", s.tooEarly},
		{"Two thousand people follow, and answer", "Every callback is on disk before WeChat gets its answer, and only rounded numbers leave the region.", s.people},
		{"A campaign: plan, stop, kill, and one message each", "Everyone is sent to once or left out for one reason, though the sender is killed in the middle.", s.campaign},
		{"Head office asks again, with its papers", "Only people who agreed to this recipient leave, with the named fields; an authority's order stops everything.", s.transfers},
		{"The same YAML again changes nothing", "A GitOps tool may apply the files for ever.", s.again},
		{"What the Kubernetes API knows of people: nothing", "No identifier and no secret is in etcd, in an object, an event or a log.", s.canary},
	}
	for i, c := range chapters {
		if i+1 < o.from {
			continue
		}
		r.chapter(i+1, c.title, c.proves)
		if err := c.tell(ctx); err != nil {
			return errors.Join(fmt.Errorf("chapter %d: %w", i+1, err), s.hint(ctx))
		}
	}
	return nil
}
