// Command maodian is the data plane: each part is a subcommand with a configuration file.
// It holds no cluster credentials and knows nothing of Kubernetes.
//
//	maodian store    --config FILE   the ledger of a ConsentStore
//	maodian gateway  --config FILE   callbacks and the consent page of a WeChatAccount
//	maodian dispatch --config FILE   one worker of a campaign's run
//	maodian transfer --config FILE   one DataTransfer of records
//	maodian aggregate --config FILE  one DataTransfer of counts
//	maodian officer  --config FILE   answers people's requests about their own data
//	maodian twin     --config FILE   an offline twin of the WeChat platform
//	maodian ledger   verify|export   checks a ledger's pack or a receipt, offline; writes a pack
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // used where the system has no authorities

	"github.com/maodian-dev/maodian/internal/dataplane/aggregate"
	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/dataplane/dispatch"
	"github.com/maodian-dev/maodian/internal/dataplane/gateway"
	"github.com/maodian-dev/maodian/internal/dataplane/officer"
	"github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
	ledger "github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
)

const usage = `usage: maodian store|gateway|dispatch|transfer|aggregate|officer|twin --config FILE
       maodian ledger verify|export ...`

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// arguments of every subcommand.
type arguments struct {
	config, level string
	audit         dispatch.Audit
	task          officer.Task
}

// flags are those of a subcommand.
func (a *arguments) flags(part string) *flag.FlagSet {
	fs := flag.NewFlagSet("maodian "+part, flag.ContinueOnError)
	fs.StringVar(&a.config, "config", "", "configuration file")
	fs.StringVar(&a.level, "log-level", "INFO", "DEBUG, INFO, WARN or ERROR")
	switch part {
	case "dispatch":
		fs.StringVar(&a.audit.URL, "reconcile", "", "address of an audit of what people received: compare it with the ledger, send nothing")
		fs.Int64Var(&a.audit.Accounted, "reconcile-accounted", 0, "how many people must be sent to or unknown; 0: any number")
		fs.Int64Var(&a.audit.MostUnknown, "reconcile-unknown", -1, "how many outcomes may be unknown at most; negative: any number")
	case "officer":
		fs.StringVar(&a.task.Do, "do", "", "requests, access, answer, erase, import, recipients, tell or acknowledge")
		fs.StringVar(&a.task.Reference, "reference", "", "reference of an open request, or of a letter to a recipient")
		fs.StringVar(&a.task.Recipient, "recipient", "", "who must be told of people")
		fs.StringVar(&a.task.Answer, "answer", "", "reference of the recipient's answer to a letter")
		fs.StringVar(&a.task.Outcome, "outcome", "", "what became of it: Done or Refused")
		fs.StringVar(&a.task.Account, "account", "", "the WeChatAccount that an openid belongs to")
		fs.StringVar(&a.task.OpenIDFile, "openid-file", "", "file that holds the openid")
		fs.StringVar(&a.task.Out, "out", "", "file to write, on a volume in the region")
		fs.StringVar(&a.task.File, "file", "", "people to import, one JSON object a line")
	}
	return fs
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "version" {
		fmt.Fprintln(stdout, version)
		return 0
	}
	if len(args) == 0 {
		fmt.Fprintln(stderr, usage)
		return 2
	}
	if args[0] == "ledger" {
		return runLedger(ctx, args[1:], stdout, stderr)
	}
	var a arguments
	fs := a.flags(args[0])
	fs.SetOutput(stderr)
	if err := fs.Parse(args[1:]); err != nil {
		return 2
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.level)); err != nil {
		fmt.Fprintln(stderr, "maodian: --log-level must be DEBUG, INFO, WARN or ERROR")
		return 2
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log)
	part, ok := parts[args[0]]
	if !ok {
		fmt.Fprintln(stderr, usage)
		return 2
	}
	if err := part(ctx, a, stdout); err != nil {
		log.Error("Stopped", "part", args[0], "error", err.Error())
		leaveWord(err)
		return 1
	}
	return 0
}

// leaveWord tells Kubernetes why a store refused to start: by its stable word alone, since
// what stands in a pod's status stands in the Kubernetes API.
func leaveWord(err error) {
	const file = "/dev/termination-log" // made by the kubelet
	var refusal *ledger.Error
	if _, missing := os.Stat(file); missing != nil || !errors.As(err, &refusal) {
		return
	}
	if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString(refusal.Word)
		_ = f.Close()
	}
}

// parts are the subcommands.
var parts = map[string]func(context.Context, arguments, io.Writer) error{
	"store": func(ctx context.Context, a arguments, _ io.Writer) error {
		return load(ctx, a, &store.Config{}, func(ctx context.Context, c *store.Config) error { return store.Run(ctx, *c) })
	},
	"gateway": func(ctx context.Context, a arguments, _ io.Writer) error {
		return load(ctx, a, &gateway.Config{}, func(ctx context.Context, c *gateway.Config) error { return gateway.Run(ctx, *c) })
	},
	"dispatch": func(ctx context.Context, a arguments, out io.Writer) error {
		return load(ctx, a, &dispatch.Config{}, func(ctx context.Context, c *dispatch.Config) error {
			if a.audit.URL != "" {
				return dispatch.Reconcile(ctx, *c, a.audit, out)
			}
			return dispatch.Run(ctx, *c)
		})
	},
	"transfer": func(ctx context.Context, a arguments, _ io.Writer) error {
		return load(ctx, a, &transfer.Config{}, func(ctx context.Context, c *transfer.Config) error { return transfer.Run(ctx, *c) })
	},
	"aggregate": func(ctx context.Context, a arguments, _ io.Writer) error {
		return load(ctx, a, &aggregate.Config{}, func(ctx context.Context, c *aggregate.Config) error { return aggregate.Run(ctx, *c) })
	},
	"officer": func(ctx context.Context, a arguments, _ io.Writer) error {
		return load(ctx, a, &officer.Config{}, func(ctx context.Context, c *officer.Config) error { return officer.Run(ctx, *c, a.task) })
	},
	"twin": func(ctx context.Context, a arguments, _ io.Writer) error {
		c, err := twin.LoadConfig(a.config)
		if err != nil {
			return err
		}
		return twin.Run(ctx, c)
	},
}

func load[C config.Validator](ctx context.Context, a arguments, c C, run func(context.Context, C) error) error {
	if err := config.Load(a.config, c); err != nil {
		return err
	}
	return run(ctx, c)
}
