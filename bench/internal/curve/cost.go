package curve

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// numbers returns a flow of ints through stages that do not change them.
func numbers(n int, stages ...workers.Func[int, int]) flow.Flow[int] {
	return flow.Flow[int]{N: n, Item: flow.Number, Check: flow.SameNumber, Stages: stages}
}

// through runs a flow on hands slots of this process.
func through(ctx context.Context, l *lab.Lab, hands int, f flow.Flow[int]) (took time.Duration, err error) {
	err = l.Fresh(ctx, hands, registered(f), func(ctx context.Context, ex *executor.Executor) error {
		took, err = f.On(ctx, ex, func() {})
		return err
	})
	return took, err
}

// oneByOne sends the items of a flow one at a time.
func oneByOne(ctx context.Context, l *lab.Lab, hands int, f flow.Flow[int]) (took []time.Duration, err error) {
	err = l.Fresh(ctx, hands, registered(f), func(ctx context.Context, ex *executor.Executor) error {
		took, err = f.Trips(ctx, ex, tripLimit)
		return err
	})
	return took, err
}

func registered(f flow.Flow[int]) (functions []workers.Function) {
	for _, stage := range f.Stages {
		if !slices.ContainsFunc(functions, func(g workers.Function) bool { return g.Name() == stage.Name() }) {
			functions = append(functions, stage)
		}
	}
	return functions
}

// byCost measures one stage on 8 slots.
func byCost(ctx context.Context, l *lab.Lab) ([]Chart, error) {
	const hands = 8
	var rate, single lines
	for _, cost := range []time.Duration{
		100, 1000, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond,
		10 * time.Millisecond, 100 * time.Millisecond, time.Second,
	} {
		l.Say("  %v", cost)
		x := float64(cost) / float64(time.Millisecond)
		stage := flow.Waiting("waiting", func(int) time.Duration { return cost })
		perSecond, err := throughput(l, 2*hands, 2_000_000, func(n int) (time.Duration, error) {
			return through(ctx, l, hands, numbers(n, stage))
		})
		if err != nil {
			return nil, err
		}
		rate.add("dqbridge, 8 slots", x, perSecond)
		if cost >= 100*time.Microsecond { // asleep, so that the number of processors does not matter
			rate.computed("8 slots and nothing else", x, hands/cost.Seconds())
		} else {
			rate.computed("8 slots and nothing else", x, float64(min(hands, runtime.GOMAXPROCS(0)))/cost.Seconds())
		}
		took, err := oneByOne(ctx, l, hands, numbers(trips, stage))
		if err != nil {
			return nil, err
		}
		p50, p99 := middle(took)
		single.add("p50", x, p50)
		single.add("p99", x, p99)
		single.computed("the function alone", x, x)
	}
	x := Axis{"cost of an item", span}
	return []Chart{
		{"cost-rate.svg", "Items a second by the cost of the function, 8 slots", x, perSecond, rate.series},
		{"cost-latency.svg", "One item at a time by the cost of the function", x, latency, single.series},
	}, nil
}

// byStages measures stages that return their input, not fused and fused.
func byStages(ctx context.Context, l *lab.Lab) ([]Chart, error) {
	var rate, single lines
	keep := flow.Same[int]("keep")
	for _, stages := range []int{1, 2, 5, 10, 20} {
		x := float64(stages)
		f := numbers(trips, slices.Repeat([]workers.Func[int, int]{keep}, stages)...)
		apart := f
		apart.Opts = []executor.MapOption{executor.NoFuse()}
		for _, way := range []struct {
			name string
			flow flow.Flow[int]
		}{{"dqbridge", f}, {"dqbridge, stages apart", apart}} {
			l.Say("  %d stages, %s", stages, way.name)
			perSecond, err := throughput(l, 10_000, 1_000_000, func(n int) (time.Duration, error) {
				f := way.flow
				f.N = n
				return through(ctx, l, hands, f)
			})
			if err != nil {
				return nil, err
			}
			rate.add(way.name, x, perSecond)
			took, err := oneByOne(ctx, l, hands, way.flow)
			if err != nil {
				return nil, err
			}
			p50, _ := middle(took)
			single.add(way.name+", p50", x, p50)
		}
		l.Say("  %d stages, by hand", stages)
		by := flow.Hand[int]{Flow: f, Items: 256, Entries: 64, Stages: stages}
		perSecond, err := throughput(l, 10_000, 1_000_000, func(n int) (time.Duration, error) {
			by := by
			by.N = n
			return by.On(ctx, l.Server)
		})
		if err != nil {
			return nil, err
		}
		rate.add("by hand, 256 an entry", x, perSecond)
		took, err := by.Trips(ctx, l.Server, tripLimit)
		if err != nil {
			return nil, err
		}
		p50, _ := middle(took)
		single.add("by hand, p50", x, p50)
	}
	x := Axis{"stages", func(v float64) string { return fmt.Sprint(v) }}
	return []Chart{
		{"stages-rate.svg", "Ints a second by the number of stages", x, perSecond, rate.series},
		{"stages-latency.svg", "One int at a time by the number of stages", x, latency, single.series},
	}, nil
}
