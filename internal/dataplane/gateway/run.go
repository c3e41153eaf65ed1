package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/httpserve"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// Run serves until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	log := slog.Default()
	credentials, err := loadCredentials(cfg.CredentialsDir)
	if err != nil {
		return err
	}
	roots, err := config.Roots(cfg.ExtraCAFile)
	if err != nil {
		return err
	}
	account, err := wechat.New(wechat.Config{
		Name: cfg.Account, AppID: cfg.AppID, AppSecret: credentials.AppSecret, Hosts: cfg.Hosts, RootCAs: roots,
	})
	if err != nil {
		return err
	}
	defer account.Close()
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	store := storeclient.New(src, cfg.Store)
	defer store.Close()
	m := newMetrics(time.Now)
	h, err := NewHandler(Options{
		Account: cfg.Account, AppID: cfg.AppID, Credentials: credentials, WithdrawKeywords: cfg.WithdrawKeywords,
		Templates: cfg.Templates, PublicHost: cfg.PublicHost, Intake: store.Intake, Platform: account, Log: log,
		Files: os.DirFS(cfg.CredentialsDir), Metrics: m,
	})
	if err != nil {
		return err
	}
	checks := newChecker(account, log)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		checks.run(ctx)
		return nil
	})
	g.Go(func() error {
		return httpserve.Serve(ctx, httpserve.Config{
			Listen: cfg.Listen, HealthListen: cfg.HealthListen,
			HealthRoutes: map[string]http.Handler{"GET /status": checks, "GET /metrics": m.expose()},
		}, h)
	})
	log.InfoContext(ctx, "Serving account", "account", cfg.Account)
	return g.Wait()
}
