package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// A Check compares the forecast of a small Cluster with a measurement.
type Check struct {
	Nodes    int
	Measured float64
	Forecast float64
	Share    float64 // mean processor share of a node
	PerItem  float64 // processor time of all nodes in us
	Busiest  float64 // part of the busiest node in the processor time of all nodes
}

const (
	checkFlows      = 12
	checkPartitions = 6
	checkSlots      = 4
	// checkBatch makes Redis the limit.
	checkBatch = 256
	// checkShare is the processor share of each node. Unbounded nodes would share the processors with
	// all other processes, and more nodes would not carry more.
	checkShare  = 0.1
	checkPeriod = 10 * time.Millisecond
	checkWarm   = 3 * time.Second
	checkTime   = 6 * time.Second
)

// Checks measures Clusters of one, two and three throttled nodes. A node at its limit takes more in
// one call than a node that waits for its clients. So the Cluster of one node scales the units of
// Redis, and the others are forecast.
func (u Units) Checks(ctx context.Context, progress io.Writer) (checks []Check, err error) {
	for nodes := 1; nodes <= 3; nodes++ {
		_, _ = fmt.Fprintf(progress, "check: a Cluster of %d\n", nodes)
		c, err := u.check(ctx, nodes)
		if err != nil {
			return nil, fmt.Errorf("a Cluster of %d: %w", nodes, err)
		}
		if nodes == 1 {
			scale := c.Measured / c.Forecast
			u.Redis.Batch, u.Redis.Item, u.Beat = u.Redis.Batch/scale, u.Redis.Item/scale, u.Beat/scale
			c.Forecast = c.Measured
		}
		checks = append(checks, c)
	}
	return checks, nil
}

func (u Units) check(ctx context.Context, nodes int) (c Check, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cluster, err := redisd.StartCluster(ctx, nodes)
	if err != nil {
		return c, err
	}
	defer cluster.Stop()
	l := &load{url: fmt.Sprintf("%s?partitions=%d", cluster.URL(), checkPartitions)}
	if err := l.open(ctx); err != nil {
		return c, errors.Join(err, l.close())
	}
	var throttles sync.WaitGroup
	throttled, release := context.WithCancel(ctx)
	for _, s := range cluster {
		throttles.Go(func() { _ = s.Throttle(throttled, checkShare, checkPeriod) }) // an error ends with the server
	}
	c, err = l.measure(ctx, cluster)
	release()
	throttles.Wait()
	if err = errors.Join(err, l.close()); err != nil {
		return c, err
	}
	c.Nodes = nodes
	c.Forecast = u.Simulate(Fleet{
		Nodes: nodes, Partitions: checkPartitions, Flows: checkFlows, Workers: 1, Slots: checkSlots, Speed: c.Share, Batch: checkBatch,
	}).PerSecond
	return c, nil
}

// A load is endless flows and one fleet.
type load struct {
	url       string
	executors []*executor.Executor
	done      atomic.Bool
	delivered atomic.Int64
	group     sync.WaitGroup
	once      sync.Once
	failed    error // read after group
}

func (l *load) executor(ctx context.Context, opts ...executor.Option) (*executor.Executor, error) {
	ex, err := executor.New(ctx, l.url, opts...)
	if err == nil {
		l.executors = append(l.executors, ex)
	}
	return ex, err
}

func (l *load) open(ctx context.Context) error {
	fleet, err := l.executor(ctx, executor.Concurrency(checkSlots))
	if err != nil {
		return err
	}
	if err := fleet.Register(rows.Inc, rows.Double); err != nil {
		return err
	}
	for range checkFlows {
		ex, err := l.executor(ctx)
		if err != nil {
			return err
		}
		if err := l.flow(ctx, ex); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) flow(ctx context.Context, ex *executor.Executor) error {
	in := make(chan int, work.Capacity)
	f := flow.Numbers(0, work.Expected, rows.Inc, rows.Double)
	out, err := f.Open(ctx, ex, in, bridge.MaxBatch(checkBatch))
	if err != nil {
		return err
	}
	l.group.Go(func() {
		defer close(in)
		for i := 0; !l.done.Load() && ctx.Err() == nil; i++ {
			select {
			case in <- i:
			case <-ctx.Done():
			}
		}
	})
	l.group.Go(func() {
		i := 0
		for r := range out {
			err := r.Err
			if err == nil {
				err = f.Check(i, r.Value)
			}
			if err != nil {
				l.once.Do(func() { l.failed = err })
				return
			}
			i++
			l.delivered.Add(1)
		}
	})
	return nil
}

// measure counts after the warm-up.
func (l *load) measure(ctx context.Context, cluster redisd.Cluster) (c Check, err error) {
	if err := work.Pause(ctx, checkWarm); err != nil {
		return c, err
	}
	before, err := cluster.CPU(ctx)
	if err != nil {
		return c, err
	}
	begin, first := time.Now(), l.delivered.Load()
	if err := work.Pause(ctx, checkTime); err != nil {
		return c, err
	}
	items := float64(l.delivered.Load() - first)
	after, err := cluster.CPU(ctx)
	if err != nil {
		return c, err
	}
	seconds := time.Since(begin).Seconds()
	all, most := 0.0, 0.0
	for i := range after {
		used := after[i] - before[i]
		all, most = all+used, max(most, used)
	}
	if items == 0 {
		return c, fmt.Errorf("no result in %v", checkTime)
	}
	c.Measured, c.Share = items/seconds, all/seconds/float64(len(cluster))
	c.PerItem, c.Busiest = 1e6*all/items, most/all
	return c, nil
}

// close ends the flows and returns the first failure.
func (l *load) close() (err error) {
	l.done.Store(true)
	l.group.Wait()
	for _, ex := range l.executors {
		err = errors.Join(err, ex.Close())
	}
	return errors.Join(l.failed, err)
}

// WriteChecks writes the checks as a table.
func WriteChecks(w io.Writer, checks []Check) error {
	grid := [][]string{{"Cluster here", "items/s", "simulated", "of it", "processor a node", "us an item", "busiest node"}}
	for _, c := range checks {
		forecast, of := report.Thousands(c.Forecast), fmt.Sprintf("%.2f", c.Measured/c.Forecast)
		if c.Nodes == 1 {
			forecast, of = "sets the unit", "-"
		}
		grid = append(grid, []string{
			fmt.Sprintf("%d nodes", c.Nodes), report.Thousands(c.Measured), forecast, of,
			fmt.Sprintf("%.1f %%", 100*c.Share), report.Significant(c.PerItem), fmt.Sprintf("%.0f %%", 100*c.Busiest),
		})
	}
	return report.Grid(w, grid)
}
