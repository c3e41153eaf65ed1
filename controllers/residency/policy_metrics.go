package residency

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/maodian-dev/maodian/internal/domain/placement"
)

// gauges shows the last look at every policy. They are made when somebody asks, so a policy
// that is gone leaves no series behind.
type gauges struct{ byPolicy[reading] }

// reading is what one look found.
type reading struct {
	violations []placement.Count // by kind and reason
	nodes      map[string]int    // by state
}

// States of nodes in the gauge.
const (
	nodesAttested = "attested"
	nodesRefused  = "refused"
)

func violationsGauge() *prometheus.Desc {
	return prometheus.NewDesc("maodian_residency_violations", "Objects of governed namespaces that are outside.", []string{"policy", "kind", "reason"}, nil)
}

func nodesGauge() *prometheus.Desc {
	return prometheus.NewDesc("maodian_residency_nodes", "Nodes by what the policy decides about them: attested or refused.", []string{"policy", "state"}, nil)
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	to <- violationsGauge()
	to <- nodesGauge()
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	violations, nodes := violationsGauge(), nodesGauge()
	for policy, r := range g.all() {
		for _, c := range r.violations {
			to <- prometheus.MustNewConstMetric(violations, prometheus.GaugeValue, float64(c.N), policy, string(c.Kind), string(c.Reason))
		}
		for state, n := range r.nodes {
			to <- prometheus.MustNewConstMetric(nodes, prometheus.GaugeValue, float64(n), policy, state)
		}
	}
}

// register replaces the gauges of an earlier manager in the same process.
func (g *gauges) register(with prometheus.Registerer) error {
	if with == nil {
		return nil
	}
	with.Unregister(g)
	return with.Register(g)
}
