package wide

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/workers"
)

// A Load is flows that keep a fleet busy, and what an item of them costs.
type Load struct {
	Fleet
	Millis   int // of the function: 10 or 100
	Flows    int
	Items    int     // of all flows
	Throttle float64 // part of a core that Redis gets; 0: all of it
	Cost     Cost    // of an item
	Rate     float64 // items in a second
	Share    float64 // part of a core that Redis used
}

// throttlePeriod is that in which a throttled server runs once.
const throttlePeriod = 10 * time.Millisecond

// Loads are those of the documentation.
func Loads() []Load {
	return []Load{
		{Fleet: Fleet{10, 1, 1}, Millis: 10, Flows: 1, Items: 4_000},
		{Fleet: Fleet{100, 1, 1}, Millis: 10, Flows: 1, Items: 20_000},
		{Fleet: Fleet{300, 1, 1}, Millis: 10, Flows: 1, Items: 30_000},
		{Fleet: Fleet{300, 1, 1}, Millis: 10, Flows: 8, Items: 30_000},
		{Fleet: Fleet{100, 1, 1}, Millis: 100, Flows: 1, Items: 4_000},
		{Fleet: Fleet{100, 8, 1}, Millis: 100, Flows: 1, Items: 8_000},
	}
}

// Measure runs a load on a server.
func (l *Load) Measure(ctx context.Context, s *redisd.Server, progress io.Writer) error {
	_, _ = fmt.Fprintf(progress, "load: %d flows of %d ms, %d workers of %d slots\n", l.Flows, l.Millis, l.Workers, l.Slots)
	return l.With(ctx, s, func(ctx context.Context, r Running) (err error) {
		throttled, release := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- l.throttle(throttled, s) }()
		began := time.Now()
		l.Cost, l.Rate, err = r.HotCost(ctx, l.function(), l.Flows, l.Items/l.Flows)
		l.Share = r.Share + l.Cost.CPU*float64(l.Items)/time.Since(began).Seconds()
		release()
		<-ended // an error ends with the server
		return err
	})
}

func (l *Load) throttle(ctx context.Context, s *redisd.Server) error {
	if l.Throttle == 0 {
		return nil
	}
	return s.Throttle(ctx, l.Throttle, throttlePeriod)
}

func (l *Load) function() workers.Func[int, int] {
	if l.Millis == 10 {
		return Sleep10
	}
	return Sleep100
}

// WriteLoads writes loads on two servers with different settings as a table.
func WriteLoads(w io.Writer, plain, tuned []Load, settings string) error {
	grid := [][]string{{"workers", "slots", "function", "flows", "us of Redis an item", "commands", "items/s here", "us with " + settings}}
	for i, l := range plain {
		grid = append(grid, []string{
			fmt.Sprint(l.Workers), fmt.Sprint(l.Slots), fmt.Sprintf("%d ms", l.Millis), fmt.Sprint(l.Flows),
			report.Significant(1e6 * l.Cost.CPU), report.Significant(l.Cost.Commands), report.Thousands(l.Rate),
			report.Significant(1e6 * tuned[i].Cost.CPU),
		})
	}
	return report.Grid(w, grid)
}
