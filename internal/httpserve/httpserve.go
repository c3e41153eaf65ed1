// Package httpserve is the life of an HTTP server in the data plane: bounded, health on a
// port of its own, and on a signal readiness goes first, then requests in flight finish.
package httpserve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config of one server.
type Config struct {
	Listen       string
	HealthListen string      // empty: no health server
	TLS          *tls.Config // nil: plain HTTP
	Grace        time.Duration
	Ready        func(context.Context) error // nil: ready while serving
	HealthRoutes map[string]http.Handler     // more patterns for the health server
	Streaming    bool                        // answers may take longer than the write timeout
	// Listener replaces Listen, for tests.
	Listener net.Listener
}

// Serve runs until ctx ends, and returns nil after an orderly stop.
func Serve(ctx context.Context, cfg Config, h http.Handler) error {
	ln := cfg.Listener
	if ln == nil {
		var err error
		if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if cfg.TLS != nil {
		ln = tls.NewListener(ln, cfg.TLS)
	}
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	var draining atomic.Bool
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return run(ctx, server(h, cfg.Streaming), ln, cfg.Grace, func() { draining.Store(true) })
	})
	if cfg.HealthListen != "" {
		hln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.HealthListen)
		if err != nil {
			_ = ln.Close()
			return fmt.Errorf("listen for health: %w", err)
		}
		g.Go(func() error { return run(ctx, server(health(cfg, &draining), false), hln, cfg.Grace, func() {}) })
	}
	return g.Wait()
}

func server(h http.Handler, streaming bool) *http.Server {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug), // its messages name peers
	}
	if streaming {
		s.ReadTimeout, s.WriteTimeout = 0, 0
	}
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	s.Protocols = &p
	return s
}

func run(ctx context.Context, s *http.Server, ln net.Listener, grace time.Duration, stopping func()) error {
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stopping()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(drain)
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

func health(cfg Config, draining *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range cfg.HealthRoutes {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() || (cfg.Ready != nil && cfg.Ready(r.Context()) != nil) {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}
