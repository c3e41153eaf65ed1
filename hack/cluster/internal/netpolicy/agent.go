package netpolicy

import (
	"context"
	"fmt"
	"log"
	"os/exec"
	"strings"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	settle = 50 * time.Millisecond // several changes at once give one load
	retry  = time.Second
)

// Run keeps the table of one node up to date until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface, node string) error {
	f := informers.NewSharedInformerFactory(client, 0)
	c := &compiler{
		node: node, pods: f.Core().V1().Pods().Lister(), namespaces: f.Core().V1().Namespaces().Lister(),
		policies: f.Networking().V1().NetworkPolicies().Lister(),
	}
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
	}
	for _, i := range []cache.SharedIndexInformer{
		f.Core().V1().Pods().Informer(), f.Core().V1().Namespaces().Informer(), f.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := i.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch objects: %w", err)
		}
	}
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	return follow(ctx, changed, c.ruleset, load)
}

// follow loads the rules now and after every change; a failed load is tried again.
func follow(ctx context.Context, changed chan struct{}, compile func() (string, error), load func(context.Context, string) error) error {
	var loaded string
	for {
		rules, err := compile()
		if err == nil && rules != loaded {
			if err = load(ctx, rules); err == nil {
				loaded = rules
				log.Printf("loaded %d pod chains", strings.Count(rules, " jump "))
			}
		}
		pause := settle
		if err != nil {
			log.Print(err)
			pause = retry
		} else if !receive(ctx, changed) {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func receive(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c:
		return true
	}
}

func load(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load rules: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
