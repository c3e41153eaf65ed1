package twin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	shutdownGrace   = 5 * time.Second
	defaultLogEvery = 30 * time.Second
)

// Run serves the twin until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	settings, err := cfg.settings()
	if err != nil {
		return err
	}
	p, err := New(settings)
	if err != nil {
		return err
	}
	defer p.Close()
	api, err := cfg.listenTLS(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	control, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.ControlListen)
	if err != nil {
		return fmt.Errorf("listen for control: %w", err)
	}
	defer func() { _ = control.Close() }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, api, p.API()) })
	group.Go(func() error { return serve(ctx, control, p.Control(ctx, cfg.ConsentURL)) })
	group.Go(func() error { return p.report(ctx, cfg.logger(), cfg.logEvery()) })
	return group.Wait()
}

func (c Config) logEvery() time.Duration {
	if c.LogEverySeconds == 0 {
		return defaultLogEvery
	}
	return time.Duration(c.LogEverySeconds) * time.Second
}

func (c Config) logger() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

func (c Config) listenTLS(ctx context.Context) (net.Listener, error) {
	cert, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	return tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}

// serve runs one server. The server's own log would name clients, so there is none.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if s.Shutdown(grace) != nil {
			_ = s.Close()
		}
	})
	err := s.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	stop()
	return fmt.Errorf("serve: %w", err)
}

// report logs the summary, which is numbers only, when something has changed.
func (p *Platform) report(ctx context.Context, to *slog.Logger, every time.Duration) error {
	var last string
	for p.clock.Sleep(ctx, every) == nil {
		s := p.Summary()
		line := fmt.Sprint(s)
		if line == last {
			continue
		}
		last = line
		to.InfoContext(ctx, "twin", "followers", s.Followers, "received", s.Received, "accepted", s.Accepted,
			"callbacksSent", s.Callbacks.Sent, "callbacksAcknowledged", s.Callbacks.Acknowledged, "callbacksFailed", s.Callbacks.Failed,
			"scenario", s.Scenario.State, "scenarioDone", s.Scenario.Done)
	}
	return nil
}
