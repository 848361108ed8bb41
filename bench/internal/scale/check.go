package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/text"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// A Check is a simulated figure beside a measured one.
type Check struct {
	Nodes    int
	Measured float64
	Forecast float64
	Share    float64 // of a processor that the nodes had, on average
	PerItem  float64 // us of all nodes together
	Uneven   float64 // share of the busiest node in the processor time of all
}

const (
	checkFlows      = 12
	checkPartitions = 6
	checkHands      = 4
	// checkBatch is large enough that callers and slots are not the limit.
	checkBatch = 256
	// checkShare is each node's share of a processor. On a machine with two processors, three
	// unlimited nodes would share them with all other processes, and more nodes could not carry
	// more.
	checkShare  = 0.1
	checkPeriod = 10 * time.Millisecond
	checkWarm   = 3 * time.Second
	checkTime   = 6 * time.Second
)

// Checks measures Clusters of one, two and three throttled nodes, and simulates the same. A
// saturated node handles more in one call than a node that waits for its clients, as in the
// measurement of the units. So the cost of Redis is scaled to the Cluster of one node; the other
// Clusters are forecast.
func (u Units) Checks(ctx context.Context, progress io.Writer) ([]Check, error) {
	var checks []Check
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
	held, release := context.WithCancel(ctx)
	for _, s := range cluster {
		throttles.Go(func() { _ = s.Throttle(held, checkShare, checkPeriod) }) // it ends with the server
	}
	c, err = l.measure(ctx, cluster)
	release()
	throttles.Wait()
	l.stop()
	if err = errors.Join(err, l.close()); err != nil {
		return c, err
	}
	c.Nodes = nodes
	c.Forecast = u.Simulate(Fleet{
		Nodes: nodes, Partitions: checkPartitions, Flows: checkFlows, Workers: 1, Hands: checkHands, Speed: c.Share, Batch: checkBatch,
	}).PerSecond
	return c, nil
}

// A load is flows that run until they are stopped.
type load struct {
	url       string
	executors []*executor.Executor
	done      atomic.Bool
	delivered atomic.Int64
	group     sync.WaitGroup
	failed    error // valid after group has ended
	once      sync.Once
}

func (l *load) open(ctx context.Context) error {
	fleet, err := executor.New(ctx, l.url, executor.Concurrency(checkHands))
	if err != nil {
		return err
	}
	l.executors = append(l.executors, fleet)
	if err := fleet.Register(rows.Inc, rows.Double); err != nil {
		return err
	}
	for range checkFlows {
		ex, err := executor.New(ctx, l.url)
		if err != nil {
			return err
		}
		l.executors = append(l.executors, ex)
		if err := l.flow(ctx, ex); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) flow(ctx context.Context, ex *executor.Executor) error {
	in := make(chan int, work.Capacity)
	q, err := bridge.Scatter(ctx, ex, in, bridge.MaxBatch(checkBatch))
	if err != nil {
		return err
	}
	if q, err = executor.Map(ctx, rows.Inc, q); err != nil {
		return err
	}
	if q, err = executor.Map(ctx, rows.Double, q); err != nil {
		return err
	}
	out, err := bridge.Gather(ctx, q)
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
			if r.Err == nil && r.Value != work.Expected(i) {
				r.Err = fmt.Errorf("result %d is %d", i, r.Value)
			}
			if r.Err != nil {
				l.once.Do(func() { l.failed = r.Err })
				return
			}
			i++
			l.delivered.Add(1)
		}
	})
	return nil
}

// measure counts after a warm-up.
func (l *load) measure(ctx context.Context, cluster redisd.Cluster) (c Check, err error) {
	if err := pause(ctx, checkWarm); err != nil {
		return c, err
	}
	before, err := cpu(ctx, cluster)
	if err != nil {
		return c, err
	}
	begin, first := time.Now(), l.delivered.Load()
	if err := pause(ctx, checkTime); err != nil {
		return c, err
	}
	items := float64(l.delivered.Load() - first)
	after, err := cpu(ctx, cluster)
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
		return c, errors.New("no item has come in the time of the measurement")
	}
	c.Measured, c.Share = items/seconds, all/seconds/float64(len(cluster))
	c.PerItem, c.Uneven = 1e6*all/items, most/all
	return c, nil
}

func cpu(ctx context.Context, cluster redisd.Cluster) ([]float64, error) {
	var list []float64
	for _, s := range cluster {
		used, err := s.Usage(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, used.CPU)
	}
	return list, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *load) stop() {
	l.done.Store(true)
	l.group.Wait()
}

func (l *load) close() (err error) {
	for _, ex := range l.executors {
		err = errors.Join(err, ex.Close())
	}
	return errors.Join(l.failed, err)
}

// WriteChecks writes the checks as a table.
func WriteChecks(w io.Writer, checks []Check) error {
	grid := [][]string{{"Cluster here", "items/s", "simulated", "of it", "processor a node", "us an item", "busiest node"}}
	for _, c := range checks {
		forecast, of := text.Thousands(c.Forecast), fmt.Sprintf("%.2f", c.Measured/c.Forecast)
		if c.Nodes == 1 {
			forecast, of = "sets the unit", "-"
		}
		grid = append(grid, []string{
			fmt.Sprintf("%d nodes", c.Nodes), text.Thousands(c.Measured), forecast, of,
			fmt.Sprintf("%.1f %%", 100*c.Share), text.Significant(c.PerItem), fmt.Sprintf("%.0f %%", 100*c.Uneven),
		})
	}
	return text.Grid(w, grid)
}
