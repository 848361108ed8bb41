package target

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func slotTargets() []Target {
	return []Target{
		{Name: "slots", What: "20,000 items of 2 KB and 20 ms in 100 slots, against 100 goroutines", Want: 1.1, Most: true, Unit: "x", measure: slots},
		{Name: "slots-busy", What: "the same beside 8 busy processes", Want: 1.1, Most: true, Unit: "x", measure: busy(slots)},
	}
}

// slots compares the time of a stage in this process with that of as many goroutines that sleep for
// the same time.
func slots(ctx context.Context, r *run) (float64, string, error) {
	const n, concurrent = 20_000, 100
	wait := asleep(func(int) time.Duration { return 20 * time.Millisecond })
	text := strings.Repeat("x", 2<<10)
	f := workers.Define("slow", func(ctx context.Context, s string) (string, error) { return s, wait(ctx, 0) })
	stage := flow.Flow[string]{
		N: n, Item: func(int) string { return text }, Stages: []workers.Func[string, string]{f},
		Check: func(i int, s string) error {
			if s != text {
				return fmt.Errorf("result %d has %d bytes", i, len(s))
			}
			return nil
		},
	}
	medians, err := r.Turns(
		func() (took float64, err error) {
			err = r.Fresh(ctx, concurrent, []workers.Function{f}, func(ctx context.Context, ex *executor.Executor) error {
				d, err := stage.On(ctx, ex, func() {})
				took = d.Seconds()
				return err
			})
			return took, err
		},
		func() (float64, error) { return plain(ctx, concurrent, n, wait).Seconds(), nil },
	)
	if err != nil {
		return 0, "", err
	}
	return medians[0] / medians[1], fmt.Sprintf("%.2f s over %.2f s", medians[0], medians[1]), nil
}
