package curve

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// bySize has one stage that changes nothing.
func bySize(ctx context.Context, l *measure.Runner) ([]Chart, error) {
	var rate, volume, single lines
	for _, size := range []int{8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20} {
		f := ofSize(size)
		items := max(1, min(256, 32<<10/size))
		for _, way := range []struct {
			name   string
			system flow.System[[]byte]
		}{
			{"dqbridge", measure.Dqbridge[[]byte](l, slots)},
			{"by hand, up to 256 items and 32 KiB an entry", flow.ByHand[[]byte](l.Server, items, max(1, min(64, 4<<20/(size*items))))},
		} {
			l.Logf("  %s: %s", bytes(float64(size)), way.name)
			p, err := pointOf(ctx, l, way.system, f, max(2, min(1000, (8<<20)/size)), min(2_000_000, max(8, (1<<30)/size)))
			if err != nil {
				return nil, err
			}
			rate.add(way.name, float64(size), p.perSecond)
			volume.add(way.name, float64(size), p.perSecond*float64(size)/(1<<20))
			single.add(way.name+", p50", float64(size), p.p50)
		}
	}
	x := Axis{"bytes of an item", bytes}
	return []Chart{
		{"size-rate.svg", "Items a second by their size, one stage", x, perSecond, rate.series},
		{"size-volume.svg", "MiB a second by the size of an item, one stage", x, Axis{"MiB a second", number}, volume.series},
		{"size-latency.svg", "One item at a time by its size, one stage", x, latency, single.series},
	}, nil
}

// ofSize makes the items before the measurement.
func ofSize(size int) flow.Flow[[]byte] {
	items := make([][]byte, max(2, min(1024, (32<<20)/size)))
	for i := range items {
		items[i] = work.Bytes(i, size)
	}
	return flow.Flow[[]byte]{
		Buffer: max(1, min(work.Capacity, (4<<20)/size)), Stages: []workers.Func[[]byte, []byte]{flow.Same[[]byte]("keep")},
		Item:  func(i int) []byte { return items[i%len(items)] },
		Check: func(i int, b []byte) error { return work.CheckBytes(b, i%len(items), size) },
	}
}

// byCost has one stage in 8 slots.
func byCost(ctx context.Context, l *measure.Runner) ([]Chart, error) {
	const slots = 8
	var rate, single lines
	for _, cost := range []time.Duration{
		100, 1000, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond,
		10 * time.Millisecond, 100 * time.Millisecond, time.Second,
	} {
		l.Logf("  %v", cost)
		x := float64(cost) / float64(time.Millisecond)
		f := flow.Numbers(0, flow.Number, flow.Waiting("waiting", func(int) time.Duration { return cost }))
		p, err := pointOf(ctx, l, measure.Dqbridge[int](l, slots), f, 2*slots, 2_000_000)
		if err != nil {
			return nil, err
		}
		rate.add("dqbridge, 8 slots", x, p.perSecond)
		concurrent := slots // sleeping calls need no processor
		if cost < 100*time.Microsecond {
			concurrent = min(slots, runtime.GOMAXPROCS(0))
		}
		rate.computed("8 slots and nothing else", x, float64(concurrent)/cost.Seconds())
		single.add("p50", x, p.p50)
		single.add("p99", x, p.p99)
		single.computed("the function alone", x, x)
	}
	x := Axis{"cost of an item", span}
	return []Chart{
		{"cost-rate.svg", "Items a second by the cost of the function, 8 slots", x, perSecond, rate.series},
		{"cost-latency.svg", "One item at a time by the cost of the function", x, latency, single.series},
	}, nil
}

// byStages has stages that change nothing, fused, apart and by hand.
func byStages(ctx context.Context, l *measure.Runner) ([]Chart, error) {
	var rate, single lines
	for _, stages := range []int{1, 2, 5, 10, 20} {
		f := flow.Numbers(0, flow.Number, slices.Repeat([]workers.Func[int, int]{flow.Same[int]("keep")}, stages)...)
		apart := f
		apart.Opts = []executor.MapOption{executor.NoFuse()}
		for _, way := range []struct {
			rate, single string
			system       flow.System[int]
			flow         flow.Flow[int]
		}{
			{"dqbridge", "dqbridge", measure.Dqbridge[int](l, slots), f},
			{"dqbridge, stages apart", "dqbridge, stages apart", measure.Dqbridge[int](l, slots), apart},
			{"by hand, 256 an entry", "by hand", flow.ByHand[int](l.Server, 256, 64), f},
		} {
			l.Logf("  %d stages, %s", stages, way.single)
			p, err := pointOf(ctx, l, way.system, way.flow, 10_000, 1_000_000)
			if err != nil {
				return nil, err
			}
			rate.add(way.rate, float64(stages), p.perSecond)
			single.add(way.single+", p50", float64(stages), p.p50)
		}
	}
	x := Axis{"stages", plain}
	return []Chart{
		{"stages-rate.svg", "Ints a second by the number of stages", x, perSecond, rate.series},
		{"stages-latency.svg", "One int at a time by the number of stages", x, latency, single.series},
	}, nil
}

// byWorkers has a function that sleeps, in processes of one slot each and in the slots of one
// process.
func byWorkers(ctx context.Context, l *measure.Runner) ([]Chart, error) {
	var rate, single lines
	for _, n := range []int{1, 2, 5, 10, 20, 50, 100} {
		l.Logf("  %d workers", n)
		x, each := float64(n), int(time.Second/process.SlowFor)
		f := flow.Numbers(0, flow.Number, process.Slow)
		add := func(name string, ex *executor.Executor) error {
			p, err := pointOf(ctx, l, flow.On[int](ex), f, 2*each*n, 2*each*n)
			if err != nil {
				return err
			}
			rate.add(name, x, p.perSecond)
			single.add(name+", p50", x, p.p50)
			return nil
		}
		if err := process.With(ctx, process.Job{URL: l.Server.URL(), Concurrency: 1}, n, func() error {
			ex, err := executor.New(ctx, l.Server.URL())
			if err != nil {
				return err
			}
			return errors.Join(add("processes of one slot", ex), ex.Close())
		}); err != nil {
			return nil, err
		}
		if err := l.Fresh(ctx, n, f.Functions(), func(_ context.Context, ex *executor.Executor) error {
			return add("slots of one process", ex)
		}); err != nil {
			return nil, err
		}
		rate.computed("slots and nothing else", x, x*float64(each))
		single.computed("the function alone", x, float64(process.SlowFor)/float64(time.Millisecond))
	}
	x := Axis{"workers", plain}
	return []Chart{
		{"workers-rate.svg", "Items a second by the number of workers, 10 ms an item", x, perSecond, rate.series},
		{"workers-latency.svg", "One item at a time by the number of workers, 10 ms an item", x, latency, single.series},
	}, nil
}

// byBacklog has stored ints before its workers start.
func byBacklog(ctx context.Context, l *measure.Runner) ([]Chart, error) {
	var rate, single lines
	for n := 10_000; n <= 10_000_000; n *= 10 {
		l.Logf("  %d wait", n)
		var times []time.Duration
		medians, err := l.Turns(func() (perSecond float64, err error) {
			err = l.Fresh(ctx, slots, []workers.Function{rows.Inc, rows.Double}, func(ctx context.Context, ex *executor.Executor) error {
				in := make(chan int, work.Capacity)
				q, err := bridge.Scatter(ctx, ex, in, bridge.MaxBytes(1<<30))
				if err != nil {
					return err
				}
				work.Feed(in, n)
				if err := ex.Flush(ctx); err != nil {
					return err
				}
				took, err := flow.On[int](ex).Trips(ctx, flow.Numbers(trips, work.Expected, rows.Inc, rows.Double), tripLimit)
				if err != nil {
					return err
				}
				times = append(times, took...)
				perSecond, err = drain(ctx, q, n)
				return err
			})
			return perSecond, err
		})
		if err != nil {
			return nil, err
		}
		slices.Sort(times)
		rate.add("dqbridge", float64(n), medians[0])
		single.add("p50", float64(n), measure.Percentile(times, 50))
		single.add("p99", float64(n), measure.Percentile(times, 99))
	}
	x := Axis{"ints that wait", number}
	return []Chart{
		{"backlog-rate.svg", "Ints a second by how many wait, two stages", x, perSecond, rate.series},
		{"backlog-latency.svg", "One int at a time beside a queue where many wait", x, latency, single.series},
	}, nil
}

// drain runs a stored queue through both stages and returns the rate.
func drain(ctx context.Context, q *executor.Queue[int], n int) (float64, error) {
	begin, t := time.Now(), work.NewTally(n)
	out, err := flow.Through(ctx, q, []workers.Func[int, int]{rows.Inc, rows.Double})
	if err != nil {
		return 0, err
	}
	for r := range out {
		if r.Err != nil {
			return 0, r.Err
		}
		t.Add(r.Value)
	}
	return float64(n) / time.Since(begin).Seconds(), errors.Join(t.Err(), ctx.Err())
}

func plain(v float64) string { return fmt.Sprint(v) }
