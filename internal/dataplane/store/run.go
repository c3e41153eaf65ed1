// Package store is the `maodian store` subcommand: it opens the ledger and serves it by
// RPC over mTLS. It reaches nobody but the stores that it counts people with, holds no cluster
// credentials, and is the only process that opens the database.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/maodian-dev/maodian/internal/httpserve"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
)

// Config is the store's configuration file.
type Config struct {
	Namespace    string `json:"namespace"`
	Name         string `json:"name"`
	Listen       string `json:"listen"`
	HealthListen string `json:"healthListen"`
	DataDir      string `json:"dataDir"`
	KeysDir      string `json:"keysDir"` // of the people's keys (docs/erasure.md); default dataDir
	LedgerID     string `json:"ledgerID"`
	CreateLedger bool   `json:"createLedger"`
	KeyFile      string `json:"keyFile"`
	// CountingKeyFile is shared with the stores whose certificates are in PeersDir; empty: this
	// store counts alone.
	CountingKeyFile string         `json:"countingKeyFile"`
	PeersDir        string         `json:"peersDir"`
	Algorithm       seal.Algorithm `json:"algorithm"`
	TLS             identity.Files `json:"tls"`
}

// ErrConfig says what is missing in the configuration.
var ErrConfig = errors.New("ConfigInvalid")

// Validate checks what cannot be defaulted.
func (c *Config) Validate() error {
	for field, v := range map[string]string{"namespace": c.Namespace, "name": c.Name, "dataDir": c.DataDir, "ledgerID": c.LedgerID, "keyFile": c.KeyFile} {
		if v == "" {
			return fmt.Errorf("%w: `%s` must be set", ErrConfig, field)
		}
	}
	if (c.CountingKeyFile == "") != (c.PeersDir == "") {
		return fmt.Errorf("%w: `countingKeyFile` and `peersDir` go together", ErrConfig)
	}
	if c.Listen == "" {
		c.Listen = ":8443"
	}
	if c.KeysDir == "" {
		c.KeysDir = c.DataDir
	}
	if c.Algorithm == "" {
		c.Algorithm = seal.AES256GCM
	}
	return nil
}

// Run serves until ctx ends; the ledger is closed last.
func Run(ctx context.Context, cfg Config) (err error) {
	log := slog.Default()
	key, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	ring, err := seal.NewRing(key, cfg.Algorithm)
	if err != nil {
		return fmt.Errorf("use key file: %w", err)
	}
	count, peers, err := countWith(cfg)
	if err != nil {
		return err
	}
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	for _, dir := range []string{cfg.DataDir, cfg.KeysDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	ledger, err := sqlite.Open(ctx, sqlite.Config{Dir: cfg.DataDir, KeysDir: cfg.KeysDir, LedgerID: cfg.LedgerID, Create: cfg.CreateLedger, Ring: ring, Counting: count, Clock: time.Now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	s := &Server{Ledger: ledger, Namespace: cfg.Namespace, Name: cfg.Name, Log: log, Peers: peers}
	log.Info("Serving ledger", "ledger", cfg.LedgerID)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		sweep(ctx, ledger, log)
		return nil
	})
	g.Go(func() error {
		return httpserve.Serve(ctx, httpserve.Config{
			Listen: cfg.Listen, HealthListen: cfg.HealthListen, TLS: identity.Server(src), Streaming: true,
		}, s.Handler())
	})
	return g.Wait()
}

// countWith reads the key by which people are counted with other stores; nil is none.
func countWith(cfg Config) (*seal.Counting, *Peers, error) {
	if cfg.CountingKeyFile == "" {
		return nil, nil, nil
	}
	key, err := os.ReadFile(cfg.CountingKeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read counting key file: %w", err)
	}
	c, err := seal.NewCounting(key)
	if err != nil {
		return nil, nil, fmt.Errorf("use counting key file: %w", err)
	}
	return c, FilePeers(cfg.PeersDir), nil
}
