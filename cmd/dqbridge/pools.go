package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/internal/api"
	"github.com/dqbridge/dqbridge/internal/scale"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// A namedPool is a pool of workers as --pool gives it.
type namedPool struct {
	name    string
	options scale.Options
}

// maxPools bounds the series of an exporter, and the pools that a scale.Keeper remembers.
const maxPools = 64

// namedPools reads pools: NAME=QUERY, with the query of /api/v1/scale.
func namedPools(texts []string) (pools []namedPool, err error) {
	if len(texts) > maxPools {
		return nil, cli.Usagef("--pool: there are %d pools; an exporter takes at most %d", len(texts), maxPools)
	}
	for _, text := range texts {
		name, query, found := strings.Cut(text, "=")
		if name == "" || !found || !utf8.ValidString(name) || slices.ContainsFunc(pools, func(p namedPool) bool { return p.name == name }) {
			return nil, cli.Usagef("--pool %q: begin with a name of its own, such as cpu=functions=resize,crop&slots=2", text)
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return nil, cli.Usagef("--pool %q: %v", text, err)
		}
		for key := range values {
			if !slices.Contains(api.PoolQuery(), key) {
				return nil, cli.Usagef("--pool %q: there is no %q; there are %s", text, key, strings.Join(api.PoolQuery(), ", "))
			}
		}
		options, err := api.PoolOptions(values)
		if err != nil {
			return nil, cli.Usagef("--pool %q: %v", text, err)
		}
		pools = append(pools, namedPool{name, options})
	}
	return pools, nil
}

// A poolCollector has the metrics of a namespace and the number of workers that each pool should
// have. A scrape sends no command to Redis.
type poolCollector struct {
	prometheus.Collector
	watcher *watch.Watcher
	keeper  scale.Keeper
	pools   []namedPool
	desired *prometheus.Desc
}

func newPoolCollector(fleet prometheus.Collector, w *watch.Watcher, pools []namedPool) *poolCollector {
	return &poolCollector{Collector: fleet, watcher: w, pools: pools, desired: prometheus.NewDesc(
		"dqbridge_desired_workers", "Workers that a pool should have, see dqbridge scale.", []string{"pool"}, nil)}
}

// Describe sends the descriptions of the metrics.
func (c *poolCollector) Describe(to chan<- *prometheus.Desc) {
	c.Collector.Describe(to)
	to <- c.desired
}

// Collect sends the metrics of the last read of the namespace. While Redis is away, a pool keeps its
// number.
func (c *poolCollector) Collect(to chan<- prometheus.Metric) {
	c.Collector.Collect(to)
	view, _ := c.watcher.Latest()
	if view.At.IsZero() {
		return
	}
	for _, p := range c.pools {
		to <- prometheus.MustNewConstMetric(c.desired, prometheus.GaugeValue, float64(c.keeper.Decide(view, p.options).Workers), p.name)
	}
}

// poolUsage describes --pool.
func poolUsage() string {
	return fmt.Sprintf("add the workers that a pool should have, as dqbridge_desired_workers; `NAME=QUERY` has the query of /api/v1/scale (%s)",
		strings.Join(api.PoolQuery(), ", "))
}
