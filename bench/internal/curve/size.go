package curve

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// bySize measures one stage that returns its input.
func bySize(ctx context.Context, l *lab.Lab) ([]Chart, error) {
	var rate, volume, single lines
	keep := flow.Same[[]byte]("keep")
	for _, size := range []int{8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20} {
		f := ofSize(size, keep)
		by := flow.Hand[[]byte]{Flow: f, Items: max(1, min(256, 32<<10/size)), Stages: 1}
		by.Entries = max(1, min(64, 4<<20/(size*by.Items)))
		for _, way := range []struct {
			name  string
			run   func(n int) (time.Duration, error)
			trips func() ([]time.Duration, error)
		}{
			{"dqbridge", func(n int) (took time.Duration, err error) {
				err = l.Fresh(ctx, hands, []workers.Function{keep}, func(ctx context.Context, ex *executor.Executor) error {
					f := f
					f.N = n
					took, err = f.On(ctx, ex, func() {})
					return err
				})
				return took, err
			}, func() (took []time.Duration, err error) {
				err = l.Fresh(ctx, hands, []workers.Function{keep}, func(ctx context.Context, ex *executor.Executor) error {
					took, err = f.Trips(ctx, ex, tripLimit)
					return err
				})
				return took, err
			}},
			{"by hand, up to 256 items and 32 KiB an entry", func(n int) (time.Duration, error) {
				by := by
				by.N = n
				return by.On(ctx, l.Server)
			}, func() ([]time.Duration, error) { return by.Trips(ctx, l.Server, tripLimit) }},
		} {
			l.Say("  %s: %s", bytes(float64(size)), way.name)
			perSecond, err := throughput(l, max(2, min(1000, (8<<20)/size)), min(2_000_000, max(8, (1<<30)/size)), way.run)
			if err != nil {
				return nil, err
			}
			rate.add(way.name, float64(size), perSecond)
			volume.add(way.name, float64(size), perSecond*float64(size)/(1<<20))
			took, err := way.trips()
			if err != nil {
				return nil, err
			}
			p50, _ := middle(took)
			single.add(way.name+", p50", float64(size), p50)
		}
	}
	x := Axis{"bytes of an item", bytes}
	return []Chart{
		{"size-rate.svg", "Items a second by their size, one stage", x, perSecond, rate.series},
		{"size-volume.svg", "MiB a second by the size of an item, one stage", x, Axis{"MiB a second", number}, volume.series},
		{"size-latency.svg", "One item at a time by its size, one stage", x, latency, single.series},
	}, nil
}

// ofSize makes the items before the measurement starts.
func ofSize(size int, stages ...workers.Func[[]byte, []byte]) flow.Flow[[]byte] {
	items := make([][]byte, max(2, min(1024, (32<<20)/size)))
	for i := range items {
		items[i] = work.Bytes(i, size)
	}
	return flow.Flow[[]byte]{
		N: trips, Ahead: max(1, min(work.Capacity, (4<<20)/size)), Stages: stages,
		Item:  func(i int) []byte { return items[i%len(items)] },
		Check: func(i int, b []byte) error { return work.CheckBytes(b, i%len(items), size) },
	}
}
