package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// Run sends this pod's shard of the run.
func Run(ctx context.Context, cfg Config) error {
	data, err := render(cfg.Subscription.Data, time.Now())
	if err != nil {
		return err
	}
	part, err := shard()
	if err != nil {
		return err
	}
	secret, err := config.Secret(cfg.CredentialsDir, "appSecret")
	if err != nil {
		return err
	}
	roots, err := config.Roots(cfg.ExtraCAFile)
	if err != nil {
		return err
	}
	account, err := wechat.New(wechat.Config{Name: cfg.Account, AppID: cfg.AppID, AppSecret: secret, Hosts: cfg.Hosts, RootCAs: roots})
	if err != nil {
		return err
	}
	defer account.Close()
	client, err := connectStore(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	log := slog.Default().With("run", cfg.RunID, "shard", part)
	log.Info("Dispatching", "campaign", cfg.Campaign)
	w := &Worker{
		Store: client.Dispatch, Sender: account, RunID: cfg.RunID, Shard: part, Workers: cfg.Workers, Log: log,
		Message: wechat.SubscriptionMessage{TemplateID: cfg.Subscription.TemplateID, Page: cfg.Subscription.Page, Data: data},
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	log.Info("Shard finished")
	return nil
}

func connectStore(cfg Config) (*storeclient.Client, error) {
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return nil, err
	}
	return storeclient.New(src, cfg.Store), nil
}

// word tells whether the store refused with a stable word: trying again is no use.
func word(err error) bool {
	return storeclient.Word(err) != "" && storeclient.Word(err) != "Internal" && storeclient.Word(err) != "Deadline"
}
