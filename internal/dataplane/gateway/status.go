package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/maodian-dev/maodian/internal/wechat"
)

// How often the account is checked. A failure that may pass is looked at again soon.
const (
	checkEvery = 5 * time.Minute
	checkSoon  = time.Second
	checkSlow  = time.Minute
)

// status is what GET /status tells the manager: whether WeChat takes the credentials.
type status struct {
	PlatformCode int64  `json:"platformCode"`
	Class        string `json:"class"`
}

// checker knows the result of the last check of the account.
type checker struct {
	platform Platform
	log      *slog.Logger
	last     atomic.Pointer[status]
}

func newChecker(p Platform, log *slog.Logger) *checker {
	c := &checker{platform: p, log: log}
	c.last.Store(&status{Class: wechat.Unknown.String()})
	return c
}

// run checks until ctx ends.
func (c *checker) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	backoff := checkSoon
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		switch c.check(ctx) {
		case wechat.Retry, wechat.Unknown:
			timer.Reset(backoff)
			backoff = min(2*backoff, checkSlow)
		default:
			timer.Reset(checkEvery)
			backoff = checkSoon
		}
	}
}

func (c *checker) check(ctx context.Context) wechat.Class {
	err := c.platform.Check(ctx)
	if ctx.Err() != nil {
		return wechat.Unknown // we are stopping, which says nothing about the account
	}
	now := status{Class: wechat.ClassOf(err).String()}
	if we, ok := wechatError(err); ok {
		now.PlatformCode = we.Code
	}
	if before := c.last.Swap(&now); *before != now {
		c.log.LogAttrs(ctx, slog.LevelInfo, "Account checked", slog.String("class", now.Class), slog.Int64("code", now.PlatformCode))
	}
	return wechat.ClassOf(err)
}

// ServeHTTP answers GET /status.
func (c *checker) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.last.Load()) // the reader has gone if that fails
}
