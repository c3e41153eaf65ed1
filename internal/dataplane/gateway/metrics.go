package gateway

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// served is the outcome of a request that did not end in a problem.
const served = "served"

// metrics are the gateway's own. They count requests, never people, and do not tell events
// or answers apart: how many withdrew is the store's to say, rounded (promise P2).
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	open     *prometheus.GaugeVec
	clock    func() time.Time
}

func newMetrics(clock func() time.Time) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "maodian_gateway_requests_total",
			Help: "Requests answered, by route and outcome: served, or the word of the problem.",
		}, []string{"route", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "maodian_gateway_request_duration_seconds",
			Help:    "Time to the answer. A callback is acknowledged with its event on disk; the platform waits 5 s.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "maodian_gateway_requests_waiting",
			Help: "Requests that came and are not answered yet.",
		}, []string{"route"}),
		clock: clock,
	}
	m.registry.MustRegister(m.requests, m.took, m.open, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// expose serves the metrics.
func (m *metrics) expose() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// measured knows how its request ended.
type measured struct {
	http.ResponseWriter
	outcome string
}

// ended notes the problem that a request ended with.
func ended(w http.ResponseWriter, p problem) {
	if m, ok := w.(*measured); ok {
		m.outcome = p.word
	}
}

// measure counts and times the requests of a route.
func (m *metrics) measure(route string, next http.HandlerFunc) http.HandlerFunc {
	open, took := m.open.WithLabelValues(route), m.took.WithLabelValues(route)
	return func(w http.ResponseWriter, r *http.Request) {
		open.Inc()
		defer open.Dec()
		began, seen := m.clock(), &measured{ResponseWriter: w, outcome: served}
		next(seen, r)
		took.Observe(m.clock().Sub(began).Seconds())
		m.requests.WithLabelValues(route, seen.outcome).Inc()
	}
}
