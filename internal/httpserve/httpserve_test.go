package httpserve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestHealth(t *testing.T) {
	notReady := func(context.Context) error { return errors.New("no ledger") }
	extra := map[string]http.Handler{"GET /status": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})}
	for name, c := range map[string]struct {
		cfg      Config
		draining bool
		method   string
		path     string
		want     int
	}{
		"alive while serving":              {path: "/livez", want: 200},
		"alive while draining":             {path: "/livez", draining: true, want: 200},
		"ready while serving":              {path: "/readyz", want: 200},
		"not ready while draining":         {path: "/readyz", draining: true, want: 503},
		"not ready when the check says so": {cfg: Config{Ready: notReady}, path: "/readyz", want: 503},
		"no more than was asked for":       {path: "/status", want: 404},
		"a route of the caller's own":      {cfg: Config{HealthRoutes: extra}, path: "/status", want: 418},
		"readiness beside it":              {cfg: Config{HealthRoutes: extra}, path: "/readyz", want: 200},
		"its method counts":                {cfg: Config{HealthRoutes: extra}, method: http.MethodPost, path: "/status", want: 405},
	} {
		var draining atomic.Bool
		draining.Store(c.draining)
		w := httptest.NewRecorder()
		health(c.cfg, &draining).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, w.Code, c.want)
		}
	}
}
