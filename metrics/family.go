package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// The types of metrics, as Prometheus writes them.
const (
	counterType   = "counter"
	gaugeType     = "gauge"
	histogramType = "histogram"
)

// A family is the description of a metric.
type family struct {
	name, help, kind string
	labels           []string
	desc             *prometheus.Desc
	step             int // of a histogram: its classic buckets are those of each step-th power of two
}

func newFamily(kind, name, help string, labels ...string) family {
	name = "dqbridge_" + name
	return family{name, help, kind, labels, prometheus.NewDesc(name, help, labels, nil), 1}
}

// coarse returns a histogram with half of the classic buckets.
func (f family) coarse() family {
	f.step = 2
	return f
}

// send sends a value with its labels.
func (f family) send(to chan<- prometheus.Metric, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	if f.kind == counterType {
		kind = prometheus.CounterValue
	}
	m, err := prometheus.NewConstMetric(f.desc, kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(f.desc, err)
	}
	to <- m
}

// A truth is a condition as the value of a metric.
type truth bool

// value returns 1 or 0.
func (t truth) value() float64 {
	if t {
		return 1
	}
	return 0
}

// describe sends the descriptions of families.
func describe(to chan<- *prometheus.Desc, families []family) {
	for _, f := range families {
		to <- f.desc
	}
}
