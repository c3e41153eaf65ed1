package gateway

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// scraped returns the gateway's own metrics as Prometheus would read them.
func scraped(t *testing.T, m *metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.expose().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	wantStatus(t, w, http.StatusOK)
	var own []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "maodian_") {
			own = append(own, strings.TrimSpace(line))
		}
	}
	return strings.Join(own, "\n")
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.metrics = newMetrics(func() time.Time { r.now = r.now.Add(10 * time.Millisecond); return r.now })
	r.handler = r.replica()
	wantStatus(t, r.push(event("subscribe", "")), http.StatusOK)
	wantStatus(t, r.raw("signature=x", nil), http.StatusForbidden)
	r.intake.err = errStore
	wantStatus(t, r.push(event("SCAN", "<EventKey>booth</EventKey>")), http.StatusServiceUnavailable)
	wantStatus(t, r.do("/consent/done", nil), http.StatusSeeOther)
	wantStatus(t, r.do("/wp-login.php", nil), http.StatusNotFound)
	got := scraped(t, r.metrics)
	for _, want := range []string{
		`maodian_gateway_requests_total{outcome="served",route="callback"} 1`,
		`maodian_gateway_requests_total{outcome="refused",route="callback"} 1`,
		`maodian_gateway_requests_total{outcome="store",route="callback"} 1`,
		`maodian_gateway_requests_total{outcome="served",route="consent"} 1`,
		`maodian_gateway_requests_total{outcome="absent",route="verification"} 1`,
		`maodian_gateway_request_duration_seconds_count{route="callback"} 3`,
		`maodian_gateway_request_duration_seconds_bucket{route="callback",le="0.005"} 0`,
		`maodian_gateway_request_duration_seconds_bucket{route="callback",le="0.025"} 3`,
		`maodian_gateway_requests_waiting{route="callback"} 0`,
	} {
		if !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("no line %s in\n%s", want, got)
		}
	}
	for _, labels := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(got, -1) {
		if name := labels[1]; name != "route" && name != "outcome" && name != "le" {
			t.Errorf("label %s", name)
		}
	}
	if strings.Contains(got, canary) || strings.Contains(got, "wp-login") || strings.Contains(got, "booth") {
		t.Errorf("metrics repeat what was asked:\n%s", got)
	}
}

func TestMetrics_CountWhatWaits(t *testing.T) {
	m := newMetrics(func() time.Time { return start })
	during := ""
	h := m.measure("callback", func(http.ResponseWriter, *http.Request) { during = scraped(t, m) })
	h(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	if !strings.Contains(during, `maodian_gateway_requests_waiting{route="callback"} 1`) {
		t.Errorf("while a request waits:\n%s", during)
	}
}
